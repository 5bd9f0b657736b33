"""Older formats made new: an ordered list of small steps, each from one version to the next.

A step writes its new files first and then names them, with everything else that changes, in one transaction that raises
``format_version``. A kill leaves the old version, to be migrated again, or the new one. Nothing is embedded or analysed again, and no
file that is there is written again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt
from ragjp.index.storage.catalog import (
    DIGEST_SCHEMA,
    FORMAT_VERSION,
    SEGMENTS_NAME,
    catalog_path,
    meta_value,
    open_catalog,
    transaction,
    wrong_version,
)
from ragjp.index.storage.digests import store_document_digests, store_table_digests, table_digests
from ragjp.index.storage.disk import sync_folder
from ragjp.index.storage.lock import changing, writer_lock
from ragjp.index.storage.merging import checks_of_tokens
from ragjp.index.storage.records import insert_files, set_values
from ragjp.index.storage.seal import SEAL_NAME, close_and_seal
from ragjp.index.storage.segments import (
    FileRecord,
    Segment,
    open_segment,
    read_segments,
    row_checks,
    write_array,
)
from ragjp.index.storage.verify import verify_files

Progress = Callable[[str, int, int], None]
#: Writes the files of a step and hands out what its transaction does.
Step = Callable[[sqlite3.Connection, Path, Progress], Callable[[], None]]


def migrate(index: Path, *, progress: Progress | None = None) -> tuple[int, int]:
    """Bring an index to this program's format. Returns the versions before and after; equal when there was nothing to do.

    Raises
    ------
    IndexMissing, IndexLocked, IndexUnreadable
        When there is none, or another process is writing.
    IndexMismatch
        When it has a newer format than this program knows.
    IndexCorrupt
        When it is damaged: nothing is changed.
    StorageFailed
        When the disk refuses. The index is as it was.
    """
    open_catalog(
        index, any_version=True
    ).close()  # that there is one, before a lock is laid beside it
    with writer_lock(index), changing(index):
        return migrate_catalog(index, progress=progress)


def migrate_catalog(index: Path, *, progress: Progress | None = None) -> tuple[int, int]:
    """Do as :func:`migrate`, for those who hold the writer's lock."""
    tell: Progress = progress or (lambda stage, done, total: None)
    connection = open_catalog(index, writable=True, any_version=True)
    try:
        stored = meta_value(connection, "format_version")
        before = int(stored) if stored.isdecimal() else 0
        if before == FORMAT_VERSION:
            return before, before
        if not 1 <= before < FORMAT_VERSION:
            raise wrong_version(index, stored)
        for version in range(before, FORMAT_VERSION):
            record = STEPS[version](connection, index, tell)
            with transaction(connection):
                record()
                set_values(connection, {"format_version": str(version + 1)})
                store_table_digests(connection, table_digests(connection))
        close_and_seal(connection, index)
        return before, FORMAT_VERSION
    finally:
        connection.close()


def _to_version_2(
    connection: sqlite3.Connection, index: Path, tell: Progress
) -> Callable[[], None]:
    """Row maps and row checks in every segment, digests in the catalog, a seal beside it."""
    for (message,) in connection.execute("PRAGMA integrity_check(1)"):
        if message != "ok":
            raise IndexCorrupt(
                f"索引の目録 {catalog_path(index)} が壊れています（{' '.join(message.split())}）。控えから戻すか、ragjp index で作り直してください。",
                code="catalog_damaged",
            )
    # A seal of another catalog that once lay here says nothing about this one.
    (index / SEAL_NAME).unlink(missing_ok=True)
    segments = read_segments(connection)
    added: list[tuple[Segment, list[FileRecord]]] = []
    for done, segment in enumerate(segments):
        tell("形式の移行", done, len(segments))
        # New checks are made only of bytes that are those which were written.
        verify_files(index, [segment], skip=(), budget_bytes=1 << 62)
        added.append((segment, _row_files(connection, index, segment)))
    tell("形式の移行", len(segments), len(segments))

    def record() -> None:
        for statement in DIGEST_SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
        for segment, records in added:
            insert_files(connection, segment.number, records)
        store_document_digests(connection)

    return record


def _row_files(connection: sqlite3.Connection, index: Path, segment: Segment) -> list[FileRecord]:
    """Add the files of version 2 to a segment's folder; the catalog does not name them yet."""
    arrays = open_segment(index, segment.name, segment.sizes)
    chunks = np.full(segment.n_rows, -1, dtype=np.int64)
    documents = np.full(segment.n_rows, -1, dtype=np.int64)
    for row, chunk_no, doc_no in connection.execute(
        "SELECT row, chunk_no, doc_no FROM chunk WHERE segment_no = ?", (segment.number,)
    ):
        chunks[row], documents[row] = chunk_no, doc_no
    made: dict[str, NDArray[Any]] = {
        "row_chunks": chunks,
        "row_documents": documents,
        "vector_checks": row_checks(arrays["vectors"]),
    }
    if "tokens" in arrays:
        made["token_checks"] = checks_of_tokens(arrays)
    folder = index / SEGMENTS_NAME / segment.name
    records = [write_array(folder, stem, array) for stem, array in made.items()]
    sync_folder(folder)
    return records


#: Version → the step that leads from it to the next.
STEPS: dict[int, Step] = {1: _to_version_2}
