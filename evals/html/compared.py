"""The stages held against one another, as a section of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from evals.html.page import Markup, element, joined, table
from evals.html.words import points, ranking_name, signed_span
from evals.measures import MEASURES, NDCG
from evals.never_worse import NeverWorse, Row
from evals.runner import Comparison
from evals.statistics import Verdict

_VERDICTS: Final[Mapping[Verdict, str]] = {
    "better": "上回る",
    "worse": "下回る",
    "even": "差があるとは言えない",
}


def compared_section(comparisons: Sequence[Comparison], stages: NeverWorse | None) -> list[Markup]:
    """Every later stage against every earlier one; then stage by stage within the groups of questions."""
    if not comparisons:
        return []
    return [
        element("h2", "前の段を下回っていないか"),
        element(
            "p",
            "後の段から前の段を引いた差（ポイント）。判定、95 % 区間、p は nDCG@10 のもの。p は、本当は差がないのに"
            "偶然これだけの差が付く確率で、組の数だけ厳しくしてあります（Holm）。0.05 より小さいときだけ、上回る、下回ると言います。",
        ),
        table(
            ["組", "判定", NDCG, *(name for name in MEASURES if name != NDCG), "p"],
            [_comparison(one) for one in comparisons],
        ),
        *(_groups(stages) if stages and stages.rows else []),
    ]


def _comparison(one: Comparison) -> tuple[str | None, list[str]]:
    return (
        "bad" if one.verdict == "worse" else None,
        [
            f"{ranking_name(one.later)} − {ranking_name(one.earlier)}",
            _VERDICTS[one.verdict],
            _difference(one.differences[NDCG], signed_span(one.interval)),
            *(points(one.differences[name]) for name in MEASURES if name != NDCG),
            f"{one.p_holm:.4f}",
        ],
    )


def _groups(stages: NeverWorse) -> list[Markup]:
    """One row a group of questions, one column a pair."""
    pairs = list(dict.fromkeys((row.later, row.earlier) for row in stages.rows))
    groups = list(dict.fromkeys(row.group for row in stages.rows))
    by_place = {(row.group, row.later, row.earlier): row for row in stages.rows}
    rows: list[tuple[str | None, list[str]]] = []
    for group in groups:
        cells = [by_place[group, *pair] for pair in pairs]
        rows.append((None, [group, str(cells[0].n), *map(_cell, cells)]))
    said = (
        "どの段も、前の段を下回っていません。"
        if stages.holds
        else f"前の段を下回るところが {len(stages.broken)} か所あります（赤い字）。"
    )
    heads = [
        joined(ranking_name(later), element("small", f"− {ranking_name(earlier)}"))
        for later, earlier in pairs
    ]
    return [
        element("h3", "質問の種類ごとに見ても下回っていないか"),
        element(
            "p",
            f"{said}全体では少しでも低ければ、種類ごとでは偶然とは考えにくいほど低ければ、下回ると数えます。",
        ),
        table(["質問の種類", "質問", *heads], rows),
    ]


def _cell(row: Row) -> Markup:
    said = _VERDICTS[row.verdict]
    if not row.holds and row.verdict == "even":
        said = "低いが、差があるとは言えない"
    content = joined(_difference(row.difference, signed_span(row.interval)), element("small", said))
    return content if row.holds else element("span", content, class_="bad")


def _difference(value: float, interval: str) -> Markup:
    return joined(points(value), element("small", interval))
