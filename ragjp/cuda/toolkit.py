"""What a launcher needs of a device: arrays on it, compiled kernels, its size. CuPy gives it; a test's CPU gives the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from ragjp.cuda.source import Source

#: What a kernel is given for an array that it can do without.
NOTHING = np.uintp(0)

#: ``kernel(grid, block, arguments)``: launched on the current stream. Arrays stand for their addresses; numbers are NumPy scalars
#: of exactly the kernel's types.
Kernel = Callable[[tuple[int, ...], tuple[int, ...], tuple[Any, ...]], None]


class Toolkit(Protocol):
    """A device as launchers see it."""

    @property
    def xp(self) -> Any:  # noqa: ANN401 - a module, or a fake of one
        """The array module: CuPy, or what stands for it."""

    @property
    def multiprocessors(self) -> int:
        """How many multiprocessors the device has."""

    def kernel(self, source: Source, name: str) -> Kernel:
        """Compile ``source`` unless that was done, and hand out its kernel ``name``."""

    def address(self, array: Any) -> int:  # noqa: ANN401 - CuPy's arrays have no types
        """Where an array's numbers begin on the device."""


class CupyToolkit:
    """The toolkit of a real device. Modules are compiled at the first call of each kernel and kept; CuPy keeps them on disk too.

    Parameters
    ----------
    device
        Number of the device. Whoever calls has made it the current one.
    """

    def __init__(self, device: int = 0) -> None:
        import cupy

        self.xp: Any = cupy
        self.device = device
        attributes = cupy.cuda.Device(device).attributes
        self.multiprocessors = int(attributes["MultiProcessorCount"])
        self._modules: dict[Source, Any] = {}
        self._kernels: dict[tuple[Source, str], Kernel] = {}

    def kernel(self, source: Source, name: str) -> Kernel:
        """Compile ``source`` unless that was done, and hand out its kernel ``name``."""
        found = self._kernels.get((source, name))
        if found is None:
            module = self._modules.get(source)
            if module is None:
                module = self.xp.RawModule(code=source.text, options=source.options)
                self._modules[source] = module
            found = self._kernels[source, name] = module.get_function(name)
        return found

    def address(self, array: Any) -> int:  # noqa: ANN401
        """Where an array's numbers begin on the device."""
        return int(array.data.ptr)


def require(
    toolkit: Toolkit,
    array: Any,  # noqa: ANN401
    name: str,
    dtype: DTypeLike,
    shape: tuple[int | None, ...],
    *,
    alignment: int = 0,
) -> None:
    """Refuse an array that a kernel would misread: not on the device, of another type or shape, or with gaps.

    Parameters
    ----------
    shape
        What the shape must be; None where any length will do.
    alignment
        What the address must be a multiple of, in bytes, beyond the size of a number. An empty array lies nowhere.

    Raises
    ------
    TypeError
        When it is not an array of the toolkit's module, or its dtype is another.
    ValueError
        When its shape is another, its numbers do not lie side by side, or its address is not aligned.
    """
    if not isinstance(array, toolkit.xp.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}, not an array on the device")
    if array.dtype != np.dtype(dtype):
        raise TypeError(f"{name} is {array.dtype}, not {np.dtype(dtype)}")
    if len(array.shape) != len(shape) or any(
        wanted is not None and wanted != found
        for wanted, found in zip(shape, array.shape, strict=True)
    ):
        wanted_shape = ", ".join("?" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} has the shape {array.shape}, not ({wanted_shape})")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} has gaps between its numbers: make it contiguous first")
    if alignment and array.size and toolkit.address(array) % alignment:
        raise ValueError(f"{name} does not begin at a multiple of {alignment} bytes")
