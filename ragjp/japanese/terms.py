"""Terms of the lexical index, in three fields, from one analysis of the folded text.

``lemma`` unifies what the dictionary knows to be one word (サーバ/サーバー, 申込/申し込み), and ends with
the hidden normal forms of dates (``@2023-04-01``) and numbers (``#3000000円``); ``bigram`` finds what
the dictionary splits wrong or does not know; ``title`` has the lemmas of a passage's title and
headings alone.

A word's term is its lemma, so that its spellings are one. Names keep their characters (the lemma of
a name is its reading), but for shapes of one character that only names have (斎藤/斉藤); the bigrams
keep even those, and put the very spelling first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property
from operator import add
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ragjp import compiled
from ragjp.errors import IndexMismatch
from ragjp.japanese.characters import HIRAGANA, KANJI, KATAKANA
from ragjp.japanese.columns import TermColumn, column_of
from ragjp.japanese.hidden import emphasised
from ragjp.japanese.hidden import hidden_forms as hidden_forms
from ragjp.japanese.morphemes import Tagger, Word
from ragjp.japanese.normalize import FOLDING_VERSION, fold
from ragjp.japanese.variants import COMPANIES, NAME_SHAPES
from ragjp.japanese.words import WordList
from ragjp.types import in_context

if TYPE_CHECKING:
    from ragjp.japanese.bulk import BulkAnalyzer

FIELDS = ("lemma", "bigram", "title")
#: Part of every index. Change it whenever any text gets other terms.
TERMS_VERSION = "5"

#: Parts of speech that are no terms of their own.
_GRAMMAR = ("助詞", "助動詞", "空白")
_PROPER_NOUN = "名詞,固有名詞"
_WORDS = "; words "

_JAPANESE_RUN = f"[{KANJI}{HIRAGANA}{KATAKANA}]+"
_RUN = re.compile(rf"({_JAPANESE_RUN})|[^\W_{KANJI}{HIRAGANA}{KATAKANA}]+")
#: A comma inside a number (3,000,000), and a number with points (3.5, 1.8.0, 192.168.0.1).
_GROUP_COMMA = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")
_POINTED = re.compile(r"[0-9](?<![0-9.].)[0-9]*(?:\.[0-9]+)+(?![0-9])")

#: (株), （有）: the kind of a company or a foundation in front of its name; (株) behind it, too.
COMPANY = re.compile(rf"\((?:株\)|(?:{'|'.join(COMPANIES)})\)(?= ?[^\W0-9]))")
_WHOLE_KATAKANA = re.compile(f"[{KATAKANA}]+")
#: What a katakana word that the dictionary does not know loses at its end (JIS Z 8301:2008 left it out).
_LONG_VOWEL = "ー"
_SHORTEST_WITHOUT = 3
_V_SOUNDS = {"ヴァ": "バ", "ヴィ": "ビ", "ヴェ": "ベ", "ヴォ": "ボ", "ヴュ": "ビュ", "ヴ": "ブ"}
_V_SOUND = re.compile("ヴ[ァィェォュ]?")

#: A longer chain of digits and points is no number.
_LONGEST_NUMBER = 40
MOST_ENTRIES = 500_000
#: The compiled module of bulk analysis.
KERNELS = "ragjp.japanese.analysis_kernels"
#: Loading it takes as long as a million characters do one by one: few never ask for it, many wait
#: for it, and for those between it is loaded while they are done one by one.
_FEWEST_CHARS = 20_000
_WORTH_WAITING_CHARS = 2_000_000
#: Titles kept: the chunks of one document come one after the other and share theirs.
_MOST_TITLES = 1_000


class _Memory(dict[str, str]):
    """What an entry of the tagger is as a term; empty when it is none."""

    def __init__(self, term: Callable[[str], str]) -> None:
        self._term = term

    def __missing__(self, entry: str) -> str:
        if len(self) >= MOST_ENTRIES:
            self.clear()
        found = self[entry] = self._term(entry)
        return found


class _Bulk(NamedTuple):
    """The bulk path, or why there is none."""

    analyzer: BulkAnalyzer | None
    reason: str


class Analyzer:
    """Texts to terms. May be shared between threads.

    Parameters
    ----------
    fingerprint
        That of the index to search, or None.
    words
        The company's own words.

    Raises
    ------
    MissingExtra
        When fugashi or unidic-lite is not installed.
    IndexMismatch
        When the index was built with another dictionary, folding or choice of terms.
    """

    def __init__(self, fingerprint: str | None = None, *, words: WordList | None = None) -> None:
        self._tagger = Tagger()
        self.dictionary_folder = self._tagger.folder
        self.word_list = words or WordList()
        #: Changes whenever any text would get other terms.
        self.fingerprint = (
            f"{self._tagger.dictionary}; folding {FOLDING_VERSION}; terms {TERMS_VERSION}"
            f"{_named(self.word_list)}"
        )
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise IndexMismatch(
                f"索引は「{fingerprint}」で作られましたが、このプログラムは「{self.fingerprint}」です。"
                "索引を作り直してください。",
                code="analyzer_mismatch",
            )
        self._lemma = _Memory(lambda entry: lemma_term(self._tagger.word(entry)))
        self._titles: dict[str, list[str]] = {}

    def with_words(self, words: WordList) -> Analyzer:
        """Return an analyzer with other words of the company's own and everything else shared."""
        if words.words == self.word_list.words:
            return self
        other = copy(self)
        other.word_list = words
        other.fingerprint = self.fingerprint.partition(_WORDS)[0] + _named(words)
        other._titles = {}
        other.__dict__.pop("_bulk", None)
        return other

    def further_terms(self, folded: str) -> list[str]:
        """Return what a text has in the ``lemma`` field besides its words' lemmas: hidden forms, and the company's own words."""
        return hidden_forms(folded) + self.word_list.terms(folded)

    def terms(self, text: str) -> dict[str, list[str]]:
        """Return the terms of a text's ``lemma`` and ``bigram`` field, in its order.

        >>> Analyzer().terms("サーバーの申込")
        {'lemma': ['サーバー', '申し込み'], 'bigram': ['サー', 'ーバ', 'バー', 'ーの', 'の申', '申込']}
        """
        folded = searched_text(text)
        return {"lemma": self.lemmas_of_folded(folded), "bigram": bigrams(folded)}

    def question_terms(self, text: str) -> dict[str, list[str]]:
        """Return the terms of a question: as :meth:`terms`, the exact form of each date and number several times.

        R5.4.1 shares no word with 2023年4月1日, which shares nearly all of its words with 2023年4月2日: the one term
        that is right must count more than the many that are nearly right.
        """
        terms = self.terms(text)
        return {**terms, "lemma": emphasised(terms["lemma"])}

    def lemmas(self, text: str) -> list[str]:
        """Return the terms of a text's ``lemma`` field alone.

        >>> Analyzer().lemmas("サーバーの申込")
        ['サーバー', '申し込み']
        """
        return self.lemmas_of_folded(searched_text(text))

    def words(self, folded: str) -> list[Word]:
        """Return the morphemes of what :func:`searched_text` returned, those that are no terms included."""
        return [self._tagger.word(entry) for entry in self._tagger.entries(folded)]

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
        return {**self.terms(in_context(context, body)), "title": list(self._title(context))}

    def _title(self, context: str) -> list[str]:
        found = self._titles.get(context)
        if found is None:
            if len(self._titles) >= _MOST_TITLES:
                self._titles = {}
            found = self._titles[context] = self.lemmas(context)
        return found

    def lemmas_of_folded(self, folded: str) -> list[str]:
        """Do the work of :meth:`lemmas` on what :func:`searched_text` returned."""
        lemma = self._lemma
        entries = self._tagger.entries(folded)
        if spans := number_spans(folded):
            terms = _with_numbers(folded, spans, entries, lemma)
        else:
            terms = [term for entry in entries if (term := lemma[entry])]
        return terms + self.further_terms(folded)

    def terms_many(self, texts: Sequence[str], *, workers: int = 1) -> dict[str, TermColumn]:
        """Return what :meth:`terms` returns for each text, as one column a field.

        Parameters
        ----------
        workers
            Threads; most of their time they hold no lock of Python's.
        """
        size = sum(map(len, texts))
        hand_out = compiled.load if size >= _WORTH_WAITING_CHARS else compiled.ready
        if size >= _FEWEST_CHARS and hand_out(KERNELS) is not None and self._bulk.analyzer:
            lemma, bigram = self._bulk.analyzer.columns(texts, workers)
            return {"lemma": lemma, "bigram": bigram}
        rows = [self.terms(text) for text in texts]
        return {name: column_of([row[name] for row in rows]) for name in ("lemma", "bigram")}

    @property
    def why_no_bulk(self) -> str:
        """Why many texts are analysed one by one here, as a sentence; empty when they are not."""
        return self._bulk.reason

    @cached_property
    def _bulk(self) -> _Bulk:
        try:
            from ragjp.japanese.bulk import BulkAnalyzer

            return _Bulk(BulkAnalyzer(self), "")
        except ImportError:
            return _Bulk(None, compiled.why_not())
        except OSError as error:
            return _Bulk(
                None,
                f"fugashi に同梱の libmecab を使えないため、1件ずつ解析します({error})。"
                "`pip install --force-reinstall fugashi` でホイール版を入れると速くなります。",
            )

    def passages_terms(
        self, passages: Sequence[tuple[str, str]], *, workers: int = 1
    ) -> dict[str, TermColumn]:
        """Return what :meth:`passage_terms` returns for each (context, body), as one column a field."""
        contexts = list(dict.fromkeys(context for context, _ in passages))
        texts = [in_context(context, body) for context, body in passages]
        found = self.terms_many([*texts, *contexts], workers=workers)
        place = {context: len(texts) + i for i, context in enumerate(contexts)}
        titles = np.fromiter((place[context] for context, _ in passages), np.intp, len(texts))
        own = np.arange(len(texts))
        return {
            "lemma": found["lemma"].rows(own),
            "bigram": found["bigram"].rows(own),
            "title": found["lemma"].rows(titles),
        }


