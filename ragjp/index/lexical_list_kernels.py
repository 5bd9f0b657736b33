"""Compiled kernels over one list: the postings of one term of one field in one segment.

Rows and counts have been checked when a list was first met (:func:`ragjp.index.postings.rows_fault`), so no index here leaves its array.
Unsigned numbers index because numba then leaves out its test for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

_U = np.uint64
#: More than float32 may round a peak down by.
_ABOVE = np.float32(1.0 + 2.0**-22)

#: Types of a field's read-only arrays: rows, counts, length codes of rows, norms of codes; and of a bitmap of rows.
ROWS = types.Array(types.int32, 1, "C", readonly=True)
COUNTS = types.Array(types.uint16, 1, "C", readonly=True)
CODES = types.Array(types.uint16, 1, "C", readonly=True)
NORMS = types.Array(types.float64, 1, "C", readonly=True)
SEEN = types.Array(types.boolean, 1, "C", readonly=True)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def gain_of(weight: float, tf: float, norm: float, granule: float) -> float:
    """What a posting adds to its row's score: a multiple of ``granule`` above 0."""
    magic = 1.5 * 2.0**52 * granule
    return max((weight * (tf / (tf + norm)) + magic) - magic, granule)


@njit(  # type: ignore[untyped-decorator]
    types.void(
        ROWS,
        COUNTS,
        CODES,
        NORMS,
        types.int64,
        types.int32[::1],
        types.float32[::1],
    ),
    nogil=True,
    cache=True,
    error_model="numpy",
)
def measure(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    bits: int,
    starts: NDArray[Any],
    peaks: NDArray[Any],
) -> None:
    """Fill one slot for a list: where its blocks begin, and the greatest ``tf / (tf + norm)`` in each.

    Parameters
    ----------
    rows, counts
        (p,) the list's postings.
    codes
        (n,) uint16 place of each row's length in ``norms``, of this segment's rows.
    """
    block = _U(0)
    starts[0] = 0
    best = np.float32(0.0)
    shift = _U(bits)
    for i in range(_U(len(rows))):
        row = _U(np.uint32(rows[i]))
        here = row >> shift
        while block < here:
            peaks[block] = best * _ABOVE
            best = np.float32(0.0)
            block += _U(1)
            starts[block] = i
        tf = np.float64(counts[i])
        best = max(best, np.float32(tf / (tf + norms[_U(codes[row])])))
    while block < _U(len(peaks)):
        peaks[block] = best * _ABOVE
        best = np.float32(0.0)
        block += _U(1)
        starts[block] = len(rows)


@njit(types.int64(ROWS, COUNTS, types.int64[::1], types.int64), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def first_fault(
    rows: NDArray[Any], counts: NDArray[Any], spans: NDArray[Any], n_rows: int
) -> np.int64:
    """Which list is the first that :func:`ragjp.index.postings.rows_fault` finds fault with; -1 for none.

    Parameters
    ----------
    rows, counts
        (P,) a field's postings.
    spans
        (2 * L,) first and last + 1 posting of each list; within P, and none empty.
    n_rows
        Of the segment.
    """
    for i in range(len(spans) // 2):
        listed, counted = (
            rows[spans[2 * i] : spans[2 * i + 1]],
            counts[spans[2 * i] : spans[2 * i + 1]],
        )
        faults = np.int64(listed[0] < 0) + np.int64(listed[len(listed) - 1] >= n_rows)
        for p in range(_U(1), _U(len(listed))):
            faults += np.int64(listed[p] <= listed[p - _U(1)])
        for p in range(_U(len(counted))):
            faults += np.int64(counted[p] == 0)
        if faults:
            return np.int64(i)
    return np.int64(-1)


@njit(types.int64(ROWS, SEEN), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def count(rows: NDArray[Any], seen: NDArray[Any]) -> np.int64:
    """How many of a list's rows (p,) are seen (n,)."""
    n = np.int64(0)
    for p in range(_U(len(rows))):
        n += np.int64(seen[_U(np.uint32(rows[p]))])
    return n


@njit(  # type: ignore[untyped-decorator]
    types.void(
        ROWS,
        COUNTS,
        CODES,
        NORMS,
        types.int64[::1],
        types.int64,
        types.float64,
        types.float64,
        types.float64,
        types.float64[::1],
        types.float64[::1],
    ),
    nogil=True,
    cache=True,
    error_model="numpy",
)
def score_rows(
    rows: NDArray[Any],
    counts: NDArray[Any],
    codes: NDArray[Any],
    norms: NDArray[Any],
    wanted: NDArray[Any],
    base: int,
    own: float,
    weight: float,
    granule: float,
    field_sums: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """Add what one list gives to some rows.

    Parameters
    ----------
    rows, counts
        (p,) the list's postings.
    codes
        (N,) length codes of all segments' rows.
    wanted
        (R,) rows over all segments; fastest when ascending.
    base
        Of the list's segment.
    own, weight
        The list's weight without and with its field's; nothing is added to ``sums`` when the latter is 0.
    field_sums, sums
        (R,) to add to.
    """
    low = _U(0)
    before = np.int64(-1)
    for i in range(len(wanted)):
        target = wanted[i] - base
        if target < before:
            low = _U(0)
        before = target
        high = _U(len(rows))
        while low < high:
            middle = (low + high) >> _U(1)
            if np.int64(rows[middle]) < target:
                low = middle + _U(1)
            else:
                high = middle
        if low < _U(len(rows)) and np.int64(rows[low]) == target:
            tf, norm = np.float64(counts[low]), norms[_U(codes[_U(wanted[i])])]
            field_sums[i] += gain_of(own, tf, norm, 2.0**-32)
            if weight > 0.0:
                sums[i] += gain_of(weight, tf, norm, granule)
