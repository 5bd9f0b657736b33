"""A card's memory through CuPy: what :class:`ragjp.device.memory.DeviceMemory` asks for.

A buffer is a ``cupy.cuda.MemoryPointer``, over memory of the card or over page-locked host memory that kernels read at the same
address (unified addressing). An array over it is ``cupy.ndarray(shape, dtype, memptr=buffer)``, and keeps it alive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.device import array_module
from ragjp.device.troubles import translated

#: Buffers from this size on go straight back to the driver when they are released: others on the card can have them. Smaller ones
#: (scratch memory, at each batch) come from a pool, since the driver stops the card to give memory and to take it back.
_DIRECT_BYTES = 32 << 20


class CupyMemory:
    """The memory of one card.

    Parameters
    ----------
    device
        Its number.
    cupy
        The module; for tests.

    Raises
    ------
    DeviceUnavailable, MissingExtra
        There is no card, or CuPy is not installed.
    """

    def __init__(self, device: int = 0, cupy: Any = None) -> None:  # noqa: ANN401 - a module
        self._cupy = array_module("cuda") if cupy is None else cupy
        self._device = device
        self._pool = self._cupy.cuda.MemoryPool()
        self._stream: Any = None

    def free_bytes(self) -> int:
        """Free memory of the card, and what the pool would reuse."""
        with translated(), self._cupy.cuda.Device(self._device):
            free, _total = self._cupy.cuda.runtime.memGetInfo()
            return int(free) + int(self._pool.free_bytes())

    def allocate(self, n_bytes: int) -> Any:  # noqa: ANN401 - CuPy has no types
        """Return a new buffer; see :meth:`ragjp.device.memory.DeviceMemory.allocate`."""
        cuda = self._cupy.cuda
        with translated(), cuda.Device(self._device):
            if n_bytes < _DIRECT_BYTES:
                return self._pool.malloc(max(n_bytes, 1))
            self._pool.free_all_blocks()
            return cuda.MemoryPointer(cuda.Memory(n_bytes), 0)

    def allocate_pinned(self, n_bytes: int) -> Any:  # noqa: ANN401
        """Return a new page-locked buffer; see :meth:`ragjp.device.memory.DeviceMemory.allocate_pinned`."""
        cuda = self._cupy.cuda
        flags = cuda.runtime.hostAllocPortable | cuda.runtime.hostAllocMapped
        size = max(n_bytes, 1)
        with translated(), cuda.Device(self._device):
            pinned = cuda.PinnedMemory(size, flags)
            return cuda.MemoryPointer(cuda.UnownedMemory(pinned.ptr, size, pinned, self._device), 0)

    def copy(self, source: NDArray[np.uint8], target: Any, at: int) -> None:  # noqa: ANN401
        """Copy host memory to a buffer, and wait until it is there: kernels of other streams do not wait for this one."""
        cuda = self._cupy.cuda
        source = np.ascontiguousarray(source)
        with translated(), cuda.Device(self._device):
            if self._stream is None:
                self._stream = cuda.Stream(non_blocking=True)
            cuda.runtime.memcpyAsync(
                target.ptr + at,
                source.ctypes.data,
                source.nbytes,
                cuda.runtime.memcpyDefault,
                self._stream.ptr,
            )
            self._stream.synchronize()

    def release(self, buffer: Any) -> None:  # noqa: ANN401
        """Nothing to do: a buffer goes back when nobody refers to it, and the ledger forgets it after this call."""
