from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import answerable
from evals.answerable import AnswerableReport
from evals.dataset import Query, Split
from evals.hardest import hardest
from evals.html.page import element, page, text
from evals.html.plots import Axis, Point, bars, dots, over_range
from evals.html.report import html_report, length_groups
from evals.latency import Latency
from evals.measures import MEASURES, mean, reference
from evals.never_worse import WHOLE, NeverWorse, Row
from evals.robustness.perturb_report import Loss
from evals.runner import Asked, Comparison, ConditionResult, EvaluationReport
from evals.statistics import Interval

HOSTILE = (
    "</style></title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onclick='alert(1)",
    "<svg/onload=alert(1)>&lt;script&gt;",
    "]]><!-- --><a href=javascript:alert(1)>",
    "\u202e反対\u2066\x00\x1b[31m\ud800",
)


class Seen(HTMLParser):
    """What a browser would see: every element with its attributes, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(content: str) -> Seen:
    parser = Seen()
    parser.feed(content)
    parser.close()
    return parser


def report_of(n: int = 60, hostile: str = "") -> EvaluationReport:
    """A report over ``n`` questions, the right unit further down the later the question."""
    queries = tuple(
        Query(
            f"q{k:03}{hostile}",
            f"質問{hostile}" + "あ" * (k % 17),
            slices={"kind": "表" if k % 2 else f"文{hostile}", "domain": "人事"},
        )
        for k in range(n)
    )
    qrels = {query.query_id: {f"gold{hostile}": 1} for query in queries}
    split = Split(f"toy{hostile}", "test", "document", queries, qrels, "0" * 64)
    rows = []
    for depth, condition in ((1, "bm25"), (9, "dense"), (3, "reranked")):
        run = {
            query.query_id: [*(f"d{hostile}{m}" for m in range(k % depth)), f"gold{hostile}"]
            for k, query in enumerate(queries)
        }
        values = reference(qrels, run)
        asked = tuple(
            Asked(
                name, tuple(units), tuple(1.0 - 0.1 * m for m in range(len(units))), {"bm25": 1.0}
            )
            for name, units in run.items()
        )
        rows.append(
            ConditionResult(
                condition=condition,
                measures={name: mean(values[name]) for name in MEASURES},
                slices=(),
                latency=Latency(4.0, 9.0, {"analyse": 1.0, "bm25": 2.5, f"own{hostile}": 0.5}),
                units_per_query=5.0,
                per_query=values,
                asked=asked,
            )
        )
    worse = Comparison(
        "reranked",
        "bm25",
        dict.fromkeys(MEASURES, -0.2),
        0.0001,
        p_holm=0.0001,
        interval=Interval(-0.3, -0.1),
    )
    return EvaluationReport(
        split, {}, 3, 3, 100, tuple(rows), (worse,), None, {"ragjp": f"1{hostile}"}
    )


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_documents_say_stays_text(hostile: str) -> None:
    """Guards against a question or a file name that runs a script in the browser of who opens the report."""
    report = report_of(12, hostile)
    hard = hardest(report, lambda unit: f"{unit} の本文 {hostile}")
    whole = seen(html_report(report, hard))
    whole_plain = seen(html_report(report_of(12), hardest(report_of(12), lambda unit: unit)))
    assert [tag for tag, _ in whole.elements] == [tag for tag, _ in whole_plain.elements]
    assert all(not name.startswith("on") for _, attributes in whole.elements for name in attributes)
    shown = re.sub("[\x00\x1b\ud800]", "\ufffd", hostile)
    assert f"gold{hostile} の本文"[:4] in whole.text
    assert shown in whole.text
    assert html_report(report, hard).encode()


def test_the_report_is_one_file_that_fetches_nothing() -> None:
    """Guards against a report that calls home, or that shows nothing on a machine without a network."""
    report = report_of()
    content = html_report(report, hardest(report, lambda unit: "本文"))
    whole = seen(content)
    tags = {tag for tag, _ in whole.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not {name for _, attributes in whole.elements for name in attributes} & {
        "src", "href", "srcset", "action", "style", "xlink:href",
    }  # fmt: skip
    assert "url(" not in content
    assert "@import" not in content
    policy = next(a for tag, a in whole.elements if tag == "meta" and "http-equiv" in a)
    assert str(policy["content"]).startswith("default-src 'none'")
    assert html_report(report, hardest(report, lambda unit: "本文")) == content


def test_the_report_says_what_a_reader_must_not_miss() -> None:
    """Guards against a section that is left out in silence, and against a loss hidden in a table."""
    report = report_of()
    whole = seen(html_report(report, hardest(report, lambda unit: None)))
    for heading in (
        "段ごとの成績", "前の段を下回っていないか", "質問の種類ごとの成績", "質問の長さと成績", "1問にかかる時間",
        "難しかった質問 30 件", "測りかた",
    ):  # fmt: skip
        assert heading in whole.text
    assert "後の段が前の段を下回った組が 1 あります" in whole.text
    assert "一番上に出た質問は 33.3 %" in whole.text
    assert "正解は 3 位" in whole.text
    assert "この索引に、この文書（ページ）の文字がありません" in whole.text
    unsure = [a for tag, a in whole.elements if tag == "tr" and a.get("class") == "unsure"]
    assert (
        len(unsure) == 5
    )  # two kinds and three lengths of fewer than 50 questions; the domain holds all 60
    assert sum(tag == "svg" for tag, _ in whole.elements) == 4


def test_a_stage_that_costs_something_in_a_group_is_shown() -> None:
    """Guards against a loss on the tables hidden by a gain on the rest."""
    interval = Interval(-0.2, -0.05)
    rows = (
        Row("fused", "bm25", WHOLE, 200, 0.01, interval, 0.5),
        Row("fused", "bm25", "種類: 表", 60, -0.1, interval, 0.01),
    )
    whole = seen(html_report(report_of(), (), NeverWorse(rows)))
    assert "前の段を下回るところが 1 か所あります" in whole.text
    bad = [tag for tag, a in whole.elements if a.get("class") == "bad"]
    assert bad == ["tr", "span"]  # reranked below bm25 in the whole report, fused in one group
    assert "−10" not in whole.text
    assert "-10.0" in whole.text
    fine = seen(html_report(report_of(), (), NeverWorse(rows[:1])))
    assert "どの段も、前の段を下回っていません" in fine.text


def test_other_questions_are_in_the_report_where_they_were_asked() -> None:
    """Guards against figures that stay in a terminal, and against a loss shown with the sign of a gain."""
    lost = (
        Loss("typo", 60, 50, 0.9, 0.86, Interval(0.01, 0.07), 0.01),
        Loss("width", 60, 10, 0.9, 0.9, Interval(0.0, 0.0), 1.0),
    )
    figure = answerable.Interval(0.98, 0.97, 0.99)
    known = AnswerableReport(
        60, "document", figure, figure, figure, figure, figure, figure, 0.9, 0.03,
        (answerable.Bin(0.0, 0.1, 0, 0.0, 0.0), answerable.Bin(0.9, 1.0, 60, 0.97, 0.99)), {},
    )  # fmt: skip
    plain, whole = html_report(report_of()), html_report(report_of(), lost=lost, known=known)
    for heading in ("聞き方を変えても見つかるか", "答えがないと分かるか"):
        assert heading in seen(whole).text
        assert heading not in seen(plain).text
    assert "-4.0-7.0〜-1.0" in seen(whole).text
    assert [tag for tag, a in seen(whole).elements if a.get("class") == "bad"] == ["tr", "tr"]


def test_a_perfect_or_empty_report_is_still_a_report() -> None:
    """Guards against a division by the questions that were wrong, or that there are not."""
    report = report_of()
    perfect = EvaluationReport(report.split, {}, 3, 3, 100, report.conditions[:1], (), None, {})
    assert hardest(perfect, lambda unit: None) == ()
    assert "すべての質問で" in html_report(perfect)
    nothing = EvaluationReport(
        Split("toy", "test", "page", (), {}, "0" * 64), {}, 0, 0, 100, (), (), None, {}
    )
    assert "測れる質問がありません" in html_report(nothing)


@given(st.text(), st.text())
def test_escaping_gives_back_the_text(content: str, attribute: str) -> None:
    """Guards against a character that ends an element or an attribute."""
    whole = seen(element("p", content, title=attribute) + text(content))
    assert [tag for tag, _ in whole.elements] == ["p"]
    clean = re.sub(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", content
    )
    assert whole.text == clean * 2


@given(st.floats(0, 1), st.floats(0.001, 1))
def test_ticks_lie_on_the_scale_and_there_are_some(low: float, width: float) -> None:
    """Guards against a plot without a scale, or with hundreds of lines."""
    axis = Axis(low, low + width, 100.0, 400.0)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 7
    assert all(100.0 - 1e-6 <= axis.place(tick) <= 400.0 + 1e-6 for tick in ticks)


def coordinates(svg: str) -> Iterator[float]:
    for _, attributes in seen(svg).elements:
        for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2", "width", "height"):
            if attributes.get(name) is not None:
                yield float(str(attributes[name]))


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted),
        min_size=1,
        max_size=6,
    )
)
def test_plots_stay_on_their_sheet_whatever_the_values(values: list[list[float]]) -> None:
    """Guards against a point outside the picture, and against NaN in a coordinate."""
    points = [Point(v, Interval(low, high)) for low, v, high in values]
    nan = float("nan")
    for svg in (
        dots("図", [(f"順位 {n}", point) for n, point in enumerate(points)]),
        over_range("図", ["1〜9"] * len(points), [("甲", points)], "長さ"),
        over_range("図", ["1〜9"], [("甲", [Point(nan, Interval(nan, nan))])], "長さ"),
        bars("図", [("甲", [("段", v) for _, v, _ in values])], "ms"),
    ):
        found = list(coordinates(svg))
        assert found
        assert all(-1e-6 <= one <= 700 for one in found)


def test_length_groups_hold_every_length_once() -> None:
    """Guards against questions lost between two groups of the plot."""
    chars = np.array([3] * 40 + [5, 8, 8, 9] * 10 + [40])
    groups = length_groups(chars)
    assert sum(int(((chars >= low) & (chars <= high)).sum()) for low, high in groups) == len(chars)
    assert length_groups(np.array([4, 5, 6])) == []


def test_a_page_is_declared_as_what_it_is(tmp_path: Path) -> None:
    """Guards against a page that a browser reads as another language, encoding or in quirks mode."""
    content = page("題", element("p", "本文"))
    assert content.startswith('<!doctype html>\n<html lang="ja"><head><meta charset="utf-8">')
