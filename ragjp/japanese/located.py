"""Where each term of a text stands in its source: the slow twin of :class:`~ragjp.japanese.terms.Analyzer`, for explanations.

The terms are the analyzer's own, found again with their places; every place is a span of the source text, through the map of the
folding. Nothing here is used by a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal, NamedTuple

from ragjp.japanese.normalize import Folded, normalize
from ragjp.japanese.spelling import occurrences
from ragjp.japanese.terms import (
    Analyzer,
    bigrams,
    hidden_forms,
    lemma_term,
    number_spans,
    searched_text,
)
from ragjp.types import Span

#: What became of a morpheme: a term, dropped as grammar or as a sign, or part of a number written with points.
Fate = Literal["term", "particle", "auxiliary", "blank", "sign", "number"]

#: No date and no number with its unit is longer.
_LONGEST_FORM = 64


class LocatedTerm(NamedTuple):
    """A term and the span of the source that it came from."""

    term: str
    span: Span


@dataclass(frozen=True, slots=True)
class LocatedWord:
    """A morpheme of the folded text, the span of the source that it came from, and what became of it.

    term : its term in the ``lemma`` field; "" unless its fate is ``term``.
    """

    surface: str
    lemma: str
    reading: str
    pos: str
    span: Span
    term: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class FoldedPart:
    """A part of the source that folding changed, and what it became ("" where it was dropped)."""

    source: str
    folded: str
    span: Span


@dataclass(frozen=True, slots=True)
class LocatedText:
    """A text taken apart.

    lemmas and bigrams hold the terms of the two fields; hidden the normal forms of dates and numbers, which are terms of the
    ``lemma`` field too, and so are own, the words of the company's dictionary. A form that stands nowhere by itself has the span of
    the whole text.
    """

    source: str
    searched: str
    words: tuple[LocatedWord, ...]
    lemmas: tuple[LocatedTerm, ...]
    bigrams: tuple[LocatedTerm, ...]
    hidden: tuple[LocatedTerm, ...]
    own: tuple[LocatedTerm, ...] = ()

    def spans(self, field: str, term: str) -> list[Span]:
        """Return where a term of a field stands, in the order of the text."""
        terms = self.bigrams if field == "bigram" else (*self.lemmas, *self.hidden, *self.own)
        return sorted({found.span for found in terms if found.term == term})


class _Map:
    """From what is searched to the source: the folding, then characters taken out (commas of numbers)."""

    def __init__(self, source: str) -> None:
        self.folded: Folded = normalize(source)
        self.searched = searched_text(source)
        self._places = _places(self.folded.text, self.searched)

    def span(self, start: int, end: int) -> Span:
        """Return the span of the source that ``searched[start:end]``, not empty, came from."""
        return self.folded.source_span(self._places[start], self._places[end - 1] + 1)


def _places(whole: str, part: str) -> list[int]:
    """Return where each character of ``part``, which is ``whole`` with characters taken out, stands in ``whole``."""
    if whole == part:
        return list(range(len(whole)))
    places: list[int] = []
    for tag, start, end, first, last in SequenceMatcher(
        None, whole, part, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            places += range(start, end)
        else:
            places += [min(start, max(end - 1, 0))] * (last - first)
    return places


def locate(analyzer: Analyzer, source: str) -> LocatedText:
    """Take a text apart as the analyzer does, and keep the places.

    >>> found = locate(Analyzer(), "ｻｰﾊﾞの申込")
    >>> [(found.source[slice(*term.span)], term.term) for term in found.lemmas]
    [('ｻｰﾊﾞ', 'サーバー'), ('申込', '申し込み')]
    """
    way = _Map(source)
    words, numbers = _words(analyzer, way)
    return LocatedText(
        source,
        way.searched,
        tuple(words),
        tuple(_lemmas(words, numbers, way)),
        tuple(_bigrams(way)),
        tuple(_hidden(way)),
        tuple(_own(analyzer, way)),
    )


def folded_parts(source: str) -> list[FoldedPart]:
    """List what folding changes in a text, part by part, in order.

    >>> [(part.source, part.folded) for part in folded_parts("ＪＲの㈱")]
    [('ＪＲ', 'jr'), ('㈱', '(株)')]
    """
    folded = normalize(source)
    edges: list[tuple[int, int]] = [(0, 0)]
    at = 0
    for start in range(len(source)):
        span = folded.folded_span(start, start + 1)
        # A part of the source that folded as a whole is a part here.
        end = folded.source_span(*span).end if span.end > span.start else start + 1
        if start >= at:
            at = max(end, start + 1)
            edges.append((at, max(span.end, edges[-1][1])))
    parts: list[FoldedPart] = []
    for (start, first), (end, last) in pairwise(edges):
        old, new = source[start:end], folded.text[first:last]
        if old == new:
            continue
        if parts and parts[-1].span.end == start:
            before = parts.pop()
            old, new, start = before.source + old, before.folded + new, before.span.start
        parts.append(FoldedPart(old, new, Span(start, end)))
    return parts


def _words(analyzer: Analyzer, way: _Map) -> tuple[list[LocatedWord], list[Span]]:
    """Return the words, and the numbers with points that are one term, as spans of what is searched."""
    found = []
    at = 0
    for word in analyzer.words(way.searched):
        start = way.searched.index(word.surface, at)
        at = start + len(word.surface)
        found.append((Span(start, at), word))
    numbers = _whole_numbers(way.searched, [span for span, _ in found])
    inside = {place for number in numbers for place in range(*number)}
    words = []
    for span, word in found:
        term = lemma_term(word)
        fate: Fate = "number" if span.start in inside else "term" if term else _dropped(word.pos)
        kept = term if fate == "term" else ""
        words.append(LocatedWord(*word[:4], way.span(*span), kept, fate))
    return words, numbers


def _whole_numbers(text: str, words: list[Span]) -> list[Span]:
    """Return the numbers with points that the morphemes' borders let be put together."""
    starts, ends = {word.start for word in words}, {word.end for word in words}
    spans = [Span(*found) for found in number_spans(text)]
    return [span for span in spans if span.start in starts and span.end in ends]


