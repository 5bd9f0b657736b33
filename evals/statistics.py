"""What is chance and what is not: a paired test, its correction over a table, and intervals. All of it seeded.

Everything is about N questions that were asked in two ways, or once: the questions are the sample, and no figure is called
better or worse than another unless the test says so after the correction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Verdict = Literal["better", "worse", "even"]

#: Random sign assignments of a test, and resamples of an interval.
ROUNDS: Final = 10_000
#: What p after the correction must stay below before a table may say better or worse.
ALPHA: Final = 0.05
_SEED: Final = 20231
_BLOCK: Final = 500
#: Up to so many questions that differ, every sign assignment is tried: no more than :data:`ROUNDS` of them.
_ENUMERATED: Final = 13


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a mean lies with 95 % confidence, were the questions drawn anew."""

    low: float
    high: float


#: Of what nothing is known.
NO_INTERVAL: Final = Interval(float("nan"), float("nan"))


def differences(better: Mapping[str, float], worse: Mapping[str, float]) -> Scores:
    """Subtract question by question; (N,) float64 in the order of the question ids.

    Both sides hold the same questions, those that are judged.
    """
    return np.array([better[query_id] - worse[query_id] for query_id in sorted(better)])


def paired_randomization(paired: Scores, *, rounds: int = ROUNDS, seed: int = _SEED) -> float:
    """Two-sided p value of a paired randomisation test of the mean difference.

    If two systems were one, each question's difference would be as likely to have the other sign: p is the share of random
    sign assignments whose mean is at least as far from 0 as the one observed, the observed one counted in
    (Smucker, Allan and Carterette, A comparison of statistical significance tests for IR evaluation, CIKM 2007).
    Where no more than 13 questions differ, all assignments are tried and p is exact.

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
    total = float(moving.sum())
    observed = abs(total) - 1e-12 * float(np.abs(moving).sum())  # ties must not hang on rounding
    exact = moving.size <= _ENUMERATED
    blocks = _every_choice(moving.size) if exact else _random_choices(moving.size, rounds, seed)
    as_far = sum(int((np.abs(2 * (kept @ moving) - total) >= observed).sum()) for kept in blocks)
    return as_far / 2**moving.size if exact else (as_far + 1) / (rounds + 1)


def _every_choice(n: int) -> Iterator[Scores]:
    """All 2^n choices of which of n differences keep their sign, as one (2^n, n) array of 0 and 1."""
    yield (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.float64)


def _random_choices(n: int, rounds: int, seed: int) -> Iterator[Scores]:
    """Random choices as arrays of (up to 500, n)."""
    rng = np.random.default_rng(seed)
    for start in range(0, rounds, _BLOCK):
        count = min(_BLOCK, rounds - start)
        packed = np.frombuffer(rng.bytes(count * (-(-n // 8))), dtype=np.uint8).reshape(count, -1)
        yield np.unpackbits(packed, axis=1, count=n).astype(np.float64)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct the p values of one table for their number, in the order given.

    The smallest is multiplied by how many there are, the next by one less, and so on, and none falls below a smaller one's;
    whatever the tests have to do with each other, the chance of any false claim stays below the level
    (Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979).

    >>> [round(p, 10) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = highest
    return tuple(adjusted)


def verdict_of(difference: float, p_holm: float) -> Verdict:
    """Say what a table may say: better or worse only where the corrected p is below 0.05.

    >>> verdict_of(0.02, 0.04), verdict_of(-0.02, 0.04), verdict_of(0.02, 0.05)
    ('better', 'worse', 'even')
    """
    if p_holm >= ALPHA or difference == 0.0:
        return "even"
    return "better" if difference > 0 else "worse"


def intervals(
    values: Scores, *, rounds: int = ROUNDS, seed: int = _SEED, level: float = 0.95
) -> tuple[Interval, ...]:
    """Bootstrap intervals (BCa) of the means of M columns over the same N questions.

    Questions are drawn with replacement, the same ones for every column. The percentiles are corrected for the bias and the
    skew of the mean (BCa; Efron, Better bootstrap confidence intervals, JASA 82, 1987): measures that are 1 for most
    questions are as skewed as can be. A column whose values are all equal has no width, which says that nothing varied, and not
    that nothing could.

    Parameters
    ----------
    values
        (N, M) float64: scores, or paired differences.

    Returns
    -------
    tuple of Interval
        M of them; NaN where N is 0.
    """
    n, m = len(values), int(values.shape[1])
    if n == 0:
        return (NO_INTERVAL,) * m
    rng = np.random.default_rng(seed)
    drawn = np.empty((rounds, m))
    for start in range(0, rounds, _BLOCK):
        size = min(_BLOCK, rounds - start)
        picked = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(picked.ravel(), minlength=size * n).reshape(size, n)
        drawn[start : start + size] = counts @ values / n
    return tuple(_bca(values[:, column], np.sort(drawn[:, column]), level) for column in range(m))


def interval(values: Scores, *, rounds: int = ROUNDS, seed: int = _SEED) -> Interval:
    """The interval of one mean; ``values`` (N,). See :func:`intervals`."""
    return intervals(values[:, None], rounds=rounds, seed=seed)[0]


def _bca(values: Scores, drawn: Scores, level: float) -> Interval:
    """BCa interval of the mean of (N,) values from its sorted resampled means (rounds,)."""
    centred = values - values.mean()
    spread = float((centred**2).sum())
    if spread <= 1e-18 * len(values):
        return Interval(float(values.mean()), float(values.mean()))
    normal = NormalDist()
    observed = values.mean()
    slack = 1e-9 * np.sqrt(spread)  # means that are equal but for rounding count half
    below = np.searchsorted(drawn, observed - slack) + np.searchsorted(drawn, observed + slack)
    share = min(max(below / (2 * len(drawn)), 0.5 / len(drawn)), 1 - 0.5 / len(drawn))
    bias = normal.inv_cdf(float(share))
    skew = float((centred**3).sum()) / (6 * spread**1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        moved = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + moved / max(1 - skew * moved, 1e-6)))
    low, high = np.quantile(drawn, ends)
    return Interval(float(low), float(high))
