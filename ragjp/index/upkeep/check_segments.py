"""Examine a segment: every file's size and checksum, every array against the catalog and against the others."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import RagjpError
from ragjp.index.lexical.postings import ARRAY_NAMES, posting_fault, postings_from_arrays
from ragjp.index.storage.catalog import SEGMENTS_NAME
from ragjp.index.storage.merging import checks_of_tokens
from ragjp.index.storage.segments import (
    FileRecord,
    Segment,
    file_sha256,
    is_segment_name,
    map_array,
    row_checks,
)
from ragjp.index.upkeep.problems import Problem, guarded
from ragjp.types import IntArray

_ALWAYS = ("vectors", "vector_checks", "row_chunks", "row_documents")
TOKEN_FILES = ("tokens", "token_scales", "token_offsets", "token_checks")
#: Vectors whose lengths are taken at a time.
_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """What the catalog says of a segment's rows, each (k,): row, number of its chunk, number of its document."""

    rows: IntArray
    chunks: IntArray
    documents: IntArray


@dataclass(slots=True)
class SegmentFindings:
    """What was found; ``damaged`` are the stems of the files that are missing or not what was written."""

    problems: list[Problem] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)

    def add(self, stem: str, problem: Problem) -> None:
        """Lay a problem to a file."""
        self.problems.append(problem)
        self.damaged.add(stem)


def catalog_rows(connection: sqlite3.Connection, segment_no: int) -> CatalogRows:
    """Read what the catalog says of a segment's rows, those of dead documents included."""
    found = connection.execute(
        "SELECT row, chunk_no, doc_no FROM chunk WHERE segment_no = ? ORDER BY row", (segment_no,)
    ).fetchall()
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return CatalogRows(table[:, 0], table[:, 1], table[:, 2])


def expected_stems(meta: Mapping[str, str]) -> set[str]:
    """Stems of the files that every segment of an index has."""
    stems = set(_ALWAYS)
    if int(meta["token_dim"]):
        stems.update(TOKEN_FILES)
    for name in json.loads(meta["fields"]):
        stems.update(f"{name}.{array}" for array in ARRAY_NAMES)
    return stems


def examine_segment(
    index: Path, meta: Mapping[str, str], segment: Segment, rows: CatalogRows
) -> SegmentFindings:
    """Examine one segment; a file that cannot be read does not keep the others from being examined."""
    findings = SegmentFindings()
    where = f"{SEGMENTS_NAME}/{segment.name}"
    arrays: dict[str, NDArray[Any]] = {}
    if not is_segment_name(segment.name):
        findings.add(
            "",
            Problem("segment_name", where, f"セグメントの名前 {segment.name} が正しくありません。"),
        )
        return findings
    for record in segment.files:
        _examine_file(index, where, segment, record, findings, arrays)
    for stem in sorted(
        expected_stems(meta) - {one.name.removesuffix(".npy") for one in segment.files}
    ):
        findings.add(
            stem,
            Problem(
                "file_unnamed", f"{where}/{stem}.npy", f"{where}/{stem}.npy が目録にありません。"
            ),
        )
    for stems, examine in (
        (("vectors", "vector_checks"), lambda: _vectors(where, meta, segment, arrays)),
        (TOKEN_FILES, lambda: _tokens(where, meta, segment, arrays)),
        (("row_chunks", "row_documents"), lambda: _rows(where, segment, arrays, rows)),
        *(
            (
                tuple(f"{name}.{array}" for array in ARRAY_NAMES),
                lambda name=name: _postings(where, segment, arrays, name),
            )
            for name in json.loads(meta["fields"])
        ),
    ):
        if findings.damaged.intersection(stems) or not all(stem in arrays for stem in stems):
            continue  # said already; or an index without tokens
        for problem in guarded(f"{where}/{stems[0]}.npy", examine, code="array_inconsistent"):
            findings.add(Path(problem.where).stem, problem)
    return findings


