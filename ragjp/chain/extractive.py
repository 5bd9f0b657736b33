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

from ragjp.chain.asked import Asked, read_question
from ragjp.chain.figures import articles_in, quantities_in, within, years_in
from ragjp.chain.ports import PageSource, TermStatistics
from ragjp.chain.units import Unit, cells, units_of
from ragjp.chain.words import Evidence, Word, WordReader, coverage, weigh
from ragjp.errors import AccessDenied
from ragjp.japanese.normalize import fold
from ragjp.types import Citation, Hit, Ranking, View

#: How many hits are read.
N_HITS = 8
#: Least share of the question's words, by weight, that the passage with its headings must cover.
LEAST_COVERAGE = 0.5
#: A further sentence is added when it stands beside the best one and scores at least this share of it.
COMPANION_SHARE = 0.85
MAX_UNITS = 3

_OWN, _CONTEXT, _KIND, _RANGE, _ARTICLE, _RANK = 0.5, 0.5, 0.25, 0.3, 0.2, 0.2


@dataclass(frozen=True, slots=True)
class Extract:
    """An answer cut from one page: its text with a marker per citation, the citations, and the evidence's coverage."""

    text: str
    citations: tuple[Citation, ...]
    coverage: float


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
    asked = read_question(question)
    hits = ranking.hits[:N_HITS]
    passages = [reader.evidence(_passage_text(hit)) for hit in hits]
    weights = weigh(reader.words(question), statistics=statistics, view=view, candidates=passages)
    best: _Scored | None = None
    for rank, (hit, passage) in enumerate(zip(hits, passages, strict=True)):
        page = _page_evidence(hit, pages, view, reader)
        if page is None or not _is_about(asked, weights, page, passage):
            continue
        for scored in _score(asked, weights, hit, passage, rank, reader):
            if best is None or scored.score > best.score:
                best = scored
    if best is None or best.coverage < LEAST_COVERAGE:
        return None
    return _compose(asked, weights, best, reader)


def evidence_sentence(question: str, hit: Hit, *, words: WordReader) -> str:
    """Return the unit of a hit that answers best, as one line: what a completion prompt shows of a passage."""
    asked = read_question(question)
    weights = {word: word.factor for word in words.words(question)}
    passage = words.evidence(_passage_text(hit))
    scored = list(_score(asked, weights, hit, passage, 0, words))
    if not scored:
        return hit.text
    best = max(scored, key=lambda one: one.score)
    return best.units[best.place].text


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


def _is_about(
    asked: Asked, weights: Mapping[Word, float], page: Evidence, passage: Evidence
) -> bool:
    """Whether the page has everything that the question names exactly."""
    if any(code not in page.text for code in asked.codes):
        return False
    if not asked.articles <= articles_in(page.text):
        return False
    years = years_in(page.text)
    if asked.years and years and not asked.years & years:
        return False
    return all(page.credit(word) > 0 for word in weights if word.is_name)


def _score(
    asked: Asked,
    weights: Mapping[Word, float],
    hit: Hit,
    passage: Evidence,
    rank: int,
    reader: WordReader,
) -> Iterator[_Scored]:
    units = units_of(hit.text, hit.heading_path)
    covered = coverage(weights, passage)
    context = reader.evidence("\n".join((hit.doc_id, hit.title, *hit.heading_path)))
    recent: list[Evidence] = []
    for place, unit in enumerate(units):
        own = reader.evidence(unit.text)
        if not unit.asks and not unit.heads:
            around = own | context
            for one in recent[-2:]:
                around = around | one
            if unit.header:
                around = around | reader.evidence(unit.header)
            body = f"{fold(unit.header)} {own.text}"
            expected = asked.expects is None or bool(
                asked.expects.search(_answer_part(unit, own, body))
            )
            if expected:
                score = (
                    _OWN * coverage(weights, own)
                    + _CONTEXT * coverage(weights, around)
                    + (_KIND if asked.expects else 0.0)
                    + _RANGE * _range_match(asked, own.text)
                    + _ARTICLE * bool(asked.articles & articles_in(passage.text))
                    + _RANK / (1 + rank)
                )
                yield _Scored(hit, units, place, score, covered)
        recent.append(own)


def _answer_part(unit: Unit, own: Evidence, body: str) -> str:
    """Where the thing asked for must stand: in the unit, its header only lending the unit of measure."""
    return body if unit.header and re.search(r"\d", own.text) else own.text


def _range_match(asked: Asked, folded: str) -> float:
    """1 when a measure of the question lies in a range of the unit, -1 when one lies outside, 0 when none is comparable."""
    row = quantities_in(folded)
    verdicts = [verdict for one in asked.quantities if (verdict := within(one, row)) is not None]
    if not verdicts:
        return 0.0
    return 1.0 if all(verdicts) else -1.0


def _compose(
    asked: Asked, weights: Mapping[Word, float], best: _Scored, reader: WordReader
) -> Extract:
    """Write the answer: the best unit, and what stands right after it while it says as much about the question."""
    unit = best.units[best.place]
    chosen = [unit]
    if not unit.header:
        own = coverage(weights, reader.evidence(unit.text))
        for following in best.units[best.place + 1 : best.place + MAX_UNITS]:
            if following.asks or following.heads or following.header:
                break
            if (
                coverage(weights, reader.evidence(following.text)) < COMPANION_SHARE * own
                or not own
            ):
                break
            chosen.append(following)
    citations = tuple(_cite(best.hit, one) for one in chosen)
    text = "".join(f"{_spoken(one)}[{number}]" for number, one in enumerate(chosen, start=1))
    return Extract(text, citations, best.coverage)


def _cite(hit: Hit, unit: Unit) -> Citation:
    start, end = hit.start + unit.start, hit.start + unit.end
    return Citation(hit.doc_id, hit.page, unit.text, start, end)


def _spoken(unit: Unit) -> str:
    """Return a unit as a line of an answer: a sentence without its line breaks, a row with the names of its columns."""
    if unit.header:
        names, values = cells(unit.header), cells(unit.text)
        if len(names) == len(values):
            return "、".join(
                f"{name}：{value}" if name else value
                for name, value in zip(names, values, strict=True)
            )
    return " ".join(unit.text.split())
