"""Errors of the CUDA libraries taken for what they mean, and memory through a CuPy played by hand (and by the real one, where it is)."""

from __future__ import annotations

import ctypes
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ragjp.device.cupy_memory import CupyMemory
from ragjp.device.ledger import Budget, Ledger
from ragjp.device.troubles import translated, trouble
from ragjp.errors import DeviceMemoryFull, DeviceUnavailable, RequestError


class CudaError(RuntimeError):
    """As CuPy's CUDARuntimeError: the number is its status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError {status}")
        self.status = status


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (CudaError(2), DeviceMemoryFull),
        (MemoryError("Out of memory allocating 1 bytes"), DeviceMemoryFull),
        (RuntimeError("CUDA out of memory. Tried to allocate"), DeviceMemoryFull),
        (RuntimeError("alloc fail (cudaMalloc error Out of Memory [2])"), DeviceMemoryFull),
        (CudaError(700), DeviceUnavailable),
        (CudaError(719), DeviceUnavailable),
        (
            CudaError(701),
            None,
        ),  # too many resources for one launch: a fault of the kernel, the card is sound
        (RuntimeError("shape mismatch"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_errors_are_taken_for_what_they_mean(error: Exception, meaning: type | None) -> None:
    """A lost card asked again at each search; a full one taken for a fault of the kernel."""
    found = trouble(error)
    assert type(found) is (meaning or type(None))
    with pytest.raises(meaning or type(error)) as raised, translated():
        raise error
    assert (raised.value is error) == (meaning is None)


def test_errors_of_ragjp_pass() -> None:
    """A wrong request that is called a lack of memory."""
    with pytest.raises(RequestError), translated():
        raise RequestError("out of memory という語は検索できません。")


class Pointer:
    def __init__(self, memory: Any, offset: int) -> None:
        self.mem = memory
        self.ptr = memory.ptr + offset


class Device:
    def __init__(self, number: int) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class HostMemory:
    """What a fake card gives: counted while it is alive."""

    def __init__(self, card: FakeCupy, size: int) -> None:
        if card.used + size > card.room:
            raise CudaError(2)
        card.used += size
        self.array = np.zeros(size, np.uint8)
        self.ptr = self.array.ctypes.data
        weakref.finalize(self, card.freed, size)


class FakeCupy:
    """Host memory behind CuPy's names; ``room`` bytes of it."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.used = 0
        self.synchronized = 0
        self.cuda = SimpleNamespace(
            Memory=lambda size: HostMemory(self, size),
            PinnedMemory=lambda size, flags: HostMemory(self, size),
            MemoryPointer=Pointer,
            UnownedMemory=lambda ptr, size, owner, device: SimpleNamespace(ptr=ptr, owner=owner),
            MemoryPool=lambda: SimpleNamespace(
                malloc=lambda size: Pointer(HostMemory(self, size), 0),
                free_bytes=lambda: 0,
                free_all_blocks=lambda: None,
            ),
            Device=Device,
            Stream=lambda non_blocking: SimpleNamespace(ptr=1, synchronize=self.synchronize),
            runtime=SimpleNamespace(
                memGetInfo=lambda: (self.room - self.used, self.room),
                memcpyAsync=lambda to, source, size, kind, stream: ctypes.memmove(to, source, size),
                memcpyDefault=4,
                hostAllocPortable=1,
                hostAllocMapped=2,
            ),
        )

    def freed(self, size: int) -> None:
        self.used -= size

    def synchronize(self) -> None:
        self.synchronized += 1


@pytest.mark.parametrize("tier", ["device", "pinned"])
@pytest.mark.parametrize("size", [0, 10, 40 << 20])
def test_what_is_copied_is_there_and_what_is_released_is_free(tier: Any, size: int) -> None:
    """Memory that is kept by a forgotten reference; a copy that has not ended when a kernel reads it."""
    fake = FakeCupy(100 << 20)
    memory = CupyMemory(cupy=fake)
    ledger = Ledger(memory, Budget(1 << 20, 90 << 20, 90 << 20, 90 << 20))
    held = ledger.take("tokens", size, tier)
    assert memory.free_bytes() == fake.room - max(size, 1)
    data = np.arange(10, dtype=np.uint8)
    if size:
        memory.copy(data[::2], held.buffer, 3)
        assert ctypes.string_at(held.buffer.ptr + 3, 5) == bytes([0, 2, 4, 6, 8])
        assert fake.synchronized == 1
    held.release()
    gc.collect()
    assert fake.used == 0


def test_a_full_card_is_the_ledgers_lack_of_memory() -> None:
    """CuPy's own error in the middle of a search, which nobody there knows."""
    ledger = Ledger(CupyMemory(cupy=FakeCupy(50)), Budget(1000, 1000, 1000, 1000))
    for tier in ("device", "pinned"):
        with pytest.raises(DeviceMemoryFull):
            ledger.take("tokens", 60, tier)  # type: ignore[arg-type]
    assert sum(ledger.holdings().values()) == 0


def test_the_real_cupy_has_these_names() -> None:
    """A name that the fake has and CuPy has not."""
    cupy = pytest.importorskip("cupy")
    fake = FakeCupy(1)
    for name in vars(fake.cuda):
        assert hasattr(cupy.cuda, name), name
    for name in vars(fake.cuda.runtime):
        assert hasattr(cupy.cuda.runtime, name), name
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