def _dropped(pos: str) -> Fate:
    if pos.startswith("助詞"):
        return "particle"
    if pos.startswith("助動詞"):
        return "auxiliary"
    return "blank" if pos.startswith("空白") else "sign"


def _lemmas(words: list[LocatedWord], numbers: list[Span], way: _Map) -> list[LocatedTerm]:
    found = [LocatedTerm(word.term, word.span) for word in words if word.term]
    found += [LocatedTerm(way.searched[slice(*span)], way.span(*span)) for span in numbers]
    return sorted(found, key=lambda one: one.span)


def _bigrams(way: _Map) -> Iterator[LocatedTerm]:
    at = 0
    for term in bigrams(way.searched):
        # Neighbouring pairs share a character: the next begins one later at the earliest.
        start = way.searched.index(term, at)
        at = start + 1
        yield LocatedTerm(term, way.span(start, start + len(term)))


def _hidden(way: _Map) -> Iterator[LocatedTerm]:
    text = way.searched
    whole = hidden_forms(text)
    for form in dict.fromkeys(whole):
        found = 0
        for start, end in _where(text, form, whole):
            found += 1
            yield LocatedTerm(form, way.span(start, end))
        if not found and text:
            yield LocatedTerm(form, way.span(0, len(text)))


def _own(analyzer: Analyzer, way: _Map) -> Iterator[LocatedTerm]:
    """Find the words of the company's dictionary, as they are spelled or read."""
    found = set(analyzer.word_list.terms(way.searched))
    for word in sorted(analyzer.word_list.words):
        if word.term in found:
            for form in word.forms():
                for start in occurrences(form, way.searched):
                    yield LocatedTerm(word.term, way.span(start, start + len(form)))


def _where(text: str, form: str, whole: list[str]) -> Iterator[tuple[int, int]]:
    """Find the shortest parts of a text that give a form, and without which it gives fewer of it."""
    at = 0
    for end in range(1, len(text) + 1):
        first = max(at, end - _LONGEST_FORM)
        if form not in hidden_forms(text[first:end]):
            continue
        start = next(
            start for start in range(end - 1, -1, -1) if form in hidden_forms(text[start:end])
        )
        rest = hidden_forms(f"{text[:start]} \t {text[end:]}")
        if rest.count(form) < whole.count(form):
            yield start, end
            at = end
