"""Why a search found what it found: the values of an explanation, from the question's folding to each hit's final score.

Whatever an explanation counts or quotes is the view's: a document that the asker may not read leaves no trace in it. Spans are
counted in characters of the source: of the question for its words, of the page's text for places in passages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ragjp.japanese.located import FoldedPart, LocatedTerm, LocatedWord
from ragjp.types import Hit, Span

#: Where a term of the question came from: its own words, the company's dictionary, a normal form of its dates and numbers, or a list
#: of synonyms.
Origin = Literal["word", "dictionary", "form", "synonym", "added"]
#: What a share of a score is of. ``page``: MaxSim of all reranked passages of the page together. ``baseline``: what is taken off every candidate so that the weakest reranked one stands at 0.
ShareName = Literal["bm25", "dense", "maxsim", "page", "baseline"]


@dataclass(frozen=True, slots=True)
class QuestionExplained:
    """A question as it was read.

    query : as it was typed. text : what was analysed and embedded, without operators; spans count in it. searched : folded.
    hidden : normal forms of dates and numbers. own : words of the company's dictionary. unused : terms of words that the search left
    out. tokens : pieces that the encoder read; empty where there is no late interaction.
    """

    query: str
    text: str
    searched: str
    changes: tuple[FoldedPart, ...]
    words: tuple[LocatedWord, ...]
    hidden: tuple[LocatedTerm, ...]
    own: tuple[LocatedTerm, ...]
    unused: tuple[str, ...]
    phrases: tuple[str, ...]
    excluded: tuple[str, ...]
    titles: tuple[str, ...]
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermWeight:
    """A term that was looked for in a field.

    frequency : passages of the view that hold it (of its group, where it has synonyms). idf : from that frequency. weight : the most
    that it can bring, field weight * times * share * idf.
    of : the word that it is a synonym of; "" for the question's own.
    """

    field: str
    term: str
    origin: Origin
    of: str
    times: int
    frequency: int
    idf: float
    weight: float

    @property
    def known(self) -> bool:
        """Whether any passage of the view holds it."""
        return self.frequency > 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a term stands: characters ``[start, end)`` of the page's text, and what is written there.

    In the title and headings above a passage ``start`` and ``end`` are -1: they are no part of the page's text at that place.
    """

    where: Literal["text", "context"]
    page: int
    start: int
    end: int
    written: str


@dataclass(frozen=True, slots=True)
class TermMatch:
    """What a term brought one passage: how often it is there, its share of the BM25 score, and where it stands."""

    field: str
    term: str
    origin: Origin
    of: str
    count: int
    contribution: float
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """A token of the question and the token of the passage that is nearest to it.

    similarity : their cosine. contribution : its part of MaxSim. asked, found : their characters, "" when they are not known.
    span : of the page's text, None where the token is not in it (title and headings) or is not known.
    """

    asked: str
    found: str
    similarity: float
    contribution: float
    span: Span | None


@dataclass(frozen=True, slots=True)
class Share:
    """What one ranking brought to a mixed score: its own score, that score brought to [0, 1], its weight, and their product."""

    name: ShareName
    score: float
    normalised: float
    weight: float
    value: float


@dataclass(frozen=True, slots=True)
class Ranks:
    """Places of a hit, from 1, in each ranking of the candidates; None where it was not among the best of that ranking."""

    bm25: int | None
    dense: int | None
    fused: int
    final: int


@dataclass(frozen=True, slots=True)
class HitExplained:
    """A hit and why it stands where it stands.

    The contributions of ``terms`` sum to ``hit.scores["bm25"]``, those of ``tokens`` to ``hit.scores["maxsim"]``, the values of
    ``fused`` to ``hit.scores["fused"]`` and those of ``final`` to ``hit.score``: to rounding, for they are computed a second time.
    """

    hit: Hit
    ranks: Ranks
    terms: tuple[TermMatch, ...]
    tokens: tuple[TokenMatch, ...]
    fused: tuple[Share, ...]
    final: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One search, explained.

    n_passages : passages of the view. n_candidates : those that any ranking put forward. differences : by score, the greatest
    difference between the search and its second computation by the formulas as they are written.
    timings_ms : of the search's stages, and ``explain`` for all the rest.
    """

    question: QuestionExplained
    terms: tuple[TermWeight, ...]
    hits: tuple[HitExplained, ...]
    n_passages: int
    n_candidates: int
    generation: int
    differences: Mapping[str, float]
    timings_ms: Mapping[str, float]
