"""Forgetting a document so that nothing of it is left in the index's folder, and proving it with a receipt.

Step by step: what is known of the document is noted (hashes, no text) in the catalog; it is taken out in one commit, and from then on
nobody finds it; the segments that hold its rows are written again without them; the catalog's unused pages are given back; derived files, the
list of failures and the cache of seen files are cleaned; every file of the folder is searched for its text; the receipt is handed over;
the note is removed. A kill leaves the document there whole (before the commit) or gone; the next ``forget`` of it goes on from the note.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from ragjp.config import Recipe
from ragjp.documents.formats import is_container
from ragjp.errors import IndexCorrupt, RequestError
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.index.storage.batch import Batch
from ragjp.index.storage.catalog import meta_value
from ragjp.index.storage.disk import whole_file
from ragjp.index.storage.migrations import migrate
from ragjp.index.storage.traces import Traces, find_traces, page_texts, stands_in_a_page
from ragjp.index.storage.writer import IndexWriter
from ragjp.jobs.embedding import no_vectors
from ragjp.jobs.probes import Probe, choose_windows, found_in_folder, probe_of
from ragjp.jobs.receipts import PENDING_KEY, Receipt, receipt_of
from ragjp.jobs.seen import SEEN_NAME, Seen
from ragjp.jobs.sources import REPORT_NAME
from ragjp.jobs.upkeep import stored_manifest
from ragjp.retrieval.background import NAME as BACKGROUND_NAME

Progress = Callable[[str, int, int], None]
_STEPS = 6


def forget(
    index: Path,
    doc_id: str,
    *,
    handed_over: Callable[[Receipt], None],
    progress: Progress | None = None,
) -> Receipt:
    """Remove a document, and what stands in it where it is a mail or an archive, from every file of an index.

    Parameters
    ----------
    handed_over
        Given the receipt once everything is gone; when it returns, the note that would let a rerun make the receipt again is removed.

    Raises
    ------
    RequestError
        ``document_unknown``: the index holds nothing of it, not even an older edition.
    IndexMissing, IndexLocked, IndexMismatch, IndexCorrupt, StorageFailed
        As every change of an index. ``forget_incomplete`` (IndexCorrupt): text of it was found in a file afterwards.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    migrate(index, progress=progress)
    manifest = stored_manifest(index)
    with IndexWriter(index, manifest) as writer:
        noted = _pending(writer)
        inside = is_container(doc_id)
        traces = writer.ask(lambda catalog: find_traces(catalog, doc_id, inside=inside))
        mine = noted if noted and noted.doc_id == doc_id else None
        if not traces.doc_numbers and mine is None:
            raise _unknown(writer, index, doc_id)
        if noted and mine is None:
            # Another one was not finished: what is left of it goes first, and its receipt with it.
            handed_over(_finish(writer, noted, manifest.dim, tell))
        tell("消去", 0, _STEPS)
        started = _noted(writer, doc_id, traces, mine)
        receipt = _finish(writer, started, manifest.dim, tell)
        handed_over(receipt)
        writer.set_meta(PENDING_KEY, "")
    return receipt


def _finish(writer: IndexWriter, noted: Receipt, dim: int, tell: Progress) -> Receipt:
    """Do everything after the note; each step finds out what is left to do."""
    index = writer.path
    inside = is_container(noted.doc_id)
    traces = writer.ask(lambda catalog: find_traces(catalog, noted.doc_id, inside=inside))
    if traces.current_ids:
        batch = Batch([], [], no_vectors(dim), None, {}, removed=traces.current_ids)
        writer.commit(batch)
    tell("消去", 1, _STEPS)
    if traces.segments:
        writer.merge(traces.segments)
    tell("消去", 2, _STEPS)
    writer.shrink()
    tell("消去", 3, _STEPS)
    writer.tidy()
    with suppress(FileNotFoundError):
        (index / DERIVED_NAME / BACKGROUND_NAME).unlink()
    _clean_lists(index, noted)
    tell("消去", 4, _STEPS)
    receipt = _searched(writer, noted)
    tell("消去", 5, _STEPS)
    return replace(
        receipt,
        generation=writer.generation,
        source_files=tuple(_sources_left(writer, noted.doc_id)),
    )


