"""What the ledger needs of a GPU's memory, and of what is placed there. Kept with CuPy by a search path, by a script in the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

#: Who holds memory: the index (vectors, tokens, postings), the encoder's weights, and what one batch of searches works in.
Holder = Literal["vectors", "tokens", "postings", "encoder", "scratch"]
HOLDERS: tuple[Holder, ...] = get_args(Holder)
#: Where a buffer lies: on the card, or in page-locked host memory that kernels read over the bus.
Tier = Literal["device", "pinned"]

Buffer = TypeVar("Buffer")


class DeviceMemory(Protocol[Buffer]):
    """One card's memory. Called by the owner thread alone, but for :meth:`free_bytes`.

    A buffer is whatever the implementation makes of it (with CuPy a ``MemoryPointer``, for pinned memory mapped into the card's
    address space); nothing here looks inside. Every allocation that fails raises :class:`~ragjp.errors.DeviceMemoryFull`, whatever
    the library below calls it, and a card that is lost :class:`~ragjp.errors.DeviceUnavailable`.
    """

    def free_bytes(self) -> int:
        """Free memory of the card in bytes, now, whoever uses the rest."""
        ...

    def allocate(self, n_bytes: int) -> Buffer:
        """Return a new buffer on the card, aligned to 256 bytes.

        Raises
        ------
        DeviceMemoryFull
            When there is no room.
        """
        ...

    def allocate_pinned(self, n_bytes: int) -> Buffer:
        """Return a new page-locked host buffer that kernels can read.

        Raises
        ------
        DeviceMemoryFull
            When the host has no room, or the system allows no more locked memory.
        """
        ...

    def copy(self, source: NDArray[np.uint8], target: Buffer, at: int) -> None:
        """Copy (n,) bytes of host memory to ``target``, from its byte ``at`` on. The source may be let go of on return."""
        ...

    def release(self, buffer: Buffer) -> None:
        """Give a buffer back. Never raises, also when the card is lost."""
        ...


class Part(Protocol):
    """One array of an index that is to lie on the card, such as the vectors of one segment. Write-once, as segments are.

    Two generations of an index that share a segment share its parts: only what is new is sent.
    """

    @property
    def name(self) -> str:
        """What it is, the same as long as its bytes are: segment, array and its checksum or size."""
        ...

    @property
    def holder(self) -> Holder:
        """Whose cap it counts under. Parts of ``tokens`` may lie in pinned host memory."""
        ...

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        ...

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return bytes [start, stop) from the disk, (stop - start,) uint8."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """A part that is an array as it lies on disk, mapped or in memory; C-contiguous."""

    name: str
    holder: Holder
    array: NDArray[Any]

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        return self.array.nbytes

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes [start, stop): read from the disk as they are copied from here."""
        return self.array.reshape(-1).view(np.uint8)[start:stop]
