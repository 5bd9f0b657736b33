"""Upper bounds by blocks of rows for the lists that questions have met: what lets the compiled search pass over most postings.

They are computed from the postings the first time a term is asked for, kept in memory, and never written: so they cannot be wrong on a disk.
A bound is taken with the mean length over all rows; a view with another mean scales it (:func:`scale_for`), so one table serves all views.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import Postings

#: Bytes of bounds that a segment may keep; beyond them it starts anew.
_MOST_BYTES = 64 << 20

#: Of a list: the place of its field, first and last + 1 posting.
ListKey = tuple[int, int, int]


def bits_for(n_rows: int) -> int:
    """Rows in a block of a segment, as a power of two: fine where everything is in the cache, coarse where each new block costs a miss."""
    return 12 if n_rows <= 1 << 17 else 13


def scale_for(view_mean: float, reference_mean: float) -> float:
    """By what a bound taken with one mean length may have to be raised for another.

    With ``norm = a + c / mean`` the ratio ``(tf + norm(reference)) / (tf + norm(view))`` is at most max(1, view / reference).
    """
    return max(1.0, view_mean / reference_mean) if reference_mean > 0 else 1.0


class Blocks:
    """The bounds of one segment's lists under one pair of constants. Safe to share between threads.

    Parameters
    ----------
    fields
        The segment's postings, field by field.
    codes, norms
        By field: the length codes of the segment's rows (n,) uint16, and the norm of each code under the reference mean.
    """

    def __init__(
        self,
        fields: Sequence[Postings],
        codes: Sequence[NDArray[np.uint16]],
        norms: Sequence[NDArray[np.float64]],
    ) -> None:
        n_rows = len(fields[0].lengths)
        self.bits = bits_for(n_rows)
        self._width = -(-n_rows >> self.bits)
        self._fields, self._codes, self._norms = fields, codes, norms
        self._lock = threading.Lock()
        self._most = _MOST_BYTES // (8 * self._width + 32)
        self._reset(256)

    def _reset(self, room: int) -> None:
        self._slots: dict[ListKey, int] = {}
        self._arrays = (
            np.empty((room, 3), np.int64),
            np.empty((room, self._width + 1), np.int32),
            np.empty((room, self._width), np.float32),
        )

    def slots(
        self, kernels: ModuleType, numbers: Sequence[int]
    ) -> tuple[list[int], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
        """Slots of some lists, and the tables that they are slots of: ``lists``, ``starts`` and ``peaks`` of the kernels.

        Parameters
        ----------
        numbers
            (3 * L,) the lists' keys, one after the other.
        """
        keys = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
        with self._lock:
            known = self._slots
            found = [known.get(key, -1) for key in keys]
            if -1 in found:
                missing = {key for key, slot in zip(keys, found, strict=True) if slot < 0}
                if len(known) + len(missing) > max(self._most, 256):
                    self._reset(max(len(keys), 256))
                    missing = set(keys)
                for key in missing:
                    self._measure(kernels, key)
                found = [self._slots[key] for key in keys]
            return found, self._arrays

    def _measure(self, kernels: ModuleType, key: ListKey) -> None:
        field, start, stop = key
        slot = len(self._slots)
        if slot == len(self._arrays[0]):
            # Searches that run now keep the tables they have.
            self._arrays = tuple(np.concatenate([a, np.empty_like(a)]) for a in self._arrays)  # type: ignore[assignment]
        lists, starts, peaks = self._arrays
        lists[slot] = key
        kernels.measure(
            self._fields[field].rows[start:stop],
            self._fields[field].counts[start:stop],
            self._codes[field],
            self._norms[field],
            self.bits,
            starts[slot],
            peaks[slot],
        )
        self._slots[key] = slot
