"""Terms of many texts as arrays: what takes the place of a list of strings for every text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TermColumn(Sequence[list[str]]):
    """One field of n texts. As a sequence, it is the list of terms of each text.

    terms : V spellings, no two equal; not all need be used.
    numbers : (T,) int32, the terms of all texts one after the other, as places in ``terms``.
    offsets : (n + 1,) int64, text i has ``numbers[offsets[i]:offsets[i + 1]]``.
    """

    terms: list[str]
    numbers: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, at: int) -> list[str]: ...
    @overload
    def __getitem__(self, at: slice) -> list[list[str]]: ...
    def __getitem__(self, at: int | slice) -> list[str] | list[list[str]]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        row = range(len(self))[at]
        numbers = self.numbers[self.offsets[row] : self.offsets[row + 1]]
        return [self.terms[number] for number in numbers.tolist()]

    def __iter__(self) -> Iterator[list[str]]:
        spelled = list(map(self.terms.__getitem__, self.numbers.tolist()))
        for start, end in pairwise(self.offsets.tolist()):
            yield spelled[start:end]

    def rows(self, at: NDArray[np.intp]) -> TermColumn:
        """Pick texts by place, (m,) ints; a text may be picked several times, and some terms never."""
        lengths = np.diff(self.offsets)[at]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][at] - offsets[:-1], lengths)
        return TermColumn(self.terms, self.numbers[places], offsets)


def column_of(rows_terms: Sequence[Sequence[str]]) -> TermColumn:
    """Make a column of lists of terms."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(term, len(known)) for terms in rows_terms for term in terms]
    lengths = np.fromiter(map(len, rows_terms), np.int64, len(rows_terms))
    return TermColumn(list(known), np.array(numbers, np.int32), _offsets(lengths))


def joined(columns: Sequence[TermColumn]) -> TermColumn:
    """Put the texts of several columns one after the other."""
    if len(columns) == 1:
        return columns[0]
    known: dict[str, int] = {}
    parts: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    lengths: list[NDArray[Any]] = [np.empty(0, np.int64)]
    for column in columns:
        places = [known.setdefault(term, len(known)) for term in column.terms]
        parts.append(np.array(places, np.int32)[column.numbers])
        lengths.append(np.diff(column.offsets))
    return TermColumn(list(known), np.concatenate(parts), _offsets(np.concatenate(lengths)))


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
