"""The line before the owner: a model beside it, and rules that take every turn."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from scripted import CALM

from ragjp.device.waiting import Request, Waiting

MOST = 6


class Line(RuleBasedStateMachine):
    """Requests come, give up, grow late and are taken; a plain list is the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.waiting: Waiting[int, Any] = Waiting(MOST, max_wait_s=2.0)
        self.model: list[Request[int, Any]] = []
        self.numbers = 0

    @rule(key=st.sampled_from("ab"), patience=st.sampled_from([1.0, 3.0, float("inf")]))
    def offer(self, key: str, patience: float) -> None:
        request: Request[int, Any] = Request(self.numbers, key, self.now, self.now + patience)
        self.numbers += 1
        taken = self.waiting.offer(request)
        assert taken == (len(self.model) < MOST)
        if taken:
            self.model.append(request)

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(place=st.integers(0, MOST))
    def give_up(self, place: int) -> None:
        if place < len(self.model):
            request = self.model.pop(place)
            assert self.waiting.discard(request)
            assert not self.waiting.discard(request)

    @rule(max_batch=st.integers(1, 4), hurry=st.booleans())
    def take(self, max_batch: int, hurry: bool) -> None:
        due = self.waiting.take(self.now, max_batch, hurry=hurry)
        gone = {*due.batch, *due.late}
        assert all(request.deadline <= self.now for request in due.late)
        assert all(request.deadline > self.now for request in due.batch)
        assert gone <= set(self.model)
        on_time = [request for request in self.model if request.deadline > self.now]
        self.model = [request for request in self.model if request not in gone]
        if due.batch:
            oldest = on_time[0]
            like = [request for request in on_time if request.key == oldest.key]
            assert list(due.batch) == like[:max_batch]
            assert hurry or len(gone) >= max_batch or self.now >= oldest.arrived + 2.0
        elif not self.model:
            assert due.wait_s is None or due.late
        elif not due.late:
            # Something waits and nothing is due: the oldest still hopes for company, and the owner is told until when.
            assert not hurry
            assert due.wait_s is not None
            assert 0 < due.wait_s <= 2.0

    @invariant()
    def sizes_agree(self) -> None:
        assert len(self.waiting) == len(self.model)

    def teardown(self) -> None:
        assert self.waiting.clear() == self.model
        assert len(self.waiting) == 0


TestLine = Line.TestCase
TestLine.settings = CALM


def _requests(*keys: str) -> list[Request[int, Any]]:
    return [Request(n, key, 0.0, float("inf")) for n, key in enumerate(keys)]


def test_the_oldest_decides_and_like_ones_join_it() -> None:
    """A stream of one kind keeps the other kind waiting for ever."""
    waiting: Waiting[int, Any] = Waiting(10)
    for request in _requests(*"abaab"):
        waiting.offer(request)
    assert [r.task for r in waiting.take(0.0, 8).batch] == [0, 2, 3]
    assert [r.task for r in waiting.take(0.0, 8).batch] == [1, 4]


def test_company_is_waited_for_only_so_long_and_not_by_a_full_batch() -> None:
    """A lone question that waits for ever, or a full batch that waits at all."""
    waiting: Waiting[int, Any] = Waiting(10, max_wait_s=2.0)
    first, second = _requests("a", "a")
    waiting.offer(first)
    assert waiting.take(0.5, 2).wait_s == 1.5
    assert [r.task for r in waiting.take(2.0, 2).batch] == [0]
    waiting.offer(first)
    waiting.offer(second)
    assert len(waiting.take(0.0, 2).batch) == 2


def test_a_place_given_up_is_free_at_once() -> None:
    """A line full of people who have left."""
    waiting: Waiting[int, Any] = Waiting(1)
    first, second = _requests("a", "a")
    assert waiting.offer(first)
    assert not waiting.offer(second)
    waiting.discard(first)
    assert waiting.offer(second)
