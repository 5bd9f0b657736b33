"""A device played by hand: memory that fails when it is told to, and work that waits, fails or dies when it is told to.

Buffers are NumPy arrays, so what is copied to them can be read again and computed with.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from ragjp.device.memory import Holder
from ragjp.errors import DeviceMemoryFull

Bytes = NDArray[np.uint8]
#: For tests with drawn inputs: a slow machine is no failure.
CALM = settings(
    deadline=None,
    stateful_step_count=40,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)


class ScriptedMemory:
    """One card of ``size`` bytes. Allocations, pinned ones too, are numbered from 0; those in ``refuse`` find no room.

    Every call but ``free_bytes`` has to come from one thread once it has been called from one: the owner's.
    """

    def __init__(self, size: int, refuse: Callable[[int], bool] = lambda number: False) -> None:
        self.size = size
        self.refuse = refuse
        self.n_allocations = 0
        self.on_card: dict[int, Bytes] = {}
        self.pinned: dict[int, Bytes] = {}
        self.threads: set[int] = set()

    def free_bytes(self) -> int:
        return self.size - sum(len(buffer) for buffer in self.on_card.values())

    def allocate(self, n_bytes: int) -> Bytes:
        self._count(n_bytes > self.free_bytes())
        return self._keep(self.on_card, n_bytes)

    def allocate_pinned(self, n_bytes: int) -> Bytes:
        self._count(False)
        return self._keep(self.pinned, n_bytes)

    def _count(self, is_full: bool) -> None:
        self.threads.add(threading.get_ident())
        number = self.n_allocations
        self.n_allocations += 1
        if is_full or self.refuse(number):
            raise DeviceMemoryFull(f"台本どおり {number} 番の確保に失敗しました。")

    def _keep(self, where: dict[int, Bytes], n_bytes: int) -> Bytes:
        buffer = np.full(n_bytes, 0xEE, np.uint8)
        where[id(buffer)] = buffer
        return buffer

    def copy(self, source: Bytes, target: Bytes, at: int) -> None:
        self.threads.add(threading.get_ident())
        assert self._is_held(target), "copied into a buffer that was given back"
        target[at : at + len(source)] = source

    def release(self, buffer: Bytes) -> None:
        self.threads.add(threading.get_ident())
        assert self._is_held(buffer), "given back twice"
        (self.on_card if id(buffer) in self.on_card else self.pinned).pop(id(buffer))
        buffer[:] = 0xDD  # whoever still reads it finds nonsense

    def _is_held(self, buffer: Bytes) -> bool:
        return id(buffer) in self.on_card or id(buffer) in self.pinned

    @property
    def n_buffers(self) -> int:
        return len(self.on_card) + len(self.pinned)


@dataclass
class ScriptedPart:
    """Bytes of an index; ``fails`` makes reading them from the disk fail."""

    name: str
    holder: Holder
    data: Bytes
    fails: bool = False

    @property
    def n_bytes(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> Bytes:
        if self.fails:
            raise OSError(f"{self.name} is gone")
        return self.data[start:stop]


def part(name: str, holder: Holder = "vectors", n_bytes: int = 100, seed: int = 0) -> ScriptedPart:
    """A part with random bytes."""
    data = np.random.default_rng([seed, *name.encode()]).integers(0, 256, n_bytes, dtype=np.uint8)
    return ScriptedPart(name, holder, data)


@dataclass
class ScriptedWorker:
    """Work by a function of one task; notes the batches, and can be held up.

    ``work`` may raise; ``gate`` holds the thread up at each batch until it is set, and ``entered`` counts the batches begun.
    """

    work: Callable[[Any], Any] = lambda task: task
    check: Callable[[Sequence[Any]], None] = lambda tasks: None
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: list[list[Any]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    opened: int = 0
    closed: int = 0
    open_error: BaseException | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def open(self) -> None:
        self.threads.add(threading.get_ident())
        self.opened += 1
        if self.open_error is not None:
            raise self.open_error

    def run(self, tasks: Sequence[Any]) -> list[Any]:
        self.threads.add(threading.get_ident())
        self.batches.append(list(tasks))
        self.entered.release()
        self.gate.wait()
        self.check(tasks)
        return [self.work(task) for task in tasks]

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


def ticking() -> Callable[[], float]:
    """A clock that goes on by a second whenever it is looked at."""
    return map(float, itertools.count()).__next__
