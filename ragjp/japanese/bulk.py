"""Terms of many texts at the speed of MeCab: no Python object per character, pair or morpheme.

The plain path, :meth:`ragjp.japanese.terms.Analyzer.terms`, is the reference, and does whatever is
too rare to be worth a kernel: texts with ㈱, ｶﾞ or characters above U+FFFF are folded by it, texts
of more than 50,000 characters go through it whole.

Texts are worked on in slices. Three quarters of the time goes to MeCab, inside a kernel that holds no
lock of Python's: only that is handed to threads. All else of every slice is done by the caller's own
thread meanwhile, so that no thread ever waits for another's Python.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.errors import RagjpError
from ragjp.japanese.character_tables import tables
from ragjp.japanese.columns import TermColumn
from ragjp.japanese.library import Model
from ragjp.japanese.morphemes import LONGEST_CHARS
from ragjp.japanese.terms import (
    COMPANY,
    KERNELS,
    MOST_ENTRIES,
    Analyzer,
    number_spans,
    searched_text,
)
from ragjp.japanese.vocabulary import BigramVocabulary, LemmaVocabulary

#: Characters of a slice: its arrays stay in the cache, and several threads end together.
_SLICE_CHARS = 100_000
_PROBE = "旅費ﾃﾞｰﾀﾍﾞｰｽ、髙島屋の令和5年4月1日 3.14 %で Wikipedia ゴゴゴパパ。1,234円、(株)斎藤"

_Numbered = tuple[NDArray[np.int32], NDArray[np.int64]]
_Nodes = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]


class BulkAnalyzer:
    """Many texts to terms. May be shared between threads.

    Raises
    ------
    OSError
        When there is no libmecab beside fugashi, or not the one that is known.
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
        self._model = Model(analyzer.dictionary_folder)
        self._vocabulary = LemmaVocabulary(kernels)
        lemma, bigram = self.columns([_PROBE])
        if {"lemma": lemma[0], "bigram": bigram[0]} != analyzer.terms(_PROBE):
            raise OSError("libmecab has nodes of another shape")

    def columns(self, texts: Sequence[str], workers: int = 1) -> tuple[TermColumn, TermColumn]:
        """Return the ``lemma`` and the ``bigram`` field of the texts, with so many threads."""
        if len(self._vocabulary) > MOST_ENTRIES:
            # Whoever is at work with the old one keeps it to the end.
            self._vocabulary = LemmaVocabulary(self._kernels)
        lemmas, bigrams = self._vocabulary, BigramVocabulary(self._kernels)
        lemma: list[_Numbered] = []
        bigram: list[_Numbered] = []
        folded = (self.fold(part) for part in _slices(texts))
        for folding, encoded, nodes in self._split(folded, workers):
            further = self._further(folding.texts)
            bigram.append(self._bigrams(folding, bigrams))
            lemma.append(self._lemmas(folding.texts, encoded, further, nodes(), lemmas))
        with lemmas.lock:
            named = lemmas.column(lemma)
        return named, bigrams.column(bigram)

    def _split(
        self, slices: Iterator[Folding], workers: int
    ) -> Iterator[tuple[Folding, list[bytes], Callable[[], _Nodes]]]:
        """Have MeCab split the slices, so many at a time and ahead of who takes them; in order."""
        if workers < 2:
            for folding in slices:
                encoded = _encoded(folding)
                yield folding, encoded, partial(self._nodes, encoded)
            return
        with ThreadPoolExecutor(workers) as threads:
            begun: deque[tuple[Folding, list[bytes], Callable[[], _Nodes]]] = deque()
            for folding in slices:
                encoded = _encoded(folding)
                begun.append((folding, encoded, threads.submit(self._nodes, encoded).result))
                if len(begun) > workers:
                    yield begun.popleft()
            yield from begun

    def fold(self, texts: Sequence[str]) -> Folding:
        """Do the work of ``searched_text``."""
        one, classes, _ = tables()
        codes, ends = _codes(texts)
        out = np.empty_like(codes)
        out_ends = np.empty_like(ends)
        slow = np.empty(len(texts), np.bool_)
        self._kernels.fold_rows(codes, ends, one, classes, out, out_ends, slow)
        codes = out[: out_ends[-1]]
        whole = str(codes.tobytes(), "utf-32-le")
        folded = []
        start = 0
        for end in out_ends.tolist():
            folded.append(whole[start:end])
            start = end
        for match in COMPANY.finditer(whole):
            slow[np.searchsorted(out_ends, match.start(), side="right")] = True
        if not slow.any():
            return Folding(folded, whole, codes, out_ends)
        for row in np.flatnonzero(slow).tolist():
            folded[row] = searched_text(texts[row])
        return Folding(folded, "".join(folded), *_codes(folded))

    def _lemmas(
        self,
        folded: Sequence[str],
        encoded: Sequence[bytes],
        further: Sequence[Sequence[str]],
        nodes: _Nodes,
        known: LemmaVocabulary,
    ) -> _Numbered:
        """Number the terms of the ``lemma`` field; how many each text has."""
        entries, starts, stops, row_ends = nodes
        whole, ends = b"".join(encoded), _ends(encoded)
        counts = np.fromiter(map(len, further), np.int64, len(further))
        with known.lock:
            numbers = known.of_nodes(entries, starts, stops, whole)
            for row, text in enumerate(folded):
                if "." in text and (spans := number_spans(text)) and encoded[row]:
                    own = slice(row_ends[row - 1] if row else 0, row_ends[row])
                    base = ends[row] - len(encoded[row])
                    _join(
                        text,
                        spans,
                        numbers[own],
                        starts[own] - base,
                        stops[own] - base,
                        known,
                    )
            extra = [known.number(term) for terms in further for term in terms]
        kept = numbers >= 0
        kept_ends = np.concatenate([[0], np.cumsum(kept)])[row_ends]
        placed = np.insert(numbers[kept], np.repeat(kept_ends, counts), extra)
        return placed, np.diff(kept_ends, prepend=0) + counts

    def _further(self, folded: Sequence[str]) -> list[list[str]]:
        """Return what each text has besides its words; all terms of one too long to be split whole."""
        return [
            self._analyzer.further_terms(text)
            if len(text) <= LONGEST_CHARS
            else self._analyzer.lemmas_of_folded(text)
            for text in folded
        ]

    def _nodes(self, encoded: Sequence[bytes]) -> _Nodes:
        """Have MeCab split the texts; ``segment`` describes what it finds."""
        text, ends = np.frombuffer(bytearray().join(encoded), np.uint8), _ends(encoded)
        entries = np.empty(len(text), np.int64)
        starts, stops = np.empty((2, len(text)), np.int32)
        row_ends = np.empty(len(ends), np.int64)
        with self._model.tagger() as tagger:
            found = self._kernels.segment(
                self._model.parse, tagger, text, ends, entries, starts, stops, row_ends
            )
        if found < 0:
            raise RagjpError(
                "MeCab が文章を解析できませんでした。空きメモリを確かめて、もう一度実行してください。",
                code="analysis_failed",
            )
        return entries[:found], starts[:found], stops[:found], row_ends

    def _bigrams(self, folded: Folding, known: BigramVocabulary) -> _Numbered:
        """Number the terms of the ``bigram`` field; how many each text has."""
        keys = np.empty(len(folded.codes), np.int64)
        words = np.empty((len(folded.codes), 3), np.int64)
        key_ends = np.empty_like(folded.ends)
        n_words = self._kernels.pair_keys(
            folded.codes, folded.ends, tables()[2], keys, words, key_ends
        )
        with known.lock:
            numbers = known.of_keys(keys[: key_ends[-1]], words[:n_words], folded.whole)
        return numbers, np.diff(key_ends, prepend=0)


