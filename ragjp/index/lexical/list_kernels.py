"""Compiled kernels over one list: the postings of one term of one field in one segment.

Rows and counts have been checked when a list was first met (:func:`ragjp.index.lexical.postings.rows_fault`), so no index here leaves its array.
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
#: And of its vocabulary: hashes, spellings, ends and offsets.
HASHES = types.Array(types.uint64, 1, "C", readonly=True)
BYTES = types.Array(types.uint8, 1, "C", readonly=True)
PLACES = types.Array(types.int64, 1, "C", readonly=True)


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


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def is_sound(rows: NDArray[Any], counts: NDArray[Any], n_rows: int) -> bool:
    """Whether :func:`ragjp.index.lexical.postings.rows_fault` finds nothing in a list (p,), p > 0."""
    faults = np.int64(rows[0] < 0) + np.int64(rows[len(rows) - 1] >= n_rows)
    for p in range(_U(1), _U(len(rows))):
        faults += np.int64(rows[p] <= rows[p - _U(1)])
    for p in range(_U(len(counts))):
        faults += np.int64(counts[p] == 0)
    return bool(faults == 0)


@njit(  # type: ignore[untyped-decorator]
    types.int64(
        HASHES,
        BYTES,
        PLACES,
        PLACES,
        ROWS,
        COUNTS,
        types.int64,
        HASHES,
        BYTES,
        types.int64[::1],
        types.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def locate(
    hashes: NDArray[Any],
    spellings: NDArray[Any],
    ends: NDArray[Any],
    offsets: NDArray[Any],
    rows: NDArray[Any],
    counts: NDArray[Any],
    n_rows: int,
    keys: NDArray[Any],
    spelled: NDArray[Any],
    spelled_ends: NDArray[Any],
    edges: NDArray[Any],
) -> np.int64:
    """Find terms in a vocabulary, and check their postings.

    Parameters
    ----------
    hashes, spellings, ends, offsets, rows, counts, n_rows
        A field of a segment, see :mod:`ragjp.index.lexical.postings`.
    keys, spelled, spelled_ends
        The terms (L,), see :class:`ragjp.index.lexical.postings.TermKeys`.
    edges
        (2 * L,) zeros; filled with the first and last + 1 posting of each term that is there.

    Returns
    -------
    The number of the first term whose postings contradict themselves; -1 for none.
    """
    begin = np.int64(0)
    for i in range(len(keys)):
        size, own = spelled_ends[i] - begin, begin
        begin = spelled_ends[i]
        place = np.searchsorted(hashes, keys[i])
        if place == len(hashes) or hashes[place] != keys[i]:
            continue
        start = ends[place - 1] if place > 0 else np.int64(0)
        if ends[place] - start != size:
            continue
        same = True
        for b in range(size):
            same = same and spellings[start + b] == spelled[own + b]
        if not same:
            continue
        first, last = offsets[place], offsets[place + 1]
        if not is_sound(rows[first:last], counts[first:last], n_rows):
            return np.int64(place)
        edges[2 * i] = first
        edges[2 * i + 1] = last
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
