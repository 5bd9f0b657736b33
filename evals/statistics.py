"""What is chance and what is not: one paired test, seeded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10_000
_BLOCK = 500


def differences(better: Mapping[str, float], worse: Mapping[str, float]) -> NDArray[np.float64]:
    """Subtract question by question; (N,) float64 in the order of the question ids.

    Both sides hold the same questions, those that are judged.
    """
    return np.array([better[query_id] - worse[query_id] for query_id in sorted(better)])


def paired_randomization(paired: NDArray[np.float64], *, rounds: int = ROUNDS) -> float:
    """Two-sided p value of a paired randomisation test of the mean difference.

    If two systems were one, each question's difference would be as likely to have the other sign: p is the share of random
    sign assignments whose mean is at least as far from 0 as the one observed, the observed one counted in
    (Smucker, Allan and Carterette, A comparison of statistical significance tests for IR evaluation, CIKM 2007).

    Parameters
    ----------
    paired
        (N,) float64, differences question by question.
    rounds
        Random sign assignments; the seed is fixed, so that the same differences give the same p.

    Returns
    -------
    float
        In (0, 1]; 1.0 when no question differs.
    """
    moving = paired[paired != 0.0]
    if moving.size == 0:
        return 1.0
    observed = abs(moving.sum()) * (1.0 - 1e-12)  # a tie of two sums must not hang on rounding
    rng = np.random.default_rng(20231)
    as_far = 0
    for start in range(0, rounds, _BLOCK):
        signs = rng.integers(0, 2, size=(min(_BLOCK, rounds - start), moving.size), dtype=np.int8)
        as_far += int((np.abs((2 * signs - 1) @ moving) >= observed).sum())
    return (as_far + 1) / (rounds + 1)
