"""Compiled: the best rows of a small segment, scored as a whole.

Where a segment's scores fit into the processor's second cache, adding up every posting costs less than the tables that let
:func:`ragjp.index.lexical.kernels.search` pass over some, and nothing has to be prepared for a term that is met for the first time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ragjp.index.lexical.fields import RATIOS
from ragjp.index.lexical.list_kernels import CODES, COUNTS, NORMS, ROWS, SEEN, gain_of

#: A search's tuples of arrays have one place per field; unused places repeat the first.
MOST_FIELDS = 4

_U = np.uint64
_HALF = np.int64(32)
_LOW = np.int64(0xFFFFFFFF)
_MOST = np.int64(0x7FFFFFFF)
#: Scores above 0 come back: the least float32 above it.
_TINIEST = np.float32(1e-45)
#: Groups of rows per row that is wanted: so many that the best rows mostly stand in different ones.
_GROUPS = 4
#: More of them cost little as long as few are wanted, and fewer rows stand in each.
_FEWEST_GROUPS = 256

_SEARCH_WHOLE = types.Tuple((types.int64[::1], types.float32[::1], types.float32))(
    types.UniTuple(ROWS, MOST_FIELDS),
    types.UniTuple(COUNTS, MOST_FIELDS),
    types.UniTuple(CODES, MOST_FIELDS),
    types.UniTuple(NORMS, MOST_FIELDS),
    types.int64[::1],
    types.float64[::1],
    types.int64,
    SEEN,
    types.boolean,
    types.float64,
    types.int64,
    types.float32,
)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_all(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    start: int,
    stop: int,
    weight: float,
    granule: float,
    scores: NDArray[Any],
) -> None:
    """Add what a list gives to the scores of the segment's rows."""
    magic = 1.5 * 2.0**52 * granule
    n_codes = _U(len(norms) // RATIOS)
    for p in range(_U(start), _U(stop)):
        row = _U(np.uint32(rows[p]))
        count, code = _U(counts[p]), _U(codes[row])
        if count < _U(RATIOS):
            scores[row] += max((weight * norms[count * n_codes + code] + magic) - magic, granule)
        else:
            scores[row] += gain_of(weight, np.float64(count), norms[code], granule)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _peaks(scores: NDArray[Any], n_groups: int) -> NDArray[Any]:
    """The greatest of each group: of places g, g + n_groups, g + 2 * n_groups, … of (D * n_groups,)."""
    peaks = scores[:n_groups].copy()
    for start in range(n_groups, len(scores), n_groups):
        layer = scores[start : start + n_groups]
        for group in range(n_groups):
            peaks[group] = layer[group] if layer[group] > peaks[group] else peaks[group]
    return peaks


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _best_keys(
    scores: NDArray[Any], n_rows: int, n_groups: int, k: int, least: float
) -> NDArray[Any]:
    """Keys (M,) int64 of the k best rows and maybe more: ascending keys are best first, ties by row. Only scores of ``least`` or more.

    A key has the bits of the score as float32 above the row: the bits of floats above 0 order as the floats do.
    """
    peaks = _peaks(scores, n_groups)
    bar = max(_TINIEST, np.float32(least))
    if n_groups >= k:
        # Each peak is a row's: k rows are as good as the k-th best peak.
        bar = max(bar, np.float32(np.partition(peaks, n_groups - k)[n_groups - k]))
    n_good = 0
    for group in range(n_groups):
        n_good += int(np.float32(peaks[group]) >= bar)
    room = n_good * (len(scores) // n_groups)
    values = np.empty(room, np.float32)
    keys = np.empty(room, np.int64)
    n_keys = _U(0)
    for group in range(n_groups):
        if np.float32(peaks[group]) < bar:
            continue
        for row in range(group, n_rows, n_groups):
            value = np.float32(scores[row])
            values[n_keys] = value
            keys[n_keys] = row
            n_keys += _U(value >= bar)
    found = keys[: np.int64(n_keys)]
    bits = values[: np.int64(n_keys)].view(np.int32)
    for i in range(len(found)):
        found[i] |= (_MOST - np.int64(bits[i])) << _HALF
    found.sort()
    return found


@njit(_SEARCH_WHOLE, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def search_whole(
    rows: tuple[NDArray[Any], ...],
    counts: tuple[NDArray[Any], ...],
    codes: tuple[NDArray[Any], ...],
    norms: tuple[NDArray[Any], ...],
    lists: NDArray[Any],
    weights: NDArray[Any],
    n_rows: int,
    kept: NDArray[Any],
    restricted: bool,
    granule: float,
    k: int,
    least: float,
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Find the rows of one segment whose score is among the k best, ties with the k-th included.

    Parameters
    ----------
    rows, counts, codes, norms
        Of each field: postings (P,), length codes of the segment's rows (n,), and the view's norms and ratios of the C codes,
        see :func:`ragjp.index.lexical.fields.with_ratios`.
    lists
        (3 * L,) field, first and last + 1 posting of the query's lists, one after the other.
    weights
        (L,) of the lists: field weight times repeats times idf.
    kept
        (n,) rows that may come back; not read unless ``restricted``.
    least
        Scores below are not wanted: the k-th best of other segments, or 0.

    Returns
    -------
    As :func:`ragjp.index.lexical.kernels.search`.
    """
    n_groups = min(n_rows, max(_GROUPS * k, _FEWEST_GROUPS))
    scores = np.zeros((n_rows + n_groups - 1) // n_groups * n_groups)
    for i in range(len(weights)):
        field = lists[3 * i]
        _add_all(
            rows[field],
            counts[field],
            codes[field],
            norms[field],
            lists[3 * i + 1],
            lists[3 * i + 2],
            weights[i],
            granule,
            scores,
        )
    if restricted:
        for row in range(n_rows):
            scores[row] = scores[row] if kept[row] else 0.0
    keys = _best_keys(scores, n_rows, n_groups, k, least)
    n_best = len(keys)
    if n_best >= k:
        last = keys[k - 1] >> _HALF
        n_best = k
        while n_best < len(keys) and keys[n_best] >> _HALF == last:
            n_best += 1
    found = np.empty(n_best, np.int64)
    bits = np.empty(n_best, np.int32)
    for i in range(n_best):
        found[i] = keys[i] & _LOW
        bits[i] = _MOST - (keys[i] >> _HALF)
    found_scores = bits.view(np.float32)
    if n_best >= k:
        least = found_scores[k - 1]
    return found, found_scores, least
