"""Morphemes of folded text: fugashi (MeCab) with unidic-lite, read the fast way and the plain way.

Measured on JaQuAD passages, one core of a busy two-core machine, thousand characters a second:
bare MeCab (``-Owakati``) 1,450; fugashi's nodes with named features 200, with the raw CSV line 410,
with no feature at all 630; an output format that prints four features, split and cached by line,
670 to 730; one that prints only what names the entry (``%m %phl %pw``), features looked up once
per entry in the compiled dictionary, 1,200 and more. The last one is :class:`Tagger`.
Many texts go through ``bulk``, which reads MeCab's nodes without an object each.
"""

from __future__ import annotations

import csv
import importlib.metadata
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ragjp.errors import IndexMismatch, MissingExtra
from ragjp.japanese.dictionary import Dictionary

#: MeCab works on a whole text at once (about 2 kB a character); longer ones are cut at a line end.
LONGEST_CHARS = 50_000
#: Entries kept; numbers and names never end, so a full memory is emptied and starts again.
_MOST_WORDS = 500_000
_NUL = "\0"

#: Fields of a UniDic feature line.
_LFORM, _LEMMA, _KANA = 6, 7, 17


class Morpheme(NamedTuple):
    """One morpheme; ``start`` and ``end`` count characters of the folded text.

    ``pos`` joins UniDic's parts of speech with commas, without the empty ones
    (``名詞,固有名詞,地名,一般``). ``lemma`` is UniDic's without the gloss (サーバー, not サーバー-server);
    that of a proper noun is its reading. A word that is not in the dictionary is its own lemma and
    has no reading.
    """

    surface: str
    lemma: str
    reading: str
    pos: str
    start: int
    end: int


class Word(NamedTuple):
    """What the dictionary says of a morpheme, wherever it stands. Fields as in :class:`Morpheme`."""

    surface: str
    lemma: str
    reading: str
    pos: str
    known: bool


def read_features(surface: str, line: str, *, known: bool) -> Word:
    """Read a UniDic CSV feature line."""
    fields = next(csv.reader([line])) if '"' in line else line.split(",")
    pos = _joined(*fields[:4])
    if not known or len(fields) <= _KANA:
        return Word(surface, surface, "", pos, known=False)
    lemma = fields[_LEMMA]
    lemma = lemma.partition("-")[0] or lemma
    kana, form = fields[_KANA], fields[_LFORM]
    reading = kana if kana not in {"*", ""} else form
    return Word(
        surface, surface if lemma in {"*", ""} else lemma, reading.strip("*"), pos, known=True
    )


@lru_cache(maxsize=1024)
def _joined(*parts: str) -> str:
    return ",".join(part for part in parts if part not in {"*", ""})


