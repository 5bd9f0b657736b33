"""Terms of the lexical index, in three fields, from one analysis of the folded text.

``lemma`` unifies what the dictionary knows to be one word (サーバ/サーバー, 申込/申し込み), and ends with
the hidden normal forms of dates (``@2023-04-01``) and numbers (``#3000000円``); ``surface`` keeps
the words as written; ``bigram`` finds what the dictionary splits wrong or does not know.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from operator import add

from ragjp.errors import IndexMismatch
from ragjp.japanese.characters import HIRAGANA, KANJI, KATAKANA
from ragjp.japanese.dates import take_dates
from ragjp.japanese.morphemes import Tagger, Word
from ragjp.japanese.normalize import FOLDING_VERSION, fold
from ragjp.japanese.numbers import number_forms

FIELDS = ("lemma", "surface", "bigram")
#: Part of every index. Change it whenever any text gets other terms.
TERMS_VERSION = "3"

#: Parts of speech that are no terms of their own.
_GRAMMAR = ("助詞", "助動詞", "空白")
_PROPER_NOUN = "名詞,固有名詞"

_JAPANESE_RUN = f"[{KANJI}{HIRAGANA}{KATAKANA}]+"
_RUN = re.compile(rf"({_JAPANESE_RUN})|[^\W_{KANJI}{HIRAGANA}{KATAKANA}]+")
#: A comma inside a number (3,000,000), and a number with points (3.5, 1.8.0, 192.168.0.1).
_GROUP_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_POINTED = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+)+(?![0-9])")

#: A longer chain of digits and points is no number.
_LONGEST_NUMBER = 40
_MOST_ENTRIES = 500_000
_BATCH = 256


class _Memory(dict[str, str]):
    """What an entry of the tagger is as a term; empty when it is none."""

    def __init__(self, term: Callable[[str], str]) -> None:
        self._term = term

    def __missing__(self, entry: str) -> str:
        if len(self) >= _MOST_ENTRIES:
            self.clear()
        found = self[entry] = self._term(entry)
        return found


class Analyzer:
    """Texts to terms. May be shared between threads.

    Parameters
    ----------
    fingerprint
        That of the index to search, or None.

    Raises
    ------
    MissingExtra
        When fugashi or unidic-lite is not installed.
    IndexMismatch
        When the index was built with another dictionary, folding or choice of terms.
    """

    def __init__(self, fingerprint: str | None = None) -> None:
        self._tagger = Tagger()
        self.fingerprint = (
            f"{self._tagger.dictionary}; folding {FOLDING_VERSION}; terms {TERMS_VERSION}"
        )
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise IndexMismatch(
                f"索引は「{fingerprint}」で作られましたが、このプログラムは「{self.fingerprint}」です。"
                "索引を作り直してください。",
                code="analyzer_mismatch",
            )
        self._lemma = _Memory(lambda entry: lemma_term(self._tagger.word(entry)))
        self._surface = _Memory(lambda entry: surface_term(self._tagger.word(entry)))

    def terms(self, text: str) -> dict[str, list[str]]:
        """Return the terms of each field of :data:`FIELDS`, in the order of the text.

        >>> Analyzer().terms("サーバーの申込")["lemma"]
        ['サーバー', '申し込み']
        """
        folded = _GROUP_COMMA.sub("", fold(text))
        entries = self._tagger.entries(folded)
        numbers = frozenset(n for n in _POINTED.findall(folded) if len(n) <= _LONGEST_NUMBER)
        if numbers:
            entries = _join_numbers(entries, numbers)
        lemma, surface = self._lemma, self._surface
        dates, rest = take_dates(folded)
        return {
            "lemma": [
                *(term for entry in entries if (term := lemma[entry])),
                *dates,
                *number_forms(rest),
            ],
            "surface": [term for entry in entries if (term := surface[entry])],
            "bigram": bigrams(folded),
        }

    def terms_many(
        self, texts: Sequence[str], *, processes: int = 1
    ) -> Iterator[dict[str, list[str]]]:
        """Yield the terms of each text, in order; with more than one process, from workers.

        Workers start by spawn: a script that asks for them needs ``if __name__ == "__main__":``.
        """
        if processes <= 1 or len(texts) <= _BATCH:
            yield from map(self.terms, texts)
            return
        with ProcessPoolExecutor(
            min(processes, -(-len(texts) // _BATCH)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
        ) as pool:
            yield from pool.map(_work, texts, chunksize=_BATCH)


def lemma_term(word: Word) -> str:
    """Return a word's term in the ``lemma`` field, or "" when it has none.

    The lemma of a proper noun is its reading, which would make 橋本 and 端本 one: its surface is taken.
    """
    if not word.known or word.pos.startswith(_PROPER_NOUN):
        return surface_term(word)
    return fold(word.lemma) if surface_term(word) else ""


def surface_term(word: Word) -> str:
    """Return a word's term in the ``surface`` field: "" for particles, auxiliaries and signs."""
    if word.pos.startswith(_GRAMMAR) or not any(map(str.isalnum, word.surface)):
        return ""
    return word.surface


def bigrams(folded: str) -> list[str]:
    """Return the pairs of neighbouring characters of each Japanese run; other runs stay whole.

    A run of one character is a term by itself. Nothing reaches across punctuation or blanks.

    >>> bigrams("経費規程 jr2023、円")
    ['経費', '費規', '規程', 'jr2023', '円']
    """
    found: list[str] = []
    for match in _RUN.finditer(folded):
        run = match[0]
        if match[1] and len(run) > 1:
            found.extend(map(add, run, run[1:]))
        else:
            found.append(run)
    return found


def _join_numbers(entries: list[str], numbers: frozenset[str]) -> list[str]:
    """Put back together the numbers with points, which the dictionary splits at the point."""
    joined: list[str] = []
    at = 0
    while at < len(entries):
        surface, _, rest = entries[at].partition("\t")
        end = at + 1
        if surface.isdigit():
            whole = surface
            for i in range(at + 1, len(entries)):
                part = entries[i].partition("\t")[0]
                if (part != "." and not part.isdigit()) or len(whole) > _LONGEST_NUMBER:
                    break
                whole += part
                if whole in numbers:
                    surface, end = whole, i + 1
        joined.append(f"{surface}\t{rest}")
        at = end
    return joined


_worker: list[Analyzer] = []


def _start_worker() -> None:
    _worker[:] = [Analyzer()]


def _work(text: str) -> dict[str, list[str]]:
    return _worker[0].terms(text)
