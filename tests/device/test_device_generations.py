"""Generations on a scripted card: loads that are stepped by hand beside searches that pin, and a card that refuses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scripted import CALM, ScriptedMemory, ScriptedPart, part

from ragjp.device.generations import Generations, Loaded, Pin, Resident
from ragjp.device.ledger import Budget, Ledger
from ragjp.errors import DeviceMemoryFull, DeviceUnavailable

Steps = Generator[bool, None, Any]


class Card:
    """Memory, ledger and generations over it; chores put off are done by hand."""

    def __init__(self, size: int, tokens: int | None = None, pinned: int = 0) -> None:
        self.memory = ScriptedMemory(size)
        tokens = size if tokens is None else tokens
        self.ledger = Ledger(self.memory, Budget(0, size, tokens, pinned))
        self.later: list[Steps] = []
        self.released: list[int] = []
        self.prepared: list[int] = []
        self.error: Exception | None = None
        self.generations: Generations[Any] = Generations(
            self.memory,
            self.ledger,
            self.later.append,
            self.prepare,
            lambda resident: self.released.append(resident.epoch),
            slice_bytes=30,
        )

    def prepare(self, resident: Resident[Any]) -> None:
        """As a path does: whole buffers, and something held over them until the generation goes."""
        assert self.generations.pin(resident.key) is None
        assert all(held.buffer is not None for held in resident.buffers.values())
        self.prepared.append(resident.epoch)
        if self.error is not None:
            raise self.error

    def finish(self, chore: Generator[bool, None, Loaded]) -> Loaded:
        while True:
            try:
                next(chore)
            except StopIteration as done:
                loaded: Loaded = done.value
                return loaded

    def load(self, key: str, *parts: ScriptedPart) -> Loaded:
        return self.finish(self.generations.load(key, parts))

    def holds(self, key: str, *parts: ScriptedPart) -> bool:
        """Whether the generation is there, byte for byte."""
        pin = self.generations.pin(key)
        if pin is None:
            return False
        assert set(pin.resident.buffers) == {each.name for each in parts}
        for each in parts:
            np.testing.assert_array_equal(pin.resident.buffers[each.name].buffer, each.data)
        pin.release()
        return True

    def nothing_leaks(self) -> None:
        self.generations.drop()
        assert self.memory.n_buffers == 0
        assert sum(self.ledger.holdings().values()) == 0


def test_a_new_generation_comes_beside_the_old_one() -> None:
    """Searches without an index while it is sent; a generation that can be seen before it is whole."""
    card = Card(1000)
    a, b = part("a"), part("b")
    assert "まだ" in card.generations.why_not("1")
    assert card.load("1", a).how == "beside"
    assert card.generations.why_not("1") == ""
    chore = card.generations.load("2", [b])
    for _ in range(4):
        next(chore)
        assert card.holds("1", a)
        assert card.generations.pin("2") is None
        assert "送っています" in card.generations.why_not("2")
    loaded = card.finish(chore)
    assert (loaded.how, loaded.sent_bytes) == ("beside", 100)
    assert card.holds("2", b)
    assert card.generations.pin("1") is None
    assert "この検索が読む世代" in card.generations.why_not("1")
    assert card.memory.n_buffers == 1
    card.nothing_leaks()


def test_what_two_generations_share_is_sent_once() -> None:
    """A million vectors sent again for one changed document; or freed with the old generation."""
    card = Card(1000)
    a, b, c = part("a"), part("b"), part("c")
    card.load("1", a, b)
    loaded = card.load("2", a, c)
    assert loaded.sent_bytes == 100
    assert card.holds("2", a, c)
    assert card.memory.n_buffers == 2
    card.nothing_leaks()


def test_a_search_keeps_its_generation_to_the_end() -> None:
    """Buffers given back under a search that reads them."""
    card = Card(1000)
    a, b = part("a"), part("b")
    card.load("1", a)
    first, second = card.generations.pin("1"), card.generations.pin("1")
    assert first is not None
    assert second is not None
    assert card.load("2", b).how == "beside"
    np.testing.assert_array_equal(first.resident.buffers["a"].buffer, a.data)
    first.release()
    first.release()
    assert not card.later
    np.testing.assert_array_equal(second.resident.buffers["a"].buffer, a.data)
    second.release()
    assert list(card.later.pop()) == []
    assert card.memory.n_buffers == 1
    assert card.released == [1]
    card.nothing_leaks()


def test_without_room_for_two_the_old_one_goes_first_and_that_is_said() -> None:
    """An update that never arrives on a full card; or one that takes the buffers of a running search."""
    card = Card(250)
    a, b, shared = part("a"), part("b", n_bytes=120), part("shared")
    card.load("1", a, shared)
    pin = card.generations.pin("1")
    assert pin is not None
    chore = card.generations.load("2", [shared, b])
    assert next(chore) is False  # can only wait: a search still reads the old one
    assert card.generations.pin("1") is None
    assert "先に降ろして" in card.generations.why_not("2")
    np.testing.assert_array_equal(pin.resident.buffers["a"].buffer, a.data)
    pin.release()
    loaded = card.finish(chore)
    assert loaded.how == "replaced"
    assert loaded.sent_bytes == 120  # the shared part stayed
    assert "二世代は入らない" in loaded.sentence
    assert card.holds("2", shared, b)
    card.nothing_leaks()


def test_what_never_fits_is_refused_in_words() -> None:
    """An index too large for the card that keeps being sent, or that is not said."""
    card = Card(250)
    card.load("1", part("a"))
    loaded = card.load("2", part("huge", n_bytes=300))
    assert loaded.how == "refused"
    assert "入りません" in card.generations.why_not("2")
    assert card.memory.n_buffers == 0
    assert card.load("3", part("b")).how == "beside"
    card.nothing_leaks()


def test_files_that_cannot_be_read_are_refused_in_words() -> None:
    """A chore that ends the owner because a segment was swept."""
    card = Card(1000)
    a, b, broken = part("a"), part("b"), part("broken")
    broken.fails = True
    card.load("1", a)
    loaded = card.load("2", a, b, broken)
    assert loaded.how == "refused"
    assert "broken is gone" in card.generations.why_not("2")
    assert card.memory.n_buffers == 1  # b has gone again
    assert card.holds("1", a)
    card.nothing_leaks()


def test_a_generation_is_prepared_before_it_is_handed_out() -> None:
    """The first questions of each process wait until the kernels are compiled; a kernel that does not compile fails them."""
    card = Card(1000)
    a, b = part("a"), part("b")
    card.load("1", a)
    assert card.prepared == [1]
    card.error = RuntimeError("does not compile")
    assert card.load("2", a, b).how == "refused"
    assert "does not compile" in card.generations.why_not("2")
    card.error = DeviceMemoryFull("満杯です。")
    assert card.load("3", a, b).how == "refused"
    assert card.memory.n_buffers == 0  # both ways were tried, so the old one has gone
    card.error = None
    assert card.load("4", a, b).how == "beside"
    card.nothing_leaks()
    assert {*card.prepared} <= {*card.released}


def test_a_lost_card_ends_the_load_and_nothing_is_kept() -> None:
    """A lost card taken for a full one."""
    card = Card(1000)

    def lost(*_: object) -> None:
        raise DeviceUnavailable("失われました。", code="device_lost")

    card.memory.copy = lost  # type: ignore[method-assign]
    with pytest.raises(DeviceUnavailable):
        card.load("1", part("a"))
    assert card.memory.n_buffers == 0
    card.nothing_leaks()


def test_a_superseded_load_is_given_up_and_what_it_sent_is_used() -> None:
    """Updates that come faster than the first one is sent: none would ever arrive."""
    card = Card(1000)
    a, b, c = part("a"), part("b"), part("c")
    first = card.generations.load("1", [a, b])
    for _ in range(5):  # all of a, and a slice of b
        next(first)
    second = card.generations.load("2", [a, c])
    assert card.finish(first).how == "superseded"
    loaded = card.finish(second)
    assert loaded.sent_bytes == 100
    assert card.holds("2", a, c)
    assert card.memory.n_buffers == 2
    card.load("3", c)
    assert card.memory.n_buffers == 1  # and nothing is kept for a load that is over
    card.nothing_leaks()


def test_tokens_spill_beside_the_old_generation_and_come_back_when_it_is_gone() -> None:
    """Tokens that are read over the bus for good because of one moment in which two generations were there."""
    card = Card(250, pinned=300)
    v, old, new = part("v", n_bytes=50), part("old", "tokens"), part("new", "tokens", 120)
    assert card.load("1", v, old).how == "beside"
    pin = card.generations.pin("1")
    assert pin is not None
    chore = card.generations.load("2", [v, new])
    while next(chore):
        pass
    assert card.generations.tiers() == {"v": "device", "new": "pinned"}
    assert card.holds("2", v, new)
    pin.release()
    loaded = card.finish(chore)
    assert loaded.how == "beside"
    assert card.generations.tiers() == {"v": "device", "new": "device"}
    assert card.holds("2", v, new)
    assert card.ledger.holdings()["pinned"] == 0
    assert card.released == [1, 2]
    card.nothing_leaks()


def test_tokens_too_large_for_the_card_stay_outside_and_that_is_said() -> None:
    """A slower search without a word why."""
    card = Card(250, tokens=100, pinned=300)
    v, t = part("v"), part("t", "tokens", 150)
    loaded = card.load("1", v, t)
    assert "1 個" in loaded.sentence
    assert card.generations.tiers() == {"v": "device", "t": "pinned"}
    assert card.holds("1", v, t)
    card.nothing_leaks()


def _plan(card: Card) -> list[str]:
    """An update each way, with a search of every generation after each. Returns how they went."""
    a, b, t = part("a"), part("b"), part("t", "tokens")
    big, tokens = part("big", n_bytes=380), part("tokens", "tokens", 150)
    went = []
    for key, parts in (
        ("1", (a, t)),
        ("2", (a, b, t)),
        ("3", (big,)),
        ("4", (a, b, tokens)),
        ("5", (a, t)),
    ):
        went.append(card.load(key, *parts).how)
        if not card.holds(key, *parts):
            assert went[-1] == "refused"
            assert card.generations.why_not(key)
    card.nothing_leaks()
    return went


@pytest.mark.parametrize("kind", ["one", "from", "pair"])
def test_memory_that_is_refused_at_any_allocation_leaks_nothing(kind: str) -> None:
    """A reservation or a buffer lost on one of the ways out; a generation that is half there."""
    sound = Card(400, pinned=200)
    assert _plan(sound) == ["beside", "beside", "replaced", "replaced", "beside"]
    total = sound.memory.n_allocations
    assert total >= 8
    refusals: list[Callable[[int], bool]] = {
        "one": [lambda n, x=x: n == x for x in range(total)],
        "from": [lambda n, x=x: n >= x for x in range(total)],
        "pair": [lambda n, x=x, y=y: n in (x, y) for x in range(total) for y in range(x)],
    }[kind]  # type: ignore[assignment]
    changed = 0
    for refuse in refusals:
        card = Card(400, pinned=200)
        card.memory.refuse = refuse
        changed += _plan(card) != _plan(Card(400, pinned=200))
    assert changed  # the refusals were felt


class Sharing(RuleBasedStateMachine):
    """Loads stepped by hand, pins held across them, a card that refuses now and then."""

    names = st.sets(st.sampled_from("abcdeT"), min_size=1, max_size=4)

    def __init__(self) -> None:
        super().__init__()
        self.card = Card(330, pinned=150)
        self.parts = {name: part(name, seed=ord(name)) for name in "abcde"}
        self.parts["T"] = part("T", "tokens", 90)
        self.key = 0
        self.chores: list[Steps] = []
        self.keys: dict[int, set[str]] = {}
        self.pins: list[tuple[Pin[Any], set[str]]] = []

    @rule(names=names)
    def update(self, names: set[str]) -> None:
        self.key += 1
        self.keys[self.key] = names
        parts = [self.parts[name] for name in sorted(names)]
        self.chores.append(self.card.generations.load(self.key, parts))

    @precondition(lambda self: self.chores or self.card.later)
    @rule(n=st.integers(1, 12))
    def steps(self, n: int) -> None:
        """As the owner does them: the first chore first."""
        self.chores += self.card.later
        self.card.later.clear()
        for _ in range(n):
            if not self.chores:
                return
            try:
                next(self.chores[0])
            except StopIteration:
                self.chores.pop(0)

    @rule(back=st.integers(0, 2))
    def search_begins(self, back: int) -> None:
        key = self.key - back
        pin = self.card.generations.pin(key)
        assert (pin is None) == bool(self.card.generations.why_not(key))
        if pin is not None:
            assert set(pin.resident.buffers) == self.keys[key]
            self.pins.append((pin, self.keys[key]))

    @precondition(lambda self: self.pins)
    @rule(place=st.integers(0, 5))
    def search_ends(self, place: int) -> None:
        pin, _ = self.pins.pop(place % len(self.pins))
        pin.release()

    @rule(every=st.sampled_from([0, 2, 3]))
    def card_refuses(self, every: int) -> None:
        self.card.memory.refuse = lambda number: bool(every) and number % every == 0

    @invariant()
    def what_is_pinned_is_whole(self) -> None:
        for pin, names in self.pins:
            for name in names:
                held = pin.resident.buffers[name]
                np.testing.assert_array_equal(held.buffer, self.parts[name].data)

    @invariant()
    def ledger_and_card_agree(self) -> None:
        held = self.card.ledger.holdings()
        pinned = held.pop("pinned")
        # What is reserved and not yet allocated counts too, so the ledger may say more, never less.
        assert sum(held.values()) >= sum(map(len, self.card.memory.on_card.values()))
        assert pinned >= sum(map(len, self.card.memory.pinned.values()))

    def teardown(self) -> None:
        for pin, _ in self.pins:
            pin.release()
        for chore in [*self.chores, *self.card.later]:
            chore.close()
        self.card.nothing_leaks()


TestSharing = Sharing.TestCase
TestSharing.settings = CALM
