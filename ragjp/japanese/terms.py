"""Terms of the lexical index, in three fields, from one analysis of the folded text.

``lemma`` unifies what the dictionary knows to be one word (サーバ/サーバー, 申込/申し込み), and ends with
the hidden normal forms of dates (``@2023-04-01``) and numbers (``#3000000円``); ``bigram`` finds what
the dictionary splits wrong or does not know; ``title`` has the lemmas of a passage's title and
headings alone.
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

FIELDS = ("lemma", "bigram", "title")
#: Part of every index. Change it whenever any text gets other terms.
TERMS_VERSION = "4"

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
#: Titles kept: the chunks of one document come one after the other and share theirs.
_MOST_TITLES = 1_000
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
        self._titles: dict[str, list[str]] = {}

    def terms(self, text: str) -> dict[str, list[str]]:
        """Return the terms of a text's ``lemma`` and ``bigram`` field, in its order.

        >>> Analyzer().terms("サーバーの申込")
        {'lemma': ['サーバー', '申し込み'], 'bigram': ['サー', 'ーバ', 'バー', 'ーの', 'の申', '申込']}
        """
        folded = _searched(text)
        return {"lemma": self._lemmas(folded), "bigram": bigrams(folded)}

    def lemmas(self, text: str) -> list[str]:
        """Return the terms of a text's ``lemma`` field alone.

        >>> Analyzer().lemmas("サーバーの申込")
        ['サーバー', '申し込み']
        """
        return self._lemmas(_searched(text))

    def passage_terms(self, context: str, body: str) -> dict[str, list[str]]:
        """Return the terms of each field of :data:`FIELDS` for a passage.

        Parameters
        ----------
        context
            Title and headings on one line, or "". Analysed with the body, as it is embedded (a
            title may run on in the first line), and alone for ``title``.
        body
            The passage's own text.
        """
        return {**self.terms(passage(context, body)), "title": list(self._title(context))}

    def _title(self, context: str) -> list[str]:
        found = self._titles.get(context)
        if found is None:
            if len(self._titles) >= _MOST_TITLES:
                self._titles = {}
            found = self._titles[context] = self.lemmas(context)
        return found

    def _lemmas(self, folded: str) -> list[str]:
        entries = self._tagger.entries(folded)
        numbers = frozenset(n for n in _POINTED.findall(folded) if len(n) <= _LONGEST_NUMBER)
        if numbers:
            entries = _join_numbers(entries, numbers)
        lemma = self._lemma
        dates, rest = take_dates(folded)
        return [
            *(term for entry in entries if (term := lemma[entry])),
            *dates,
            *number_forms(rest),
        ]

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


def passage(context: str, body: str) -> str:
    """What is embedded and analysed for a passage: title and headings on one line, then its text."""
    return f"{context}\n{body}" if context else body


def _searched(text: str) -> str:
    """Fold a text and take the commas out of its numbers."""
    return _GROUP_COMMA.sub("", fold(text))


def lemma_term(word: Word) -> str:
    """Return a word's term in the ``lemma`` field, or "" when it has none (particles, auxiliaries, signs).

    The lemma of a proper noun is its reading, which would make 橋本 and 端本 one: its surface is taken.
    """
    if word.pos.startswith(_GRAMMAR) or not any(map(str.isalnum, word.surface)):
        return ""
    if not word.known or word.pos.startswith(_PROPER_NOUN):
        return word.surface
    return fold(word.lemma)


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
