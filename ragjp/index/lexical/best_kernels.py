"""Compiled: keeping the best rows of a search, and putting them in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_U = np.uint64


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def replace_least(heap: NDArray[Any], value: float) -> None:
    """Put a value in place of the least of a heap (k,) whose root is its least."""
    size = len(heap)
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def order_of(bounds: NDArray[Any]) -> NDArray[Any]:
    """Places of bounds (L,), greatest first."""
    order = np.empty(len(bounds), np.int64)
    for i in range(len(bounds)):
        place = i
        while place > 0 and bounds[order[place - 1]] < bounds[i]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
    return order


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def drop_below(rows: NDArray[Any], scores: NDArray[Any], n: int, least: float) -> int:
    """Move rows whose scores are not below ``least`` to the front; how many there are."""
    kept = 0
    for i in range(n):
        if scores[i] >= least:
            rows[kept] = rows[i]
            scores[kept] = scores[i]
            kept += 1
    return kept


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def widened(array: NDArray[Any], n: int, room: int) -> NDArray[Any]:
    """Copy the first n entries into an array of ``room`` entries."""
    wider = np.empty(room, array.dtype)
    wider[:n] = array[:n]
    return wider


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def note_best(
    scores: NDArray[Any],
    found: NDArray[Any],
    n_found: int,
    first: int,
    heap: NDArray[Any],
    least: float,
    best_rows: NDArray[Any],
    best: NDArray[Any],
    n_best: int,
) -> tuple[int, float]:
    """Note rows that may be among the best; how many are noted now, and the k-th best score."""
    k = len(heap)
    if n_best == 0 and np.int64(n_found) > 2 * k:
        # The heap is empty and would be refilled many times: begin with the k best of this block.
        values = np.empty(np.int64(n_found), np.float32)
        for i in range(n_found):
            values[i] = scores[_U(found[i])]
        heap[:] = np.partition(values, len(values) - k)[len(values) - k :]
        heap.sort()
        least = max(least, heap[0])
        for i in range(n_found):
            score = np.float32(scores[_U(found[i])])
            if score >= least:
                best_rows[n_best] = first + np.int64(found[i])
                best[n_best] = score
                n_best += 1
        return n_best, least
    for i in range(n_found):
        place = _U(found[i])
        score = np.float32(scores[place])
        if score >= least:
            best_rows[n_best] = first + np.int64(place)
            best[n_best] = score
            n_best += 1
            if score > heap[0]:
                replace_least(heap, score)
                least = max(least, heap[0])
    return n_best, least


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def sort_best(rows: NDArray[Any], scores: NDArray[Any]) -> None:
    """Put rows (M,) and their scores, all above 0, in order: best first, ties by row. The bits of such a float32 order as the float does."""
    keys = np.empty(len(rows), np.int64)
    bits = scores.view(np.int32)
    for i in range(len(rows)):
        keys[i] = ((np.int64(0x7FFFFFFF) - np.int64(bits[i])) << np.int64(32)) | rows[i]
    keys.sort()
    for i in range(len(rows)):
        rows[i] = keys[i] & np.int64(0xFFFFFFFF)
        bits[i] = np.int64(0x7FFFFFFF) - (keys[i] >> np.int64(32))
