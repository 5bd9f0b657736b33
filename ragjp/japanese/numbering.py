"""Integers to consecutive numbers, in bulk."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray


class Numbering:
    """Integers above zero to 0, 1, 2, … in the order in which they are met."""

    def __init__(self, kernels: ModuleType) -> None:
        self._kernels = kernels
        self._count = np.zeros(1, np.int64)
        self._known = np.empty(0, np.int64)
        self._grow()

    @property
    def keys(self) -> NDArray[np.int64]:
        """The integers by number."""
        return self._known[: self._count[0]]

    def of(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the number of each key; -1 for those that are not above zero."""
        numbers = np.empty(len(keys), np.int32)
        at = 0
        while at < len(keys):
            at = self._kernels.number(
                keys, at, self._table, self._places, self._known, self._count, numbers
            )
            if at < len(keys):
                self._grow()
        return numbers

    def _grow(self) -> None:
        keys = self.keys.copy()
        size = max(1 << 16, 4 * len(self._known))
        self._table = np.zeros(size, np.int64)
        self._places = np.empty(size, np.int32)
        self._known = np.empty(size // 2, np.int64)
        self._count[0] = 0
        self.of(keys)
