"""Check an answer's citations against the pages they name: a quote stands there, character for character, or it is dropped.

What an LLM writes is a claim. For each statement and each passage number written after it:

1. Every number, date and amount of the statement must be in the passage (by value: 三十日 is 30日, 令和5年 is 2023年).
2. What stands in 「」 must be on one of the pages cited, widths and blanks aside, when it is long enough to be a quotation or
   the statement is nothing else.
3. At least half of the statement's content words must be in the passage or its headings.
4. The citation is cut from the page: the quotation itself, else the sentence of the passage that shares the most with the
   statement.

A citation that fails is dropped and its marker removed; the rest are numbered anew, in order. An answer without any is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragjp.chain.figures import claimed_numbers, numbers_in
from ragjp.chain.markers import MarkerGroup, find_markers, strip_markers
from ragjp.chain.ports import PageSource
from ragjp.chain.prompt import NOT_FOUND
from ragjp.chain.quotes import PageText, compact_length
from ragjp.chain.words import Evidence, Word, WordReader, coverage
from ragjp.errors import AccessDenied
from ragjp.japanese.normalize import fold
from ragjp.japanese.sentences import split_sentences
from ragjp.types import Citation, Hit, Span, View

#: Characters (folded, without blanks) from which a text in 「」 is a quotation and not a name or a term.
QUOTATION_CHARS = 8
#: Share of a statement's content words that the passage with its headings must have, and that the sentence itself must have.
PASSAGE_SHARE = 0.5
SENTENCE_SHARE = 0.3

_BRACKETED = re.compile(r"「([^「」]*(?:「[^「」]*」[^「」]*)*)」|『([^『』]+)』|“([^“”]+)”")
_SAYS_NOTHING = re.compile(
    r"見つかりません|見つけられません|見当たりません|記載(?:が|は)(?:あり|ござい)ません|わかりません|分かりません"
)


@dataclass(frozen=True, slots=True)
class Citing:
    """A checked answer: its text with markers ``[1]`` … ``[n]``, citation n first to last, and how many were dropped.

    ``citations`` is empty when nothing held; ``text`` then says that nothing was found.
    """

    text: str
    citations: tuple[Citation, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class _Source:
    hit: Hit
    page: PageText
    passage: Evidence
    numbers: frozenset[float]


def check_citations(
    text: str,
    hits: Sequence[Hit],
    *,
    pages: PageSource,
    view: View,
    words: WordReader | None = None,
) -> Citing:
    """Check every citation of an answer.

    Parameters
    ----------
    text
        What the LLM wrote, with markers ``[n]`` that count ``hits`` from 1.
    hits
        The passages in the order they were numbered.
    pages
        Where the text of a page is read, for ``view``: what it may not read is not cited.
    words
        Reader of content words; ``None`` makes one.

    Returns
    -------
    Citing
        Each ``citation.quote`` equals its page's ``text[start:end]``.
    """
    checker = _Checker(hits, pages, view, words or WordReader())
    groups = find_markers(text)
    pieces: list[str] = []
    at, dropped = 0, 0
    for index, group in enumerate(groups):
        pieces.append(text[at : group.start].rstrip(" \t　"))
        statement = _statement(text, groups, index)
        kept = checker.cite(statement, group.numbers)
        dropped += len(group.numbers) - len(kept)
        pieces.append("".join(f"[{number}]" for number in dict.fromkeys(kept)))
        at = group.end
    pieces.append(text[at:])
    if not checker.citations:
        return Citing(NOT_FOUND, (), dropped)
    return Citing("".join(pieces).strip(), tuple(checker.citations), dropped)


def _statement(text: str, groups: Sequence[MarkerGroup], index: int) -> str:
    """Return the sentence that a group of markers stands in or right after, without markers."""
    start = groups[index - 1].end if index else 0
    # A marker before the full stop belongs to the sentence that it ends, and the stop is no part of the next one.
    before = text[start : groups[index].start].lstrip("。．. 　\n")
    spans = split_sentences(before)
    return strip_markers(before[spans[-1].start : spans[-1].end]) if spans else ""


def _quotations(statement: str) -> list[str]:
    """Return what a statement quotes: all that it puts in 「」 when it says nothing else, else what is long enough."""
    least = 1 if compact_length(_BRACKETED.sub("", statement)) <= 1 else QUOTATION_CHARS
    found = [match[1] or match[2] or match[3] or "" for match in _BRACKETED.finditer(statement)]
    return [quoted for quoted in found if compact_length(quoted) >= least]


class _Checker:
    def __init__(
        self, hits: Sequence[Hit], pages: PageSource, view: View, words: WordReader
    ) -> None:
        self._hits = hits
        self._pages = pages
        self._view = view
        self._words = words
        self._sources: dict[int, _Source | None] = {}
        self._numbers: dict[Citation, int] = {}
        self.citations: list[Citation] = []

    def cite(self, statement: str, numbers: Sequence[int]) -> list[int]:
        """Return the new numbers of the citations that hold for a statement."""
        if not statement or _SAYS_NOTHING.search(statement):
            return []
        sources = [source for number in numbers if (source := self._source(number))]
        quotations = _quotations(statement)
        for quoted in quotations:
            if not any(source.page.find(quoted) for source in sources):
                return []
        kept = []
        for source in sources:
            if span := self._support(statement, quotations, source):
                kept.append(self._number(source, span))
        return kept

    def _support(self, statement: str, quotations: Sequence[str], source: _Source) -> Span | None:
        if not claimed_numbers(fold(statement)) <= source.numbers:
            return None
        weights = {word: word.factor for word in self._words.words(statement)}
        if not weights and not quotations:
            return None
        if coverage(weights, source.passage) < PASSAGE_SHARE:
            return None
        near = Span(source.hit.start, source.hit.end)
        for quoted in sorted(quotations, key=len, reverse=True):
            if span := source.page.find(quoted, near=near):
                return span
        return self._best_sentence(statement, weights, source)

    def _best_sentence(
        self, statement: str, weights: dict[Word, float], source: _Source
    ) -> Span | None:
        claimed = claimed_numbers(fold(statement))
        best: tuple[float, int] | None = None
        spans = split_sentences(source.hit.text)
        for place, span in enumerate(spans):
            evidence = self._words.evidence(source.hit.text[span.start : span.end])
            share = coverage(weights, evidence)
            held = len(claimed & numbers_in(evidence.text)) / len(claimed) if claimed else 1.0
            if share < SENTENCE_SHARE or (claimed and not held):
                continue
            # Ties go to the first sentence.
            if best is None or (share + held, -place) > (best[0], -best[1]):
                best = (share + held, place)
        if best is None:
            return None
        span = spans[best[1]]
        return Span(source.hit.start + span.start, source.hit.start + span.end)

    def _source(self, number: int) -> _Source | None:
        if number not in self._sources:
            self._sources[number] = self._load(number)
        return self._sources[number]

    def _load(self, number: int) -> _Source | None:
        if not 1 <= number <= len(self._hits):
            return None
        hit = self._hits[number - 1]
        try:
            page = self._pages.page_text(hit.doc_id, hit.page, view=self._view)
        except AccessDenied:
            return None
        if page[hit.start : hit.end] != hit.text:
            return None
        context = " ".join((hit.doc_id, hit.title, *hit.heading_path, hit.text))
        evidence = self._words.evidence(context)
        return _Source(hit, PageText(page), evidence, numbers_in(evidence.text))

    def _number(self, source: _Source, span: Span) -> int:
        quote = source.page.source[span.start : span.end]
        citation = Citation(source.hit.doc_id, source.hit.page, quote, span.start, span.end)
        if citation not in self._numbers:
            self.citations.append(citation)
            self._numbers[citation] = len(self.citations)
        return self._numbers[citation]
