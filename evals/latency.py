"""How long one question takes: the median and the slow tail, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of wall clock for one question, one at a time. ``stages_ms`` are medians of each stage's own time."""

    p50_ms: float
    p95_ms: float
    stages_ms: Mapping[str, float]


def summarise(times_ms: Sequence[float], stages_ms: Sequence[Mapping[str, float]]) -> Latency:
    """Summarise the times of N questions; 0 when there are none."""
    if not times_ms:
        return Latency(0.0, 0.0, {})
    p50, p95 = np.percentile(np.asarray(times_ms, dtype=np.float64), [50, 95])
    names = list(dict.fromkeys(name for stages in stages_ms for name in stages))
    medians = {
        name: float(np.median([stages.get(name, 0.0) for stages in stages_ms])) for name in names
    }
    return Latency(float(p50), float(p95), medians)
