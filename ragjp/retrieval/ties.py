"""Equal scores, ordered by chunk id: what a search answers must not depend on where a row happens to lie in the index.

An updated index holds its rows in another order than one built afresh; both answer alike, ids and scores, because ties never go by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ragjp.types import FloatArray, IntArray

#: Rows → their chunk ids. Costs a look into the catalog, so only tied rows are asked about.
TieKeys = Callable[[Sequence[int]], Sequence[str]]


def best_first(scores: FloatArray, rows: IntArray, keys: TieKeys) -> IntArray:
    """Places (C,) of the scores (C,), highest first, ties by chunk id.

    >>> best_first(np.float32([1, 3, 1]), np.array([7, 8, 9]), lambda rows: [f"c{9 - row}" for row in rows]).tolist()
    [1, 2, 0]
    """
    order = np.argsort(-scores, kind="stable").astype(np.int64)
    ranked = scores[order]
    same = np.flatnonzero(ranked[1:] == ranked[:-1])
    if not len(same):
        return order
    # Runs of equal scores: consecutive numbers in `same` belong to one run.
    for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):
        span = slice(int(run[0]), int(run[-1]) + 2)
        places = order[span]
        named = keys(rows[places].tolist())
        order[span] = places[sorted(range(len(places)), key=named.__getitem__)]
    return order


def cut(rows: IntArray, scores: FloatArray, k: int, keys: TieKeys) -> tuple[IntArray, FloatArray]:
    """Keep k of the rows that a search returned best first, with all that tie with the k-th: those with the lowest chunk ids."""
    if len(rows) <= k:
        return rows, scores
    border = int(np.count_nonzero(scores > scores[k - 1]))
    tied = rows[border:][scores[border:] == scores[k - 1]]
    named = keys(tied.tolist())
    chosen = tied[sorted(range(len(tied)), key=named.__getitem__)][: k - border]
    kept = np.concatenate([rows[:border], chosen])
    return kept, scores[:k]
