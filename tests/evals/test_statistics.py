"""The arithmetic of chance, held to full enumeration, to a worked example, and to what it promises of many repetitions."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.statistics import (
    ALPHA,
    differences,
    holm,
    interval,
    intervals,
    paired_randomization,
    verdict_of,
)


def enumerated(paired: np.ndarray) -> float:
    """Count by hand over every assignment of signs, to integers so that no sum is rounded."""
    whole = [round(value * 1000) for value in paired if value]
    sums = [
        abs(sum(s * v for s, v in zip(signs, whole, strict=True)))
        for signs in product((1, -1), repeat=len(whole))
    ]
    return sum(one >= abs(sum(whole)) for one in sums) / len(sums)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=11))
def test_p_of_few_questions_is_that_of_every_assignment(values: list[int]) -> None:
    """Guards against a p that depends on luck where none is needed, and against one that counts zeros as evidence."""
    paired = np.array(values) / 1000
    assert paired_randomization(paired) == pytest.approx(enumerated(paired), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_sampled_p_is_near_the_enumerated_one(seed: int) -> None:
    """Guards against a sampler that is not a coin: more questions than are enumerated, few enough to enumerate here."""
    paired = np.round(np.random.default_rng(seed).normal(0.2, 0.5, size=15), 3)
    exact = enumerated(paired)
    error = 4 * np.sqrt(exact * (1 - exact) / 10_000) + 2e-4
    assert paired_randomization(paired) == pytest.approx(exact, abs=error)


def test_p_does_not_hang_on_the_sign_or_on_questions_that_do_not_differ() -> None:
    """Guards against a one-sided test, and against a p that falls as unmoved questions are added."""
    paired = np.random.default_rng(3).normal(0.05, 0.3, size=80)
    p = paired_randomization(paired)
    assert p == paired_randomization(-paired)
    assert p == paired_randomization(np.concatenate([paired, np.zeros(500)]))
    assert paired_randomization(np.zeros(40)) == 1.0


def test_p_is_uniform_when_nothing_differs() -> None:
    """Guards against a test that cries wolf: over 400 null cases p is below each level about that often."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(400):
        one, other = rng.beta(4, 1, size=(2, 60)) > 0.6, rng.beta(4, 1, size=(2, 60))
        paired = (one[0] * other[0]) - (one[1] * other[1])
        found.append(paired_randomization(paired, rounds=1000))
    ordered = np.sort(found)
    distance = np.abs(ordered - (np.arange(400) + 0.5) / 400).max()
    assert distance < 1.63 / np.sqrt(400)  # Kolmogorov's 1 %
    assert abs(np.mean(ordered < ALPHA) - ALPHA) < 0.033  # three standard errors


def test_holm_is_the_worked_example() -> None:
    """Guards against Bonferroni, and against corrected values that cross: four hypotheses, worked by hand.

    Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, and the last is lifted to .06.
    """
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == ()
    assert holm([0.7, 0.9]) == (1.0, 1.0)
    assert holm([0.02]) == (0.02,)


@given(st.lists(st.floats(1e-5, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_helps(p_values: list[float]) -> None:
    """Guards against a correction that makes anything more significant, or reorders."""
    adjusted = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    by_before = [adjusted[place] for place in np.argsort(p_values, kind="stable")]
    assert by_before == sorted(by_before)
    assert max(adjusted) <= 1.0


def test_holm_bounds_any_false_claim_over_a_table() -> None:
    """Guards against tables that call chance an improvement: twelve true nulls on the same questions, 500 tables."""
    rng = np.random.default_rng(5)
    claims = 0
    for _ in range(500):
        shared = rng.normal(size=(1, 40))  # the columns have to do with each other, as measures do
        table = 0.7 * shared * rng.choice([-1, 1], size=(1, 40)) + rng.normal(size=(12, 40))
        adjusted = holm([paired_randomization(row, rounds=500) for row in table])
        claims += min(adjusted) < ALPHA
    assert claims / 500 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Guards against intervals that are too narrow: scores like nDCG, 1 for most questions and spread out for the rest."""
    rng = np.random.default_rng(7)
    truth = 0.85 + 0.15 * 0.5

    def covered() -> bool:
        values = np.where(rng.random(120) < 0.85, 1.0, rng.random(120))
        found = interval(values, rounds=600)
        return found.low <= truth <= found.high

    rate = np.mean([covered() for _ in range(500)])
    assert 0.92 <= rate <= 0.98


def test_the_interval_of_a_difference_agrees_with_the_test() -> None:
    """Guards against a table that says better while its interval holds 0 comfortably."""
    rng = np.random.default_rng(9)
    clear, none = rng.normal(0.1, 0.2, 200), rng.normal(0.0, 0.2, 200)
    assert interval(clear).low > 0
    assert interval(none - none.mean()).low < 0 < interval(none - none.mean()).high


def test_columns_are_resampled_together_and_alike() -> None:
    """Guards against intervals that change with what else stands in the table, or from run to run."""
    values = np.random.default_rng(1).random((50, 3))
    together = intervals(values, rounds=500)
    assert together == intervals(values, rounds=500)
    for column, found in zip(values.T, together, strict=True):
        alone = interval(column, rounds=500)
        assert (alone.low, alone.high) == pytest.approx((found.low, found.high), abs=1e-12)
    constant = interval(np.ones(30))
    assert (constant.low, constant.high) == (1.0, 1.0)
    assert np.isnan(interval(np.zeros(0)).low)


def test_nothing_is_called_better_without_the_corrected_p() -> None:
    """Guards against the word in a table where the figure alone is higher."""
    assert verdict_of(0.5, 0.05) == "even"
    assert verdict_of(0.5, 0.049) == "better"
    assert verdict_of(-0.5, 0.049) == "worse"
    assert verdict_of(0.0, 0.001) == "even"
    assert differences({"a": 1.0, "b": 0.5}, {"b": 0.25, "a": 0.0}).tolist() == [1.0, 0.25]
