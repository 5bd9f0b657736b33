"""Who holds what: against a scripted card that refuses when it is told to."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from scripted import CALM, ScriptedMemory, part

from ragjp.config import DeviceUse
from ragjp.device.ledger import Budget, Held, Ledger, Reservation
from ragjp.device.memory import HOLDERS, Holder, Tier
from ragjp.errors import DeviceMemoryFull

BUDGET = Budget(scratch=200, index=1000, tokens=600, pinned=300)
holders = st.sampled_from(HOLDERS)


class Holding(RuleBasedStateMachine):
    """Take, reserve, give back, be refused: the ledger never disagrees with the card and never goes over a cap."""

    held = Bundle("held")
    reserved = Bundle("reserved")

    def __init__(self) -> None:
        super().__init__()
        self.refusing = False
        self.memory = ScriptedMemory(900, lambda number: self.refusing)
        self.ledger = Ledger(self.memory, BUDGET)
        self.only_reserved = 0

    @rule(target=held, holder=holders, n=st.integers(0, 400), pinned=st.booleans())
    def take(self, holder: Holder, n: int, pinned: bool) -> Held[object] | None:
        tier: Tier = "pinned" if pinned else "device"
        before = self.ledger.holdings(), self.memory.n_buffers
        try:
            return self.ledger.take(holder, n, tier)
        except DeviceMemoryFull:
            assert (self.ledger.holdings(), self.memory.n_buffers) == before
            return None

    @rule(target=reserved, holder=holders, n=st.integers(0, 400))
    def reserve(self, holder: Holder, n: int) -> Reservation | None:
        fits = n <= self.ledger.room(holder)
        try:
            reservation = self.ledger.reserve(holder, n)
        except DeviceMemoryFull:
            assert not fits
            return None
        assert fits
        self.only_reserved += n
        return reservation

    @rule(held=consumes(held))
    def release(self, held: Held[object] | None) -> None:
        if held is not None:
            held.release()
            held.release()

    @rule(reservation=consumes(reserved))
    def give_back(self, reservation: Reservation | None) -> None:
        if reservation is not None:
            self.only_reserved -= reservation.n_bytes
            reservation.give_back()
            reservation.give_back()

    @rule(refusing=st.booleans())
    def card_refuses(self, refusing: bool) -> None:
        self.refusing = refusing

    @invariant()
    def within_every_cap_and_true(self) -> None:
        held = self.ledger.holdings()
        assert all(n >= 0 for n in held.values())
        assert held["scratch"] <= BUDGET.scratch
        assert held["tokens"] <= BUDGET.tokens
        assert held["pinned"] <= BUDGET.pinned
        on_card = sum(held[name] for name in HOLDERS)
        assert on_card - held["scratch"] <= BUDGET.index
        assert on_card == self.only_reserved + sum(map(len, self.memory.on_card.values()))
        assert held["pinned"] == sum(map(len, self.memory.pinned.values()))


TestHolding = Holding.TestCase
TestHolding.settings = CALM


@CALM
@given(
    free=st.integers(0, 1 << 40),
    share=st.floats(0.01, 1),
    tokens=st.floats(0, 1),
    scratch=st.integers(1, 1 << 14),
)
def test_a_budget_never_gives_more_than_there_is(
    free: int, share: float, tokens: float, scratch: int
) -> None:
    """Caps that add up to more than the share, or a card so small that scratch memory takes all of it."""
    settings = DeviceUse(memory_share=share, tokens_share=tokens, scratch_mib=scratch)
    budget = Budget.of(settings, free)
    assert 0 <= budget.scratch <= budget.index // 3 + 1
    assert budget.scratch <= scratch << 20
    assert budget.scratch + budget.index <= share * free
    assert 0 <= budget.tokens <= budget.index


def test_an_index_never_takes_the_room_that_searches_work_in() -> None:
    """A card full of vectors on which no search can run."""
    ledger = Ledger(ScriptedMemory(10_000), BUDGET)
    ledger.take("vectors", 1000)
    with pytest.raises(DeviceMemoryFull, match="ベクトル") as full:
        ledger.take("vectors", 1)
    assert "[device]" in full.value.sentence
    assert full.value.code == "device_budget"
    assert ledger.room("scratch") == 200


def test_tokens_spill_where_the_card_has_no_room() -> None:
    """An index refused as a whole because of its largest part, which need not lie on the card."""
    ledger = Ledger(ScriptedMemory(10_000), BUDGET)
    parts = [
        part("t1", "tokens", 400),
        part("t2", "tokens", 250),
        part("v", "vectors", 500),
    ]
    placed = ledger.place(parts)
    assert placed is not None
    # 1000 - 500 of the vectors leaves room for the first tokens only, although they come before the vectors in the list.
    assert [reservation.tier for reservation in placed] == ["device", "pinned", "device"]
    assert ledger.holdings()["pinned"] == 250


def test_all_parts_or_none() -> None:
    """Half an index reserved for ever."""
    ledger = Ledger(ScriptedMemory(10_000), BUDGET)
    before = ledger.holdings()
    assert ledger.place([part("v", "vectors", 900), part("p", "postings", 200)]) is None
    assert ledger.place([part("t", "tokens", 700), part("u", "tokens", 700)]) is None
    assert ledger.holdings() == before


def test_tokens_that_the_card_refuses_spill_too() -> None:
    """The budget says yes, the card no (another program has the rest): a generation lost that pinned memory would have held."""
    memory = ScriptedMemory(10_000, lambda number: number == 0)
    ledger = Ledger(memory, BUDGET)
    held = ledger.fill_or_spill(ledger.reserve("tokens", 100))
    assert held.tier == "pinned"
    assert ledger.holdings()["tokens"] == 0
    assert ledger.holdings()["pinned"] == 100
    memory.refuse = lambda number: True
    for holder in ("tokens", "vectors"):
        with pytest.raises(DeviceMemoryFull):
            ledger.fill_or_spill(ledger.reserve(holder, 50))  # type: ignore[arg-type]
    assert ledger.holdings()["pinned"] == 100
    assert ledger.holdings()["vectors"] == 0


def test_who_holds_what_is_said() -> None:
    """Numbers without names: the operator cannot tell what to make smaller."""
    ledger = Ledger(ScriptedMemory(10 << 20), Budget(1 << 20, 4 << 20, 4 << 20, 1 << 20))
    assert "何も置いていません" in ledger.sentence()
    ledger.take("vectors", 1 << 20)
    ledger.take("tokens", 1 << 19, "pinned")
    for words in ("ベクトル 1.0 MiB", "トークン 0.5 MiB", "上限 5.0 MiB"):
        assert words in ledger.sentence()
