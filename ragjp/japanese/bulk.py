"""Terms of many texts at the speed of MeCab: no Python object per character, pair or morpheme.

The plain path, :meth:`ragjp.japanese.terms.Analyzer.terms`, is the reference, and does whatever is
too rare to be worth a kernel: texts with ㈱, ｶﾞ or characters above U+FFFF are folded by it, texts
of more than 50,000 characters go through it whole.

What a dictionary entry is as a term is kept by the address of its features, which MeCab hands out
with every node: one entry, one address.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.errors import RagjpError
from ragjp.japanese.character_tables import tables
from ragjp.japanese.columns import TermColumn, joined
from ragjp.japanese.library import Library
from ragjp.japanese.morphemes import LONGEST_CHARS, read_features
from ragjp.japanese.numbering import Numbering
from ragjp.japanese.terms import (
    KERNELS,
    MOST_ENTRIES,
    Analyzer,
    hidden_forms,
    lemma_term,
    number_spans,
    searched_text,
)

#: Characters worked on at once: the arrays of one slice stay in the cache.
_SLICE_CHARS = 200_000
#: Parts that each thread gets, so that none waits long for the last one.
_TURNS = 4
_PROBE = "旅費ﾃﾞｰﾀﾍﾞｰｽ、髙島屋の令和5年4月1日 3.14 %で Wikipedia ゴゴゴパパ。1,234円"


class BulkAnalyzer:
    """Many texts to terms, for one thread at a time.

    Raises
    ------
    OSError
        When there is no libmecab beside fugashi.
    ImportError
        When numba is not there.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        kernels = compiled.load(KERNELS)
        if kernels is None:
            raise ImportError("no compiled kernels")
        if sys.maxsize < 2**32 or sys.byteorder != "little":
            raise OSError("not a 64-bit little-endian machine")
        self._kernels = kernels
        self._analyzer = analyzer
        library = Library(analyzer.dictionary_folder)
        self._parse = library.parse
        self._tagger = library.tagger()
        weakref.finalize(self, library.close, self._tagger)
        self._forget()
        lemma, bigram = self.columns([_PROBE])
        if {"lemma": lemma[0], "bigram": bigram[0]} != analyzer.terms(_PROBE):
            raise OSError("libmecab has nodes of another shape")

    def _forget(self) -> None:
        self._entries = Numbering(self._kernels)
        self._entry_terms = np.empty(0, np.int32)
        self._unknown: dict[tuple[int, bytes], int] = {}
        self._numbers: dict[str, int] = {}

    def columns(self, texts: Sequence[str]) -> tuple[TermColumn, TermColumn]:
        """Return the ``lemma`` and the ``bigram`` field of the texts."""
        if len(self._numbers) + len(self._unknown) > MOST_ENTRIES:
            self._forget()
        lemmas = _Parts()
        pairs = _Parts()
        numbering = Numbering(self._kernels)
        words: dict[str, int] = {}
        for part in _slices(texts, _SLICE_CHARS):
            folded, codes, ends = self.fold(part)
            lemmas.add(*self._lemmas(folded))
            pairs.add(*self._pairs(codes, ends, "".join(folded), numbering, words))
        lemma_numbers, spelled = _renumbered(lemmas.numbers(), list(self._numbers))
        pair_numbers = pairs.numbers()
        pair_terms = _spelled_pairs(numbering.keys)
        others = pair_numbers < 0
        pair_numbers[others] = len(pair_terms) - 2 - pair_numbers[others]
        return (
            TermColumn(spelled, lemma_numbers, lemmas.offsets()),
            TermColumn([*pair_terms, *words], pair_numbers, pairs.offsets()),
        )

    def fold(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.uint32], NDArray[np.int64]]:
        """Fold the texts: as strings, and as code points (C,) with the end of each (n,)."""
        one, classes, _ = tables()
        codes, ends = _codes(texts)
        out = np.empty_like(codes)
        out_ends = np.empty_like(ends)
        slow = np.empty(len(texts), np.bool_)
        self._kernels.fold_rows(codes, ends, one, classes, out, out_ends, slow)
        whole = str(out[: out_ends[-1]].tobytes(), "utf-32-le")
        folded = []
        start = 0
        for end in out_ends.tolist():
            folded.append(whole[start:end])
            start = end
        if slow.any():
            for row in np.flatnonzero(slow).tolist():
                folded[row] = searched_text(texts[row])
            return folded, *_codes(folded)
        return folded, out[: out_ends[-1]], out_ends

    def _lemmas(self, folded: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number the terms of the ``lemma`` field; how many each text has."""
        encoded = [text.encode() if len(text) <= LONGEST_CHARS else b"" for text in folded]
        whole = b"".join(encoded)
        text = np.frombuffer(bytearray(whole), np.uint8)
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        entries = np.empty(len(text), np.int64)
        starts, stops = np.empty((2, len(text)), np.int32)
        row_ends = np.empty(len(folded), np.int64)
        found = self._kernels.segment(
            self._parse, self._tagger, text, ends, entries, starts, stops, row_ends
        )
        if found < 0:
            raise RagjpError(
                "MeCab が文章を解析できませんでした。空きメモリを確かめて、もう一度実行してください。",
                code="analysis_failed",
            )
        numbers = self._terms_of(entries[:found], starts[:found], stops[:found], whole)
        extra: list[int] = []
        extra_counts = np.zeros(len(folded), np.int64)
        known = self._numbers
        for row, one in enumerate(folded):
            if len(one) > LONGEST_CHARS:
                forms = self._analyzer.lemmas_of_folded(one)
            else:
                forms = hidden_forms(one)
                spans = number_spans(one) if "." in one else []
                if spans:
                    first, last = int(row_ends[row - 1]) if row else 0, int(row_ends[row])
                    base = int(ends[row]) - len(encoded[row])
                    self._join(
                        one,
                        spans,
                        numbers[first:last],
                        starts[first:last] - base,
                        stops[first:last] - base,
                    )
            if forms:
                extra += [known.setdefault(form, len(known)) for form in forms]
                extra_counts[row] = len(forms)
        kept = numbers >= 0
        kept_ends = np.concatenate([[0], np.cumsum(kept)])[row_ends]
        placed = np.insert(numbers[kept], np.repeat(kept_ends, extra_counts), extra)
        return placed, np.diff(kept_ends, prepend=0) + extra_counts

    def _terms_of(
        self,
        entries: NDArray[np.int64],
        starts: NDArray[np.int32],
        stops: NDArray[np.int32],
        text: bytes,
    ) -> NDArray[np.int32]:
        """Number the term of each node, (m,) int32; -1 where it has none."""
        known_before = len(self._entry_terms)
        places = self._entries.of(entries)
        if len(self._entries.keys) > known_before:
            fresh = np.flatnonzero(places >= known_before)
            _, first = np.unique(places[fresh], return_index=True)
            terms = [
                self._number(int(entries[i]), text[starts[i] : stops[i]], known=True)
                for i in fresh[first].tolist()
            ]
            self._entry_terms = np.append(self._entry_terms, np.array(terms, np.int32))
        # Unknown words have the place -1; whatever they get from the table is written over.
        numbers = (
            self._entry_terms[places] if known_before or len(places) else np.empty(0, np.int32)
        )
        unknown = np.flatnonzero(places < 0)
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
                term = cached[name] = self._number(-entry, name[1], known=False)
            found.append(term)
        numbers[unknown] = found
        return numbers

    def _number(self, features: int, surface: bytes, *, known: bool) -> int:
        line = ctypes.string_at(features).decode()
        term = lemma_term(read_features(surface.decode(), line, known=known))
        return self._numbers.setdefault(term, len(self._numbers)) if term else -1

    def _join(
        self,
        text: str,
        spans: Sequence[tuple[int, int]],
        numbers: NDArray[np.int32],
        starts: NDArray[np.int32],
        stops: NDArray[np.int32],
    ) -> None:
        """Make one term of the nodes of each number with points, in place."""
        for start, end in spans:
            first_byte = len(text[:start].encode())
            first = int(np.searchsorted(starts, first_byte))
            last = int(np.searchsorted(stops, first_byte + end - start))
            if starts[first : first + 1] == first_byte and (
                stops[last : last + 1] == first_byte + end - start
            ):
                whole = text[start:end]
                numbers[first : last + 1] = -1
                numbers[first] = self._numbers.setdefault(whole, len(self._numbers))

    def _pairs(
        self,
        codes: NDArray[np.uint32],
        ends: NDArray[np.int64],
        text: str,
        numbering: Numbering,
        words: dict[str, int],
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number the terms of the ``bigram`` field; word w is -2 - w. How many each text has."""
        keys = np.empty(len(codes), np.int64)
        spans = np.empty((len(codes), 3), np.int64)
        key_ends = np.empty_like(ends)
        n_words = self._kernels.pair_keys(codes, ends, tables()[2], keys, spans, key_ends)
        numbers = numbering.of(keys[: key_ends[-1]])
        places, starts, stops = spans[:n_words].T.tolist()
        numbers[places] = [
            -2 - words.setdefault(text[start:stop], len(words))
            for start, stop in zip(starts, stops, strict=True)
        ]
        return numbers, np.diff(key_ends, prepend=0)


class Pool:
    """One :class:`BulkAnalyzer` for each thread that is at work.

    reason : why there is no bulk path here, as a sentence; empty when there is one.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._idle: list[BulkAnalyzer] = []
        self.reason = ""
        try:
            self._idle.append(BulkAnalyzer(analyzer))
        except ImportError:
            self.reason = compiled.why_not()
        except OSError as error:
            self.reason = (
                f"fugashi に同梱の libmecab を使えないため、1件ずつ解析します({error})。"
                "`pip install --force-reinstall fugashi` でホイール版を入れると速くなります。"
            )

    def columns(self, texts: Sequence[str], workers: int) -> tuple[TermColumn, TermColumn]:
        """Return the ``lemma`` and the ``bigram`` field of the texts, with so many threads."""
        size = sum(map(len, texts))
        parts = list(_slices(texts, max(_SLICE_CHARS, -(-size // (_TURNS * workers)))))
        with ThreadPoolExecutor(max(1, min(workers, len(parts)))) as threads:
            found = list(threads.map(self._columns, parts))
        return joined([lemma for lemma, _ in found]), joined([bigram for _, bigram in found])

    def _columns(self, texts: Sequence[str]) -> tuple[TermColumn, TermColumn]:
        try:
            one = self._idle.pop()
        except IndexError:
            one = BulkAnalyzer(self._analyzer)
        try:
            return one.columns(texts)
        finally:
            self._idle.append(one)


class _Parts:
    """Numbers of terms, slice by slice."""

    def __init__(self) -> None:
        self._numbers: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]

    def add(self, numbers: NDArray[np.int32], lengths: NDArray[np.int64]) -> None:
        self._numbers.append(numbers)
        self._lengths.append(lengths)

    def numbers(self) -> NDArray[np.int32]:
        return np.concatenate(self._numbers)

    def offsets(self) -> NDArray[np.int64]:
        return np.cumsum(np.concatenate(self._lengths))


def _slices(texts: Sequence[str], chars: int) -> Iterator[Sequence[str]]:
    """Cut where a part has at least so many characters."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= chars:
            yield texts[start:end]
            start, size = end, 0
    if start < len(texts):
        yield texts[start:]


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of all texts (C,), and the end of each text in them (n,)."""
    whole = "".join(texts).encode("utf-32-le", "surrogatepass")
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    return np.frombuffer(bytearray(whole), np.uint32), ends


def _renumbered(
    numbers: NDArray[np.int32], spelled: Sequence[str]
) -> tuple[NDArray[np.int32], list[str]]:
    """Keep only the terms that are used."""
    used = np.zeros(len(spelled), np.bool_)
    used[numbers] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return places[numbers], [spelled[i] for i in np.flatnonzero(used).tolist()]


def _spelled_pairs(keys: NDArray[np.int64]) -> list[str]:
    """Spell the keys of ``pair_keys`` out."""
    pairs = keys - 1
    both = np.stack([pairs >> 21, pairs & 0x1FFFFF], axis=1).astype(np.uint32)
    text = str(both.tobytes(), "utf-32-le")
    return [text[i : i + 2].lstrip("\0") for i in range(0, len(text), 2)]
