"""Maximal marginal relevance (Carbonell and Goldstein 1998): an order that does not say the same thing twice.

Greedy: the next document maximises ``lambda * relevance - (1 - lambda) * (greatest similarity to those already taken)``.
"""

from __future__ import annotations

import numpy as np

from ragjp.types import FloatArray, IntArray


def mmr_order(relevance: FloatArray, vectors: FloatArray, trade_off: float, k: int) -> IntArray:
    """Choose k documents.

    Parameters
    ----------
    relevance
        (N,) float32 in [0, 1], in the order in which ties are broken.
    vectors
        (N, D) float32, rows of length 1.
    trade_off
        Lambda: 1.0 orders by relevance alone.

    Returns
    -------
    (min(k, N),) int64, places in ``relevance``, first chosen first.
    """
    chosen: list[int] = []
    left = np.ones(len(relevance), dtype=bool)
    nearest = np.zeros(len(relevance), dtype=np.float32)
    for _ in range(min(k, len(relevance))):
        gain = np.where(left, trade_off * relevance - (1 - trade_off) * nearest, -np.inf)
        best = int(np.argmax(gain))
        chosen.append(best)
        left[best] = False
        similarity = vectors @ vectors[best]
        nearest = similarity if len(chosen) == 1 else np.maximum(nearest, similarity)
    return np.array(chosen, dtype=np.int64)
