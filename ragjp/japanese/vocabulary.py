"""The terms that bulk analysis has met, by number. Shared between its threads, which take turns.

What a dictionary entry is as a term is kept by the address of its features, which MeCab hands out
with every node: one entry, one address, as long as the model is open.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ragjp.japanese.columns import TermColumn
from ragjp.japanese.morphemes import read_features
from ragjp.japanese.numbering import Numbering
from ragjp.japanese.terms import lemma_term

#: Numbers of terms and how many each text has, slice by slice.
Parts = Sequence[tuple[NDArray[np.int32], NDArray[np.int64]]]


class LemmaVocabulary:
    """Terms of the ``lemma`` field."""

    def __init__(self, kernels: ModuleType) -> None:
        #: Held by whoever calls any of the methods below.
        self.lock = threading.Lock()
        self._entries = Numbering(kernels)
        self._entry_terms = np.empty(0, np.int32)
        self._unknown: dict[tuple[int, bytes], int] = {}
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers) + len(self._unknown)

    def number(self, term: str) -> int:
        """Number a term."""
        return self._numbers.setdefault(term, len(self._numbers))

    def of_nodes(
        self,
        entries: NDArray[np.int64],
        starts: NDArray[np.int32],
        stops: NDArray[np.int32],
        text: bytes,
    ) -> NDArray[np.int32]:
        """Number the term of each node that ``segment`` found, (m,) int32; -1 where it has none."""
        if not len(entries):
            return np.empty(0, np.int32)
        known_before = len(self._entry_terms)
        places = self._entries.of(entries)
        if len(self._entries.keys) > known_before:
            fresh = np.flatnonzero(places >= known_before)
            _, first = np.unique(places[fresh], return_index=True)
            terms = [
                self._of_word(int(entries[i]), text[starts[i] : stops[i]], known=True)
                for i in fresh[first].tolist()
            ]
            self._entry_terms = np.append(self._entry_terms, np.array(terms, np.int32))
        unknown = np.flatnonzero(places < 0)
        numbers = np.full(len(places), -1, np.int32)
        if len(self._entry_terms):
            # Unknown words have the place -1; what they take from the end of the table is written over.
            np.take(self._entry_terms, places, out=numbers, mode="wrap")
        cached = self._unknown
        found = []
        for entry, start, stop in zip(
            entries[unknown].tolist(),
            starts[unknown].tolist(),
            stops[unknown].tolist(),
            strict=True,
        ):
            name = entry, text[start:stop]
            term = cached.get(name)
            if term is None:
                term = cached[name] = self._of_word(-entry, name[1], known=False)
            found.append(term)
        numbers[unknown] = found
        return numbers

    def _of_word(self, features: int, surface: bytes, *, known: bool) -> int:
        line = ctypes.string_at(features).decode()
        term = lemma_term(read_features(surface.decode(), line, known=known))
        return self.number(term) if term else -1

    def column(self, parts: Parts) -> TermColumn:
        """Put slices together; only the terms that they use are named."""
        numbers, offsets = _together(parts)
        spelled = list(self._numbers)
        used = np.zeros(len(spelled), np.bool_)
        used[numbers] = True
        places = np.cumsum(used, dtype=np.int32) - np.int32(1)
        terms = [spelled[i] for i in np.flatnonzero(used).tolist()]
        return TermColumn(terms, places[numbers], offsets)


class BigramVocabulary:
    """Terms of the ``bigram`` field of one call."""

    def __init__(self, kernels: ModuleType) -> None:
        #: Held by whoever calls any of the methods below.
        self.lock = threading.Lock()
        self._pairs = Numbering(kernels)
        self._words: dict[str, int] = {}

    def of_keys(
        self, keys: NDArray[np.int64], words: NDArray[np.int64], text: str
    ) -> NDArray[np.int32]:
        """Number what ``pair_keys`` found; word w is -2 - w until :meth:`column`."""
        numbers = self._pairs.of(keys)
        known = self._words
        places, starts, stops = words.T.tolist()
        numbers[places] = [
            -2 - known.setdefault(text[start:stop], len(known))
            for start, stop in zip(starts, stops, strict=True)
        ]
        return numbers

    def column(self, parts: Parts) -> TermColumn:
        """Put slices together."""
        numbers, offsets = _together(parts)
        terms = _spelled(self._pairs.keys)
        words = numbers < 0
        numbers[words] = len(terms) - 2 - numbers[words]
        return TermColumn([*terms, *self._words], numbers, offsets)


def _together(parts: Parts) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    numbers = np.concatenate([np.empty(0, np.int32), *(part[0] for part in parts)])
    lengths = np.concatenate([np.zeros(1, np.int64), *(part[1] for part in parts)])
    return numbers, np.cumsum(lengths)


def _spelled(keys: NDArray[np.int64]) -> list[str]:
    """Spell the keys of ``pair_keys`` out."""
    pairs = keys - 1
    letters = np.stack([pairs >> 21, pairs & 0x1FFFFF], axis=1).astype(np.uint32)
    alone = letters[:, 0] == 0
    # A string of fixed width ends at its first zero: what stands alone goes to the front.
    letters[alone] = letters[alone][:, ::-1]
    terms: list[str] = letters.view("<U2").ravel().tolist()
    return terms
