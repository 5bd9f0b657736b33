"""The questions that went worst, with what should have been found and what was found instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from evals.dataset import Query, UnitKind
from evals.measures import NDCG
from evals.runner import Asked, EvaluationReport
from ragjp.errors import AccessDenied
from ragjp.types import View

MOST: Final = 30
#: Units shown that were ranked above the right one.
SHOWN_INSTEAD: Final = 3
#: Characters of a text that are shown.
BEGINNING_CHARS: Final = 200

#: A unit's text, as far as it is known; None where the index has no such unit.
Texts = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that was ranked: its place from 1, its score, how its text begins."""

    place: int
    unit: str
    score: float
    beginning: str | None


@dataclass(frozen=True, slots=True)
class Gold:
    """A unit that answers the question, and its place under each ranking (None: not among the best 100)."""

    unit: str
    grade: int
    places: Mapping[str, int | None]
    beginning: str | None


@dataclass(frozen=True, slots=True)
class HardQuestion:
    """One question: its score under the last ranking, what answers it, and what was found instead."""

    query_id: str
    text: str
    groups: Mapping[str, str]
    score: float
    gold: tuple[Gold, ...]
    instead: tuple[Found, ...]


def hardest(
    report: EvaluationReport, texts: Texts, *, most: int = MOST
) -> tuple[HardQuestion, ...]:
    """List the questions with the lowest nDCG@10 under the last ranking that are not answered perfectly.

    Ties are broken by the place of the best right unit (the deeper the harder; not found is deepest), then by question id.

    Parameters
    ----------
    report
        What was measured.
    texts
        Gives the text of a unit.
    most
        Questions at most.
    """
    if not report.conditions:
        return ()
    places: dict[str, dict[str, dict[str, int]]] = {
        row.condition: _places(row.asked) for row in report.conditions
    }
    last = report.conditions[-1]
    asked = {one.query_id: one for one in last.asked}
    scores = last.per_query[NDCG]

    def hardness(query: Query) -> tuple[float, float, str]:
        here = places[last.condition][query.query_id]
        gold = [unit for unit, grade in report.split.qrels[query.query_id].items() if grade > 0]
        best = min((here[unit] for unit in gold if unit in here), default=float("inf"))
        return scores[query.query_id], -best, query.query_id

    wrong = [q for q in report.split.queries if q.answerable and scores[q.query_id] < 1.0 - 1e-9]
    return tuple(
        HardQuestion(
            query.query_id,
            query.text,
            dict(query.slices),
            scores[query.query_id],
            _gold(report.split.qrels[query.query_id], query.query_id, places, texts),
            _instead(asked[query.query_id], report.split.qrels[query.query_id], texts),
        )
        for query in sorted(wrong, key=hardness)[:most]
    )


def hardest_json(report: EvaluationReport, questions: Sequence[HardQuestion]) -> dict[str, object]:
    """The same as plain values, with what they were measured on."""
    return {
        "dataset": report.split.dataset,
        "split": report.split.name,
        "data_sha256": report.split.digest,
        "ranking": report.conditions[-1].condition if report.conditions else None,
        "measure": NDCG,
        "questions": [asdict(question) for question in questions],
    }


def texts_of(page_text: Callable[..., str], kind: UnitKind, view: View) -> Texts:
    """Give the texts of units out of an open index: of a page, or of a document's first page.

    ``page_text`` is that of :class:`ragjp.engine.Engine`.
    """

    def text(unit: str) -> str | None:
        doc_id, _, page = unit.rpartition("#p") if kind == "page" else (unit, "", "1")
        try:
            return page_text(doc_id, int(page), view=view)
        except AccessDenied:
            return None

    return text


def beginning(text: str | None) -> str | None:
    r"""Cut a text to what is shown, its blanks and line breaks made single blanks.

    >>> beginning("第1条\n\n  目的"), beginning(None)
    ('第1条 目的', None)
    """
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= BEGINNING_CHARS else line[:BEGINNING_CHARS] + "…"


def _places(asked: Sequence[Asked]) -> dict[str, dict[str, int]]:
    return {
        one.query_id: {unit: place for place, unit in enumerate(one.units, start=1)}
        for one in asked
    }


def _gold(
    grades: Mapping[str, int],
    query_id: str,
    places: Mapping[str, Mapping[str, Mapping[str, int]]],
    texts: Texts,
) -> tuple[Gold, ...]:
    right = sorted(
        (unit for unit, grade in grades.items() if grade > 0), key=lambda u: (-grades[u], u)
    )
    return tuple(
        Gold(
            unit,
            grades[unit],
            {name: of_query[query_id].get(unit) for name, of_query in places.items()},
            beginning(texts(unit)),
        )
        for unit in right
    )


def _instead(asked: Asked, grades: Mapping[str, int], texts: Texts) -> tuple[Found, ...]:
    """The best units that are not judged right."""
    pairs = zip(asked.units, asked.scores, strict=True)
    wrong = [
        (place, unit, score)
        for place, (unit, score) in enumerate(pairs, start=1)
        if grades.get(unit, 0) == 0
    ]
    return tuple(
        Found(place, unit, score, beginning(texts(unit)))
        for place, unit, score in wrong[:SHOWN_INSTEAD]
    )
