"""The answer without an LLM: the sentences of the retrieved passages that best answer, word for word, or none.

A unit (a sentence, or a row of a table read with its header) is scored by the content words of the question that it and its
surroundings have, weighted by how rare they are; by whether it contains the kind of thing asked for (an amount, a date, a
number of days); by whether a measure in the question lies in the range that a row gives; and by its passage's rank.

It refuses rather than guess. What the question names exactly (a code, an article, a year, a place or a person) must be on the
page; what it asks for must be in the answer; and enough of its words, by weight, must be covered. A similarity threshold would
not do: embeddings of questions without an answer come out as close as those with one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from ragjp.chain.asked import Asked, read_question
from ragjp.chain.figures import articles_in, days_in, quantities_in, within, years_in
from ragjp.chain.ports import PageSource, TermStatistics
from ragjp.chain.units import Unit, cells, units_of
from ragjp.chain.words import Evidence, Word, WordReader, weigh
from ragjp.errors import AccessDenied
from ragjp.japanese.layout import unwrap
from ragjp.japanese.normalize import fold
from ragjp.types import Citation, Hit, Ranking, View

#: How many hits are read.
N_HITS = 8
#: Least share of the question's words, by weight, that the passage with its headings must cover.
LEAST_COVERAGE = 0.5
#: What the question is about (the nouns before its は) counts this much more.
TOPIC_FACTOR = 1.5
#: A sentence beside the best one is added when it scores at least this share of it.
COMPANION_SHARE = 0.85

# What a unit's score is made of: the words it has itself, those around it, and so on.
_OWN, _AROUND, _KIND, _RANGE, _NAMED, _RANK = 0.5, 0.5, 0.25, 0.3, 0.25, 0.2


@dataclass(frozen=True, slots=True)
class Extract:
    """An answer cut from one page: its text with a marker per citation, the citations, and the evidence's coverage."""

    text: str
    citations: tuple[Citation, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A question ready to be held against evidence. ``exact`` is the weight of each thing it names exactly."""

    asked: Asked
    weights: Mapping[Word, float]
    exact: float

    def coverage(self, evidence: Evidence) -> float:
        """Return the share of the question's weight that the evidence has, from 0 to 1."""
        asked = self.asked
        named = [mention in evidence.text for mention in asked.mentions - _measures(asked)]
        named += [article in articles_in(evidence.text) for article in asked.articles]
        named += [day in days_in(evidence.text) for day in asked.days]
        if asked.years:
            named.append(bool(asked.years & years_in(evidence.text)))
        total = sum(self.weights.values()) + self.exact * len(named)
        if total == 0:  # nothing is asked that could be found
            return 0.0
        words = sum(weight * evidence.credit(word) for word, weight in self.weights.items())
        return (words + self.exact * sum(named)) / total


@dataclass(frozen=True, slots=True)
class _Scored:
    hit: Hit
    units: Sequence[Unit]
    place: int
    score: float
    coverage: float


def extract_answer(
    question: str,
    ranking: Ranking,
    *,
    pages: PageSource,
    view: View,
    words: WordReader | None = None,
    statistics: TermStatistics | None = None,
) -> Extract | None:
    """Answer from the hits of a ranking, or return ``None`` when they do not hold an answer.

    Parameters
    ----------
    question
        As asked.
    ranking
        Hits, best first; the first :data:`N_HITS` are read.
    pages
        Where the page of a hit is read, for ``view``.
    words
        Reader of content words; ``None`` makes one.
    statistics
        How common words are among what ``view`` may read; without it, among the hits.
    """
    reader = words or WordReader()
    hits = ranking.hits[:N_HITS]
    passages = [reader.evidence(_passage_text(hit)) for hit in hits]
    wanted = _read(question, reader, statistics, view, passages)
    best: list[_Scored] = []
    for rank, (hit, passage) in enumerate(zip(hits, passages, strict=True)):
        page = _page_evidence(hit, pages, view, reader)
        if page is None or not _is_about(wanted, page):
            continue
        scored = list(_score(wanted, hit, passage, rank, reader))
        if scored and (not best or max(map(_by_score, scored)) > max(map(_by_score, best))):
            best = scored
    if not best or max(best, key=_by_score).coverage < LEAST_COVERAGE:
        return None
    return _compose(best)


def supporting_hits(
    question: str,
    ranking: Ranking,
    *,
    pages: PageSource,
    view: View,
    words: WordReader,
    statistics: TermStatistics | None = None,
) -> list[Hit]:
    """Return the hits, best first, that are about the question: those that :func:`extract_answer` would answer from.

    For a base model, which cannot say that it found nothing: what it is shown decides.
    """
    hits = ranking.hits[:N_HITS]
    passages = [words.evidence(_passage_text(hit)) for hit in hits]
    wanted = _read(question, words, statistics, view, passages)
    return [
        hit
        for hit, passage in zip(hits, passages, strict=True)
        if wanted.coverage(passage) >= LEAST_COVERAGE
        and (page := _page_evidence(hit, pages, view, words)) is not None
        and _is_about(wanted, page)
    ]


def evidence_sentence(question: str, hit: Hit, *, words: WordReader) -> str:
    """Return the unit of a hit that answers best: what a completion prompt shows of a passage."""
    passage = words.evidence(_passage_text(hit))
    wanted = _read(question, words, None, View.of(), [passage])
    scored = list(_score(wanted, hit, passage, 0, words))
    if not scored:
        return hit.text
    best = max(scored, key=_by_score)
    return best.units[best.place].text


def _read(
    question: str,
    reader: WordReader,
    statistics: TermStatistics | None,
    view: View,
    passages: Sequence[Evidence],
) -> _Wanted:
    asked = read_question(question)
    topic = reader.topic(question)
    parts = {part for mention in asked.mentions for part in re.split(r"[-\d]+", mention)}
    asked_words = [word for word in reader.words(question) if word.surface not in parts]
    weights = weigh(asked_words, statistics=statistics, view=view, candidates=passages)
    exact = max(weights.values(), default=1.0)
    for word in weights:
        if word.term in topic:
            weights[word] *= TOPIC_FACTOR
    return _Wanted(asked, weights, exact)


def _by_score(scored: _Scored) -> float:
    return scored.score


def _passage_text(hit: Hit) -> str:
    return "\n".join((hit.doc_id, hit.title, *hit.heading_path, hit.text))


def _page_evidence(hit: Hit, pages: PageSource, view: View, reader: WordReader) -> Evidence | None:
    try:
        text = pages.page_text(hit.doc_id, hit.page, view=view)
    except AccessDenied:
        return None
    if text[hit.start : hit.end] != hit.text:
        return None
    return reader.evidence("\n".join((hit.doc_id, hit.title, *hit.heading_path, text)))


def _is_about(wanted: _Wanted, page: Evidence) -> bool:
    """Whether the page has everything that the question names exactly."""
    asked = wanted.asked
    if any(code not in page.text for code in asked.codes):
        return False
    if not asked.articles <= articles_in(page.text):
        return False
    years = years_in(page.text)
    if asked.years and years and not asked.years & years:
        return False
    return all(page.credit(word) > 0 for word in wanted.weights if word.is_name)


def _score(
    wanted: _Wanted, hit: Hit, passage: Evidence, rank: int, reader: WordReader
) -> Iterator[_Scored]:
    """Score the units of a hit that can answer."""
    asked = wanted.asked
    covered = wanted.coverage(passage)
    context = reader.evidence("\n".join((hit.doc_id, hit.title, *hit.heading_path)))
    outer = "\n".join((hit.doc_id, hit.title, *hit.heading_path[:-1]))
    recent: list[Evidence] = []
    units = units_of(hit.text, (hit.title, *hit.heading_path))
    for place, unit in enumerate(units):
        own = reader.evidence(unit.text)
        if unit.opens:
            # Another article of the same chunk: what came before, the chunk's own heading included, is not about it.
            context, recent = reader.evidence(f"{outer}\n{unit.text}"), []
        if not unit.mute and _has_expected(asked, unit, own):
            header = reader.evidence(unit.header)
            around = reduce(or_, recent[-2:], own | context | header)
            named = sum(mention in own.text for mention in asked.mentions) / (
                len(asked.mentions) or 1
            )
            score = (
                _OWN * wanted.coverage(own)
                + _AROUND * wanted.coverage(around)
                + (_KIND if asked.expects else 0.0)
                + _RANGE * _range_match(asked, own.text)
                + _NAMED * named
                + _RANK / (1 + rank)
            )
            yield _Scored(hit, units, place, score, covered)
        recent.append(own)


def _has_expected(asked: Asked, unit: Unit, own: Evidence) -> bool:
    """Whether what is asked for stands in the unit; the header of a row may lend the name of the measure to its numbers."""
    if asked.expects is None or asked.expects.search(own.text):
        return True
    in_header = bool(unit.header) and bool(asked.expects.search(fold(unit.header)))
    return in_header and bool(re.search(r"\d", own.text))


def _range_match(asked: Asked, folded: str) -> float:
    """1 when a measure of the question lies in a range of the unit, -1 when one lies outside, 0 when none is comparable."""
    row = quantities_in(folded)
    verdicts = [verdict for one in asked.quantities if (verdict := within(one, row)) is not None]
    if not verdicts:
        return 0.0
    return 1.0 if all(verdicts) else -1.0


def _measures(asked: Asked) -> frozenset[str]:
    """Mentions that are measures with a value of their own (12km): a table may hold them inside a range."""
    return frozenset(mention for mention in asked.mentions if quantities_in(mention))


def _compose(scored: Sequence[_Scored]) -> Extract:
    """Write the answer: the best unit, with the sentence before and after it where they say almost as much."""
    best = max(scored, key=_by_score)
    chosen = [
        one
        for one in scored
        if one is best
        or (
            abs(one.place - best.place) == 1
            and one.score >= COMPANION_SHARE * best.score
            and not one.units[one.place].header
            and not best.units[best.place].header
        )
    ]
    units = [one.units[one.place] for one in chosen]
    text = "".join(f"{_spoken(unit)}[{number}]" for number, unit in enumerate(units, start=1))
    return Extract(text, tuple(_cite(best.hit, unit) for unit in units), best.coverage)


def _cite(hit: Hit, unit: Unit) -> Citation:
    start, end = hit.start + unit.start, hit.start + unit.end
    return Citation(hit.doc_id, hit.page, unit.text, start, end)


def _spoken(unit: Unit) -> str:
    """Return a unit as a line of an answer: a sentence without its line breaks, a row with the names of its columns."""
    if unit.header:
        names, values = cells(unit.header), cells(unit.text)
        if len(names) == len(values):
            pairs = zip(names, values, strict=True)
            return "、".join(f"{name}：{value}" if name else value for name, value in pairs)
    return unwrap(unit.text)
