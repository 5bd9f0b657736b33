import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evals.answers import char_f1, evaluate_answers
from evals.dataset import Query, Split
from evals.indexes import Condition
from evals.report import per_query_lines, table, to_json, write
from evals.runner import DEPTH, EvaluationReport, evaluate
from ragjp.config import Recipe
from ragjp.errors import AccessDenied
from ragjp.types import Answer, Citation, Hit, Ranking, View

TIMINGS = {
    "analyse": 1.0, "encode": 2.0, "bm25": 4.0, "dense": 8.0, "fuse": 16.0, "rerank": 32.0, "load": 64.0,
    "total": 1000.0,
}  # fmt: skip


@dataclass(frozen=True)
class Info:
    """One document of the fake index."""

    n_pages: int
    n_chunks: int


def hit(doc_id: str, page: int, score: float, start: int = 0) -> Hit:
    """One chunk of a page."""
    chunk_id = f"{doc_id}#p{page}:{start}-{start + 10}"
    return Hit(doc_id, chunk_id, page, start, start + 10, "", "", (), score, {})


@dataclass
class FakeEngine:
    """Answers from dictionaries: rankings by (question, condition), answers by question."""

    rankings: Mapping[tuple[str, str], Sequence[Hit]] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    pages: Mapping[tuple[str, int], str] = field(default_factory=dict)
    infos: tuple[Info, ...] = (Info(1, 1), Info(1, 1))
    n_candidates: int = 100
    asked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        return Recipe.model_validate(
            {"name": "fake", "retrieval": {"n_candidates": self.n_candidates}}
        )

    def search_all(
        self, query: str, *, view: View, k: int, rankings: Sequence[Condition]
    ) -> dict[Condition, Ranking]:
        assert view == View.of("everyone")
        self.asked.append((query, k))
        return {
            name: Ranking(query, tuple(self.rankings.get((query, name), ())[:k]), 1, TIMINGS)
            for name in rankings
        }

    def ask(self, question: str, *, view: View) -> Answer:
        return self.answers[question]

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        if (doc_id, page) not in self.pages:
            raise AccessDenied("見られません。")
        return self.pages[doc_id, page]

    def documents(self, *, view: View) -> Sequence[Info]:
        return self.infos


def answer(question: str, text: str, *citations: Citation) -> Answer:
    """An answer with citations, or a refusal without any."""
    status = "answered" if citations else "no_answer"
    return Answer(question, text, status, citations, Ranking(question, (), 1))


def split_of(*queries: Query, unit: str = "document", **qrels: dict[str, int]) -> Split:
    return Split("fake", "test", unit, queries, qrels, "0" * 64)


def q(query_id: str, **rest: object) -> Query:
    """A question whose text is its id."""
    return Query(query_id, query_id, **rest)


def test_chunks_fold_into_units_at_their_best_chunk() -> None:
    """Guards against a page counted twice, which would push the right page below the cut-off."""
    hits = [hit("a", 1, 0.9), hit("a", 1, 0.8, 50), hit("a", 2, 0.7), hit("b", 1, 0.6)]
    engine = FakeEngine({("q1", "fused"): hits})
    pages = split_of(q("q1"), unit="page", q1={"a#p2": 1})
    report = evaluate(pages, engine, conditions=["fused"])
    assert report.conditions[0].asked[0].units == ("a#p1", "a#p2", "b#p1")
    assert report.conditions[0].asked[0].scores == (0.9, 0.7, 0.6)
    assert report.conditions[0].measures["MRR@10"] == 0.5
    documents = split_of(q("q1"), q1={"b": 1})
    report = evaluate(documents, engine, conditions=["fused"])
    assert report.conditions[0].asked[0].units == ("a", "b")


def test_a_question_without_hits_stays_in_the_denominator() -> None:
    """Guards against a condition that is measured only where it found something."""
    engine = FakeEngine({("q1", "bm25"): [hit("a", 1, 1.0)]})
    split = split_of(q("q1"), q("q2"), q1={"a": 1}, q2={"b": 1})
    row = evaluate(split, engine, conditions=["bm25"]).conditions[0]
    assert set(row.measures.values()) == {0.5}


def test_unanswerable_questions_are_not_searched() -> None:
    """Guards against a system punished for ranking something when there is nothing to find."""
    engine = FakeEngine({("q1", "bm25"): [hit("a", 1, 1.0)]})
    split = split_of(q("q1"), q("none", answerable=False), q1={"a": 1})
    report = evaluate(split, engine, conditions=["bm25"])
    assert {query for query, _ in engine.asked} == {"q1"}
    assert report.conditions[0].measures["R@1"] == 1.0


