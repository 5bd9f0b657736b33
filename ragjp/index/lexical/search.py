"""The lexical search of a snapshot: BM25 over weighted term fields, with the statistics of the asker's view.

The score of a row is the weighted sum of its fields' BM25 (:mod:`ragjp.index.lexical.bm25` has the formula). What one posting adds
is rounded to a multiple of 2**-32 above 0, so that float64 sums are exact: the compiled path, the NumPy path, any order of terms and any
cutting of the index into segments give the same float32 score.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.lexical.blocks import Blocks, bits_for, scale_for
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.fields import damaged, frozen, joined_field, norms_of, with_ratios
from ragjp.index.lexical.groups import FIELD as GROUPED
from ragjp.index.lexical.groups import Group, Groups
from ragjp.index.lexical.numpy_path import GRANULE, best_rows, gains, granule_of, places_in, summed
from ragjp.index.lexical.postings import Postings
from ragjp.index.lexical.terms import KERNELS, LexicalView, Terms
from ragjp.index.lexical.wanted import (
    Planned,
    Wanted,
    planned,
    planned_terms,
    wanted_lists,
    with_made,
)
from ragjp.types import BoolArray, FloatArray, IntArray

#: What a compiled search can take; more fields go the NumPy way.
_MOST_FIELDS = 4
_MOST_CONSTANTS = 4
#: A segment of no more rows is scored as a whole: all scores and length codes stay in the processor's second cache.
_WHOLE = 1 << 16
#: A view with fewer than one row in this many passes over hidden rows as it reads postings.
_SPARSE = 4


@dataclass(frozen=True, slots=True)
class RowScores:
    """Scores of R rows.

    total : (R,) float32, what :meth:`LexicalIndex.search` gives the rows, bit for bit. fields : field → (R,) float32, each
    field's own BM25 before its weight.
    """

    total: FloatArray
    fields: dict[str, FloatArray]


class LexicalIndex:
    """All term fields of one snapshot. May be searched from many threads.

    Parameters
    ----------
    fields
        Field → its postings, segment after segment; rows are numbered on over the segments.
    n_rows
        Rows of all segments.

    Raises
    ------
    IndexCorrupt
        When a field has other rows than that, or than another field.
    """

    def __init__(self, fields: Mapping[str, Sequence[Postings]], n_rows: int) -> None:
        self.n_rows = n_rows
        used = {name: tuple(parts) for name, parts in fields.items() if parts}
        sizes = {tuple(len(part.lengths) for part in parts) for parts in used.values()}
        if len(sizes) > 1 or any(sum(each) != n_rows for each in sizes):
            raise damaged(", ".join(used), "行数が目録と違います")
        self._bases: list[int] = np.cumsum([0, *next(iter(sizes), ())]).tolist()
        self._fields = {
            name: joined_field(number, name, parts)
            for number, (name, parts) in enumerate(used.items())
        }
        # Lists of groups, which no field has, take the place behind the last field, with the lengths of theirs.
        self._filler = self._fields[GROUPED].number if GROUPED in self._fields else 0
        self._lock = threading.Lock()
        self._vocabulary = Terms(self._fields, self._bases)
        self._groups = Groups(self._fields, self._vocabulary)
        self._blocks: dict[Bm25, tuple[Blocks, ...]] = {}
        self._arrays = [self._arrays_of(n, span) for n, span in enumerate(self._segment_slices())]

    def _arrays_of(self, segment: int, span: slice) -> tuple[tuple[NDArray[Any], ...], ...]:
        """Rows, counts and length codes of one segment, by field, as the kernels take them."""
        fields = self._fields.values()
        return (
            _padded((field.segments[segment].rows for field in fields), self._filler),
            _padded((field.segments[segment].counts for field in fields), self._filler),
            _padded((field.codes[span] for field in fields), self._filler),
        )

    def _segment_slices(self) -> list[slice]:
        return [slice(start, stop) for start, stop in pairwise(self._bases)]

    def plan(self) -> str:
        """Say in words how a search goes now."""
        if self._kernels() is None:
            return f"NumPy（{compiled.why_not() or '数値計算の部品を読み込み中です'}）"
        largest = max(np.diff(self._bases).tolist(), default=0)
        if largest <= _WHOLE:
            return "numba（全行を採点）"
        return f"numba（{1 << bits_for(largest):,} 行ごとの上限で枝刈り）"

    def _kernels(self) -> ModuleType | None:
        return compiled.ready(KERNELS) if 0 < len(self._fields) <= _MOST_FIELDS else None

    def view(self, allowed: BoolArray) -> LexicalView:
        """Take the statistics of the rows that a view allows, (N,) bool."""
        rows = frozen(np.array(allowed, dtype=np.bool_))
        n_rows = int(np.count_nonzero(rows))
        means = {}
        for name, field in self._fields.items():
            codes = field.codes if n_rows == len(rows) else field.codes[rows]
            total = np.bincount(codes, minlength=len(field.table)) @ field.table
            means[name] = float(total) / n_rows if n_rows else 0.0
        return LexicalView(rows, means)

    def search(
        self,
        terms: Mapping[str, Sequence[str]],
        weights: Mapping[str, float],
        view: LexicalView,
        constants: Bm25,
        k: int,
        mask: BoolArray | None = None,
        groups: Sequence[Group] = (),
    ) -> tuple[IntArray, FloatArray]:
        """Find the k best rows of a view, and all rows that tie with the k-th; only rows with a score above 0.

        Parameters
        ----------
        terms
            Field → the question's terms; a repeated term counts as often as it stands there.
        weights
            Field → its weight, 0 or more; fields without one, and fields that the index has not, are passed over.
        mask
            (N,) rows that may come back; restricts results, not statistics.
        groups
            Synonyms of the question's words (:mod:`ragjp.index.lexical.groups`).

        Returns
        -------
        Rows (M,) int64, best first and ties by row, and their scores (M,) float32.

        Raises
        ------
        IndexCorrupt
            When the postings of one of the terms contradict themselves.
        """
        weights = {name: weight for name, weight in weights.items() if weight}
        if k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        kept = view.rows if mask is None else frozen(view.rows & mask)
        restricted = view.restricted or mask is not None
        kernels = self._kernels()
        if kernels is not None and not groups:
            plan = planned_terms(self._fields, self._vocabulary, terms, weights, view)
            return self._search_compiled(kernels, plan, view, constants, k, kept, restricted)
        lists = self._lists(terms, weights, view, groups)
        if len(self._fields) == _MOST_FIELDS and any(one.made for one in lists):
            kernels = None  # no place is left for lists that no field has
        if kernels is None:
            return self._search_numpy(lists, view, constants, k, kept)
        plan = planned(lists)
        return self._search_compiled(kernels, plan, view, constants, k, kept, restricted)

    def _search_numpy(
        self, wanted: Sequence[Wanted], view: LexicalView, constants: Bm25, k: int, kept: BoolArray
    ) -> tuple[IntArray, FloatArray]:
        granule = granule_of([one.weight for one in wanted])
        norms = self._norms(view, constants)
        parts = []
        for one in wanted:
            field = one.field
            for segment, (listed, tf) in one.lists():
                rows = listed + np.int64(self._bases[segment])
                norm = norms[field.number][field.codes[rows]]
                parts.append((rows, gains(one.weight, tf, norm, granule)))
        scores = summed(parts, self.n_rows)
        rows = np.flatnonzero((scores > 0) & kept)
        return best_rows(rows, scores[rows], k)

    def _search_compiled(
        self,
        kernels: ModuleType,
        plan: Planned,
        view: LexicalView,
        constants: Bm25,
        k: int,
        kept: BoolArray,
        restricted: bool,
    ) -> tuple[IntArray, FloatArray]:
        by_segment, every, made = plan
        granule = granule_of(every)
        norms = self._norms(view, constants)
        found: list[IntArray] = []
        scores: list[FloatArray] = []
        least, most = np.float32(0), min(k, self.n_rows)
        for segment, (keys, list_weights) in by_segment.items():
            base = self._bases[segment]
            size = self._bases[segment + 1] - base
            kept_here = kept[base : base + size]
            if size <= _WHOLE or segment in made:
                arrays = self._arrays[segment]
                if segment in made:
                    arrays = with_made(arrays, len(self._fields), made[segment], keys, list_weights)
                rows, values, least = kernels.search_whole(
                    *arrays,
                    norms,
                    np.array(keys, np.int64),
                    np.array(list_weights),
                    size,
                    kept_here,
                    restricted,
                    granule,
                    most,
                    least,
                )
            else:
                blocks = self._blocks_of(constants)[segment]
                slots, tables = blocks.slots(kernels, keys)
                rows, values, least = kernels.search(
                    *self._arrays[segment],
                    norms,
                    *tables,
                    np.array(slots, np.int64),
                    np.array(list_weights),
                    self._scale(view),
                    blocks.bits,
                    size,
                    kept_here,
                    restricted,
                    _SPARSE * view.n_rows < self.n_rows,
                    granule,
                    most,
                    least,
                )
            found.append(rows + base if base else rows)
            scores.append(values)
        if len(found) == 1:
            return found[0], scores[0]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return best_rows(np.concatenate(found), np.concatenate(scores), k)

    def scores(
        self,
        terms: Mapping[str, Sequence[str]],
        weights: Mapping[str, float],
        view: LexicalView,
        constants: Bm25,
        rows: IntArray,
        groups: Sequence[Group] = (),
    ) -> RowScores:
        """Score given rows (R,) as :meth:`search` does, field by field too; rows that the view does not allow get 0."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        wanted = self._lists(terms, weights, view, groups)
        granule = granule_of([one.weight for one in wanted if one.weight > 0])
        norms = self._norms(view, constants)
        kernels = self._kernels()
        names = list(self._fields)
        sums = np.zeros((len(names) + 1, len(rows)))
        for one in wanted:
            field = one.field
            for segment, (listed, counts) in one.lists():
                base = self._bases[segment]
                if kernels is not None:
                    kernels.score_rows(
                        listed,
                        counts,
                        field.codes,
                        norms[field.number],
                        rows,
                        base,
                        one.own,
                        one.weight,
                        granule,
                        sums[field.number],
                        sums[-1],
                    )
                    continue
                here, places = places_in(listed, rows - base)
                norm = norms[field.number][field.codes[rows[here]]]
                sums[field.number, here] += gains(one.own, counts[places], norm, GRANULE)
                if one.weight > 0:
                    sums[-1, here] += gains(one.weight, counts[places], norm, granule)
        sums[:, ~view.rows[rows]] = 0
        rounded = sums.astype(np.float32)
        return RowScores(
            rounded[-1],
            {
                name: rounded[names.index(name)] if name in names else np.zeros_like(rounded[-1])
                for name in weights
            },
        )

    def frequencies(self, field: str, terms: Sequence[str], view: LexicalView) -> dict[str, int]:
        """In how many rows of a view each term stands; 0 in a field that the index has not."""
        if field not in self._fields:
            return dict.fromkeys(terms, 0)
        known = self._vocabulary.seen(field, terms, view)
        return {term: known[term].frequency for term in terms}

    def holding(self, field: str, terms: Sequence[str], rows: IntArray) -> BoolArray:
        """Which of some rows (R,), in any view, hold which of some terms: (T, R) bool."""
        return self._vocabulary.holding(field, terms, rows)

    def rows_with(self, field: str, terms: Sequence[str]) -> IntArray:
        """Rows (R,) int64, ascending, that hold all of some terms, in any view; all rows when there are no terms."""
        if not terms:
            return np.arange(self.n_rows, dtype=np.int64)
        if field not in self._fields:
            return np.empty(0, np.int64)
        located = self._vocabulary.located(field, terms)
        every = [located[term] for term in dict.fromkeys(terms)]
        segments = self._fields[field].segments
        parts = []
        for segment in range(len(segments)):
            spans = [(b - a, a, b) for spans in every for s, a, b in spans if s == segment]
            if len(spans) < len(every):
                continue
            lists = [segments[segment].rows[a:b] for _, a, b in sorted(spans)]
            rows = lists[0].astype(np.int64)
            for other in lists[1:]:
                rows = rows[places_in(other, rows)[0]]
            parts.append(rows + self._bases[segment])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _lists(
        self,
        terms: Mapping[str, Sequence[str]],
        weights: Mapping[str, float],
        view: LexicalView,
        groups: Sequence[Group],
    ) -> list[Wanted]:
        return wanted_lists(
            self._fields, self._vocabulary, self._groups, self._bases, terms, weights, view, groups
        )

    def _norms(self, view: LexicalView, constants: Bm25) -> tuple[NDArray[np.float64], ...]:
        """By field as the kernels take them, the norms of the C distinct lengths, and ratios behind them (16 * C,)."""
        found = view.norms.get(constants)
        if found is None:
            fields = self._fields.items()
            norms = (
                with_ratios(norms_of(f.table, view.mean_lengths[name], constants))
                for name, f in fields
            )
            found = _padded(norms, self._filler)
            if len(view.norms) >= _MOST_CONSTANTS:
                view.norms.clear()
            view.norms[constants] = found
        return found

    def _scale(self, view: LexicalView) -> NDArray[np.float64]:
        """By field, what a view's mean length may raise the peaks by (4,)."""
        scale = np.ones(_MOST_FIELDS)
        for name, field in self._fields.items():
            scale[field.number] = scale_for(view.mean_lengths[name], field.mean)
        return scale

    def _blocks_of(self, constants: Bm25) -> tuple[Blocks, ...]:
        with self._lock:
            if constants not in self._blocks:
                fields = list(self._fields.values())
                norms = [norms_of(field.table, field.mean, constants) for field in fields]
                if len(self._blocks) >= _MOST_CONSTANTS:
                    self._blocks.clear()
                self._blocks[constants] = tuple(
                    Blocks(
                        [field.segments[segment] for field in fields],
                        [field.codes[span] for field in fields],
                        norms,
                    )
                    for segment, span in enumerate(self._segment_slices())
                )
            return self._blocks[constants]


def _padded(arrays: Iterable[NDArray[Any]], filler: int) -> tuple[NDArray[Any], ...]:
    """One place per field that the kernels know of; those left over have what the field ``filler`` has."""
    found = list(arrays)
    return (*found, *(found[filler : filler + 1] * (_MOST_FIELDS - len(found))))
