"""Which generation of an index is on the card, and how a new one takes its place without a search waiting for it.

A generation is a set of parts (the arrays of its segments, which are write-once). A new one is sent beside the old one, slice by
slice between two batches, and put in its place by one assignment; parts that both have are sent once and shared. A search pins the
generation that it reads, and what it has pinned stays to its end. So there are these ways for an update to go:

``beside``     both fitted; nobody noticed, but searches of the new generation were computed by the CPU until it was there.
``replaced``   both do not fit: the old one is let go of first, when the last search of it has ended, and until the new one is
               there all searches are computed by the CPU.
``refused``    not even the new one alone fits (or its files cannot be read): searches are computed by the CPU from then on.
``superseded`` a newer one is wanted meanwhile: given up, and of what was sent the newer one takes what it has too.

No answer depends on which: a search is of the generation that it asks for, on the card or on the CPU. Tokens that find no room on
the card beside the old generation lie in pinned host memory (:mod:`ragjp.device.ledger`), and come to the card once it is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal

from ragjp.device.ledger import Held, Ledger
from ragjp.device.memory import Buffer, DeviceMemory, Part
from ragjp.errors import DeviceMemoryFull, DeviceUnavailable

#: Bytes sent between two batches: 0.3 ms over a PCIe 5 bus, once the disk has them.
SLICE_BYTES = 16 << 20

How = Literal["beside", "replaced", "refused", "superseded"]

_NEVER = "索引はまだ GPU に送られていません。CPU で計算します。"
_SENDING = "索引の新しい世代を GPU に送っています。終わるまで CPU で計算します。"
_MAKING_ROOM = "GPU のメモリーに二世代は入らないので、古い世代を先に降ろして新しい世代を送っています。終わるまで CPU で計算します。"
_OTHER = "この検索が読む世代は GPU にありません。CPU で計算します。"


@dataclass(frozen=True, slots=True)
class Loaded:
    """How an update went: the way it took, one sentence for a person, and the bytes that were sent for it."""

    how: How
    sentence: str
    sent_bytes: int


@dataclass(slots=True)
class _Shared(Generic[Buffer]):
    """A part on the card and how many generations have it."""

    held: Held[Buffer]
    generations: int = 0


@dataclass(slots=True, eq=False)
class Resident(Generic[Buffer]):
    """One generation on the card.

    key : what it is asked for by. epoch : never twice the same, while a key may come back with its buffers elsewhere.
    buffers : name of a part → where it lies; valid while the generation is pinned. The rest is :class:`Generations`' own.
    """

    key: Hashable
    epoch: int
    buffers: dict[str, Held[Buffer]] = field(default_factory=dict)
    shared: dict[str, _Shared[Buffer]] = field(default_factory=dict)
    sent_bytes: int = 0
    pins: int = 0
    is_retired: bool = False
    has_arrived: bool = False


class Pin(Generic[Buffer]):
    """A generation that stays until :meth:`release`, which any thread may call, and more than once."""

    def __init__(self, generations: Generations[Buffer], resident: Resident[Buffer]) -> None:
        self.resident = resident
        self._generations = generations
        self._held = True

    def release(self) -> None:
        """Let go of it."""
        self._generations._unpin(self)


class Generations(Generic[Buffer]):
    """What is on the card. Loading and freeing happen on the owner thread, pinning on any.

    Parameters
    ----------
    later
        Has a chore done on the owner thread soon; called by whoever lets go of a generation last.
    before_serving
        Called on the owner thread when a generation is there and before it is handed out: kernels are compiled then.
    before_release
        Called on the owner thread before the buffers of a generation are given back: what was captured over them goes first.
    """

    def __init__(
        self,
        memory: DeviceMemory[Buffer],
        ledger: Ledger[Buffer],
        later: Callable[[Generator[bool, None, None]], object],
        before_serving: Callable[[Resident[Buffer]], None] = lambda resident: None,
        before_release: Callable[[Resident[Buffer]], None] = lambda resident: None,
        slice_bytes: int = SLICE_BYTES,
    ) -> None:
        self._memory = memory
        self._ledger = ledger
        self._later = later
        self._before_serving = before_serving
        self._before_release = before_release
        self._slice_bytes = slice_bytes
        self._lock = threading.Lock()
        self._current: Resident[Buffer] | None = None
        self._retired: list[Resident[Buffer]] = []
        self._parts: dict[str, _Shared[Buffer]] = {}
        #: What a superseded load had sent: the next one takes of it what it needs.
        self._left: Resident[Buffer] | None = None
        self._epoch = 0
        self._wanted: Hashable = None
        #: Why the wanted generation is not there.
        self._why_not = _NEVER

    def pin(self, key: Hashable) -> Pin[Buffer] | None:
        """Hold the generation with this key; None when it is not on the card (see :meth:`why_not`)."""
        with self._lock:
            resident = self._current
            if resident is None or resident.key != key:
                return None
            resident.pins += 1
            return Pin(self, resident)

    def _unpin(self, pin: Pin[Buffer]) -> None:
        resident = pin.resident
        with self._lock:
            if not pin._held:
                return
            pin._held = False
            resident.pins -= 1
            is_garbage = resident.is_retired and not resident.pins
        if is_garbage:
            self._later(self._sweep())

    def why_not(self, key: Hashable) -> str:
        """Say why this generation is not on the card; empty when it is."""
        with self._lock:
            if self._current is not None and self._current.key == key:
                return ""
            return self._why_not if key == self._wanted or self._wanted is None else _OTHER

    def load(self, key: Hashable, parts: Sequence[Part]) -> Generator[bool, None, Loaded]:
        """Want a generation from now on, and return the chore that brings it; see :data:`ragjp.device.owner.Chore`.

        Parameters
        ----------
        parts
            All of its arrays, with names of their own; tokens in the order in which they are preferred on the card.

        Raises
        ------
        DeviceUnavailable
            By the chore: the card is lost. Everything else that can go wrong is a :class:`Loaded`.
        """
        with self._lock:
            self._wanted = key
            self._why_not = _SENDING
        return self._load(key, parts)

    def _load(self, key: Hashable, parts: Sequence[Part]) -> Generator[bool, None, Loaded]:
        coming = self._begin(key, parts)
        try:
            how = yield from self._bring(coming, parts)
            if how == "refused":
                refused = f"索引が GPU のメモリーに入りません。CPU で計算します。{self._ledger.sentence()}"
                return self._refuse(coming, refused)
        except DeviceUnavailable:
            raise
        except Exception as error:
            hint = "ragjp check で調べてください。" if isinstance(error, OSError) else ""
            refused = f"索引を GPU で使えません（{type(error).__name__}: {error}）。CPU で計算します。{hint}"
            return self._refuse(coming, refused)
        finally:
            self._settle(coming)
        if how == "superseded":
            return Loaded(
                how, "さらに新しい世代があるので、送るのをやめました。", coming.sent_bytes
            )
        sent = coming.sent_bytes + (yield from self._promote(coming, parts))
        return self._arrived(how, sent)

    def _begin(self, key: Hashable, parts: Sequence[Part]) -> Resident[Buffer]:
        """A generation with what is there of it already; what a superseded one left behind, and this one has not, goes."""
        self._epoch += 1
        coming: Resident[Buffer] = Resident(key, self._epoch)
        for part in parts:
            if part.name in self._parts:
                self._add(coming, part.name, self._parts[part.name])
        left, self._left = self._left, None
        if left is not None:
            self._forget(left)
        return coming

    def _bring(self, coming: Resident[Buffer], parts: Sequence[Part]) -> Generator[bool, None, How]:
        if (yield from self._send(coming, parts)) and self._can_serve(coming):
            self._swap(coming)
            return "beside"
        if self._is_wanted(coming) and self._has_others():
            self._say(coming.key, _MAKING_ROOM)
            yield from self._make_room(coming)
            if (yield from self._send(coming, parts)) and self._can_serve(coming):
                self._swap(coming)
                return "replaced"
        return "refused" if self._is_wanted(coming) else "superseded"

    def _can_serve(self, coming: Resident[Buffer]) -> bool:
        """Have the first search prepared, so that no asker waits for it; False when there is no memory for that."""
        try:
            self._before_serving(coming)
        except DeviceMemoryFull:
            return False
        return True

    def _settle(self, coming: Resident[Buffer]) -> None:
        """However a load has ended: what has not arrived is let go of, or left for the load that has superseded it."""
        if coming.has_arrived:
            return
        if self._is_wanted(coming) or self._left is not None:
            self._forget(coming)
        else:
            self._left = coming

    def _refuse(self, coming: Resident[Buffer], sentence: str) -> Loaded:
        self._say(coming.key, sentence)
        return Loaded("refused", sentence, coming.sent_bytes)

    def _say(self, key: Hashable, sentence: str) -> None:
        with self._lock:
            if self._wanted == key:
                self._why_not = sentence

    def _is_wanted(self, coming: Resident[Buffer]) -> bool:
        with self._lock:
            return bool(self._wanted == coming.key)

    def _has_others(self) -> bool:
        with self._lock:
            return self._current is not None or bool(self._retired)

    def _make_room(self, coming: Resident[Buffer]) -> Generator[bool, None, None]:
        """Retire what is there and wait for its last search; parts that the coming generation shares stay."""
        self._retire(None)
        while self._is_wanted(coming):
            self._collect()
            if not self._has_others():
                return
            yield False

    def _send(self, coming: Resident[Buffer], parts: Sequence[Part]) -> Generator[bool, None, bool]:
        """Bring the parts that are not there; False when memory was short or nobody wants them any more. Whole parts stay then."""
        missing = [part for part in parts if part.name not in coming.buffers]
        reservations = self._ledger.place(missing) if self._is_wanted(coming) else None
        if reservations is None:
            return False
        try:
            for part in missing:
                held = self._ledger.fill_or_spill(reservations.pop(0))
                if not (yield from self._copy(coming, part, held)):
                    return False
                self._add(coming, part.name, _Shared(held))
        except DeviceMemoryFull:
            return False
        finally:
            for reservation in reservations:
                reservation.give_back()
        return True

    def _copy(
        self, coming: Resident[Buffer], part: Part, held: Held[Buffer]
    ) -> Generator[bool, None, bool]:
        """Fill a buffer slice by slice; it is released when that ends early."""
        is_whole = False
        try:
            for start in range(0, part.n_bytes, self._slice_bytes):
                if not self._is_wanted(coming):
                    return False
                stop = min(start + self._slice_bytes, part.n_bytes)
                self._memory.copy(part.read(start, stop), held.buffer, start)
                coming.sent_bytes += stop - start
                yield True
            is_whole = True
        finally:
            if not is_whole:
                held.release()
        return True

    def _promote(
        self, arrived: Resident[Buffer], parts: Sequence[Part]
    ) -> Generator[bool, None, int]:
        """Bring spilled tokens to the card after all, where the old generation has made room; the bytes sent."""
        current, sent = arrived, 0
        for part in parts:
            if current.buffers[part.name].tier == "device":
                continue
            while self._retired and self._is_wanted(current):
                self._collect()
                if self._retired:
                    yield False
            self._epoch += 1
            moved: Resident[Buffer] = Resident(current.key, self._epoch)
            try:
                held = self._ledger.take(part.holder, part.n_bytes)
                if not (yield from self._copy(moved, part, held)):
                    break
            except DeviceUnavailable:
                raise
            except Exception:  # it stays where it is, and is read from there
                break
            for name, shared in current.shared.items():
                self._add(moved, name, _Shared(held) if name == part.name else shared)
            sent += moved.sent_bytes
            self._swap(moved)
            current = moved
        return sent

    def _add(self, resident: Resident[Buffer], name: str, shared: _Shared[Buffer]) -> None:
        self._parts[name] = shared
        shared.generations += 1
        resident.shared[name] = shared
        resident.buffers[name] = shared.held

    def _swap(self, coming: Resident[Buffer]) -> None:
        """Put a generation in the old one's place: whoever asks from now on finds it."""
        coming.has_arrived = True
        self._retire(coming)
        self._collect()

    def _retire(self, successor: Resident[Buffer] | None) -> None:
        with self._lock:
            if self._current is not None:
                self._current.is_retired = True
                self._retired.append(self._current)
            self._current = successor

    def _sweep(self) -> Generator[bool, None, None]:
        self._collect()
        yield from ()

    def _collect(self) -> None:
        """Free the retired generations that nobody has pinned."""
        with self._lock:
            garbage = [resident for resident in self._retired if not resident.pins]
            self._retired = [resident for resident in self._retired if resident.pins]
        for resident in garbage:
            self._forget(resident)

    def _forget(self, resident: Resident[Buffer]) -> None:
        self._before_release(resident)
        for name, shared in resident.shared.items():
            shared.generations -= 1
            if not shared.generations:
                if self._parts.get(name) is shared:
                    del self._parts[name]
                shared.held.release()
        resident.shared.clear()

    def drop(self) -> None:
        """Free everything, pinned or not: on the owner thread, when it ends and no search will be computed any more."""
        self._retire(None)
        with self._lock:
            everything, self._retired = self._retired, []
            self._wanted, self._why_not = None, _NEVER
        for resident in everything:
            self._forget(resident)
        if self._left is not None:
            self._forget(self._left)
            self._left = None

    def tiers(self) -> Mapping[str, str]:
        """Where each part of the current generation lies: name → ``device`` or ``pinned``."""
        with self._lock:
            held = {} if self._current is None else self._current.buffers
        return {name: each.tier for name, each in held.items()}

    def _arrived(self, how: How, sent: int) -> Loaded:
        mib = f"{sent / 2**20:,.1f} MiB"
        if how == "beside":
            sentence = f"新しい世代を GPU に送り、古い世代と入れ替えました（{mib}）。"
        else:
            sentence = f"GPU のメモリーに二世代は入らないので、古い世代を降ろしてから新しい世代を送りました（{mib}）。その間は CPU で計算しました。"
        spilled = sum(tier == "pinned" for tier in self.tiers().values())
        if spilled:
            sentence += (
                f"トークンの配列 {spilled} 個は GPU に入らず、ホスト側のメモリーに置きました。"
            )
        return Loaded(how, sentence, sent)
