"""Segments written again from older ones: merged without what has died, or with new terms and everything else as it was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import Postings, merge_postings
from ragjp.index.storage.catalog import (
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    SEGMENTS_NAME,
    chunk_of_row,
    meta_value,
)
from ragjp.index.storage.merging import (
    Part,
    Terms,
    count_tokens,
    joined_arrays,
    postings_of,
)
from ragjp.index.storage.records import insert_segment, set_values
from ragjp.index.storage.segments import (
    FileRecord,
    Segment,
    damaged_file,
    open_segment,
    write_segment,
)
from ragjp.types import Chunk

#: A build ends with a merge when there are more segments than this, or when more than this share of the rows is dead.
MAX_SEGMENTS = 8
MAX_DEAD_SHARE = 0.3
#: A merge takes in a segment of up to this many times the rows that it has already: what is larger is left alone.
GROWTH = 2
#: Chunks whose terms are held at a time.
_BLOCK_ROWS = 4096


def worth_merging(connection: sqlite3.Connection) -> list[int]:
    """Numbers of the segments that a merge should join; none when there is no need."""
    sizes = connection.execute("SELECT segment_no, n_rows FROM segment ORDER BY n_rows").fetchall()
    live: dict[int, int] = dict(
        connection.execute(
            "SELECT segment_no, count(*) FROM chunk JOIN document USING (doc_no) WHERE died IS NULL GROUP BY segment_no"
        )
    )
    n_rows = sum(rows for _, rows in sizes)
    crowded = len(sizes) > MAX_SEGMENTS
    if not crowded and n_rows - sum(live.values()) <= MAX_DEAD_SHARE * n_rows:
        return []
    chosen = {
        number for number, rows in sizes if rows - live.get(number, 0) > MAX_DEAD_SHARE * rows
    }
    if not crowded:
        return sorted(chosen)
    taken = 0
    for number, rows in sizes:
        left = len(sizes) - len(chosen)
        if taken and rows > GROWTH * taken and left < MAX_SEGMENTS:
            break
        chosen.add(number)
        taken += rows
    return sorted(chosen)


def current_rows(
    connection: sqlite3.Connection, segment_no: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a segment whose documents are current, with the numbers of their chunks and documents; each (n,), by row."""
    found = connection.execute(
        "SELECT row, chunk_no, doc_no FROM chunk JOIN document USING (doc_no) "
        "WHERE segment_no = ? AND died IS NULL ORDER BY row",
        (segment_no,),
    ).fetchall()
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def merge_segments(
    connection: sqlite3.Connection,
    index: Path,
    chosen: Sequence[Segment],
    *,
    name: str,
    generation: int,
    arrays_of: Callable[[Segment], Mapping[str, NDArray[Any]]] | None = None,
    dropped: Sequence[int] = (),
) -> Callable[[], None]:
    """Write the current rows of segments as one new segment; returns what names it in the catalog, to be called in a transaction.

    Parameters
    ----------
    arrays_of
        Gives the arrays of a segment; when not given they are mapped from its files.
    dropped
        Numbers of current documents to leave out and forget.
    """
    parts: list[Part] = []
    numbers: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for segment in chosen:
        rows, chunks, documents = current_rows(connection, segment.number)
        kept = ~np.isin(documents, np.array(list(dropped), dtype=np.int64))
        if kept.any():
            arrays = (
                open_segment(index, segment.name, segment.sizes)
                if arrays_of is None
                else arrays_of(segment)
            )
            if arrays_of is None:
                _require_same_rows(index, segment, arrays, rows[kept], chunks[kept])
            parts.append((arrays, rows[kept]))
            numbers.append((chunks[kept], documents[kept]))
    records: tuple[FileRecord, ...] = ()
    if parts:
        fields = meta_fields(connection)
        chunk_numbers = np.concatenate([pair[0] for pair in numbers])
        document_numbers = np.concatenate([pair[1] for pair in numbers])
        records = write_segment(
            index, name, joined_arrays(parts, fields, (chunk_numbers, document_numbers))
        )

    def record() -> None:
        old = [(segment.number,) for segment in chosen]
        connection.executemany(
            "DELETE FROM document WHERE doc_no IN (SELECT doc_no FROM chunk WHERE segment_no = ?) AND died IS NOT NULL",
            old,
        )
        connection.executemany(
            "DELETE FROM document WHERE doc_no = ?", [(int(number),) for number in dropped]
        )
        connection.execute("DELETE FROM access WHERE died IS NOT NULL")
        if records:
            segment_no = insert_segment(
                connection, name, len(chunk_numbers), count_tokens(parts), records
            )
            connection.executemany(
                "UPDATE chunk SET segment_no = ?, row = ? WHERE chunk_no = ?",
                [(segment_no, row, number) for row, number in enumerate(chunk_numbers.tolist())],
            )
        connection.executemany("DELETE FROM segment WHERE segment_no = ?", old)
        set_values(connection, {"generation": str(generation)})

    return record


