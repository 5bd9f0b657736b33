"""Timing in turn: every contestant answers the first question, then every one the second, the order moving on each time.

What else the machine does then falls on all of them alike, and no one always comes second to a cache that another has warmed.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Question = TypeVar("Question")
Times = NDArray[np.float64]


def interleaved(
    contestants: Mapping[str, Callable[[Question], object]],
    questions: Sequence[Question],
    *,
    rounds: int = 3,
) -> dict[str, Times]:
    """Time every contestant on every question.

    Parameters
    ----------
    rounds
        How often the whole is gone through.

    Returns
    -------
    For each contestant (len(questions),) milliseconds: the median over the rounds, question by question.
    """
    names = list(contestants)
    times = {name: np.empty((rounds, len(questions))) for name in names}
    with without_collector():
        for turn in range(rounds):
            for place, question in enumerate(questions):
                start = (turn + place) % len(names)
                for name in (*names[start:], *names[:start]):
                    times[name][turn, place] = milliseconds(contestants[name], question)
    return {name: np.median(each, axis=0) for name, each in times.items()}


def milliseconds(call: Callable[[Question], object], question: Question) -> float:
    """Wall-clock milliseconds of one call."""
    started = time.perf_counter()
    call(question)
    return (time.perf_counter() - started) * 1000


def summary(times: Sequence[float] | Times) -> dict[str, float]:
    """Median, 95th percentile and mean.

    >>> summary([1.0, 2.0, 9.0])
    {'p50': 2.0, 'p95': 8.3, 'mean': 4.0, 'n': 3}
    """
    values = np.asarray(times, dtype=np.float64)
    p50, p95 = np.percentile(values, [50, 95])
    return {
        "p50": round(float(p50), 4),
        "p95": round(float(p95), 4),
        "mean": round(float(values.mean()), 4),
        "n": len(values),
    }


def summaries(times: Mapping[str, Times]) -> dict[str, dict[str, float]]:
    """:func:`summary` of each contestant."""
    return {name: summary(each) for name, each in times.items()}


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python's garbage collector out of a measurement, for all contestants alike."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def settle() -> None:
    """Wait for what goes on behind the first answers: kernels being loaded, files being verified."""
    for thread in threading.enumerate():
        if thread.name.startswith(("load ", "ragjp-verify")):
            thread.join()


def rounded(value: Any, digits: int = 4) -> Any:  # noqa: ANN401 - any plain value of a report
    """Round the floats inside plain values."""
    if isinstance(value, float | np.floating):
        return round(float(value), digits)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Mapping):
        return {key: rounded(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return value
