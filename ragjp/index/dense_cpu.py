"""Exact nearest neighbours by inner product on a CPU: a NumPy oracle, and FAISS's flat index where it is installed.

Both search only the rows that the view allows, inside the search: k hits come back whenever the view holds k rows.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import MissingExtra
from ragjp.types import BoolArray, FloatArray, IntArray


class DenseSearch(Protocol):
    """Finds the rows nearest to a query under a view."""

    def search(self, query: FloatArray, allowed: BoolArray, k: int) -> tuple[IntArray, FloatArray]:
        """Best k allowed rows of one query.

        Parameters
        ----------
        query
            (D,) float32 of length 1.
        allowed
            (N,) bool.

        Returns
        -------
        rows (K,) int64 and scores (K,) float32, K = min(k, allowed rows), best first, ties by row.
        """
        ...


class NumpyFlat:
    """The oracle: one matrix product, then a sort by (score, row).

    Parameters
    ----------
    vectors
        (N, D) float16 or float32.
    """

    def __init__(self, vectors: NDArray[Any]) -> None:
        self._vectors = vectors.astype(np.float32)

    def search(self, query: FloatArray, allowed: BoolArray, k: int) -> tuple[IntArray, FloatArray]:
        """See :class:`DenseSearch`."""
        rows = np.flatnonzero(allowed)
        scores = self._vectors[rows] @ query
        order = np.lexsort((rows, -scores))[:k]
        return rows[order].astype(np.int64), scores[order].astype(np.float32)


class FaissFlat:
    """FAISS's flat index with the view as an id selector; its scores agree with the oracle's to 1e-5.

    Parameters
    ----------
    vectors
        (N, D) float16 or float32.
    """

    def __init__(self, vectors: NDArray[Any]) -> None:
        try:
            import faiss
        except ImportError as error:
            raise MissingExtra(
                "faiss が入っていません。pip install 'ragjp[cpu]' で入れてください。",
                code="missing_faiss",
            ) from error
        self._faiss = faiss
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        for start in range(0, len(vectors), 65536):
            self._index.add(np.ascontiguousarray(vectors[start : start + 65536], dtype=np.float32))

    def search(self, query: FloatArray, allowed: BoolArray, k: int) -> tuple[IntArray, FloatArray]:
        """See :class:`DenseSearch`."""
        n_allowed = int(np.count_nonzero(allowed))
        if not n_allowed or k <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # One query cannot be shared out over threads; waking and spinning them costs ten times the search, and the encoder's
        # threads wait for the cores meanwhile. The setting is the calling thread's own.
        self._faiss.omp_set_num_threads(1)
        # One more than asked, so that a tie across the border is seen and broken by row, not by FAISS's heap.
        wanted = min(k + 1, n_allowed)
        parameters = None
        if n_allowed < len(allowed):
            bits = np.packbits(allowed, bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bits)
            parameters = self._faiss.SearchParameters(sel=selector)
        while True:
            found, ids = self._index.search(
                query[None, :].astype(np.float32), wanted, params=parameters
            )
            scores, rows = found[0], ids[0].astype(np.int64)
            border_is_clear = wanted == n_allowed or scores[-1] < scores[min(k, wanted) - 1]
            if border_is_clear:
                break
            wanted = min(wanted * 2, n_allowed)
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]


def make_dense_search(vectors: NDArray[Any]) -> tuple[DenseSearch, str]:
    """Take FAISS where it is installed, the oracle otherwise; with a sentence that says which and why."""
    try:
        return FaissFlat(vectors), "faiss flat on CPU"
    except MissingExtra as missing:
        return NumpyFlat(vectors), f"numpy: {missing.sentence}"
