"""Headers of ``.npy`` files, read without being believed: nothing is allocated and no pickle is read, whatever they say."""

from __future__ import annotations

import math
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAX_BYTES = 4096


class Header(NamedTuple):
    """What an array file says of itself: its shape, (n,) or (n, D), the type of an element, and where the elements begin in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    @property
    def n_bytes(self) -> int:
        """The size that the file must have."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def read_header(file: BinaryIO) -> Header:
    """Read the header at the beginning of an array file.

    Raises
    ------
    ValueError
        When it is not that of an array in rows, in the one version of the format that is written here.
    OSError
        When it cannot be read.
    """
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"形式の版が {version} です")
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(
            file, max_header_size=_MAX_BYTES
        )
    except (ValueError, OSError):
        raise
    except Exception as error:  # the parser that NumPy uses raises what it likes
        raise ValueError(f"見出しを読めません: {error}") from error
    if fortran or not 1 <= len(shape) <= 2 or min(shape) < 0:
        raise ValueError("行の配列ではありません")
    return Header(shape, dtype, file.tell())
