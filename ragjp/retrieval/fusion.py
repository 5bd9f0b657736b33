"""Score fusion: each ranking's scores are brought to [0, 1] over the candidates, then summed with fitted weights.

Reciprocal ranks throw the scores away, and on Japanese passages that costs more than the second ranking brings (``docs/LOG.md``).
"""

from __future__ import annotations

import numpy as np

from ragjp.types import FloatArray


def normalise(scores: FloatArray) -> FloatArray:
    """Shift and scale (N,) scores to [0, 1] over the candidates; all 0 when they are all equal."""
    if not len(scores):
        return scores.astype(np.float32)
    low, high = float(scores.min()), float(scores.max())
    if high <= low:
        return np.zeros(len(scores), dtype=np.float32)
    return ((scores - low) / (high - low)).astype(np.float32)


def fuse(first: FloatArray, second: FloatArray, second_weight: float) -> FloatArray:
    """Weighted sum of two rankings' normalised scores over the same (N,) candidates.

    Parameters
    ----------
    second_weight
        In [0, 1]; the first ranking has the rest. At 0 and 1 the order is one ranking's own.
    """
    return ((1 - second_weight) * normalise(first) + second_weight * normalise(second)).astype(
        np.float32
    )
