"""Work on an index that needs no source: repair, compaction, migration. All of it keeps the embeddings that there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ragjp.errors import IndexCorrupt
from ragjp.index.storage.batch import Manifest
from ragjp.index.storage.catalog import meta_value, open_catalog
from ragjp.index.storage.migrations import migrate
from ragjp.index.storage.words import stored_words
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.repair import RepairReport, TermMaker, repair
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.jobs.embedding import analyse

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did: bytes of all files before and after, and what the index holds."""

    bytes_before: int
    bytes_after: int
    n_documents: int
    n_chunks: int
    generation: int


def repair_index(index: Path, *, progress: Progress | None = None) -> RepairReport:
    """Mend an index with the analyzer installed here; see :func:`ragjp.index.upkeep.repair.repair`."""
    analyzer = Analyzer(words=stored_words(index))
    terms = TermMaker(
        analyzer.fingerprint,
        FIELDS,
        lambda chunks: analyse(chunks, analyzer),
    )
    return repair(index, terms, progress=progress)


def compact(index: Path, *, progress: Progress | None = None) -> CompactReport:
    """Write an index as one segment and forget everything that has died. No answer changes.

    Raises
    ------
    IndexMissing, IndexLocked, IndexMismatch, IndexUnreadable
        When there is none, or another process is writing.
    IndexCorrupt
        When it is damaged: nothing is changed.
    StorageFailed
        When the disk refuses: likewise.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    migrate(index, progress=progress)
    before = _size(index)
    tell("まとめ", 0, 1)
    with IndexWriter(index, stored_manifest(index)) as writer:
        if not writer.is_compact():
            writer.merge()
        writer.shrink()
        writer.tidy()
        n_documents, n_chunks = writer.counts()
        generation = writer.generation
    tell("まとめ", 1, 1)
    return CompactReport(before, _size(index), n_documents, n_chunks, generation)


def stored_manifest(index: Path) -> Manifest:
    """Read what an index was built with, so that it can be rewritten without its encoder."""
    connection = open_catalog(index)
    try:
        meta = {
            key: meta_value(connection, key)
            for key in (
                "analyzer",
                "encoder",
                "encoder_name",
                "dim",
                "token_dim",
                "fields",
                "words",
            )
        }
    finally:
        connection.close()
    try:
        return Manifest(
            meta["analyzer"],
            meta["encoder"],
            meta["encoder_name"],
            int(meta["dim"]),
            int(meta["token_dim"]),
            tuple(json.loads(meta["fields"])),
            meta["words"],
        )
    except (TypeError, ValueError) as error:
        raise IndexCorrupt(
            f"索引 {index} の設定が壊れています。ragjp check で調べ、控えから戻してください。",
            code="catalog_damaged",
        ) from error


def _size(index: Path) -> int:
    return sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
