"""A CPU as the launchers' device: the kernels' own text, compiled by a C++ compiler behind :file:`shim.h` and run lane by lane.

:class:`HostToolkit` stands for :class:`ragjp.cuda.toolkit.CupyToolkit`, so the launchers are tested with the kernels: their checks,
grids and arguments. Its arrays are NumPy's, each between two fences that are looked at after every launch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ragjp.cuda.source import Source
from ragjp.cuda.toolkit import Kernel

SHIM = Path(__file__).with_name("shim.h")
COMPILER = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
#: Skips a test, by name, where the shim cannot be compiled.
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C++ compiler (g++ or clang++) to run kernels on the CPU"
)
_KERNEL = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(')
_FENCE = 256
_FENCE_BYTE = 0xA5


class LaunchError(Exception):
    """What the shim found wrong in a kernel, or in what it was given."""


class HostArrays:
    """The part of an array module that launchers use, over fenced NumPy arrays."""

    ndarray = np.ndarray

    def __init__(self) -> None:
        self.fenced: list[tuple[NDArray[np.uint8], int]] = []

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike = float) -> NDArray[Any]:
        """An array whose bytes are noise, at a multiple of 64 bytes."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        room = np.full(count + 2 * _FENCE + 64, _FENCE_BYTE, dtype=np.uint8)
        start = _FENCE + -(room.ctypes.data + _FENCE) % 64
        self.fenced.append((room, count))
        return room[start : start + count].view(kind).reshape(shape)

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike = float) -> NDArray[Any]:
        """An array of zeros."""
        made = self.empty(shape, dtype)
        made[...] = 0
        return made

    def asarray(self, values: ArrayLike, dtype: DTypeLike = None) -> NDArray[Any]:
        """A copy between fences."""
        given = np.asarray(values, dtype=dtype)
        made = self.empty(given.shape, given.dtype)
        made[...] = given
        return made

    def ascontiguousarray(self, values: ArrayLike, dtype: DTypeLike = None) -> NDArray[Any]:
        """A copy between fences, contiguous."""
        return self.asarray(values, dtype)

    def asnumpy(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy on the host."""
        return array.copy()

    def concatenate(self, parts: list[NDArray[Any]]) -> NDArray[Any]:
        """One after the other."""
        return self.asarray(np.concatenate(parts))

    def arange(self, *bounds: int, dtype: DTypeLike = None) -> NDArray[Any]:
        """As NumPy's."""
        return self.asarray(np.arange(*bounds, dtype=dtype))

    def broken_fence(self) -> bool:
        """Whether anything was written beside an array."""
        for room, count in self.fenced:
            start = _FENCE + -(room.ctypes.data + _FENCE) % 64
            if (room[:start] != _FENCE_BYTE).any() or (room[start + count :] != _FENCE_BYTE).any():
                return True
        return False


class HostToolkit:
    """See :class:`ragjp.cuda.toolkit.Toolkit`.

    Parameters
    ----------
    multiprocessors
        How large a device to stand for; the blocks run one after another all the same.
    seed
        Decides in which order blocks and lanes run. No result may depend on it.
    architecture
        Which of the text's branches run, as ``__CUDA_ARCH__``: sm_75 makes its products of smaller instructions.
    """

    def __init__(self, multiprocessors: int = 2, seed: int = 0, architecture: int = 90) -> None:
        self.xp: Any = HostArrays()
        self.multiprocessors = multiprocessors
        self.seed = seed
        self.architecture = architecture
        #: What was launched: names, grids and blocks.
        self.launches: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def kernel(self, source: Source, name: str) -> Kernel:
        """Compile ``source`` unless that was done, and hand out its kernel ``name``."""
        run = getattr(_library(source, self.architecture), f"shim_{name}")
        run.restype = ctypes.c_char_p

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]
        ) -> None:
            self.launches.append((name, grid, block))
            shape = (ctypes.c_uint * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3])
            arrays = [given for given in arguments if isinstance(given, np.ndarray)]
            spans = [number for given in arrays for number in (given.ctypes.data, given.nbytes)]
            values = [
                np.uintp(given.ctypes.data) if isinstance(given, np.ndarray) else given
                for given in arguments
            ]
            cells = [np.array(value) for value in values]
            pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
            self.seed += 1
            fault = run(
                shape,
                ctypes.c_uint(self.seed),
                pointers,
                (ctypes.c_size_t * max(1, len(spans)))(*spans),
                ctypes.c_int(len(arrays)),
            )
            if fault:
                raise LaunchError(f"{name}: {fault.decode()}")
            if self.xp.broken_fence():
                raise LaunchError(f"{name}: wrote beside an array")

        return launch

    def address(self, array: NDArray[Any]) -> int:
        """Where an array's numbers begin."""
        return array.ctypes.data


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ragjp-shim-")


@lru_cache
def _library(source: Source, architecture: int) -> ctypes.CDLL:
    assert COMPILER is not None
    names = _KERNEL.findall(source.text)
    assert names, f"no kernel in {source.names}"
    text = "\n".join(
        ['#include "shim.h"', source.text, *(f"SHIM_EXPORT({name})" for name in names)]
    )
    key = hashlib.sha256(f"{text}{source.defines}{architecture}".encode()).hexdigest()[:16]
    path = Path(_folder().name) / f"{key}.cpp"
    path.write_text(text, encoding="utf-8")
    # Floating point as a GPU has it: no contraction into fused operations, no extra precision.
    options = [
        "-std=c++17",
        "-O2",
        "-ffp-contract=off",
        "-fno-strict-aliasing",
        "-U_FORTIFY_SOURCE",
    ]
    options += ["-w", "-shared", "-fPIC", f"-I{SHIM.parent}"]
    defines = (*source.defines, ("__CUDA_ARCH__", 10 * architecture))
    options += [f"-D{name}={value}" for name, value in defines]
    done = subprocess.run(
        [COMPILER, *options, str(path), "-o", str(path.with_suffix(".so"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(path.with_suffix(".so")))
