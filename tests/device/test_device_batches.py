"""One batch, many askers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import CALM

from ragjp.device.batches import BatchLimit, run_apart
from ragjp.errors import DeviceMemoryFull, DeviceUnavailable


@CALM
@given(
    tasks=st.lists(st.integers(0, 99), min_size=1, max_size=40),
    bad=st.sets(st.integers(0, 99), max_size=5),
    room=st.integers(1, 40),
)
def test_each_gets_what_it_would_get_alone(tasks: list[int], bad: set[int], room: int) -> None:
    """An error, or a lack of memory, that reaches somebody else; results in another order."""
    biggest = 0

    def run(some: Sequence[int]) -> list[int]:
        nonlocal biggest
        if len(some) > room:
            raise DeviceMemoryFull("満杯です。")
        biggest = max(biggest, len(some))
        if wrong := [task for task in some if task in bad]:
            raise ValueError(f"bad task {wrong[0]}")
        return [task * 2 for task in some]

    limit = BatchLimit(64)
    outcomes = run_apart(tasks, run, limit)
    assert len(outcomes) == len(tasks)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if task in bad:
            assert isinstance(outcome, ValueError)
            assert str(outcome) == f"bad task {task}"
        else:
            assert outcome == task * 2
    assert biggest <= room
    assert limit.now == 64 if len(tasks) <= room else limit.now <= len(tasks) // 2


def test_one_that_does_not_fit_alone_ends_in_that_error() -> None:
    """A loop that halves one for ever, or a lack of memory that is taken for success."""

    def run(some: Sequence[int]) -> list[int]:
        raise DeviceMemoryFull("満杯です。")

    outcomes = run_apart([1, 2, 3], run, BatchLimit(4))
    assert [type(outcome) for outcome in outcomes] == [DeviceMemoryFull] * 3


def test_a_lost_card_is_not_tried_again() -> None:
    """64 calls to a card that is gone."""
    calls = []

    def run(some: Sequence[int]) -> list[int]:
        calls.append(some)
        raise DeviceUnavailable("失われました。")

    with pytest.raises(DeviceUnavailable):
        run_apart([1, 2, 3], run, BatchLimit(4))
    assert len(calls) == 1


def test_too_few_results_are_an_error_of_everybody() -> None:
    """Results given to the wrong askers."""
    outcomes = run_apart([1, 2], lambda some: [0] * (len(some) + 1), BatchLimit(4))
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 2


def test_the_limit_comes_back() -> None:
    """One moment without memory that makes every batch small for the life of the process."""
    limit = BatchLimit(8)
    limit.was_too_much(8)
    limit.was_too_much(4)
    assert limit.now == 2
    for _ in range(100):
        limit.went_well(1)  # smaller than allowed: says nothing
    assert limit.now == 2
    for _ in range(100):
        limit.went_well(limit.now)
    assert limit.now == 8
