"""Build or update an index: unchanged documents cost a look at their file, changed ones are committed batch by batch, a kill loses one batch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from ragjp.config import Japanese, Recipe
from ragjp.encoders import load_encoder
from ragjp.errors import RagjpError
from ragjp.index.reader import Snapshot
from ragjp.index.storage.catalog import catalog_path, open_catalog
from ragjp.index.storage.disk import whole_file
from ragjp.index.storage.lock import changing
from ragjp.index.storage.records import current_documents
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest
from ragjp.japanese.synonyms import parse_synonyms
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.japanese.words import WordList, parse_words
from ragjp.jobs.ahead import FileRead, Prepared, n_readers, prepared_ahead
from ragjp.jobs.embedding import analyse, embed_batch, no_vectors
from ragjp.jobs.outcomes import BuildReport, Failure, Outcome, in_order
from ragjp.jobs.pace import EMBED, WRITE, Pace
from ragjp.jobs.planning import Known, Plan, make_plan
from ragjp.jobs.seen import Seen
from ragjp.jobs.settling import outcome_of, outcomes_of_plan
from ragjp.jobs.sources import REPORT_NAME, DocumentSource, Item, folder_sources, list_items
from ragjp.retrieval.background import LEAST_ROWS, ensure_background
from ragjp.types import Encoder

__all__ = ["BuildReport", "Failure", "Options", "build", "own_words", "plan_build"]

#: A batch is committed when it holds this many chunks: what a kill can cost, and the size of a segment before merging.
BATCH_CHUNKS = 1024

#: ``(stage, done, total)``: stage is a Japanese word for the operator; called often, draws nothing itself.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to go about a build; none of it changes what an index of these files holds.

    verify_content : trust no file's size and time, hash all. allow_deletions : take out whatever is gone, however much it is.
    stop : asked often; what is embedded is then committed, and the build ends. paced : told how it goes, in one line.
    """

    verify_content: bool = False
    allow_deletions: bool = False
    stop: Callable[[], bool] = lambda: False
    paced: Callable[[str], None] = lambda line: None


@dataclass(slots=True)
class _Tally:
    added: int = 0
    updated: int = 0
    moved: int = 0
    removed: int = 0
    embedded: int = 0
    reused: int = 0
    outcomes: list[Outcome] = field(default_factory=list)


def build(
    recipe: Recipe,
    *,
    base: Path,
    into: Path,
    sources: Sequence[DocumentSource] | None = None,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
    options: Options | None = None,
) -> BuildReport:
    """Bring an index up to date with its sources.

    Parameters
    ----------
    recipe
        What to index and how.
    base
        Folder that the recipe's source paths are relative to.
    into
        Folder of the index; made when absent.
    sources
        Take documents from here instead of the recipe's folders.
    encoder
        Use this encoder instead of loading the recipe's.
    progress
        Called with (stage, done, total).
    options
        How to go about it.

    Returns
    -------
    BuildReport
        Documents that could not be read are in ``failures``; an earlier version of such a document stays searchable.

    Raises
    ------
    RecipeError
        When a source is missing or empty, two documents would have the same id, or a line of the synonyms is wrong. Nothing is changed.
    IndexLocked, IndexMismatch, ModelUnknown, MissingExtra
        Before anything is changed.
    """
    started = time.monotonic()
    chosen = options or Options()
    tell: Progress = progress or (lambda stage, done, total: None)
    items = _listed(recipe, base, into, sources)
    analyzer = own_words(recipe.japanese, Analyzer())
    model = encoder or load_encoder(recipe.encoder)
    manifest = Manifest(
        analyzer.fingerprint,
        model.fingerprint,
        model.name,
        model.dim,
        model.token_dim if recipe.encoder.tokens else 0,
        FIELDS,
        analyzer.word_list.canonical,
    )
    with IndexWriter(into, manifest) as writer:
        writer.set_meta("recipe", recipe.model_dump_json())
        if writer.is_analysis_stale() and writer.change_words() is None:
            # A newer dictionary or folding: new terms for every chunk, no new embedding.
            writer.analyse_again(
                lambda chunks: analyse(chunks, analyzer),
                progress=partial(tell, "語の更新"),
            )
        plan = _plan(items, writer.known_documents(), recipe, into, chosen, tell)
        tally = _Tally(removed=len(plan.removed))
        _commit_removals(writer, plan.removed, model.dim, plan.access_changes)
        pace = _commit_changes(plan, recipe, writer, analyzer, model, tell, chosen, tally)
        encoder_share = pace.encoder_share
        interrupted = plan.stopped or chosen.stop()
        if not interrupted:
            tell("まとめ", 0, 1)
            writer.tidy()
            tell("まとめ", 1, 1)
        n_documents, n_chunks = writer.counts()
        if n_chunks >= LEAST_ROWS and not interrupted:
            _measure_refusals(into, analyzer, model, recipe)
        if not plan.stopped:
            plan.seen.write(into)
        if not interrupted:
            _write_report(into, plan.failures)
        outcomes = [*tally.outcomes, *outcomes_of_plan(plan, done=tally.outcomes)]
        return BuildReport(
            tally.added,
            tally.updated,
            len(plan.unchanged),
            tally.removed,
            tuple(plan.failures),
            n_documents,
            n_chunks,
            tally.embedded,
            tally.reused,
            writer.generation,
            time.monotonic() - started,
            moved=tally.moved,
            outcomes=in_order(outcomes),
            kept_why=plan.kept_why,
            interrupted=interrupted,
            stage_seconds=dict(pace.seconds),
            encoder_share=encoder_share,
        )


