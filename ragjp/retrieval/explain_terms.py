"""BM25 a second time, term by term, by the formula as it is written; and where the terms stand in the passages.

:mod:`ragjp.index.lexical.bm25` has the formula, :mod:`ragjp.index.lexical.groups` that of synonyms. Everything is counted from the
postings over the rows of the view; nothing of the fast search is used, so that the two can be compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.bm25 import Bm25, idf
from ragjp.index.lexical.groups import FIELD, Group, Phrase
from ragjp.index.lexical.postings import Postings
from ragjp.index.reader import Allowed, Snapshot
from ragjp.japanese.located import LocatedText, locate
from ragjp.japanese.terms import Analyzer
from ragjp.retrieval.candidates import Question
from ragjp.retrieval.explain import Origin, Place, TermMatch, TermWeight
from ragjp.types import Chunk, IntArray, Span

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExplainedTerm:
    """A term or synonym with what it gives R passages.

    counts : (R,) int64. gains : (R,) float64, its part of the BM25 score. phrase : how its words may stand, for a synonym.
    """

    weight: TermWeight
    counts: Counts
    gains: NDArray[np.float64]
    phrase: Phrase | None = None


class _Field:
    """One term field of a snapshot as a view sees it, every count spelled out over all N rows."""

    def __init__(self, snapshot: Snapshot, name: str, allowed: Allowed) -> None:
        self._segments: list[Postings] = snapshot.postings(name)
        self.lengths = np.concatenate(
            [np.empty(0, np.int64), *(part.lengths for part in self._segments)]
        )
        visible = self.lengths[allowed.rows]
        self.mean_length = float(visible.mean()) if len(visible) else 0.0

    def counts(self, term: str) -> Counts:
        """How often each row holds a term, (N,)."""
        counts = np.zeros(len(self.lengths), np.int64)
        base = 0
        for part in self._segments:
            number = int(part.find([term])[0])
            if number >= 0:
                span = slice(int(part.offsets[number]), int(part.offsets[number + 1]))
                counts[base + part.rows[span]] = part.counts[span]
            base += len(part.lengths)
        return counts

    def saturated(self, counts: Counts, rows: IntArray, constants: Bm25) -> NDArray[np.float64]:
        """``tf / (tf + norm)`` of counts (R,) at rows (R,)."""
        relative = self.lengths[rows] / (self.mean_length or 1.0)
        norm = constants.k1 * (1 - constants.b + constants.b * relative)
        return counts / (counts + norm)


def explain_terms(
    snapshot: Snapshot,
    allowed: Allowed,
    question: Question,
    origins: Mapping[str, Origin],
    weights: Mapping[str, float],
    constants: Bm25,
    rows: IntArray,
) -> list[ExplainedTerm]:
    """Weigh every term and synonym of a question in a view, and compute what each gives to some rows (R,) of the view.

    Parameters
    ----------
    origins
        Where the terms of the ``lemma`` field came from; those that are not named were added to the question.
    weights
        Of the fields; one without weight is left out.
    """
    wanted = {FIELD, *(name for name, weight in weights.items() if weight)}
    if question.groups:
        wanted.add("bigram")
    fields = {
        name: _Field(snapshot, name, allowed)
        for name in json.loads(snapshot.meta["fields"])
        if name in wanted and snapshot.n_rows
    }
    groups = [
        _Grouped(group, fields, allowed, rows) for group in question.groups if FIELD in fields
    ]
    of_term = {each.group.term: each for each in groups if each.group.term}
    found: list[ExplainedTerm] = []
    for name, field_weight in weights.items():
        if not field_weight or name not in fields:
            continue
        field = fields[name]
        asked = question.terms.get("lemma" if name == "title" else name, ())
        for term, times in Counter(asked).items():
            counts = field.counts(term)
            frequency = int(np.count_nonzero(counts[allowed.rows]))
            # A term with synonyms is as rare as its group; one that stands in no passage brings nothing.
            group = of_term.get(term) if name == FIELD else None
            rarity = (
                idf(allowed.n_rows, group.frequency if group else frequency) if frequency else 0.0
            )
            own = field_weight * times * rarity
            origin: Origin = "word" if name == "bigram" else origins.get(term, "added")
            weight = TermWeight(name, term, origin, "", times, frequency, rarity, own)
            here = counts[rows]
            found.append(ExplainedTerm(weight, here, own * field.saturated(here, rows, constants)))
        if name == FIELD:
            for each in groups:
                found += each.synonyms(field, field_weight, constants, rows, allowed)
    return found


class _Grouped:
    """A group of synonyms as a view sees it.

    frequency : rows of the view that hold any of it. asked : (R,) how often the rows hold what was asked for. others : of each synonym
    the same, and in how many rows of the view it is.
    """

    def __init__(
        self, group: Group, fields: Mapping[str, _Field], allowed: Allowed, rows: IntArray
    ) -> None:
        self.group = group
        asked = _phrase_counts(group.asked, fields)
        others = [_phrase_counts(phrase, fields) for phrase in group.others]
        holds = np.logical_or.reduce([asked > 0, *(counts > 0 for counts in others)])
        self.frequency = int(np.count_nonzero(holds & allowed.rows))
        self.asked = asked[rows]
        self.others = [
            (phrase, counts[rows], int(np.count_nonzero(counts[allowed.rows])))
            for phrase, counts in zip(group.others, others, strict=True)
        ]

    def synonyms(
        self,
        field: _Field,
        field_weight: float,
        constants: Bm25,
        rows: IntArray,
        allowed: Allowed,
    ) -> Iterator[ExplainedTerm]:
        """What each synonym gives the rows that do not hold what was asked for: their gain, divided by their counts."""
        group = self.group
        rarity = idf(allowed.n_rows, self.frequency) if self.frequency else 0.0
        own = field_weight * group.times * group.share * rarity
        total = np.where(self.asked > 0, 0, sum(counts for _, counts, _ in self.others))
        gain = own * field.saturated(total, rows, constants)
        for phrase, counts, frequency in self.others:
            mine = np.where(total > 0, counts, 0)
            weight = TermWeight(
                FIELD,
                phrase.text,
                "synonym",
                group.asked.text,
                group.times,
                frequency,
                rarity if frequency else 0.0,
                own if frequency else 0.0,
            )
            yield ExplainedTerm(weight, mine, gain * mine / np.maximum(total, 1), phrase)


def _phrase_counts(phrase: Phrase, fields: Mapping[str, _Field]) -> Counts:
    """How often each row holds a phrase in the way that says most, (N,)."""
    n_rows = len(fields[FIELD].lengths)
    best = np.zeros(n_rows, np.int64)
    for way in phrase.ways:
        counts = [
            fields[name].counts(term) if name in fields else np.zeros(n_rows, np.int64)
            for name, term in way
        ]
        best = np.maximum(best, np.minimum.reduce(counts))
    return best


def matches_of(
    found: Sequence[ExplainedTerm], place: int, chunk: Chunk, analyzer: Analyzer
) -> tuple[TermMatch, ...]:
    """Say which terms a passage holds, what each brings and where it stands; the greatest contribution first.

    Parameters
    ----------
    place
        The passage's place among the rows that were explained.
    """
    text = locate(analyzer, chunk.indexed_text)
    title = locate(analyzer, chunk.context)
    matches = []
    for one in found:
        if one.counts[place] <= 0:
            continue
        weight = one.weight
        spans = _spans(title if weight.field == "title" else text, one)
        places = tuple(_place(span, chunk) for span in spans)
        matches.append(
            TermMatch(
                weight.field,
                weight.term,
                weight.origin,
                weight.of,
                int(one.counts[place]),
                float(one.gains[place]),
                places,
            )
        )
    return tuple(sorted(matches, key=lambda match: -match.contribution))


def _spans(text: LocatedText, one: ExplainedTerm) -> list[Span]:
    if one.phrase is None:
        return text.spans(one.weight.field, one.weight.term)
    spans = {span for way in one.phrase.ways for span in _runs(text, way)}
    return sorted(spans)


def _runs(text: LocatedText, way: Sequence[tuple[str, str]]) -> Iterator[Span]:
    """Find where the terms of one way of a phrase follow each other in a text."""
    first = way[0][0]
    wanted = [term for name, term in way if name == first]
    terms = text.bigrams if first == "bigram" else text.lemmas
    for at in range(len(terms) - len(wanted) + 1):
        run = terms[at : at + len(wanted)]
        if [one.term for one in run] == wanted:
            yield Span(run[0].span.start, run[-1].span.end)


def _place(span: Span, chunk: Chunk) -> Place:
    """Carry a span of what is indexed for a passage to the page's text."""
    body = len(chunk.context) + 1 if chunk.context else 0
    if span.end <= body:
        return Place("context", chunk.page, -1, -1, chunk.context[span.start : span.end])
    start, end = max(span.start - body, 0), span.end - body
    written = chunk.text[start:end]
    return Place("text", chunk.page, chunk.start + start, chunk.start + end, written)