def _require_same_rows(
    index: Path,
    segment: Segment,
    arrays: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
    chunks: NDArray[np.int64],
) -> None:
    """Refuse to merge what the catalog and the segment tell differently: which row holds which chunk."""
    held = arrays["row_chunks"]
    if rows.min() < 0 or rows.max() >= len(held) or not np.array_equal(held[rows], chunks):
        raise damaged_file(
            index / SEGMENTS_NAME / segment.name / "row_chunks.npy",
            "目録と行の対応が違います",
            code="rows_contradict",
        )


def meta_fields(connection: sqlite3.Connection) -> list[str]:
    """The term fields that the index has."""
    return [str(name) for name in json.loads(meta_value(connection, "fields"))]


def renew_terms(
    connection: sqlite3.Connection,
    index: Path,
    segment: Segment,
    name: str,
    fields: Sequence[str],
    analyse: Callable[[Sequence[Chunk]], Terms],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FileRecord, ...]:
    """Write a segment again under a new name with new postings; every other file is linked. Dead rows get no terms."""
    postings = fresh_postings(connection, segment, fields, analyse, progress)
    arrays: dict[str, NDArray[Any]] = {}
    for field, made in postings.items():
        arrays.update(made.arrays(field))
    folder = index / SEGMENTS_NAME / segment.name
    links = {
        folder / record.name: record for record in segment.files if not is_posting_file(record.name)
    }
    return write_segment(index, name, arrays, links=links)


def is_posting_file(name: str) -> bool:
    """Whether a file of a segment belongs to a term field: ``<field>.<array>.npy``."""
    return "." in name.removesuffix(".npy")


def fresh_postings(
    connection: sqlite3.Connection,
    segment: Segment,
    fields: Sequence[str],
    analyse: Callable[[Sequence[Chunk]], Terms],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Postings]:
    """Analyse the current chunks of a segment, some thousands at a time: field → postings over all its rows."""
    tell = progress or (lambda done, total: None)
    blocks: dict[str, list[Postings]] = {field: [] for field in fields}
    found = connection.execute(
        f"SELECT row, {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE died IS NULL AND segment_no = ? ORDER BY row",
        (segment.number,),
    )
    start = 0
    for block, found_rows in groupby(found, key=lambda row: row[0] // _BLOCK_ROWS):
        start = _fill(blocks, start, block * _BLOCK_ROWS)
        stop = min(start + _BLOCK_ROWS, segment.n_rows)
        read = [(row[0], chunk_of_row(row[1:])) for row in found_rows]
        terms = analyse([chunk for _, chunk in read])
        rows = np.array([row for row, _ in read], dtype=np.int64) - start
        for field in fields:
            blocks[field].append(postings_of(terms[field], rows, stop - start))
        start = stop
        tell(stop, segment.n_rows)
    _fill(blocks, start, segment.n_rows)
    return {
        field: parts[0]
        if len(parts) == 1
        else merge_postings([(part, np.arange(len(part.lengths))) for part in parts])
        for field, parts in blocks.items()
    }


def _fill(blocks: Mapping[str, list[Postings]], start: int, stop: int) -> int:
    """Add rows without terms up to ``stop``."""
    if stop > start:
        nothing = postings_of([[]] * (stop - start))
        for parts in blocks.values():
            parts.append(nothing)
    return stop
