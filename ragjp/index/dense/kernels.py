"""Compiled scans over vectors. Handed out by :func:`ragjp.compiled.ready`; nothing imports this module at its top.

The rows are halves, taken as the 16 bits they are: numba knows no half, but LLVM converts sixteen of them in one instruction, so
that they are read at the speed of memory without ever being copied. Rows come in blocks; where few rows of a block are allowed only
those are read, otherwise all are, because reading in one run costs less than jumping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

#: Rows decided upon at a time. A buffer of candidates must have room for as many.
BLOCK = 128
#: Read a whole block when at least one in so many of its rows is allowed.
_SPARSE = 8

_BITS = types.Array(types.uint16, 2, "C", readonly=True)
_CODES = types.Array(types.int8, 2, "C", readonly=True)
_TAILS = types.Array(types.float32, 2, "C", readonly=True)
_ALLOWED = types.Array(types.boolean, 1, "C", readonly=True)
_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 1, "C", readonly=True)
_RANGES = types.Array(types.int64, 2, "C", readonly=True)
_COUNTS = types.UniTuple(types.int64, 2)
_F64 = types.float64[::1]
# Sums may be reordered: in `ragjp.index.dense.search` they are exact, so that every order gives the same.
_FAST: Any = {"reassoc", "contract"}


@intrinsic  # type: ignore[untyped-decorator]
def _half(_context: Any, bits: Any) -> Any:  # noqa: ANN401
    """float32 of the 16 bits of a half."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@njit(types.float64(_BITS, types.int64, _F64), fastmath=_FAST, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _dot_half(bits: Any, row: int, query: Any) -> Any:  # noqa: ANN401
    total = 0.0
    for j in range(query.shape[0]):
        total += np.float64(_half(bits[row, j])) * query[j]
    return total