def _examine_file(
    index: Path,
    where: str,
    segment: Segment,
    record: FileRecord,
    findings: SegmentFindings,
    arrays: dict[str, NDArray[Any]],
) -> None:
    stem, place = record.name.removesuffix(".npy"), f"{where}/{record.name}"
    path = index / SEGMENTS_NAME / segment.name / record.name
    try:
        size = path.stat().st_size
        if size != record.n_bytes:
            findings.add(
                stem,
                Problem(
                    "file_size",
                    place,
                    f"{place} の大きさが違います（{size} バイト、目録では {record.n_bytes}）。",
                ),
            )
            return
        if file_sha256(path) != record.sha256:
            findings.add(
                stem, Problem("file_checksum", place, f"{place} の中身が書いたときと違います。")
            )
            return
        arrays[stem] = map_array(path, record.n_bytes)
    except ValueError as error:
        findings.add(
            stem, Problem("file_malformed", place, f"{place} が配列ではありません（{error}）。")
        )
    except OSError as error:
        findings.add(
            stem,
            Problem("file_missing", place, f"{place} を読めません（{error.strerror or error}）。"),
        )


def _wrong(where: str, stem: str, sentence: str) -> Problem:
    return Problem("array_inconsistent", f"{where}/{stem}.npy", f"{where} の {stem}: {sentence}")


def _vectors(
    where: str, meta: Mapping[str, str], segment: Segment, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[Problem]:
    vectors = arrays["vectors"]
    if vectors.shape != (segment.n_rows, int(meta["dim"])):
        yield _wrong(where, "vectors", "行数か幅が目録と違います。")
        return
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = vectors[start : start + _BLOCK_ROWS].astype(np.float32)
        if not np.allclose(np.linalg.norm(block, axis=1), 1.0, atol=5e-3):
            yield _wrong(where, "vectors", "長さが 1 でない行があります。")
            return
    if not np.array_equal(row_checks(vectors), arrays["vector_checks"]):
        yield _wrong(where, "vector_checks", "行の検査値が合いません。")


def _tokens(
    where: str, meta: Mapping[str, str], segment: Segment, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[Problem]:
    offsets, codes, scales = arrays["token_offsets"], arrays["tokens"], arrays["token_scales"]
    if (
        offsets.shape != (segment.n_rows + 1,)
        or int(offsets[0]) != 0
        or (offsets[1:] < offsets[:-1]).any()
    ):
        yield _wrong(where, "token_offsets", "区切りが正しくありません。")
        return
    if not int(offsets[-1]) == len(codes) == len(scales) == segment.n_tokens:
        yield _wrong(where, "tokens", "行数が区切りと違います。")
        return
    if codes.shape[1:] != (int(meta["token_dim"]),):
        yield _wrong(where, "tokens", "幅が目録と違います。")
    elif not np.isfinite(scales).all():
        yield _wrong(where, "token_scales", "数でない値があります。")
    elif not np.array_equal(checks_of_tokens(arrays), arrays["token_checks"]):
        yield _wrong(where, "token_checks", "行の検査値が合いません。")


def _rows(
    where: str, segment: Segment, arrays: Mapping[str, NDArray[Any]], said: CatalogRows
) -> Iterator[Problem]:
    """Rows ↔ chunks, both ways: what the catalog says stands in a row, and what the row says it is."""
    outside = int(np.count_nonzero((said.rows < 0) | (said.rows >= segment.n_rows)))
    if outside:
        yield Problem(
            "row_outside_segment",
            where,
            f"セグメント {segment.name} の外を指す断片が {outside} 件あります。",
        )
        return
    for stem, numbers in (("row_chunks", said.chunks), ("row_documents", said.documents)):
        kept = arrays[stem]
        if kept.shape != (segment.n_rows,):
            yield _wrong(where, stem, "行数が目録と違います。")
            continue
        claimed = np.full(len(kept), -1, dtype=np.int64)
        claimed[said.rows] = numbers
        different = np.flatnonzero(claimed != kept)
        if len(different):
            yield _wrong(
                where,
                stem,
                f"目録と違う行が {len(different)} 行あります（最初は {int(different[0])} 行目）。",
            )


def _postings(
    where: str, segment: Segment, arrays: Mapping[str, NDArray[Any]], name: str
) -> Iterator[Problem]:
    stem = f"{name}.rows"
    try:
        postings = postings_from_arrays(arrays, name)
    except RagjpError as error:
        yield _wrong(where, stem, error.sentence)
        return
    if len(postings.lengths) != segment.n_rows:
        yield _wrong(where, f"{name}.lengths", "行数が目録と違います。")
    elif fault := posting_fault(postings):
        yield _wrong(where, stem, f"{fault}。")
