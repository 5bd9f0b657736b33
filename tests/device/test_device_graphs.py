"""Which graph serves which search, over a capturer played by hand."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from scripted import CALM

from ragjp.device.graphs import BUCKETS, GraphKey, GraphShelf
from ragjp.errors import DeviceMemoryFull, DeviceUnavailable


class Capturer:
    """Graphs are their keys; ``error`` is raised instead, ``room`` graphs fit."""

    def __init__(self) -> None:
        self.alive: list[GraphKey] = []
        self.captured = 0
        self.room = 99
        self.error: Exception | None = None

    def capture(self, key: GraphKey) -> GraphKey:
        if self.error is not None:
            raise self.error
        if len(self.alive) >= self.room:
            raise DeviceMemoryFull("満杯です。")
        self.captured += 1
        self.alive.append(key)
        return key

    def release(self, graph: GraphKey) -> None:
        self.alive.remove(graph)


def _key(epoch: int = 1, n: int = 100, k: int = 10) -> GraphKey:
    key = GraphKey.of(epoch, n, 20, k)
    assert key is not None
    return key


@CALM
@given(n=st.integers(0, 5000), tokens=st.integers(0, 200))
def test_a_bucket_has_room_and_is_the_smallest_that_has(n: int, tokens: int) -> None:
    """A graph replayed over more candidates than its grid covers: the last are never scored."""
    key = GraphKey.of(1, n, tokens, 10)
    if n > BUCKETS[-1]:
        assert key is None
        return
    assert key is not None
    assert n <= key.n_candidates
    assert not any(n <= smaller < key.n_candidates for smaller in BUCKETS)
    assert tokens <= key.n_query_tokens
    assert key.n_query_tokens % 32 == 0
    assert key.n_query_tokens - tokens <= 32


def test_the_second_search_captures_and_the_third_replays() -> None:
    """Captured before the kernels are loaded, which capture does not allow; or captured each time."""
    capturer = Capturer()
    shelf = GraphShelf(capturer)
    assert shelf.graph(_key()) is None
    assert shelf.graph(_key(n=90)) == _key()
    assert shelf.graph(_key(n=128)) == _key()
    assert capturer.captured == 1
    assert shelf.graph(_key(n=129)) is None
    assert shelf.graph(None) is None


def test_graphs_go_when_their_buffers_do() -> None:
    """A replay over buffers that were given back: answers from freed memory."""
    capturer = Capturer()
    shelf = GraphShelf(capturer)
    for key in (_key(1), _key(1, 300), _key(2)):
        shelf.graph(key)
        shelf.graph(key)
    shelf.drop(1)
    assert capturer.alive == [_key(2)]
    assert shelf.graph(_key(1)) is None  # to be warmed and captured again
    assert shelf.graph(_key(2)) == _key(2)
    shelf.clear()
    assert capturer.alive == []
    assert len(shelf) == 0


def test_the_one_not_used_for_longest_makes_room() -> None:
    """Graphs without bound; or the busiest thrown out."""
    capturer = Capturer()
    shelf = GraphShelf(capturer, most=2)
    for k in (1, 2):
        shelf.graph(_key(k=k))
        shelf.graph(_key(k=k))
    shelf.graph(_key(k=1))
    shelf.graph(_key(k=3))
    shelf.graph(_key(k=3))
    assert sorted(key.k for key in capturer.alive) == [1, 3]


def test_a_full_card_gives_up_older_graphs_and_then_does_without() -> None:
    """A search that fails because it could not be made faster."""
    capturer = Capturer()
    shelf = GraphShelf(capturer)
    for k in (1, 2):
        shelf.graph(_key(k=k))
        shelf.graph(_key(k=k))
    capturer.room = 1
    shelf.graph(_key(k=3))
    assert shelf.graph(_key(k=3)) == _key(k=3)
    assert [key.k for key in capturer.alive] == [3]
    capturer.room = 0
    shelf.graph(_key(k=4))
    assert shelf.graph(_key(k=4)) is None
    assert "満杯" in shelf.why_not()
    assert capturer.alive == []


def test_what_cannot_be_captured_is_not_tried_again_until_the_buffers_move() -> None:
    """A capture that fails at each search, which costs more than it could save."""
    capturer = Capturer()
    shelf = GraphShelf(capturer)
    capturer.error = RuntimeError("no capture here")
    assert [shelf.graph(_key()) for _ in range(3)] == [None] * 3
    assert "no capture here" in shelf.why_not()
    assert "128" in shelf.why_not()
    capturer.error = None
    assert shelf.graph(_key()) is None
    shelf.drop(1)
    assert shelf.why_not() == ""
    shelf.graph(_key())
    assert shelf.graph(_key()) == _key()


def test_a_lost_card_is_not_a_graph_refused() -> None:
    """The owner goes on with a card that is gone."""
    capturer = Capturer()
    shelf = GraphShelf(capturer)
    shelf.graph(_key())
    capturer.error = DeviceUnavailable("失われました。")
    with pytest.raises(DeviceUnavailable):
        shelf.graph(_key())