@dataclass(frozen=True, slots=True)
class Folding:
    """Folded texts: one by one, as one, and as code points (C,) uint32 with the end of each (n,)."""

    texts: list[str]
    whole: str
    codes: NDArray[np.uint32]
    ends: NDArray[np.int64]


def _join(
    text: str,
    spans: Sequence[tuple[int, int]],
    numbers: NDArray[np.int32],
    starts: NDArray[np.int32],
    stops: NDArray[np.int32],
    known: LemmaVocabulary,
) -> None:
    """Make one term of the nodes of each number with points, in place; all places in bytes."""
    for start, end in spans:
        first_byte = len(text[:start].encode())
        last_byte = first_byte + end - start
        first = int(np.searchsorted(starts, first_byte))
        last = int(np.searchsorted(stops, last_byte))
        if starts[first : first + 1] == first_byte and stops[last : last + 1] == last_byte:
            numbers[first : last + 1] = -1
            numbers[first] = known.number(text[start:end])


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut where a slice has enough characters."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= _SLICE_CHARS:
            yield texts[start:end]
            start, size = end, 0
    if start < len(texts):
        yield texts[start:]


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of all texts (C,), and the end of each text in them (n,)."""
    whole = "".join(texts).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(bytearray(whole), np.uint32), _ends(texts)


def _encoded(folding: Folding) -> list[bytes]:
    """Encode the texts that MeCab is given: those that are not too long to be split whole."""
    return [text.encode() if len(text) <= LONGEST_CHARS else b"" for text in folding.texts]


def _ends(texts: Sequence[str] | Sequence[bytes]) -> NDArray[np.int64]:
    """Where each text ends when all are joined, (n,)."""
    return np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
