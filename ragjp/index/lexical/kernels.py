"""Compiled kernels of the lexical search; :mod:`ragjp.index.lexical.search` launches them and says what they mean.

A *list* is the postings of one term of one field in one segment. A segment of n rows is cut into W = ceil(n / 2**bits) *blocks* of
2**bits rows; for every list that a query has met there is a *slot* of two small tables::

    starts (S, W + 1) int32    where each block begins in the list, from the list's own beginning
    peaks  (S, W) float32      upper bound of tf / (tf + norm) of the list's postings in each block

With them :func:`search` is an exact MaxScore by blocks: in each block, lists whose peaks together cannot reach the k-th best score
so far only add to rows that other lists have found, and a block whose peaks together cannot reach it is not looked at.

Every gain is rounded to a multiple of ``granule`` (a power of two), small enough that no sum of them rounds: sums do not depend on the order
of terms, rows, blocks or segments, and the NumPy path gives the same bits.

Rows and counts have been checked when a list was first met (:func:`ragjp.index.lexical.postings.rows_fault`), so no index here leaves its array.
Unsigned numbers index because numba then leaves out its test for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ragjp.index.lexical.best_kernels import drop_below, note_best, order_of, sort_best, widened
from ragjp.index.lexical.list_kernels import (
    CODES,
    COUNTS,
    NORMS,
    ROWS,
    SEEN,
    count,
    gain_of,
    locate,
    measure,
    score_rows,
)
from ragjp.index.lexical.whole_kernels import MOST_FIELDS, search_whole

__all__ = ["count", "locate", "measure", "score_rows", "search", "search_whole"]

_U = np.uint64
#: A float64 below ``x * _BELOW`` is below the float32 ``x`` after rounding too.
_BELOW = 1.0 - 2.0**-23

_SEARCH = types.Tuple((types.int64[::1], types.float32[::1], types.float32))(
    types.UniTuple(ROWS, MOST_FIELDS),
    types.UniTuple(COUNTS, MOST_FIELDS),
    types.UniTuple(CODES, MOST_FIELDS),
    types.UniTuple(NORMS, MOST_FIELDS),
    types.int64[:, ::1],
    types.int32[:, ::1],
    types.float32[:, ::1],
    types.int64[::1],
    types.float64[::1],
    types.float64[::1],
    types.int64,
    types.int64,
    SEEN,
    types.boolean,
    types.boolean,
    types.float64,
    types.int64,
    types.float32,
)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    start: int,
    stop: int,
    first: int,
    weight: float,
    granule: float,
    scores: NDArray[Any],
) -> None:
    """Add what a run of postings gives to the scores of a block that begins at row ``first``."""
    for p in range(_U(start), _U(stop)):
        row = _U(np.uint32(rows[p]))
        scores[row - _U(first)] += gain_of(
            weight, np.float64(counts[p]), norms[_U(codes[row])], granule
        )


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_noting(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    start: int,
    stop: int,
    first: int,
    weight: float,
    granule: float,
    scores: NDArray[Any],
    found: NDArray[Any],
    n_found: np.uint64,
) -> np.uint64:
    """Do as :func:`_add`, and note the places that had no score before; how many are noted now."""
    for p in range(_U(start), _U(stop)):
        row = _U(np.uint32(rows[p]))
        place = row - _U(first)
        before = scores[place]
        found[n_found] = place
        n_found += _U(before == 0.0)
        scores[place] = before + gain_of(
            weight, np.float64(counts[p]), norms[_U(codes[row])], granule
        )
    return n_found


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_noting_kept(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    start: int,
    stop: int,
    first: int,
    weight: float,
    granule: float,
    scores: NDArray[Any],
    found: NDArray[Any],
    n_found: np.uint64,
    kept: NDArray[Any],
) -> np.uint64:
    """Do as :func:`_add_noting`, for the kept rows alone."""
    for p in range(_U(start), _U(stop)):
        row = _U(np.uint32(rows[p]))
        if not kept[row]:
            continue
        place = row - _U(first)
        before = scores[place]
        found[n_found] = place
        n_found += _U(before == 0.0)
        scores[place] = before + gain_of(
            weight, np.float64(counts[p]), norms[_U(codes[row])], granule
        )
    return n_found


@njit(_SEARCH, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def search(  # noqa: C901
    rows: tuple[NDArray[Any], ...],
    counts: tuple[NDArray[Any], ...],
    codes: tuple[NDArray[Any], ...],
    norms: tuple[NDArray[Any], ...],
    lists: NDArray[Any],
    starts: NDArray[Any],
    peaks: NDArray[Any],
    slots: NDArray[Any],
    weights: NDArray[Any],
    scale: NDArray[Any],
    bits: int,
    n_rows: int,
    kept: NDArray[Any],
    restricted: bool,
    sparse: bool,
    granule: float,
    k: int,
    least: float,
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Find the rows of one segment whose score is among the k best, ties with the k-th included.

    Parameters
    ----------
    rows, counts, codes, norms
        Of each field: postings (P,), length codes of the segment's rows (n,), and the view's norm of each code.
    lists
        (S, 3) int64: field, first and last + 1 posting of the list in each slot.
    starts, peaks
        (S, W + 1), (S, W), see the module.
    slots, weights
        (L,) the query's lists and their weights (field weight times repeats times idf).
    scale
        (4,) by what the view's mean length may raise the peaks of each field.
    kept
        (n,) rows that may come back; not read unless ``restricted``.
    sparse
        Few may (then ``restricted`` too): others are passed over as postings are read, not afterwards.
    least
        Scores below are not wanted: the k-th best of other segments, or 0.

    Returns
    -------
    rows (M,) of the segment, their scores (M,), best first and ties by row, and the k-th best score if there were k, else ``least``.
    """
    n_lists = len(slots)
    size = 1 << bits
    magic = 1.5 * 2.0**52 * granule
    bounds = np.empty(n_lists)
    for i in range(n_lists):
        bounds[i] = weights[i] * scale[lists[slots[i], 0]]
    order = order_of(bounds)
    scores = np.zeros(size)
    found = np.empty(size + 1, np.int32)
    heap = np.zeros(k, np.float32)
    suffix = np.zeros(n_lists + 1)
    best_rows = np.empty(2 * (k + size), np.int64)
    best = np.empty(2 * (k + size), np.float32)
    n_best = 0
    limit = least * _BELOW
    for block in range(peaks.shape[1]):
        total = n_lists * granule
        suffix[n_lists] = total
        any_here = False
        for i in range(n_lists - 1, -1, -1):
            peak = peaks[slots[order[i]], block]
            if peak > 0:
                any_here = True
                total += bounds[order[i]] * peak
            suffix[i] = total
        if not any_here or total < limit:
            continue
        essential = n_lists
        while suffix[essential - 1] < limit:
            essential -= 1
        first = block << bits
        width = min(size, n_rows - first)
        n_postings = 0
        for i in range(essential):
            slot = slots[order[i]]
            n_postings += starts[slot, block + 1] - starts[slot, block]
        if n_postings == 0:
            continue
        # Rows found so far: noted as they are met when they are few, gathered from the whole block when not.
        few = sparse or 3 * n_postings < width
        n_found = _U(0)
        for i in range(essential):
            slot = slots[order[i]]
            start, stop = starts[slot, block], starts[slot, block + 1]
            if start == stop:
                continue
            field = lists[slot, 0]
            weight = weights[order[i]]
            of_rows, of_counts, of_codes, of_norms = (
                rows[field],
                counts[field],
                codes[field],
                norms[field],
            )
            begin = lists[slot, 1]
            if sparse:
                n_found = _add_noting_kept(
                    of_rows,
                    of_counts,
                    of_codes,
                    of_norms,
                    begin + start,
                    begin + stop,
                    first,
                    weight,
                    granule,
                    scores,
                    found,
                    n_found,
                    kept,
                )
            elif few:
                n_found = _add_noting(
                    of_rows,
                    of_counts,
                    of_codes,
                    of_norms,
                    begin + start,
                    begin + stop,
                    first,
                    weight,
                    granule,
                    scores,
                    found,
                    n_found,
                )
            else:
                _add(
                    of_rows,
                    of_counts,
                    of_codes,
                    of_norms,
                    begin + start,
                    begin + stop,
                    first,
                    weight,
                    granule,
                    scores,
                )
        n_kept = _U(0)
        bar = max(limit - suffix[essential], granule)
        if few:
            for q in range(n_found):
                place = _U(found[q])
                found[n_kept] = place
                n_kept += _U(scores[place] >= bar and (not restricted or kept[_U(first) + place]))
        else:
            for spot in range(_U(width)):
                found[n_kept] = spot
                n_kept += _U(scores[spot] >= bar)
            if restricted:
                n_found = n_kept
                n_kept = _U(0)
                for q in range(n_found):
                    place = _U(found[q])
                    found[n_kept] = place
                    n_kept += _U(kept[_U(first) + place])
        for i in range(essential, n_lists):
            slot = slots[order[i]]
            start, stop = starts[slot, block], starts[slot, block + 1]
            if start == stop:
                continue
            if i > essential:
                bar = limit - suffix[i]
                n_found = n_kept
                n_kept = _U(0)
                for q in range(n_found):
                    place = _U(found[q])
                    found[n_kept] = place
                    n_kept += _U(scores[place] >= bar)
            if n_kept == _U(0):
                break
            field = lists[slot, 0]
            weight = weights[order[i]]
            of_rows, of_counts, of_codes, of_norms = (
                rows[field],
                counts[field],
                codes[field],
                norms[field],
            )
            begin = lists[slot, 1]
            if _U(8) * n_kept < _U(stop - start):
                for q in range(n_kept):
                    place = _U(found[q])
                    row = place + _U(first)
                    low, high = _U(begin + start), _U(begin + stop)
                    while low < high:
                        middle = (low + high) >> _U(1)
                        if _U(np.uint32(of_rows[middle])) < row:
                            low = middle + _U(1)
                        else:
                            high = middle
                    if low < _U(begin + stop) and _U(np.uint32(of_rows[low])) == row:
                        tf = np.float64(of_counts[low])
                        gain = weight * (tf / (tf + of_norms[_U(of_codes[row])]))
                        scores[place] += max((gain + magic) - magic, granule)
            else:
                _add(
                    of_rows,
                    of_counts,
                    of_codes,
                    of_norms,
                    begin + start,
                    begin + stop,
                    first,
                    weight,
                    granule,
                    scores,
                )
        if n_best + np.int64(n_kept) > len(best):
            n_best = drop_below(best_rows, best, n_best, least)
            room = 2 * (n_best + size)
            if room > len(best):
                best_rows = widened(best_rows, n_best, room)
                best = widened(best, n_best, room)
        n_best, least = note_best(
            scores, found, n_kept, first, heap, least, best_rows, best, n_best
        )
        limit = least * _BELOW
        scores[:width] = 0.0
    n_best = drop_below(best_rows, best, n_best, least)
    sort_best(best_rows[:n_best], best[:n_best])
    return best_rows[:n_best].copy(), best[:n_best].copy(), least
