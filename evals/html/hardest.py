"""The hardest questions as a section of the report: the question, the right passage, what came instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.hardest import Found, Gold, HardQuestion
from evals.html.page import Markup, element, joined, quoted
from evals.html.words import ranking_name
from evals.runner import EvaluationReport
from evals.slices import KEY_NAMES

_OPEN = 3


def hardest_section(report: EvaluationReport, hard: Sequence[HardQuestion]) -> list[Markup]:
    """List the questions; the first few are open."""
    if not report.conditions:
        return []
    last = report.conditions[-1].condition
    parts = [element("h2", f"難しかった質問 {len(hard)} 件" if hard else "難しかった質問")]
    if not hard:
        return [*parts, element("p", "すべての質問で、正解が一番上に出ました。")]
    return [
        *parts,
        element(
            "p",
            f"「{ranking_name(last)}」での成績が低い順。正解の置き場所、どの順位付けなら見つかっていたか、代わりに何が出たかを見て、"
            "文書の書き方、用語、正解の付け方のどれを直すべきかを考える材料にしてください。",
        ),
        *(
            _question(one, last, open_=place < _OPEN, place=place + 1)
            for place, one in enumerate(hard)
        ),
    ]


def _question(one: HardQuestion, last: str, *, open_: bool, place: int) -> Markup:
    groups = "・".join(f"{KEY_NAMES.get(key, key)}: {value}" for key, value in one.groups.items())
    head = element(
        "summary",
        f"{place}. ",
        element("b", quoted(one.text)),
        element(
            "span",
            f"{one.query_id}　nDCG@10 {one.score:.2f}　{_best_place(one.gold, last)}"
            + (f"　{groups}" if groups else ""),
            class_="soft",
        ),
    )
    body = [
        element("h3", "正解" if len(one.gold) == 1 else f"正解（{len(one.gold)} か所）"),
        *(_gold(gold) for gold in one.gold),
        element("h3", "代わりに上に出たもの"),
        *(_instead(found) for found in one.instead),
    ]
    if not one.instead:
        body.append(element("p", "何も見つかりませんでした。"))
    return element("details", head, *body, open="" if open_ else None)


def _gold(gold: Gold) -> Markup:
    return element(
        "div",
        element("div", quoted(gold.unit), class_="unit"),
        element("div", _places(gold.places), class_="soft"),
        _beginning(gold.beginning, "この索引に、この文書（ページ）の文字がありません。"),
        class_="passage right",
    )


def _instead(found: Found) -> Markup:
    return element(
        "div",
        element(
            "div",
            joined(f"{found.place} 番目　", quoted(found.unit), f"　得点 {found.score:.3f}"),
            class_="unit",
        ),
        _beginning(found.beginning, "本文を読めません。"),
        class_="passage",
    )


def _beginning(text: str | None, otherwise: str) -> Markup:
    if text is None:
        return element("div", otherwise, class_="soft")
    return element("div", quoted(text) if text else "（空白だけ）")


def _places(places: Mapping[str, int | None]) -> str:
    said = [
        f"{ranking_name(name)}: {'100 位より下' if place is None else f'{place} 位'}"
        for name, place in places.items()
    ]
    return "　".join(said)


def _best_place(gold: Sequence[Gold], last: str) -> str:
    found = [place for one in gold if (place := one.places.get(last)) is not None]
    return f"正解は {min(found)} 位" if found else "正解は 100 位より下"
