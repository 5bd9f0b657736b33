"""Verify an index: every checksum, count, number, offset and cross-reference. Reads everything, changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.catalog import (
    SEGMENTS_NAME,
    current_generation,
    open_catalog,
    transaction,
    unusable,
)
from ragjp.index.postings import Postings, postings_from_arrays
from ragjp.index.segments import file_sha256, open_segment
from ragjp.index.view import ALIVE

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a reason code, the file or row, and a sentence."""

    code: str
    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was verified, and what is wrong; sound when ``problems`` is empty."""

    problems: tuple[Problem, ...]
    n_documents: int
    n_chunks: int
    n_segments: int
    n_files: int
    generation: int


def check(path: Path, *, progress: Progress | None = None) -> CheckReport:
    """Verify the index at ``path``.

    Raises
    ------
    IndexMissing, IndexMismatch, IndexCorrupt, IndexUnreadable
        When there is no catalog that could be read at all.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    connection = open_catalog(path)
    try:
        # One read transaction, over before the long reading of files, which no writer should have to wait for.
        with transaction(connection, "DEFERRED"):
            problems = list(_catalog_problems(connection))
            generation = current_generation(connection)
            meta = dict(connection.execute("SELECT key, value FROM meta"))
            segments = connection.execute(
                "SELECT segment_no, name, n_rows, n_tokens FROM segment"
            ).fetchall()
            files = {
                number: connection.execute(
                    "SELECT name, n_bytes, sha256 FROM segment_file WHERE segment_no = ?", (number,)
                ).fetchall()
                for number, _, _, _ in segments
            }
            for number, name, n_rows, _ in segments:
                problems += _row_problems(connection, number, name, n_rows)
            n_documents, n_chunks = _counts(connection, generation)
        for done, (number, name, n_rows, n_tokens) in enumerate(segments):
            tell("検査", done, len(segments))
            damaged = list(_file_problems(path, name, files[number]))
            problems += damaged
            if not damaged:
                problems += _segment_problems(path, meta, name, files[number], n_rows, n_tokens)
        tell("検査", len(segments), len(segments))
        if problems and current_generation(connection) != generation:
            # A merge may have swept the files that were just looked for: what it wrote is looked at instead.
            return check(path, progress=progress)
        return CheckReport(
            tuple(problems),
            n_documents,
            n_chunks,
            len(segments),
            sum(map(len, files.values())),
            generation,
        )
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error
    finally:
        connection.close()


def _counts(connection: sqlite3.Connection, generation: int) -> tuple[int, int]:
    """Documents and chunks of a generation."""
    (n_documents,) = connection.execute(
        f"SELECT count(*) FROM document WHERE {ALIVE}", {"g": generation}
    ).fetchone()
    (n_chunks,) = connection.execute(
        f"SELECT count(*) FROM chunk JOIN document USING (doc_no) WHERE {ALIVE}", {"g": generation}
    ).fetchone()
    return int(n_documents), int(n_chunks)


def _catalog_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield Problem("catalog_damaged", "catalog.sqlite", f"目録が壊れています: {message}")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Problem(
            "dangling_reference",
            f"{table} {row}",
            f"{table} の {row} 行目が、ない {parent} を指しています。",
        )
    for chunk_no, doc_id in connection.execute(
        "SELECT chunk_no, doc_id FROM chunk JOIN document USING (doc_no) LEFT JOIN page "
        "ON page.doc_no = chunk.doc_no AND page.number = chunk.page "
        "WHERE page.text IS NULL OR chunk.start < 0 OR chunk.end > length(page.text)"
    ):
        yield Problem(
            "chunk_outside_page", doc_id, f"{doc_id} の断片 {chunk_no} がページの外を指しています。"
        )
    for (doc_id,) in connection.execute(
        "SELECT doc_id FROM document WHERE died IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM chunk WHERE chunk.doc_no = document.doc_no)"
    ):
        yield Problem("document_without_chunks", doc_id, f"{doc_id} に検索できる断片がありません。")


