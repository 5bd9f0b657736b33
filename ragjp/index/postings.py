"""Postings of one field of one segment, as arrays.

Files ``<field>.<name>.npy`` for V distinct terms, P postings and n rows::

    hashes      (V,) uint64    first 8 bytes of BLAKE2b of the term's UTF-8, ascending: the lookup key
    spellings   (B,) uint8     the terms' UTF-8, one after the other in the order of ``hashes``
    ends        (V,) int64     end of each spelling in ``spellings``
    offsets     (V + 1,) int64 postings of term v are ``[offsets[v], offsets[v + 1])``
    rows        (P,) int32     ascending within a term
    counts      (P,) uint16    how often the term stands in the row, at most 65,535
    lengths     (n,) int32     number of terms in each row

A hash that meets a query's is confirmed by the spelling, so a collision can hide nothing and add nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt

ARRAY_NAMES = ("hashes", "spellings", "ends", "offsets", "rows", "counts", "lengths")


def term_hash(term: str) -> int:
    """The lookup key of a term."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Postings:
    """One field of one segment; the module's docstring describes the arrays."""

    hashes: NDArray[np.uint64]
    spellings: NDArray[np.uint8]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.int32]

    def find(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of terms in this vocabulary, (len(terms),) int64; -1 where a term is not in it."""
        numbers = np.full(len(terms), -1, dtype=np.int64)
        if not len(self.hashes):
            return numbers
        keys = np.array([term_hash(term) for term in terms], dtype=np.uint64)
        places = np.searchsorted(self.hashes, keys)
        inside = places < len(self.hashes)
        same = inside & (self.hashes[np.where(inside, places, 0)] == keys)
        for slot, (term, confirmed) in enumerate(zip(terms, same, strict=True)):
            if confirmed and self.spelling(int(places[slot])) == term:
                numbers[slot] = places[slot]
        return numbers

    def spelling(self, number: int) -> str:
        """The term that has this number."""
        start = int(self.ends[number - 1]) if number else 0
        return bytes(self.spellings[start : int(self.ends[number])]).decode()

    def arrays(self, field: str) -> dict[str, NDArray[Any]]:
        """Arrays by file stem."""
        return {f"{field}.{name}": getattr(self, name) for name in ARRAY_NAMES}


def postings_from_arrays(arrays: dict[str, NDArray[Any]], field: str) -> Postings:
    """Pick one field's arrays out of a mapped segment."""
    return Postings(**{name: arrays[f"{field}.{name}"] for name in ARRAY_NAMES})


def build_postings(rows_terms: Sequence[Sequence[str]]) -> Postings:
    """Count the terms of each row.

    Parameters
    ----------
    rows_terms
        For each row the terms of the field, repeats included.
    """
    numbers: dict[str, int] = {}
    flat_terms: list[int] = []
    flat_counts: list[int] = []
    per_row = np.empty(len(rows_terms), dtype=np.int64)
    lengths = np.empty(len(rows_terms), dtype=np.int32)
    for row, terms in enumerate(rows_terms):
        counted = Counter(terms)
        flat_terms.extend(numbers.setdefault(term, len(numbers)) for term in counted)
        flat_counts.extend(counted.values())
        per_row[row] = len(counted)
        lengths[row] = len(terms)
    rows = np.repeat(np.arange(len(rows_terms), dtype=np.int32), per_row)
    return _assemble(
        list(numbers),
        np.asarray(flat_terms, np.int64),
        rows,
        np.minimum(np.asarray(flat_counts, np.int64), 65535),
        lengths,
    )


def merge_postings(parts: Sequence[tuple[Postings, NDArray[np.int64]]]) -> Postings:
    """Join fields of several segments, keeping some rows of each.

    Parameters
    ----------
    parts
        Pairs of postings and the rows to keep of them (ascending); the kept rows are numbered on, in this order.
    """
    numbers: dict[str, int] = {}
    all_terms, all_rows, all_counts, all_lengths = [], [], [], []
    base = 0
    for postings, keep in parts:
        renumber = np.full(len(postings.lengths), -1, dtype=np.int64)
        renumber[keep] = np.arange(base, base + len(keep))
        base += len(keep)
        spelled = [postings.spelling(number) for number in range(len(postings.hashes))]
        mapped = np.array(
            [numbers.setdefault(term, len(numbers)) for term in spelled], dtype=np.int64
        )
        terms = np.repeat(mapped, np.diff(postings.offsets))
        rows = renumber[postings.rows]
        alive = rows >= 0
        all_terms.append(terms[alive])
        all_rows.append(rows[alive].astype(np.int32))
        all_counts.append(postings.counts[alive])
        all_lengths.append(postings.lengths[keep])
    terms = np.concatenate(all_terms)
    used = np.unique(terms)
    vocabulary = list(numbers)
    return _assemble(
        [vocabulary[number] for number in used],
        np.searchsorted(used, terms),
        np.concatenate(all_rows),
        np.concatenate(all_counts),
        np.concatenate(all_lengths),
    )


def _assemble(
    vocabulary: list[str],
    terms: NDArray[Any],
    rows: NDArray[np.int32],
    counts: NDArray[Any],
    lengths: NDArray[np.int32],
) -> Postings:
    """Sort (term, row, count) triples by hash of the term, then row."""
    hashes = np.array([term_hash(term) for term in vocabulary], dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    if len(hashes) > 1 and bool((hashes[1:] == hashes[:-1]).any()):
        raise IndexCorrupt(
            "二つの語の見出しが同じ番号になりました。この文書群を報告してください。",
            code="term_hash_collision",
        )
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    terms = rank[terms] if len(terms) else terms.astype(np.int64)
    by_term = np.lexsort((rows, terms))
    encoded = [vocabulary[number].encode() for number in order]
    return Postings(
        hashes=hashes,
        spellings=np.frombuffer(b"".join(encoded), dtype=np.uint8),
        ends=np.cumsum([len(word) for word in encoded], dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=len(order)))]).astype(
            np.int64
        ),
        rows=rows[by_term].astype(np.int32),
        counts=counts[by_term].astype(np.uint16),
        lengths=lengths.astype(np.int32),
    )
