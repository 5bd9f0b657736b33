"""What happens while a question is answered, as small frozen values, for a caller that draws it as it happens."""

from __future__ import annotations

from dataclasses import dataclass

from ragjp.types import Answer, Ranking


@dataclass(frozen=True, slots=True)
class Searching:
    """The search has begun."""

    question: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages are there; an answer is being made from them."""

    ranking: Ranking


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text, as it is written. Not checked yet: only :class:`Finished` is."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer, its citations checked. Its text replaces the deltas."""

    answer: Answer


Event = Searching | Retrieved | Delta | Finished
