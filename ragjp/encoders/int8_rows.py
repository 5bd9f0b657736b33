"""A matrix at 8 bits with one scale for each row: what the int8 graph multiplies by, and what trained weights are shipped as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragjp.types import FloatArray

_GREATEST_CODE = np.float32(127)


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """R rows of C columns; a value is ``code * scale``.

    codes : (R, C) int8, in [-127, 127].
    scales : (R,) float32, not negative.
    """

    codes: NDArray[np.int8]
    scales: FloatArray

    def dense(self) -> FloatArray:
        """Return the (R, C) float32 values."""
        values: FloatArray = self.codes.astype(np.float32)
        values *= self.scales[:, None]
        return values


def quantise_rows(weight: FloatArray) -> Int8Rows:
    """Round (R, C) float32 to int8: the greatest of each row becomes 127 or -127. A row of zeros has scale 0.

    Examples
    --------
    >>> quantise_rows(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32)).codes.tolist()
    [[127, -64], [0, 0]]
    """
    weight = np.asarray(weight, np.float32)
    scales: FloatArray = np.abs(weight).max(axis=1) / _GREATEST_CODE
    steps = np.where(scales > 0, scales, np.float32(1))
    return Int8Rows(np.rint(weight / steps[:, None]).astype(np.int8), scales)
