"""The oracle of dense search: every score, then a sort. :class:`~ragjp.index.dense.search.DenseIndex` answers the same, faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragjp.index.dense.search import best_and_tied, canonical_query
from ragjp.types import BoolArray, FloatArray, IntArray


class NumpyFlat:
    """The oracle.

    Parameters
    ----------
    vectors
        (N, D) float16.
    """

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        self._vectors = vectors

    def search(
        self, query: FloatArray, allowed: BoolArray, k: int, mask: BoolArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """See :meth:`ragjp.index.dense.search.DenseIndex.search`."""
        rows = np.flatnonzero(allowed if mask is None else allowed & mask)
        scores = (self._vectors[rows].astype(np.float64) @ canonical_query(query)).astype(
            np.float32
        )
        if k <= 0:
            rows, scores = rows[:0], scores[:0]
        return best_and_tied(rows, scores, k)
