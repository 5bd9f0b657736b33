"""Lists: a large segment's rows grouped by nearest centroid, so that a search may read a part of them instead of all.

The records of codes lie in list order, so that a list is read in one run, and their number does not grow: what lists cost is four
bytes a row and the centroids. faiss finds the centroids when they are built (k-means); nothing here needs it to search, and no file
of faiss is ever parsed. Within the lists that are read a search is as exact as one without lists, scores included.

How many rows to read was measured, not derived: of 100 thousand to a million rows blended from encoder vectors, for k of 10 and 100
and random views of 5 to 100 %, the lists nearest to the query held 95 % of the k best once they held 10 · √(k · n) of the n rows that
the view allows. The factor was fitted to the questions it was measured with; other corpora may need another. Counted are allowed
rows: a view that has nothing near the query makes the search go further by itself.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ragjp.types import FloatArray, IntArray

Setting = Literal["auto", "exact", "approximate"]

#: Segments of fewer rows are searched exactly unless the recipe prefers speed: some 50 ms, by 25 at a million.
AUTO_ROWS = 2_000_000
#: The same when it does: with fewer, a search for 100 rows would read half of them (see :func:`rows_to_see`).
MIN_ROWS = 40_000
_NEVER = 2**62
_ROWS_PER_ROOT = 10.0
#: The border of a short result is as hard to hit as that of this many rows.
_LEAST_K = 50
#: When so large a share of the allowed rows would be read, all are: no faster otherwise, and exact.
_GREATEST_SHARE = 0.5
_SAMPLE_PER_LIST = 40
_ITERATIONS = 5
_SEED = 1
_BLOCK_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class Lists:
    """The L lists of one segment's n rows.

    order : (n,) int32, the rows, list after list. offsets : (L + 1,) int64, where in ``order`` each begins. centroids : (L, D) float32,
    less the mean of all rows.
    """

    order: NDArray[np.int32]
    offsets: NDArray[np.int64]
    centroids: FloatArray

    def ranges(self, query: NDArray[np.float64]) -> IntArray:
        """(L, 2) int64, begin and end in ``order`` of every list, the most promising for a query (D,) first."""
        nearest = np.argsort(-(self.centroids @ query.astype(np.float32)), kind="stable")
        return np.stack([self.offsets[nearest], self.offsets[nearest + 1]], axis=1)

    def is_sound(self) -> bool:
        """Whether every row is in one list: the kernels read where they are told to."""
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.order):
            return False
        if (np.diff(self.offsets) < 0).any():
            return False
        if self.order.min(initial=0) < 0 or self.order.max(initial=0) >= max(len(self.order), 1):
            return False
        return bool((np.bincount(self.order, minlength=len(self.order)) == 1).all())


def lists_from(setting: Setting) -> int:
    """Rows from which a segment has lists and a search of it uses them.

    >>> lists_from("auto"), lists_from("approximate")
    (2000000, 40000)
    """
    return {"auto": AUTO_ROWS, "approximate": MIN_ROWS, "exact": _NEVER}[setting]


def dense_setting(recipe: str) -> Setting:
    """``retrieval.dense`` of a recipe as an index keeps it (JSON); ``auto`` when it says nothing that can be understood.

    >>> dense_setting('{"retrieval": {"dense": "exact"}}'), dense_setting("")
    ('exact', 'auto')
    """
    try:
        found = json.loads(recipe)["retrieval"]["dense"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "auto"
    return found if found in get_args(Setting) else "auto"


def n_lists(n_rows: int) -> int:
    """Lists of a segment: 2 · √n, so that choosing lists costs a fraction of reading them."""
    return max(1, min(n_rows, int(2 * math.sqrt(n_rows))))


def rows_to_see(n_allowed: int, k: int) -> int | None:
    """Allowed rows of a segment to read for its k best; None when the exact search is no slower.

    >>> rows_to_see(1_000_000, 100), rows_to_see(30_000, 100)
    (100000, None)
    """
    wanted = math.ceil(_ROWS_PER_ROOT * math.sqrt(max(k, _LEAST_K) * n_allowed))
    return wanted if k <= wanted < _GREATEST_SHARE * n_allowed else None


def make_lists(vectors: NDArray[np.float16], mean: NDArray[np.float64]) -> Lists:
    """Group (n, D) rows by the nearest of 2 · √n centroids, which a sample of the rows decides.

    Raises
    ------
    ImportError
        When faiss is not installed.
    """
    import faiss

    n_rows, width = vectors.shape
    count = n_lists(n_rows)
    middle = mean.astype(np.float32)
    size = min(n_rows, count * _SAMPLE_PER_LIST)
    chosen = np.sort(np.random.default_rng(_SEED).choice(n_rows, size, replace=False))
    # All the points given: which of them count was decided here.
    means = faiss.Kmeans(
        width,
        count,
        niter=_ITERATIONS,
        seed=_SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=_SAMPLE_PER_LIST + 1,
    )
    means.train(vectors[chosen].astype(np.float32) - middle)
    centroids = np.ascontiguousarray(means.centroids, np.float32).reshape(count, width)
    nearest = faiss.IndexFlatL2(width)
    nearest.add(centroids)
    owners = np.empty(n_rows, np.int64)
    for begin in range(0, n_rows, _BLOCK_ROWS):
        block = vectors[begin : begin + _BLOCK_ROWS].astype(np.float32) - middle
        owners[begin : begin + len(block)] = nearest.search(block, 1)[1][:, 0]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))])
    order = np.argsort(owners, kind="stable").astype(np.int32)
    return Lists(order, offsets.astype(np.int64), centroids)