def _named(words: WordList) -> str:
    """What a fingerprint says of the company's own words: nothing when there are none."""
    return f"{_WORDS}{words.digest}" if words.words else ""


def searched_text(text: str) -> str:
    """Fold a text, take the commas out of its numbers, and write the kinds of companies out.

    >>> searched_text("㈱ＡＢＣ、3,000円")
    '株式会社abc、3000円'
    """
    plain = _GROUP_COMMA.sub("", fold(text))
    return COMPANY.sub(_company, plain) if "(" in plain else plain


def _company(match: re.Match[str]) -> str:
    return COMPANIES[match[0][1:-1]]


def number_spans(folded: str) -> list[tuple[int, int]]:
    """Return where the numbers with points stand."""
    found = (match.span() for match in _POINTED.finditer(folded))
    return [(start, end) for start, end in found if end - start <= _LONGEST_NUMBER]


def lemma_term(word: Word) -> str:
    """Return a word's term in the ``lemma`` field, or "" when it has none (particles, auxiliaries, signs).

    The lemma of a proper noun is its reading, which would make 橋本 and 端本 one: its surface is taken,
    in plain shapes. A name in katakana has no other way to be written: its lemma is taken.
    """
    if word.pos.startswith(_GRAMMAR) or not any(map(str.isalnum, word.surface)):
        return ""
    if word.surface.strip(_LONG_VOWEL) == "":
        return ""  # what is left of トランスデューサー when the dictionary knows no such word
    if not word.known:
        return _unknown_term(word.surface)
    if not word.pos.startswith(_PROPER_NOUN):
        return fold(word.lemma)
    if _WHOLE_KATAKANA.fullmatch(word.surface):
        return fold(word.lemma)
    return word.surface.translate(NAME_SHAPES)


def _unknown_term(surface: str) -> str:
    """Leave the long vowel at the end out, and write ヴ as the dictionary does, where a word is katakana only."""
    if _WHOLE_KATAKANA.fullmatch(surface) is None:
        return surface
    plain = surface.rstrip(_LONG_VOWEL)
    if len(plain) < _SHORTEST_WITHOUT:
        plain = surface
    return _V_SOUND.sub(lambda m: _V_SOUNDS[m[0]], plain)


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


def _with_numbers(
    folded: str, spans: Sequence[tuple[int, int]], entries: Sequence[str], lemma: Mapping[str, str]
) -> list[str]:
    """Return the terms of the entries, the numbers with points put together again.

    The dictionary splits them at the point.
    """
    ends = dict(spans)
    terms: list[str] = []
    at = begun = first = 0
    for entry in entries:
        surface = entry.partition("\t")[0]
        start = folded.index(surface, at)
        at = start + len(surface)
        if start in ends:
            begun, first = start, len(terms)
        if term := lemma[entry]:
            terms.append(term)
        if ends.get(begun) == at:
            terms[first:] = [folded[begun:at]]
    return terms
