"""The words of the report: what a measure, a ranking and a stage are called by people who do not build them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Final

from evals.report import NAMES
from evals.statistics import Interval

#: measure -> what it is called, what it says.
MEASURE_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "nDCG@10": (
        "上位10件の並びのよさ",
        "正解が一番上なら 100、下にあるほど小さく、10件に入らなければ 0",
    ),
    "R@1": ("一番上が正解", "正解のうち一番上に出たものの割合"),
    "R@5": ("5件以内に正解", "正解のうち上から5件までに出たものの割合"),
    "R@10": ("10件以内に正解", "正解のうち上から10件までに出たものの割合"),
    "R@100": ("100件以内に正解", "正解のうち候補100件に入ったものの割合。後の段はこの中からしか選べない"),
    "MRR@10": ("最初の正解の高さ", "最初の正解が1番目なら 100、2番目なら 50、3番目なら 33、10件になければ 0"),
}  # fmt: skip
RANKING_WORDS: Final[Mapping[str, str]] = {
    "bm25": "質問の言葉がどれだけ入っているかで並べる。",
    "dense": "文の意味の近さで並べる。",
    "fused": "言葉の一致と意味の近さを合わせて並べる。",
    "reranked": "上位の候補を、質問と一語ずつ突き合わせて並べ直す。利用者に見える順位。",
}
STAGE_WORDS: Final[Mapping[str, str]] = {
    "analyse": "言葉に分ける",
    "encode": "意味を数値にする",
    "bm25": "言葉で探す",
    "dense": "意味で探す",
    "fuse": "合わせる",
    "rerank": "並べ直す",
    "load": "本文を読む",
}


def ranking_name(condition: str) -> str:
    """Name a ranking in words; a name nobody translated stays as it is."""
    names = {str(known): name for known, name in NAMES.items()}
    return names.get(condition, condition)


def percent(share: float) -> str:
    """Write a share with one decimal.

    >>> percent(0.8563), percent(float("nan"))
    ('85.6 %', '–')
    """
    return f"{100 * share:.1f} %" if isfinite(share) else "–"


def span(interval: Interval) -> str:
    """Write an interval of shares in percent; one without width says that nothing varied, not that nothing could.

    >>> span(Interval(0.8, 0.9123))
    '80.0〜91.2'
    >>> span(Interval(1.0, 1.0))
    '全問同じ'
    """
    if not (isfinite(interval.low) and isfinite(interval.high)):
        return ""
    if interval.low == interval.high:
        return "全問同じ"
    return f"{100 * interval.low:.1f}〜{100 * interval.high:.1f}"


def signed_span(interval: Interval) -> str:
    """Write an interval of differences in points.

    >>> signed_span(Interval(-0.002, 0.0123))
    '-0.2〜+1.2'
    """
    if not (isfinite(interval.low) and isfinite(interval.high)):
        return ""
    return f"{points(interval.low)}〜{points(interval.high)}"


def points(difference: float) -> str:
    """Write a difference of shares in points, and no difference without a minus.

    >>> points(-0.0123), points(-0.0001)
    ('-1.2', '+0.0')
    """
    return f"{round(100 * difference, 1) + 0.0:+.1f}"