def plan_build(
    recipe: Recipe,
    *,
    base: Path,
    into: Path,
    sources: Sequence[DocumentSource] | None = None,
    progress: Progress | None = None,
    options: Options | None = None,
) -> BuildReport:
    """Say what :func:`build` would do, and change nothing: no lock, no file, no reading of documents.

    Raises
    ------
    RecipeError, IndexMismatch, IndexUnreadable, IndexCorrupt
        As :func:`build`.
    """
    started = time.monotonic()
    tell: Progress = progress or (lambda stage, done, total: None)
    items = _listed(recipe, base, into, sources)
    known: Known = {}
    generation = n_chunks = 0
    if catalog_path(into).exists():
        with changing(into), closing(open_catalog(into)) as connection:
            known = current_documents(connection)
            (generation, n_chunks) = connection.execute(
                "SELECT (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation'), "
                "(SELECT count(*) FROM chunk JOIN document USING (doc_no) WHERE died IS NULL)"
            ).fetchone()
    plan = _plan(items, known, recipe, into, options or Options(), tell)
    return BuildReport(
        sum(1 for change in plan.changes if not change.old and not change.moved_from),
        sum(1 for change in plan.changes if change.old),
        len(plan.unchanged),
        len(plan.removed),
        tuple(plan.failures),
        len(known),
        n_chunks,
        0,
        0,
        generation,
        time.monotonic() - started,
        moved=sum(map(len, plan.moved.values())),
        outcomes=in_order(outcomes_of_plan(plan)),
        kept_why=plan.kept_why,
        interrupted=plan.stopped,
        dry_run=True,
    )


def _listed(
    recipe: Recipe, base: Path, into: Path, sources: Sequence[DocumentSource] | None
) -> list[Item]:
    items = list_items(sources if sources is not None else folder_sources(recipe, base, into))
    # Not searched with here; what is wrong in the file is said before anything is built.
    parse_synonyms(recipe.japanese.synonyms_text, where=recipe.japanese.synonyms or "synonyms")
    return items


def _plan(
    items: list[Item], known: Known, recipe: Recipe, into: Path, options: Options, tell: Progress
) -> Plan:
    return make_plan(
        items,
        known,
        recipe,
        Seen.read(into),
        verify_content=options.verify_content,
        allow_deletions=options.allow_deletions,
        tell=tell,
        stop=options.stop,
    )


def _commit_removals(
    writer: IndexWriter,
    removed: Sequence[str],
    dim: int,
    access_changes: dict[str, tuple[str, ...]] | None = None,
) -> None:
    """Take documents out, and change who may read others, in a commit of its own."""
    changes = access_changes or {}
    if removed or changes:
        nothing = Batch([], [], no_vectors(dim), None, {})
        writer.commit(replace(nothing, removed=removed, access_changes=changes))


