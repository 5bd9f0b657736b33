"""The memory ledger: who holds what of a card, and what is refused before it is asked of the card.

A budget is a share of what was free when the card was first taken. From it scratch memory is set aside first, so that an index
can never grow into the room that a search needs to work in::

    total   = floor(memory_share * free)
    scratch = min(scratch_mib, total / 4)
    index   = total - scratch             vectors, postings, tokens and encoder together
    tokens <= floor(tokens_share * index) what is beyond goes to pinned host memory

Every allocation is reserved here first. A reservation that does not fit, and an allocation that the card refuses all the same
(others use it too), end in one :class:`~ragjp.errors.DeviceMemoryFull`; after either the ledger is as it was before.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self

from ragjp.config import DeviceUse
from ragjp.device.memory import HOLDERS, Buffer, DeviceMemory, Holder, Part, Tier
from ragjp.errors import DeviceMemoryFull

#: What a person reads for each holder.
NAMES: Mapping[Holder, str] = {
    "vectors": "ベクトル",
    "tokens": "トークン",
    "postings": "語の索引",
    "encoder": "埋め込みモデル",
    "scratch": "検索の作業場所",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be held, in bytes; the module docstring has the formulas.

    scratch, index, tokens : caps on the card; ``tokens`` is within ``index``. pinned : of page-locked host memory.
    """

    scratch: int
    index: int
    tokens: int
    pinned: int

    @classmethod
    def of(cls, settings: DeviceUse, free_bytes: int) -> Budget:
        """Divide what is free now as a recipe says."""
        total = int(settings.memory_share * max(free_bytes, 0))
        scratch = min(settings.scratch_mib << 20, total // 4)
        index = total - scratch
        return cls(scratch, index, int(settings.tokens_share * index), settings.pinned_mib << 20)


class Reservation:
    """Room that is set aside until :meth:`give_back`, which may be called again without effect. A context manager."""

    def __init__(self, ledger: Ledger[Buffer], holder: Holder, n_bytes: int, tier: Tier) -> None:
        self.holder = holder
        self.n_bytes = n_bytes
        self.tier = tier
        self._give_back = ledger._give_back
        self._held = True

    def give_back(self) -> None:
        """Return the room."""
        self._give_back(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()


class Held(Generic[Buffer]):
    """A buffer with its reservation. :meth:`release` gives both back, once; a context manager."""

    def __init__(
        self, buffer: Buffer, reservation: Reservation, memory: DeviceMemory[Buffer]
    ) -> None:
        self.buffer = buffer
        self.n_bytes = reservation.n_bytes
        self.tier = reservation.tier
        self._reservation = reservation
        self._memory = memory
        self._released = False

    def release(self) -> None:
        """Give the buffer back to the card and its room to the ledger. On the owner thread."""
        if not self._released:
            self._released = True
            try:
                self._memory.release(self.buffer)
            finally:
                del self.buffer  # CuPy gives back what nobody refers to
                self._reservation.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Ledger(Generic[Buffer]):
    """Who holds what of one card. Reserving and reading are safe from any thread; :meth:`take` belongs to the owner thread.

    Parameters
    ----------
    memory
        The card.
    budget
        What may be held of it.
    """

    def __init__(self, memory: DeviceMemory[Buffer], budget: Budget) -> None:
        self.budget = budget
        self._memory = memory
        self._lock = threading.Lock()
        self._on_card: dict[Holder, int] = dict.fromkeys(HOLDERS, 0)
        self._pinned = 0

    def room(self, holder: Holder, tier: Tier = "device") -> int:
        """Bytes that this holder could still reserve."""
        with self._lock:
            return self._room(holder, tier)

    def _room(self, holder: Holder, tier: Tier) -> int:
        if tier == "pinned":
            return self.budget.pinned - self._pinned if holder == "tokens" else 0
        held = self._on_card
        if holder == "scratch":
            return self.budget.scratch - held["scratch"]
        room = self.budget.index - sum(n for name, n in held.items() if name != "scratch")
        return min(room, self.budget.tokens - held["tokens"]) if holder == "tokens" else room

    def reserve(self, holder: Holder, n_bytes: int, tier: Tier = "device") -> Reservation:
        """Set room aside.

        Raises
        ------
        DeviceMemoryFull
            When the holder's cap or the budget has no room; code ``device_budget``.
        """
        with self._lock:
            room = self._room(holder, tier)
            if n_bytes > room:
                where = "GPU" if tier == "device" else "ページロックしたホスト"
                raise DeviceMemoryFull(
                    f"{where}のメモリーの割り当てに{NAMES[holder]}の {_mib(n_bytes)} が入りません（残り {_mib(room)}）。"
                    "レシピの [device] の上限を上げるか、GPU を使うほかのプログラムを減らしてください。",
                    code="device_budget",
                )
            self._count(holder, n_bytes, tier)
        return Reservation(self, holder, n_bytes, tier)

    def _count(self, holder: Holder, n_bytes: int, tier: Tier) -> None:
        if tier == "pinned":
            self._pinned += n_bytes
        else:
            self._on_card[holder] += n_bytes

    def _give_back(self, reservation: Reservation) -> None:
        with self._lock:
            if reservation._held:
                reservation._held = False
                self._count(reservation.holder, -reservation.n_bytes, reservation.tier)

    def take(self, holder: Holder, n_bytes: int, tier: Tier = "device") -> Held[Buffer]:
        """Reserve and allocate.

        Raises
        ------
        DeviceMemoryFull
            When the budget (code ``device_budget``) or the card itself (``device_memory_full``) has no room. Nothing is held then.
        """
        return self.fill(self.reserve(holder, n_bytes, tier))

    def fill(self, reservation: Reservation) -> Held[Buffer]:
        """Allocate what was reserved. The reservation is given back when that fails; see :meth:`take`."""
        allocate = (
            self._memory.allocate if reservation.tier == "device" else self._memory.allocate_pinned
        )
        try:
            return Held(allocate(reservation.n_bytes), reservation, self._memory)
        except BaseException:
            reservation.give_back()
            raise

    def place(self, parts: Sequence[Part]) -> list[Reservation] | None:
        """Reserve room for all parts of a generation, in their order, or for none of them.

        Everything but tokens has to lie on the card. Tokens do part by part while there is room, and in pinned host memory where
        there is none; their order is the order in which they are preferred on the card.

        Returns
        -------
        One reservation for each part; None when they do not all fit.
        """
        order = sorted(range(len(parts)), key=lambda place: parts[place].holder == "tokens")
        placed: dict[int, Reservation] = {}
        for place in order:
            reservation = self._anywhere(parts[place].holder, parts[place].n_bytes)
            if reservation is None:
                for earlier in placed.values():
                    earlier.give_back()
                return None
            placed[place] = reservation
        return [placed[place] for place in range(len(parts))]

    def _anywhere(self, holder: Holder, n_bytes: int) -> Reservation | None:
        for tier in tiers(holder):
            try:
                return self.reserve(holder, n_bytes, tier)
            except DeviceMemoryFull:
                continue
        return None

    def fill_or_spill(self, reservation: Reservation) -> Held[Buffer]:
        """Allocate what was reserved; tokens that the card refuses go to pinned host memory instead.

        Raises
        ------
        DeviceMemoryFull
            When neither has room. Nothing is held then.
        """
        try:
            return self.fill(reservation)
        except DeviceMemoryFull:
            if reservation.tier != "device" or "pinned" not in tiers(reservation.holder):
                raise
        return self.take(reservation.holder, reservation.n_bytes, "pinned")

    def holdings(self) -> dict[str, int]:
        """Bytes held on the card by each holder, and ``pinned`` on the host."""
        with self._lock:
            on_card: Mapping[str, int] = {name: self._on_card[name] for name in HOLDERS}
            return {**on_card, "pinned": self._pinned}

    def sentence(self) -> str:
        """Say who holds what, for a person."""
        held = self.holdings()
        parts = [f"{NAMES[name]} {_mib(held[name])}" for name in HOLDERS if held[name]]
        if held["pinned"]:
            parts.append(f"ホスト側に置いたトークン {_mib(held['pinned'])}")
        limit = _mib(self.budget.index + self.budget.scratch)
        return f"GPU のメモリー（上限 {limit}）: {'、'.join(parts) or '何も置いていません'}"


def tiers(holder: Holder) -> tuple[Tier, ...]:
    """Where a holder's buffers may lie, best first."""
    return ("device", "pinned") if holder == "tokens" else ("device",)


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB"