@njit(types.int32(_CODES, types.int64, types.int16[::1]), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _dot_code(codes: Any, row: int, query: Any) -> Any:  # noqa: ANN401
    total = np.int32(0)
    for j in range(query.shape[0]):
        total += np.int32(codes[row, j]) * np.int32(query[j])
    return total


@njit(types.void(_F64, types.float64), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _replace_least(heap: Any, value: float) -> None:  # noqa: ANN401
    """Put a value in the place of a heap's least one, which is at its root."""
    size = heap.shape[0]
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@njit(types.int64(_ALLOWED, types.int64, types.int64, types.int64[::1]), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _choose(allowed: Any, begin: int, end: int, chosen: Any) -> int:  # noqa: ANN401
    """List the allowed rows of a block, without a branch to guess wrong."""
    count = 0
    for row in range(begin, end):
        chosen[count] = row
        count += allowed[row]
    return count


@njit(  # type: ignore[untyped-decorator]
    types.int64(_ALLOWED, _NUMBERS, types.int64, types.int64, types.int64[::1]),
    nogil=True,
    cache=True,
)
def _choose_numbered(allowed: Any, numbers: Any, begin: int, end: int, chosen: Any) -> int:  # noqa: ANN401
    """As :func:`_choose`, of records that stand for the rows ``numbers``."""
    count = 0
    for place in range(begin, end):
        chosen[count] = place
        count += allowed[numbers[place]]
    return count


@njit(  # type: ignore[untyped-decorator]
    types.void(_BITS, _ROWS, _F64, types.float32[::1]), nogil=True, cache=True
)
def score_rows(bits: Any, rows: Any, query: Any, out: Any) -> None:  # noqa: ANN401
    """Inner products of some rows: bits (n, D) uint16, rows (R,), query (D,) float64, out (R,) float32."""
    for i in range(rows.shape[0]):
        out[i] = np.float32(_dot_half(bits, rows[i], query))


@njit(  # type: ignore[untyped-decorator]
    _COUNTS(_BITS, _ALLOWED, _F64, types.int64, _F64, types.int64[::1], _F64),
    nogil=True,
    cache=True,
)
def scan_rows(
    bits: Any,  # noqa: ANN401
    allowed: Any,  # noqa: ANN401
    query: Any,  # noqa: ANN401
    start: int,
    heap: Any,  # noqa: ANN401
    rows: Any,  # noqa: ANN401
    scores: Any,  # noqa: ANN401
) -> tuple[int, int]:
    """Collect the rows that are no worse than the heap's least, from row ``start`` on, until the buffer is full.

    Parameters
    ----------
    bits
        (n, D) uint16. query : (D,) float64. allowed : (n,) bool.
    heap
        (k,) float64, a min-heap of the k best scores so far, −inf while there are fewer.
    rows, scores
        (C,) int64 and float64, the buffer; C ≥ :data:`BLOCK`.

    Returns
    -------
    The row to go on from (n at the end), and how many were collected.
    """
    chosen = np.empty(BLOCK, np.int64)
    least = heap[0]
    n_found = 0
    for begin in range(start, bits.shape[0], BLOCK):
        end = min(begin + BLOCK, bits.shape[0])
        count = _choose(allowed, begin, end, chosen)
        if n_found + count > rows.shape[0]:
            return begin, n_found
        in_one_run = count * _SPARSE >= end - begin
        for i in range(end - begin if in_one_run else count):
            row = begin + i if in_one_run else chosen[i]
            score = np.float64(np.float32(_dot_half(bits, row, query)))
            if allowed[row] & (score >= least):
                rows[n_found] = row
                scores[n_found] = score
                n_found += 1
                if score > least:
                    _replace_least(heap, score)
                    least = heap[0]
    return bits.shape[0], n_found


@njit(  # type: ignore[untyped-decorator]
    types.int64(
        _CODES,
        _TAILS,
        _NUMBERS,
        _ALLOWED,
        types.int16[::1],
        types.UniTuple(types.float64, 4),
        _RANGES,
        types.int64,
        types.int64[::1],
        _F64,
        types.int64[::1],
        _F64,
    ),
    nogil=True,
    cache=True,
)
def scan_codes(
    codes: Any,  # noqa: ANN401
    tails: Any,  # noqa: ANN401
    numbers: Any,  # noqa: ANN401
    allowed: Any,  # noqa: ANN401
    query: Any,  # noqa: ANN401
    line: tuple[float, float, float, float],
    ranges: Any,  # noqa: ANN401
    wanted: int,
    cursor: Any,  # noqa: ANN401
    heap: Any,  # noqa: ANN401
    rows: Any,  # noqa: ANN401
    uppers: Any,  # noqa: ANN401
) -> int:
    """Collect the rows whose score may be no worse than the heap's least, range after range, until the buffer is full.

    Parameters
    ----------
    codes
        (n, W) int8, the records. tails : (n, W / 4) float32, the same bytes; its last two columns are the scale and the error.
    numbers
        (n,) int32, the row of each record, or (0,) when record i is that of row i.
    allowed
        (n,) bool by row.
    query
        (D,) int16.
    line
        (step, offset, length, slack): the score is within error · length + slack of dot · scale · step + offset.
    ranges
        (R, 2) int64, begin and end of the records to read. No further range is begun once ``wanted`` allowed rows have been seen.
    cursor
        (3,) int64, zeros at first: range, place in it, allowed rows seen. Moved; the scan is over when the first is R.
    heap
        As in :func:`scan_rows`, of what the k best score at least.
    rows, uppers
        The buffer; what each row scores at most.

    Returns
    -------
    How many were collected.
    """
    step, offset, length, slack = line
    last = tails.shape[1] - 1
    is_numbered = numbers.shape[0] > 0
    chosen = np.empty(BLOCK, np.int64)
    least = heap[0]
    n_found = 0
    while cursor[0] < ranges.shape[0]:
        begin = ranges[cursor[0], 0] + cursor[1]
        end = min(begin + BLOCK, ranges[cursor[0], 1])
        if begin >= end:
            cursor[0] = cursor[0] + 1 if cursor[2] < wanted else ranges.shape[0]
            cursor[1] = 0
            continue
        if is_numbered:
            count = _choose_numbered(allowed, numbers, begin, end, chosen)
        else:
            count = _choose(allowed, begin, end, chosen)
        if n_found + count > rows.shape[0]:
            return n_found
        cursor[1] += BLOCK
        cursor[2] += count
        in_one_run = count * _SPARSE >= end - begin
        for i in range(end - begin if in_one_run else count):
            place = begin + i if in_one_run else chosen[i]
            middle = _dot_code(codes, place, query) * (step * tails[place, last - 1]) + offset
            error = length * tails[place, last] + slack
            # Few rows come so far: only for those is it looked up which row it is.
            if middle + error >= least:
                row = np.int64(numbers[place]) if is_numbered else place
                if allowed[row]:
                    rows[n_found] = row
                    uppers[n_found] = middle + error
                    n_found += 1
                    if middle - error > least:
                        _replace_least(heap, middle - error)
                        least = heap[0]
    return n_found