class Tagger:
    """Folded text to morphemes. May be shared between threads; they take turns.

    Parameters
    ----------
    dictionary
        The name an index was built with, such as ``unidic-lite 1.0.8``; None takes what is there.

    Raises
    ------
    MissingExtra
        When fugashi or unidic-lite is not installed.
    IndexMismatch
        When another dictionary than the one asked for is installed.
    """

    def __init__(self, dictionary: str | None = None) -> None:
        self.dictionary, folder = _find_dictionary()
        self.folder = folder
        if dictionary is not None and dictionary != self.dictionary:
            raise IndexMismatch(
                f"索引は辞書「{dictionary}」で作られましたが、ここにあるのは「{self.dictionary}」です。"
                "同じ辞書を入れるか、索引を作り直してください。",
                code="dictionary_mismatch",
            )
        known, unknown_word = r"%m\t%phl\t%pw\n", r"%m\t%phl\t%pw\t?\n"
        self._mecab, self._lock = _mecab(folder, f'-O "" -F "{known}" -U "{unknown_word}" -E ""')
        self._system = Dictionary(folder / "sys.dic")
        unknown = Dictionary(folder / "unk.dic")
        self._unknown = {
            (int(t["left"]), int(t["cost"])): unknown.feature(int(t["feature"]))
            for t in reversed(unknown.tokens)
        }
        self._words: dict[str, Word] = {}

    def __call__(self, folded_text: str) -> list[Morpheme]:
        """Split a folded text; blanks belong to no morpheme."""
        found: list[Morpheme] = []
        at = 0
        for surface, lemma, reading, pos, _ in map(self.word, self.entries(folded_text)):
            at = folded_text.index(surface, at)
            end = at + len(surface)
            found.append(Morpheme(surface, lemma, reading, pos, at, end))
            at = end
        return found

    def entries(self, folded_text: str) -> list[str]:
        """Return one line per morpheme: its surface and, after a tab, what names its entry.

        :meth:`word` explains a line. The lines of one entry are equal, so that callers can keep
        what they make of it by line.
        """
        if len(folded_text) > LONGEST_CHARS:
            return [line for part in pieces(folded_text) for line in self.entries(part)]
        if _NUL in folded_text:
            folded_text = folded_text.replace(_NUL, " ")
        with self._lock:
            printed: str = self._mecab(folded_text)
        return printed.split("\n") if printed else []

    def word(self, entry: str) -> Word:
        """Explain a line of :meth:`entries`."""
        word = self._words.get(entry)
        if word is None:
            if len(self._words) >= _MOST_WORDS:
                self._words = {}
            word = self._words[entry] = self._look_up(entry)
        return word

    def _look_up(self, entry: str) -> Word:
        surface, context, cost, *unknown = entry.split("\t")
        name = int(context), int(cost)
        known = not unknown
        line = self._system.features(surface, *name) if known else self._unknown.get(name)
        if line is None:
            raise IndexMismatch(
                f"辞書「{self.dictionary}」に「{surface}」の項目が見つかりません。"
                "unidic-lite を入れ直してください。",
                code="dictionary_unreadable",
            )
        return read_features(surface, line, known=known)


class NodeTagger:
    """The oracle of :class:`Tagger`: fugashi's nodes, one by one. Three times slower."""

    def __init__(self) -> None:
        self.dictionary, folder = _find_dictionary()
        self._nodes, _ = _mecab(folder, "", method="parseToNodeList")

    def __call__(self, folded_text: str) -> list[Morpheme]:
        """Split a folded text; blanks belong to no morpheme."""
        found: list[Morpheme] = []
        at = 0
        for part in pieces(folded_text):
            for node in self._nodes(part.replace(_NUL, " ")):
                word = read_features(node.surface, node.feature_raw, known=not node.is_unk)
                at = folded_text.index(word.surface, at)
                end = at + len(word.surface)
                found.append(Morpheme(*word[:4], at, end))
                at = end
        return found


def pieces(text: str) -> list[str]:
    """Cut a very long text where a word cannot be cut: after a border or a full stop if there is one."""
    found = []
    start = 0
    while len(text) - start > LONGEST_CHARS:
        limit = start + LONGEST_CHARS
        end = 1 + max(text.rfind(mark, start + LONGEST_CHARS // 2, limit) for mark in "\t。.、 ")
        found.append(text[start : end or limit])
        start = end or limit
    found.append(text[start:])
    return found


def _find_dictionary() -> tuple[str, Path]:
    try:
        import unidic_lite

        version = importlib.metadata.version("unidic-lite")
    except ImportError as error:
        raise _missing("unidic-lite") from error
    return f"unidic-lite {version}", Path(unidic_lite.DICDIR)


def _mecab(
    folder: Path, options: str, *, method: str = "parse"
) -> tuple[Callable[[str], Any], threading.Lock]:
    try:
        from fugashi import GenericTagger
    except ImportError as error:
        raise _missing("fugashi") from error
    return _opened(GenericTagger, f'-r "{folder / "mecabrc"}" -d "{folder}" {options}', method)


@lru_cache(maxsize=8)
def _opened(
    open_tagger: Callable[[str], Any], options: str, method: str
) -> tuple[Callable[[str], Any], threading.Lock]:
    """Open a tagger once a process, with the lock of those who share it: fugashi never closes one."""
    run: Callable[[str], Any] = getattr(open_tagger(options), method)
    return run, threading.Lock()


def _missing(package: str) -> MissingExtra:
    return MissingExtra(
        f"日本語の形態素解析に使う {package} が入っていません。`pip install ragjp` で入れ直してください。"
    )
