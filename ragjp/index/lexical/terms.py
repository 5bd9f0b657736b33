"""Where terms stand, and how many rows of a view hold them: looked up once, then remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.lexical.bm25 import Bm25, idf
from ragjp.index.lexical.fields import Field, damaged
from ragjp.index.lexical.numpy_path import places_in
from ragjp.index.lexical.postings import Postings, TermKeys, rows_fault
from ragjp.types import BoolArray, IntArray

KERNELS = "ragjp.index.lexical.kernels"
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

    def seen(self, name: str, terms: Iterable[str], view: LexicalView) -> dict[str, Term]:
        """Terms as a view sees them: all of ``terms``, and maybe more."""
        known = view.terms[name]
        missing = [term for term in terms if term not in known]
        if not missing:
            return known
        located = self.located(name, missing)
        new = {}
        for term in missing:
            frequency = 0
            for span in (spans := located[term]):
                frequency += self._count(name, span, view) if view.restricted else span[2] - span[1]
            new[term] = Term(frequency, idf(view.n_rows, frequency), spans)
        known.update(new)  # what other threads hold stays valid when the view starts a new table
        if len(known) > _MOST_SEEN:
            view.terms[name] = {}
        return known

    def _count(self, name: str, span: Span, view: LexicalView) -> int:
        segment, start, stop = span
        rows = self._fields[name].segments[segment].rows[start:stop]
        seen = view.rows[self._bases[segment] : self._bases[segment + 1]]
        kernels = compiled.ready(KERNELS)
        if kernels is not None:
            return int(kernels.count(rows, seen))
        return int(np.count_nonzero(seen[rows]))

    def holding(self, name: str, terms: Sequence[str], rows: IntArray) -> BoolArray:
        """Which of some rows (R,) hold which of some terms: (T, R) bool, whatever view may see the rows."""
        held = np.zeros((len(terms), len(rows)), dtype=np.bool_)
        if name in self._fields and len(rows):
            located = self.located(name, terms)
            for place, term in enumerate(terms):
                for segment, start, stop in located[term]:
                    listed = self._fields[name].segments[segment].rows[start:stop]
                    held[place, places_in(listed, rows - self._bases[segment])[0]] = True
        return held

    def located(self, name: str, terms: Sequence[str]) -> Mapping[str, tuple[Span, ...]]:
        """Where terms stand: all of ``terms``, and maybe more. Checks the postings of a term that is met for the first time."""
        remembered = self._spans[name]
        missing = [term for term in dict.fromkeys(terms) if term not in remembered]
        if not missing:
            return remembered
        spans: dict[str, tuple[Span, ...]] = dict.fromkeys(missing, ())
        kernels = compiled.ready(KERNELS)
        spelled = TermKeys.of(missing)
        for segment, postings in enumerate(self._fields[name].segments):
            edges = _sound_edges(name, postings, missing, spelled, kernels)
            for term, start, stop in zip(missing, edges[::2], edges[1::2], strict=True):
                if start < stop:
                    spans[term] += ((segment, start, stop),)
        remembered.update(spans)
        if len(remembered) > _MOST_TERMS:
            self._spans[name] = {}
        return remembered


def _sound_edges(
    name: str,
    postings: Postings,
    terms: Sequence[str],
    spelled: TermKeys,
    kernels: ModuleType | None,
) -> list[int]:
    """First and last + 1 posting of each term (2 * L,), one after the other; twice 0 where a term is not there.

    Raises
    ------
    IndexCorrupt
        When the postings of one of them contradict themselves.
    """
    if kernels is not None:
        edges = np.zeros(2 * len(terms), np.int64)
        number = kernels.locate(
            postings.hashes,
            postings.spellings,
            postings.ends,
            postings.offsets,
            postings.rows,
            postings.counts,
            len(postings.lengths),
            spelled.hashes,
            spelled.spellings,
            spelled.ends,
            edges,
        )
        if number >= 0:
            raise damaged(name, rows_fault(postings, number))
        found: list[int] = edges.tolist()
        return found
    found = []
    for number in postings.find(terms).tolist():
        if number >= 0 and (fault := rows_fault(postings, number)):
            raise damaged(name, fault)
        found += postings.offsets[number : number + 2].tolist() if number >= 0 else (0, 0)
    return found