def test_a_deeper_search_only_adds_below() -> None:
    """Guards against R@100 cut off by long documents, and against a top that people would not get."""
    long = [hit("long", 1, 9.0 - n / 100, n) for n in range(4)]
    more = [hit(f"d{n}", 1, 5.0 - n / 100) for n in range(150)]
    engine = FakeEngine(
        {("q1", "bm25"): long + more}, infos=(Info(1, 300), *[Info(1, 1)] * 99), n_candidates=4
    )
    split = split_of(q("q1"), q1={"d97": 1, "d130": 1})
    asked = evaluate(split, engine, conditions=["bm25"]).conditions[0].asked[0]
    assert asked.units == ("long", *(f"d{n}" for n in range(DEPTH - 1)))
    assert list(asked.scores) == sorted(asked.scores, reverse=True)
    assert engine.asked[-2:] == [("q1", 4), ("q1", 798)]


def test_a_condition_pays_for_its_own_stages_only() -> None:
    """Guards against BM25 billed for embedding the question, and reranking for less than it costs."""
    engine = FakeEngine({})
    rows = evaluate(split_of(q("q1"), q1={"a": 1}), engine).conditions
    assert {row.condition: row.latency.p50_ms for row in rows} == {
        "bm25": 69.0, "dense": 74.0, "fused": 95.0, "reranked": 127.0,
    }  # fmt: skip
    assert rows[0].latency.stages_ms == {"analyse": 1.0, "bm25": 4.0, "load": 64.0}


def test_every_condition_pays_the_cold_load() -> None:
    """Guards against the last row looking fast because the first one has read its chunks from disk."""

    class Warming(FakeEngine):
        def search_all(
            self, query: str, *, view: View, k: int, rankings: Sequence[Condition]
        ) -> dict[Condition, Ranking]:
            return {
                name: Ranking(query, (), 1, {"load": 12.0 if place == 0 else 1.0})
                for place, name in enumerate(rankings)
            }

    rows = evaluate(split_of(q("q1"), q1={"a": 1}), Warming()).conditions
    assert {row.latency.stages_ms["load"] for row in rows} == {12.0}


def ranked(*orders: tuple[str, str, Sequence[str]]) -> FakeEngine:
    return FakeEngine(
        {
            (query, condition): [hit(unit, 1, -float(place)) for place, unit in enumerate(units)]
            for query, condition, units in orders
        }
    )


def compared(n: int) -> EvaluationReport:
    """N questions whose fusion follows the dense ranking, which is wrong, and whose reranking is right again."""
    queries = [q(f"q{i}") for i in range(n)]
    split = split_of(*queries, **{query.query_id: {"a": 1} for query in queries})
    orders = {"bm25": ["a", "b"], "dense": ["b", "a"], "fused": ["b", "a"], "reranked": ["a"]}
    engine = ranked(*((x.query_id, name, o) for name, o in orders.items() for x in queries))
    return evaluate(split, engine)


def test_a_later_row_below_an_earlier_one_is_named() -> None:
    """Guards against a fusion that loses to its parent and is not found out."""
    report = compared(12)
    assert not report.never_worse
    assert {(c.later, c.earlier): c.verdict for c in report.comparisons} == {
        ("fused", "bm25"): "worse",
        ("fused", "dense"): "even",
        ("reranked", "bm25"): "even",
        ("reranked", "dense"): "better",
        ("reranked", "fused"): "better",
    }
    printed = table(report)
    assert (
        "融合 − BM25 のみ: -0.3691（95% 区間 -0.3691〜-0.3691、補正後 p=0.0024）  ← 下回る"
        in printed
    )
    assert "下回る組が 1 あります" in printed


def test_a_difference_that_may_be_chance_is_called_none() -> None:
    """Guards against 上回る and 下回る over three questions: the figures differ, the words do not."""
    report = compared(3)
    assert {c.verdict for c in report.comparisons} == {"even"}
    assert report.never_worse
    assert "← 下回る" not in table(report)
    assert table(report).count("差があるとは言えない") == 5


