"""What else may be asked of a search, as sections of the report: other ways to ask, and questions without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Final

from evals.answerable import AnswerableReport
from evals.answerable import Interval as WithValue
from evals.html.page import Markup, element, joined, table
from evals.html.plots import Point, over_range
from evals.html.words import percent, points, signed_span, span
from evals.robustness.perturb import TITLES
from evals.robustness.perturb_report import MOST_LOST, Loss
from evals.statistics import Interval

_HIDDEN: Final = {"document": "文書", "file": "ファイル", "title": "題名が同じ文書"}
#: Fewer questions than this in a range of probabilities say nothing about it.
_FEWEST_IN_BIN: Final = 10
_NO_INTERVAL: Final = Interval(nan, nan)


def perturbed_section(lost: Sequence[Loss]) -> list[Markup]:
    """What questions lose that are asked in other words; nothing where that was not measured."""
    if not lost:
        return []
    rows: list[tuple[str | None, list[str]]] = [
        (
            "bad" if one.lost > MOST_LOST else None,
            [
                TITLES[one.kind],
                f"{one.changed} / {one.n_queries}",
                percent(one.before),
                percent(one.after),
                joined(
                    points(-one.lost),
                    element("small", signed_span(Interval(-one.interval.high, -one.interval.low))),
                ),
                f"{one.p:.4f}",
            ],
        )
        for one in lost
    ]
    worst = max(lost, key=lambda one: one.lost)
    return [
        element("h2", "聞き方を変えても見つかるか"),
        element(
            "p",
            "同じ質問を、書き方や言い方を変えて尋ね直したときの、5件以内に正解が出た割合。"
            f"いちばん下がったのは「{TITLES[worst.kind]}」で {points(-worst.lost)} ポイント。"
            f"{100 * MOST_LOST:.0f} ポイントより多く下がった行は赤い字です。",
        ),
        table(["変え方", "変わった質問", "もとの質問", "変えた質問", "差（ポイント）", "p"], rows),
    ]


def no_answer_section(known: AnswerableReport | None) -> list[Markup]:
    """Whether the search knows that the answer is not there; nothing where that was not measured."""
    if known is None:
        return []
    rows: list[tuple[str | None, list[str]]] = [
        (None, [what, _with_interval(ours), _with_interval(theirs) if theirs else "–"])
        for what, ours, theirs in (
            ("見分ける力（AUROC。100 なら完全、50 なら当てずっぽう）", known.auroc, known.bm25_auroc),
            ("答えのある質問の 95 % に答えるとき、答えのない質問を断れた割合", known.refused, known.bm25_refused),
            ("今の設定で、答えのある質問に答える割合", known.kept_as_set, None),
            ("今の設定で、答えのない質問を断る割合", known.refused_as_set, None),
        )
    ]  # fmt: skip
    bins = [one for one in known.reliability if one.n >= _FEWEST_IN_BIN]
    plot = over_range(
        "答えがあると見込んだ確率と、実際にあった割合、%",
        [f"{100 * one.low:.0f}〜{100 * one.high:.0f}\n{one.n} 件" for one in bins],
        [
            ("見込んだ確率", [Point(one.mean_probability, _NO_INTERVAL) for one in bins]),
            ("実際の割合", [Point(one.share_answerable, _NO_INTERVAL) for one in bins]),
        ],
        "見込んだ確率（%）",
    )
    return [
        element("h2", "答えがないと分かるか"),
        element(
            "p",
            f"{known.n_questions} 問を、そのままと、正解の{_HIDDEN[known.hide]}を隠した場合（答えがない場合）とで尋ねました。"
            f"確率の誤差は平均 {100 * known.ece:.1f} ポイントです。",
        ),
        table(["", "この製品", "言葉の一致の点だけ"], rows),
        *([element("figure", plot, element("figcaption", f"二つの線が近いほど、確率を信じられます。{_FEWEST_IN_BIN} 件に満たない幅は除いてあります。"))] if bins else []),
    ]  # fmt: skip


def _with_interval(one: WithValue) -> Markup:
    whole = span(Interval(one.low, one.high))
    return joined(f"{100 * one.value:.1f}", element("small", whole))