def _commit_changes(
    plan: Plan,
    recipe: Recipe,
    writer: IndexWriter,
    analyzer: Analyzer,
    model: Encoder,
    tell: Progress,
    options: Options,
    tally: _Tally,
) -> Pace:
    """Read, embed and commit what has changed, batch by batch."""
    n_files = len(plan.changes)
    total_bytes = sum(change.n_bytes + 1 for change in plan.changes)
    pace = Pace(n_files, total_bytes, n_readers(recipe))
    if not plan.changes or options.stop():
        return pace

    def embedded(batch: Prepared, before: tuple[int, float], done: int, total: int) -> None:
        share = done / total if total else 1.0
        n_bytes = sum(file.change.n_bytes + 1 for file in batch.files)
        pace.done_files = before[0] + int(share * len(batch.files))
        pace.done_bytes = before[1] + share * n_bytes
        options.paced(pace.text())
        tell("取り込み", pace.done_files, n_files)

    with prepared_ahead(
        plan.changes,
        recipe,
        lambda chunks: analyse(chunks, analyzer),
        batch_chunks=BATCH_CHUNKS,
        pace=pace,
        stop=options.stop,
    ) as batches:
        for prepared in batches:
            tick = partial(embedded, prepared, (pace.done_files, pace.done_bytes))
            with pace.at(EMBED):
                batch, n_embedded = embed_batch(
                    prepared.documents,
                    writer,
                    analyzer,
                    model,
                    tokens=bool(recipe.encoder.tokens),
                    embedded=tick,
                    terms=prepared.terms,
                    together=[len(file.documents) for file in prepared.files if file.documents],
                    stop=options.stop,
                )
            with pace.at(WRITE):
                _commit_batch(plan, prepared.files, batch, writer, tally)
            tally.embedded += n_embedded
            tally.reused += len(batch.text_hashes) - n_embedded
            if not options.stop():
                tick(1, 1)
    # Under its new name it could not be read; under its old one it is gone.
    if not options.stop():
        left = [one for documents in plan.moved.values() for one in documents]
        _commit_removals(writer, left, model.dim)
        tally.removed += len(left)
        plan.removed.extend(left)
        plan.moved.clear()
    return pace


def _commit_batch(
    plan: Plan, files: Sequence[FileRead], batch: Batch, writer: IndexWriter, tally: _Tally
) -> None:
    """Commit the files that are embedded whole, with what they replace, and note what became of each."""
    committed = {new.document.doc_id for new in batch.documents}
    finished = [
        file for file in files if all(new.document.doc_id in committed for new in file.documents)
    ]
    removed: list[str] = []
    for file in finished:
        change = file.change
        named = {one.doc_id for one in file.findings}
        if file.documents:
            # What a mail or an archive no longer holds goes; what it holds and could not be read stays as it was.
            gone = [doc_id for doc_id in change.old if doc_id not in named]
            tally.removed += len(gone)
            plan.removed.extend(gone)
            removed += [*gone, *plan.moved.pop(change.moved_from, ())]
        refused = [
            Failure(one.doc_id, one.code, one.sentence)
            for one in file.findings
            if one.status == "refused"
        ]
        if refused:
            plan.refuse(change, refused, kept=True)
        for new in file.documents:
            outcome = outcome_of(new, file)
            tally.outcomes.append(outcome)
            tally.moved += outcome.status == "moved"
            tally.added += outcome.is_new
            tally.updated += not (outcome.is_new or outcome.moved_from)
    if batch.documents or removed:
        writer.commit(replace(batch, removed=removed))


def own_words(japanese: Japanese, analyzer: Analyzer) -> Analyzer:
    """Lay the recipe's words over an analyzer, but for those that it knows for one word already and that bring no reading.

    Raises
    ------
    RecipeError
        When a line of the file is wrong.
    """
    found = parse_words(japanese.dictionary_text, where=japanese.dictionary or "dictionary")
    plain = analyzer.with_words(WordList())
    new = (word for word in found.words if word.reading or len(plain.lemmas(word.text)) != 1)
    return analyzer.with_words(WordList(frozenset(new)))


def _measure_refusals(into: Path, analyzer: Analyzer, model: Encoder, recipe: Recipe) -> None:
    """Learn how often this index refuses what it cannot answer; without it the rate of the fitting data is shown."""
    try:
        snapshot = Snapshot(into)
    except (
        RagjpError
    ):  # the documents are committed; whoever opens the index is told what is wrong with it
        return
    try:
        ensure_background(snapshot, analyzer=analyzer, encoder=model, settings=recipe.retrieval)
    finally:
        snapshot.close()


def _write_report(into: Path, failures: Sequence[Failure]) -> None:
    """Leave the failures of the last build beside the index, one JSON object a line; whole or not at all."""
    lines = [json.dumps(asdict(failure), ensure_ascii=False) for failure in failures]
    with whole_file(into / REPORT_NAME, durable=False) as file:
        file.write("".join(line + "\n" for line in lines).encode())