def test_slices_divide_the_questions_that_have_the_key() -> None:
    """Guards against a slice averaged over everybody."""
    split = split_of(
        q("q1", slices={"kind": "table"}),
        q("q2", slices={"kind": "image", "domain": "it"}),
        q("q3", slices={"kind": "image"}),
        q1={"a": 1},
        q2={"a": 1},
        q3={"a": 1},
    )
    engine = ranked(("q1", "bm25", ["a"]), ("q2", "bm25", ["a"]))
    report = evaluate(split, engine, conditions=["bm25"])
    parts = {
        (p.key, p.value): (p.n_queries, p.measures["R@1"]) for p in report.conditions[0].slices
    }
    assert parts == {
        ("kind", "image"): (2, 0.5),
        ("kind", "table"): (1, 1.0),
        ("domain", "it"): (1, 1.0),
    }
    assert "domain" in table(report)


def test_reports_hold_no_date_and_no_path_and_every_question(tmp_path: Path) -> None:
    """Guards against reports of equal runs that differ, and against figures nobody can look behind."""
    split = split_of(q("q1"), q("q2"), q1={"a": 1}, q2={"b": 1})
    engine = ranked(("q1", "bm25", ["a", "b"]))
    first, second = (evaluate(split, engine, conditions=["bm25"]) for _ in range(2))
    assert json.dumps(to_json(first)) == json.dumps(to_json(second))
    assert str(Path.cwd()) not in json.dumps(to_json(first))
    lines = [json.loads(line) for line in per_query_lines(first)]
    assert [(line["query_id"], line["nDCG@10"]) for line in lines] == [("q1", 1.0), ("q2", 0.0)]
    assert lines[0]["units"] == [["a", 0.0], ["b", -1.0]]
    write(tmp_path / "new" / "r.json", "{}")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["r.json"]


PAGE = "第1条 日当は2,500円とする。第2条 宿泊費は実費。"
QUOTE = "日当は2,500円とする。"


def test_answers_are_checked_against_the_page_and_the_gold() -> None:
    """Guards against a citation believed without looking, and against refusals that earn points."""
    good = Citation("a.md", 1, QUOTE, 4, 4 + len(QUOTE))
    moved = Citation("a.md", 1, QUOTE, 5, 5 + len(QUOTE))
    unseen = Citation("secret.md", 1, QUOTE, 4, 4 + len(QUOTE))
    engine = FakeEngine(
        pages={("a.md", 1): PAGE},
        answers={
            "q1": answer("q1", QUOTE, good),
            "q2": answer("q2", "違う答え", moved, unseen),
            "q3": answer("q3", "見つかりませんでした。"),
            "n1": answer("n1", "見つかりませんでした。"),
            "n2": answer("n2", "日当です。", good),
        },
    )
    split = split_of(
        q("q1", answers=("2,500円",)),
        q("q2", answers=("実費",)),
        q("q3", answers=("実費", "見つかりませんでした。")),
        q("n1", answerable=False),
        q("n2", answerable=False),
        unit="page",
        q1={"a.md#p1": 1},
        q2={"b.md#p1": 1},
        q3={"a.md#p1": 1},
    )
    report = evaluate_answers(split, engine, view=View.of("everyone"))
    assert (report.answerable_answered, report.answerable_refused) == (2, 1)
    assert (report.unanswerable_refused, report.unanswerable_answered) == (1, 1)
    assert (report.n_citations, report.n_verbatim) == (4, 2)
    assert report.gold_cited_rate == pytest.approx(1 / 3)
    assert (report.n_citations_of_answerable, report.n_citations_on_gold) == (3, 1)
    assert report.contains_gold_rate == pytest.approx(1 / 3)
    by_id = {record.query_id: record for record in report.records}
    assert by_id["q3"].char_f1 == 0.0
    assert by_id["n2"].char_f1 is None
    assert report.char_f1 == pytest.approx(char_f1(QUOTE, "2,500円") / 3)


def test_an_empty_quote_is_not_verbatim() -> None:
    """Guards against a citation of nothing, which stands everywhere."""
    engine = FakeEngine(
        pages={("a.md", 1): PAGE}, answers={"q1": answer("q1", "x", Citation("a.md", 1, "", 3, 3))}
    )
    split = split_of(q("q1"), unit="page", q1={"a.md#p1": 1})
    assert evaluate_answers(split, engine, view=View.of("everyone")).n_verbatim == 0


def test_character_f1_counts_repetition_and_ignores_width_and_punctuation() -> None:
    """Guards against word F1, which is 0 or 1 in Japanese, and against rewarding repeated characters."""
    assert char_f1("１８，０００円", "18000円") == 1.0
    assert char_f1("ああああ", "あ") == pytest.approx(2 / 5)
    assert char_f1("。。", "。。") == 0.0
