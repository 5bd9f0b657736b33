from __future__ import annotations

import json

import numpy as np

from evals.dataset import Query, Split
from evals.hardest import BEGINNING_CHARS, hardest, hardest_json, texts_of
from evals.latency import Latency
from evals.measures import MEASURES, mean, reference
from evals.runner import Asked, ConditionResult, EvaluationReport
from ragjp.errors import AccessDenied
from ragjp.types import View


def report_of(
    split: Split, orders: dict[str, dict[str, list[str]]], **rest: object
) -> EvaluationReport:
    """A report over given orders: condition -> question -> units."""
    rows = []
    for condition, run in orders.items():
        values = reference(split.qrels, run)
        asked = tuple(
            Asked(
                query_id, tuple(units), tuple(-float(n) for n in range(len(units))), {"bm25": 1.0}
            )
            for query_id, units in run.items()
        )
        rows.append(
            ConditionResult(
                condition=condition,
                measures={name: mean(values[name]) for name in MEASURES},
                slices=(),
                latency=Latency(1.0, 2.0, {"bm25": 1.0}),
                units_per_query=float(np.mean([len(one.units) for one in asked])),
                per_query=values,
                asked=asked,
            )
        )
    return EvaluationReport(split, {}, 3, 3, 100, tuple(rows), (), None, {})


UNITS = [f"d{n:02}" for n in range(30)]


def test_the_hardest_come_first_and_the_perfect_not_at_all() -> None:
    """Guards against an order that depends on the order of the file, and against right answers shown as faults."""
    queries = tuple(Query(f"q{n}", f"質問{n}") for n in range(5))
    qrels = {f"q{n}": {"gold": 1, "seen": 0} for n in range(5)}
    orders = {
        "q0": ["gold", *UNITS],  # perfect
        "q1": ["d01", "gold"],  # second
        "q2": [*UNITS[:15], "gold"],  # 16th: nDCG@10 is 0
        "q3": UNITS,  # never: also 0, deeper
        "q4": [*UNITS[:15], "gold"],  # like q2
    }
    bm25 = {f"q{n}": ["seen", "gold"] for n in range(5)}
    split = Split("toy", "test", "document", queries, qrels, "0" * 64)
    report = report_of(split, {"bm25": bm25, "reranked": orders})
    found = hardest(report, lambda unit: f"{unit} の文" * 100)
    assert [question.query_id for question in found] == ["q3", "q2", "q4", "q1"]
    never, deep, _, second = found
    assert never.gold[0].places == {"bm25": 2, "reranked": None}
    assert deep.gold[0].places == {"bm25": 2, "reranked": 16}
    assert [(one.place, one.unit) for one in second.instead] == [(1, "d01")]
    assert [one.unit for one in deep.instead] == UNITS[:3]
    assert deep.gold[0].beginning is not None
    assert len(deep.gold[0].beginning) == BEGINNING_CHARS + 1
    assert [one.query_id for one in hardest(report, lambda unit: None, most=2)] == ["q3", "q2"]
    values = json.loads(json.dumps(hardest_json(report, found)))
    assert values["ranking"] == "reranked"
    assert values["questions"][0]["gold"][0]["places"] == {"bm25": 2, "reranked": None}


def test_a_text_that_the_index_does_not_have_is_none() -> None:
    """Guards against a report that fails on a gold page without text."""

    def page_text(doc_id: str, page: int, *, view: View) -> str:
        if doc_id != "a#p.pdf":
            raise AccessDenied("見られません。")
        return f"{doc_id} の {page} ページ"

    pages = texts_of(page_text, "page", View.of("everyone"))
    assert pages("a#p.pdf#p12") == "a#p.pdf の 12 ページ"
    assert pages("b.pdf#p1") is None
    assert texts_of(page_text, "document", View.of("everyone"))("a#p.pdf") == "a#p.pdf の 1 ページ"
