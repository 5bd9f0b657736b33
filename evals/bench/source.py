"""The real index that large ones are made of: its rows, its vectors and tokens, and the terms of either half of every passage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import Postings, postings_from_ids, ragged
from ragjp.index.storage.catalog import CHUNK_COLUMNS, CHUNK_TABLES, chunk_of_row, open_catalog
from ragjp.index.storage.merging import Part
from ragjp.index.storage.rewriting import current_rows
from ragjp.index.storage.segments import open_segment, read_segments
from ragjp.japanese.terms import Analyzer
from ragjp.jobs.embedding import analyse
from ragjp.types import Chunk, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class HalfTerms:
    """A field's terms of 2n half passages, as numbers: the halves of passage i are rows 2i and 2i + 1.

    vocabulary : (V,) terms. ids : (T,) int32, row after row, repeats included. offsets : (2n + 1,) int64.
    """

    vocabulary: Sequence[str]
    ids: NDArray[np.int32]
    offsets: IntArray

    def joined(self, first: IntArray, second: IntArray) -> Postings:
        """Postings of passages put together from the first half of one and the second half of another; (m,) each."""
        halves = np.stack([2 * first, 2 * second + 1], axis=1).ravel()
        sizes = np.diff(self.offsets)[halves]
        ids = self.ids[ragged(self.offsets[halves], sizes)]
        return postings_from_ids(self.vocabulary, ids, sizes.reshape(-1, 2).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Source:
    """The current rows of an index, in the order of its segments; n in all.

    vectors : (n, D) float32. parts : the mapped arrays of each segment, and which of its rows. meta : the index's manifest.
    digest : changes whenever the index does.
    """

    chunks: tuple[Chunk, ...]
    vectors: FloatArray
    halves: Mapping[str, HalfTerms]
    parts: Sequence[Part]
    meta: Mapping[str, str]
    digest: str

    def __len__(self) -> int:
        return len(self.chunks)

    def first_rows(self, n_rows: int) -> list[Part]:
        """The parts cut to the first rows."""
        kept: list[Part] = []
        for arrays, rows in self.parts:
            if n_rows > 0:
                kept.append((arrays, rows[:n_rows]))
                n_rows -= len(kept[-1][1])
        return kept


def read_source(index: Path) -> Source:
    """Read an index and analyse the halves of its passages (some ten seconds for ten thousand)."""
    connection = open_catalog(index)
    try:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        segments = read_segments(connection)
        parts: list[Part] = []
        for segment in segments:
            rows, _, _ = current_rows(connection, segment.number)
            if len(rows):
                parts.append((open_segment(index, segment.name, segment.sizes), rows))
        chunks = tuple(
            chunk_of_row(row)
            for row in connection.execute(
                f"SELECT {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE died IS NULL ORDER BY segment_no, row"
            )
        )
    finally:
        connection.close()
    named = repr([(one.n_rows, sorted((f.name, f.sha256) for f in one.files)) for one in segments])
    digest = hashlib.sha256(f"{named}{meta['analyzer']}{meta['format_version']}".encode())
    return Source(
        chunks,
        np.concatenate([arrays["vectors"][rows] for arrays, rows in parts]).astype(np.float32),
        half_terms(chunks),
        parts,
        meta,
        digest.hexdigest()[:12],
    )


def half_terms(chunks: Sequence[Chunk]) -> dict[str, HalfTerms]:
    """Analyse both halves of every chunk; title and headings go with the first."""
    halves = [half for chunk in chunks for half in split(chunk)]
    return {
        field: HalfTerms(column.terms, column.numbers, column.offsets)
        for field, column in analyse(halves, Analyzer()).items()
    }


def split(chunk: Chunk) -> tuple[Chunk, Chunk]:
    """Cut a chunk in the middle of its text; a text of one character is its own second half too."""
    middle = max(1, len(chunk.text) // 2)
    first = replace(chunk, end=chunk.start + middle, text=chunk.text[:middle])
    rest = chunk.text[middle:] or chunk.text
    second = replace(chunk, start=chunk.end - len(rest), text=rest, title="", heading_path=())
    return first, second


def packed_tokens(source: Source) -> dict[str, list[NDArray[Any]]]:
    """Codes and scales of all rows in order, as slices of the mapped files."""
    found: dict[str, list[NDArray[Any]]] = {"tokens": [], "token_scales": []}
    for arrays, rows in source.parts:
        offsets = arrays["token_offsets"]
        for row in rows.tolist():
            span = slice(int(offsets[row]), int(offsets[row + 1]))
            for stem, parts in found.items():
                parts.append(arrays[stem][span])
    return found
