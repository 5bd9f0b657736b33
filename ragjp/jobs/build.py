"""Build or update an index: unchanged documents cost a hash, changed ones are committed batch by batch, a kill loses one batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ragjp.config import Japanese, Recipe
from ragjp.documents import DocumentReader
from ragjp.encoders import load_encoder
from ragjp.errors import DocumentError, RagjpError
from ragjp.index.reader import Snapshot
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest, NewDocument
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.synonyms import parse_synonyms
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.japanese.words import WordList, parse_words
from ragjp.jobs.embedding import analyse, embed_batch, no_vectors
from ragjp.jobs.sources import REPORT_NAME, DocumentSource, Item, folder_sources, list_items
from ragjp.retrieval.background import LEAST_ROWS, ensure_background
from ragjp.types import Encoder

#: A batch is committed when it holds this many chunks: what a kill can cost, and the size of a segment before merging.
BATCH_CHUNKS = 1024

#: ``(stage, done, total)``: stage is a Japanese word for the operator; called often, draws nothing itself.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be read: its id, a reason code, and a sentence."""

    doc_id: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. ``n_documents`` and ``n_chunks`` count what the index holds now."""

    added: int
    updated: int
    unchanged: int
    removed: int
    failures: tuple[Failure, ...]
    n_documents: int
    n_chunks: int
    embedded_chunks: int
    reused_chunks: int
    generation: int
    seconds: float


@dataclass(slots=True)
class _Plan:
    """The difference between the sources and the index."""

    changed: list[tuple[Item, str]]
    access_changes: dict[str, tuple[str, ...]]
    removed: list[str]
    unchanged: int
    known: frozenset[str]
    failures: list[Failure]


@dataclass(slots=True)
class _Tally:
    added: int = 0
    updated: int = 0
    embedded: int = 0
    reused: int = 0


def build(
    recipe: Recipe,
    *,
    base: Path,
    into: Path,
    sources: Sequence[DocumentSource] | None = None,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
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
    tell: Progress = progress or (lambda stage, done, total: None)
    items = list_items(sources if sources is not None else folder_sources(recipe, base, into))
    # Not searched with here; what is wrong in the file is said before anything is built.
    parse_synonyms(recipe.japanese.synonyms_text, where=recipe.japanese.synonyms or "synonyms")
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
        plan = _plan(items, writer, recipe, tell)
        tally = _Tally()
        if plan.removed or plan.access_changes:
            writer.commit(
                Batch(
                    [],
                    [],
                    no_vectors(model.dim),
                    None,
                    {},
                    removed=plan.removed,
                    access_changes=plan.access_changes,
                )
            )
        for group in _read_groups(plan, recipe, tell):
            batch, embedded = embed_batch(
                group,
                writer,
                analyzer,
                model,
                tokens=bool(manifest.token_dim),
                embedded=partial(tell, "埋め込み"),
            )
            writer.commit(batch)
            tally.embedded += embedded
            tally.reused += len(batch.text_hashes) - embedded
            for new in group:
                if new.document.doc_id in plan.known:
                    tally.updated += 1
                else:
                    tally.added += 1
        tell("まとめ", 0, 1)
        writer.tidy()
        tell("まとめ", 1, 1)
        n_documents, n_chunks = writer.counts()
        if n_chunks >= LEAST_ROWS:
            _measure_refusals(into, analyzer, model, recipe)
        _write_report(into, plan.failures)
        return BuildReport(
            tally.added,
            tally.updated,
            plan.unchanged,
            len(plan.removed),
            tuple(plan.failures),
            n_documents,
            n_chunks,
            tally.embedded,
            tally.reused,
            writer.generation,
            time.monotonic() - started,
        )


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


def _plan(items: list[Item], writer: IndexWriter, recipe: Recipe, tell: Progress) -> _Plan:
    """Compare every item with the index by hash."""
    known = writer.known_documents()
    plan = _Plan([], {}, [], 0, frozenset(known), [])
    # Folders that cannot be looked into: what is known of them stays, for those who may read it now.
    closed: dict[str, tuple[str, ...]] = {}
    # Chunk sizes decide the chunks: a change of them is a change of every document (whose unchanged chunks are not re-embedded).
    shape = json.dumps(recipe.chunks.model_dump(), sort_keys=True)
    for done, item in enumerate(items, 1):
        stored = known.get(item.doc_id)
        # Who may read it changes even where the document cannot be read any more and its last version stays.
        if stored is not None and stored[1] != frozenset(item.access):
            plan.access_changes[item.doc_id] = item.access
        try:
            content_hash = hashlib.sha256(f"{item.content_hash()}\0{shape}".encode()).hexdigest()
        except DocumentError as error:
            plan.failures.append(Failure(item.doc_id, error.code, error.sentence))
            closed[f"{item.doc_id}/"] = item.access
            continue
        finally:
            tell("確認", done, len(items))
        if stored is None or stored[0] != content_hash:
            plan.changed.append((item, content_hash))
            continue
        plan.unchanged += 1
    for doc_id in sorted(set(known) - {item.doc_id for item in items}):
        access = next((closed[folder] for folder in closed if doc_id.startswith(folder)), None)
        if access is None:
            plan.removed.append(doc_id)
        elif known[doc_id][1] != frozenset(access):
            plan.access_changes[doc_id] = access
    return plan


def _read_groups(plan: _Plan, recipe: Recipe, tell: Progress) -> Iterator[list[NewDocument]]:
    """Read and chunk the changed documents, in groups of about a batch of chunks."""
    group: list[NewDocument] = []
    n_chunks = 0
    total = len(plan.changed)
    with DocumentReader(recipe.limits) as reader:
        for done, (item, content_hash) in enumerate(plan.changed, 1):
            try:
                document = item.load(reader)
                chunks = tuple(chunk_document(document, recipe.chunks))
                if not chunks:
                    raise DocumentError(
                        f"{item.doc_id} から文字を取り出せません。中身を確かめてください。",
                        code="no_text",
                    )
            except DocumentError as error:
                kept = "（以前の版を残しました）" if item.doc_id in plan.known else ""
                plan.failures.append(Failure(item.doc_id, error.code, error.sentence + kept))
                tell("取り込み", done, total)
                continue
            group.append(NewDocument(document, content_hash, item.access, chunks))
            n_chunks += len(chunks)
            if n_chunks >= BATCH_CHUNKS:
                yield group
                group, n_chunks = [], 0
            tell("取り込み", done, total)
    if group:
        yield group


def _write_report(into: Path, failures: Sequence[Failure]) -> None:
    """Leave the failures of the last build beside the index, one JSON object a line; whole or not at all."""
    path = into / REPORT_NAME
    draft = path.with_suffix(".jsonl.new")
    lines = [json.dumps(asdict(failure), ensure_ascii=False) for failure in failures]
    draft.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    draft.replace(path)