def _searched(writer: IndexWriter, noted: Receipt) -> Receipt:
    """Look for the text in every file. What is found stands in another document's page too, or something is wrong."""
    probes = [Probe(quick, sha256) for quick, sha256 in noted.probes]
    shared: set[Probe] = set()
    for path, probe, window in found_in_folder(writer.path, probes, bytes.fromhex(noted.salt)):
        if probe in shared or writer.ask(partial(stands_in_a_page, piece=window)):
            shared.add(probe)
            continue
        raise IndexCorrupt(
            f"{path} に文書 {noted.doc_id} の本文が残っています。そのファイルが索引のものでなければ移してから、もう一度 ragjp forget を実行してください。",
            code="forget_incomplete",
        )
    kept = tuple((probe.quick, probe.sha256) for probe in probes if probe not in shared)
    return replace(noted, probes=kept, n_probes=len(probes))


def _pending(writer: IndexWriter) -> Receipt | None:
    """What a killed ``forget`` has noted."""
    text = writer.ask(lambda catalog: meta_value(catalog, PENDING_KEY))
    if not text:
        return None
    return receipt_of(json.loads(text))


def _noted(writer: IndexWriter, doc_id: str, traces: Traces, before: Receipt | None) -> Receipt:
    """Note what is to be forgotten, together with what a killed run has noted of it."""
    salt = secrets.token_bytes(16)
    texts = writer.ask(lambda catalog: list(page_texts(catalog, traces.doc_numbers)))
    probes = [probe_of(window, salt) for window in choose_windows(texts)]
    receipt = Receipt(
        doc_id,
        traces.doc_ids,
        traces.doc_numbers,
        traces.content_hashes,
        traces.own_texts,
        traces.n_shared_texts,
        traces.n_pages,
        traces.n_chunks,
        len(traces.segments),
        0,
        datetime.now().astimezone().isoformat(timespec="seconds"),
        salt.hex(),
        tuple((probe.quick, probe.sha256) for probe in probes),
    )
    if before is not None:
        receipt = _joined(before, receipt)
    writer.set_meta(PENDING_KEY, json.dumps(asdict(receipt), ensure_ascii=False))
    return receipt


def _joined(before: Receipt, now: Receipt) -> Receipt:
    """What was noted before a kill holds on; what has come since is added."""
    if set(now.doc_numbers) <= set(before.doc_numbers):
        return before
    joined = {
        name: tuple(sorted({*getattr(before, name), *getattr(now, name)}))
        for name in ("documents", "doc_numbers", "content_hashes", "text_hashes")
    }
    return replace(
        now,
        **joined,  # type: ignore[arg-type]
        n_pages=max(before.n_pages, now.n_pages),
        n_chunks=max(before.n_chunks, now.n_chunks),
    )


def _clean_lists(index: Path, noted: Receipt) -> None:
    """Take its names out of the list of failures and of the cache of seen files, and drafts of both away."""
    names = set(noted.documents) | {noted.doc_id}
    for name in (REPORT_NAME, SEEN_NAME):
        (index / f"{name}.new").unlink(missing_ok=True)
    report = index / REPORT_NAME
    if report.is_file():
        lines = report.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["doc_id"] not in names]
        if kept != lines:
            with whole_file(report, durable=False) as file:
                file.write("".join(kept).encode())
    seen = Seen.read(index)
    if names & seen.files.keys():
        seen.files = {name: sight for name, sight in seen.files.items() if name not in names}
        seen.write(index)


def _sources_left(writer: IndexWriter, doc_id: str) -> list[str]:
    """Files of the recipe's sources that would bring the document back with the next build."""
    try:
        recipe = Recipe.model_validate_json(
            writer.ask(lambda catalog: meta_value(catalog, "recipe"))
        )
    except ValueError:
        return []
    base = writer.path.parent
    paths = [base / source.path / doc_id for source in recipe.sources]
    return [str(path) for path in paths if path.is_file()]


def _unknown(writer: IndexWriter, index: Path, doc_id: str) -> RequestError:
    known = writer.known_documents()
    if any(one.startswith(f"{doc_id.rstrip('/')}/") for one in known):
        what = "はフォルダーです。文書を一つずつ指定してください"
    else:
        what = "という文書はありません。ragjp search の結果にある名前で指定してください"
    return RequestError(f"索引 {index} に {doc_id} {what}。", code="document_unknown")
