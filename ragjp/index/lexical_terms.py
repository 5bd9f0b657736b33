"""Where terms stand, and how many rows of a view hold them: looked up once, then remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.lexical_cpu import Bm25, idf
from ragjp.index.lexical_fields import Field, damaged
from ragjp.index.postings import Postings, rows_fault
from ragjp.types import BoolArray

KERNELS = "ragjp.index.lexical_kernels"
#: Terms of a field that are remembered by a snapshot, and by a view (of which there may be many).
_MOST_TERMS = 1 << 16
_MOST_SEEN = 1 << 13

#: Where a term is in one segment: the segment, first and last + 1 posting.
Span = tuple[int, int, int]


class Term(NamedTuple):
    """A term as a view sees it. spans: none when no row of the index has it. idf: 0 when no row of the view has it."""

    frequency: int
    idf: float
    spans: tuple[Span, ...]


class LexicalView:
    """What a view may know of the fields: N rows, mean lengths, and how many of its rows hold a term.

    Made by :meth:`LexicalIndex.view`; may be shared between threads.
    """

    def __init__(self, rows: BoolArray, mean_lengths: Mapping[str, float]) -> None:
        self.rows = rows
        self.n_rows = int(np.count_nonzero(rows))
        self.restricted = self.n_rows < len(rows)
        self.mean_lengths = mean_lengths
        self.terms: dict[str, dict[str, Term]] = {name: {} for name in mean_lengths}
        self.norms: dict[Bm25, tuple[NDArray[np.float64], ...]] = {}


class Terms:
    """The vocabulary of a snapshot. May be asked from many threads."""

    def __init__(self, fields: Mapping[str, Field], bases: Sequence[int]) -> None:
        self._fields = fields
        self._bases = bases
        self._spans: dict[str, dict[str, tuple[Span, ...]]] = {name: {} for name in fields}

    def seen(self, name: str, terms: Sequence[str], view: LexicalView) -> dict[str, Term]:
        """Terms as a view sees them: all of ``terms``, and maybe more."""
        known = view.terms[name]
        missing = [term for term in terms if term not in known]
        if not missing:
            return known
        located = self.located(name, missing)
        new = {}
        for term in missing:
            spans = located[term]
            frequency = sum(self._count(name, span, view) for span in spans)
            new[term] = Term(frequency, idf(view.n_rows, frequency), spans)
        known.update(new)  # what other threads hold stays valid when the view starts a new table
        if len(known) > _MOST_SEEN:
            view.terms[name] = {}
        return known

    def _count(self, name: str, span: Span, view: LexicalView) -> int:
        segment, start, stop = span
        if not view.restricted:
            return stop - start
        rows = self._fields[name].segments[segment].rows[start:stop]
        seen = view.rows[self._bases[segment] : self._bases[segment + 1]]
        kernels = compiled.ready(KERNELS)
        if kernels is not None:
            return int(kernels.count(rows, seen))
        return int(np.count_nonzero(seen[rows]))

    def located(self, name: str, terms: Sequence[str]) -> dict[str, tuple[Span, ...]]:
        """Where terms stand. Checks the postings of a term that is met for the first time."""
        remembered = self._spans[name]
        found = {term: remembered.get(term) for term in terms}
        missing = [term for term, spans in found.items() if spans is None]
        spans: dict[str, list[Span]] = {term: [] for term in missing}
        for segment, postings in enumerate(self._fields[name].segments if missing else ()):
            numbers = postings.find(missing)
            places = np.flatnonzero(numbers >= 0)
            if not len(places):
                continue
            numbers = numbers[places]
            edges = np.stack([postings.offsets[numbers], postings.offsets[numbers + 1]], axis=1)
            if fault := _fault(postings, numbers, edges):
                raise damaged(name, fault)
            for place, (start, stop) in zip(places.tolist(), edges.tolist(), strict=True):
                spans[missing[place]].append((segment, start, stop))
        remembered.update({term: tuple(each) for term, each in spans.items()})
        if len(remembered) > _MOST_TERMS:
            self._spans[name] = {}
        return {
            term: tuple(spans[term]) if known is None else known for term, known in found.items()
        }


def _fault(postings: Postings, numbers: NDArray[np.int64], edges: NDArray[np.int64]) -> str:
    """Say what is wrong with the postings of some terms (L,), whose first and last + 1 are ``edges`` (L, 2); empty when nothing is."""
    kernels = compiled.ready(KERNELS)
    if kernels is not None:
        place = kernels.first_fault(
            postings.rows, postings.counts, edges.ravel(), len(postings.lengths)
        )
        return rows_fault(postings, int(numbers[place])) if place >= 0 else ""
    return next(filter(None, (rows_fault(postings, number) for number in numbers.tolist())), "")
