"""The lexical search in NumPy: what the compiled path must equal, and what answers until it is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.types import BoolArray, FloatArray, IntArray

Scores = NDArray[np.float64]

#: Gains are multiples of this while the weights of a question sum to less than 2**20.
GRANULE = 2.0**-32


def granule_of(weights: Iterable[float]) -> float:
    """What gains are multiples of: so fine that the sum of the weights still has all its bits in a float64."""
    _, exponent = math.frexp(sum(weights))
    return math.ldexp(GRANULE, max(0, exponent - 19))


def gains(weight: float, tf: NDArray[Any], norms: Scores, granule: float) -> Scores:
    """What postings (p,) add to their rows' scores: multiples of ``granule`` (a power of two) above 0, so that sums of them are exact.

    Adding and taking away 1.5 * 2**52 granules rounds to a multiple, half to even.
    """
    magic = 1.5 * 2.0**52 * granule
    counted = tf.astype(np.float64)
    rounded: Scores = (weight * (counted / (counted + norms)) + magic) - magic
    return np.maximum(rounded, granule)


def summed(parts: Sequence[tuple[IntArray, Scores]], n_rows: int) -> FloatArray:
    """Add up gains by row, (N,) float32."""
    if not parts:
        return np.zeros(n_rows, dtype=np.float32)
    rows = np.concatenate([rows for rows, _ in parts])
    values = np.concatenate([values for _, values in parts])
    return np.bincount(rows, weights=values, minlength=n_rows).astype(np.float32)


def best_rows(
    rows: IntArray, scores: FloatArray, k: int, keep: BoolArray | None = None
) -> tuple[IntArray, FloatArray]:
    """Take the k best of (R,) scored rows and all that tie with the k-th; best first, ties by row.

    Parameters
    ----------
    keep
        (R,) rows that may come back; None for all.
    """
    if keep is not None:
        rows, scores = rows[keep], scores[keep]
    if len(rows) > k:
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        above = scores >= least
        rows, scores = rows[above], scores[above]
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


def places_in(
    listed: NDArray[np.int32], rows: IntArray | NDArray[np.int32]
) -> tuple[IntArray, IntArray]:
    """Which of some rows (R,) are in an ascending list (p,): their places among ``rows`` and in the list."""
    places = np.searchsorted(listed, rows)
    places[places == len(listed)] = 0
    here = np.flatnonzero(listed[places] == rows)
    return here, places[here]