def _file_problems(
    path: Path, segment: str, files: list[tuple[str, int, str]]
) -> Iterator[Problem]:
    if not files:
        yield Problem(
            "segment_without_files", segment, f"セグメント {segment} のファイルが目録にありません。"
        )
    for name, n_bytes, sha256 in files:
        file = path / SEGMENTS_NAME / segment / name
        where = f"{SEGMENTS_NAME}/{segment}/{name}"
        try:
            size = file.stat().st_size
            digest = file_sha256(file)
        except OSError as error:
            yield Problem("file_missing", where, f"{where} を読めません（{error.strerror}）。")
            continue
        if size != n_bytes:
            yield Problem(
                "file_size",
                where,
                f"{where} の大きさが違います（{size} バイト、目録では {n_bytes}）。",
            )
        elif digest != sha256:
            yield Problem("file_checksum", where, f"{where} の中身が書いたときと違います。")


def _row_problems(
    connection: sqlite3.Connection, number: int, name: str, n_rows: int
) -> Iterator[Problem]:
    """Rows of live chunks must lie inside their segment (that no two share a row is a constraint of the table)."""
    (outside,) = connection.execute(
        "SELECT count(*) FROM chunk WHERE segment_no = ? AND row >= ?", (number, n_rows)
    ).fetchone()
    if outside:
        yield Problem(
            "row_outside_segment",
            name,
            f"セグメント {name} の外を指す断片が {outside} 件あります。",
        )


def _segment_problems(
    path: Path,
    meta: dict[str, str],
    name: str,
    files: list[tuple[str, int, str]],
    n_rows: int,
    n_tokens: int,
) -> Iterator[Problem]:
    try:
        arrays = open_segment(path, name, {file: size for file, size, _ in files})
    except FileNotFoundError as error:  # it was there when its checksum was taken
        where = f"{SEGMENTS_NAME}/{name}"
        yield Problem("file_missing", where, f"{error.filename} がありません。")
        return
    yield from _array_problems(meta, name, arrays, n_rows, n_tokens)


def _array_problems(
    meta: dict[str, str],
    name: str,
    arrays: dict[str, NDArray[Any]],
    n_rows: int,
    n_tokens: int,
) -> Iterator[Problem]:
    def wrong(what: str, sentence: str) -> Problem:
        return Problem(
            "array_inconsistent", f"{SEGMENTS_NAME}/{name}/{what}", f"{name} の {what}: {sentence}"
        )

    vectors = arrays.get("vectors")
    if vectors is None or vectors.shape != (n_rows, int(meta["dim"])):
        yield wrong("vectors", "行数か幅が目録と違います。")
    elif n_rows and not np.allclose(
        np.linalg.norm(vectors.astype(np.float32), axis=1), 1.0, atol=5e-3
    ):
        yield wrong("vectors", "長さが 1 でない行があります。")
    if "tokens" in arrays:
        offsets = arrays["token_offsets"]
        if len(offsets) != n_rows + 1 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            yield wrong("token_offsets", "区切りが正しくありません。")
        elif (
            not int(offsets[-1]) == len(arrays["tokens"]) == len(arrays["token_scales"]) == n_tokens
        ):
            yield wrong("tokens", "行数が区切りと違います。")
    for field in json.loads(meta["fields"]):
        try:
            postings = postings_from_arrays(arrays, field)
        except KeyError as error:
            yield wrong(str(error), "ファイルが足りません。")
            continue
        if sentence := _posting_fault(postings, n_rows):
            yield wrong(field, sentence)


def _posting_fault(postings: Postings, n_rows: int) -> str:
    """Say what contradicts itself in a field's postings; empty when nothing does."""
    offsets, rows = postings.offsets, postings.rows
    if len(postings.lengths) != n_rows:
        return "行数が目録と違います。"
    if (
        len(offsets) != len(postings.hashes) + 1
        or int(offsets[-1]) != len(rows)
        or (np.diff(offsets) <= 0).any()
    ):
        return "語の区切りが正しくありません。"
    if (
        len(postings.ends) != len(postings.hashes)
        or (np.diff(postings.hashes.astype(np.uint64)) == 0).any()
    ):
        return "語の見出しが正しくありません。"
    if len(rows) and (rows.min() < 0 or rows.max() >= n_rows):
        return "存在しない行を指しています。"
    counted = np.bincount(rows, weights=postings.counts, minlength=n_rows)
    saturated = bool((postings.counts == 65535).any())
    if not saturated and not np.array_equal(
        counted.astype(np.int64), postings.lengths.astype(np.int64)
    ):
        return "語数の合計が合いません。"
    return ""
