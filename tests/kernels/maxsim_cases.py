"""Documents and queries that MaxSim's kernels are tried on, and the scores in float64: shared by the CPU's lanes and a real card."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragjp.types import FloatArray, IntArray

#: Around the sizes of a tile, a unit and a block's share, and of a usual chunk.
LENGTHS = (0, 1, 7, 8, 9, 31, 32, 33, 64, 65, 180)
Rng = np.random.Generator


def corpus(rng: Rng, width: int, lengths: list[int]) -> tuple[FloatArray, IntArray]:
    """Token rows of length 1, some twice: ties are part of the test."""
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    rows = rng.standard_normal((int(offsets[-1]), width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if len(rows) > 4:
        rows[rng.integers(0, len(rows), len(rows) // 4)] = rows[0]
    return rows, offsets


def weighted(rng: Rng, n_tokens: int, width: int) -> FloatArray:
    """Query tokens of very different lengths, one of them 0."""
    query = rng.standard_normal((n_tokens, width)) * 10.0 ** rng.uniform(-3, 2, (n_tokens, 1))
    query[rng.integers(n_tokens)] *= rng.integers(0, 2)
    return query.astype(np.float32)


def in_float64(
    query: NDArray[np.floating], rows: NDArray[np.floating], offsets: IntArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scores by the formula, and the same with every product's size: what rounding may add is a share of it."""
    scores, sizes = np.zeros((2, len(offsets) - 1))
    left = query.astype(np.float64)
    for number in range(len(scores)):
        right = rows[offsets[number] : offsets[number + 1]].astype(np.float64).T
        if right.size:
            scores[number] = (left @ right).max(axis=1).mean()
            sizes[number] = (np.abs(left) @ np.abs(right)).max(axis=1).mean()
    return scores, sizes


def rounded(query: FloatArray) -> NDArray[np.float64]:
    """The query as halves of its tokens' powers of two."""
    greatest = np.abs(query).max(axis=1, keepdims=True)
    scale = 2.0 ** np.ceil(np.log2(np.where(greatest > 0, greatest, 1)) + 1e-9)
    return (query / scale).astype(np.float16).astype(np.float64) * scale
