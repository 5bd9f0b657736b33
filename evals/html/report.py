"""The report as one file to open in a browser: for the people who answer for the quality of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np

from evals.answerable import AnswerableReport
from evals.dataset import Query
from evals.hardest import HardQuestion
from evals.html.compared import compared_section
from evals.html.hardest import hardest_section
from evals.html.page import Markup, element, joined, page, table
from evals.html.plots import Point, bars, dots, over_range
from evals.html.robustness import no_answer_section, perturbed_section
from evals.html.words import (
    MEASURE_WORDS,
    RANKING_WORDS,
    STAGE_WORDS,
    percent,
    ranking_name,
    span,
)
from evals.measures import MEASURES, NDCG, R1, R5, R100
from evals.never_worse import NeverWorse
from evals.robustness.perturb_report import Loss
from evals.runner import ConditionResult, EvaluationReport
from evals.slices import MINIMUM, Slice, lengths, slices_of
from evals.statistics import intervals

#: Resamples of an interval in a slice: the report has hundreds of them.
SLICE_ROUNDS = 2000
#: Groups of question length in the plot, and the fewest questions in one.
MOST_GROUPS, FEWEST_IN_GROUP = 6, 10
_UNITS = {"document": "文書", "page": "ページ"}


def html_report(
    report: EvaluationReport,
    hard: Sequence[HardQuestion] = (),
    stages: NeverWorse | None = None,
    *,
    lost: Sequence[Loss] = (),
    known: AnswerableReport | None = None,
) -> str:
    """Write the whole page.

    Equal reports give equal pages: no date, no path, no commit.

    Parameters
    ----------
    report
        What was measured.
    hard
        From :func:`evals.hardest.hardest`.
    stages
        From :func:`evals.never_worse.never_worse`.
    lost, known
        From :mod:`evals.robustness.perturb_report` and :mod:`evals.answerable`, where they were measured.
    """
    queries = [query for query in report.split.queries if query.answerable]
    points: dict[str, dict[str, Point]] = {
        row.condition: _points(row, queries) for row in report.conditions
    }
    title = f"検索の正しさの報告: {report.split.dataset}"
    return page(
        title,
        element("h1", title),
        element(
            "p",
            f"データ {report.split.dataset} の {report.split.name}、質問 {len(queries)} 件。"
            f"索引 {report.n_documents} 文書、{report.n_chunks} 断片。",
            class_="soft",
        ),
        *_summary(report, points),
        *_stages(report, points),
        *compared_section(report.comparisons, stages),
        *_slices(report, queries),
        *_by_length(report, queries),
        *perturbed_section(lost),
        *no_answer_section(known),
        *_latency(report),
        *hardest_section(report, hard),
        *_how(report),
    )


def _points(row: ConditionResult, queries: Sequence[Query]) -> dict[str, Point]:
    values = _values(row, queries)
    return {
        name: Point(float(values[:, column].mean()) if len(queries) else float("nan"), interval)
        for column, (name, interval) in enumerate(zip(MEASURES, intervals(values), strict=True))
    }


def _values(
    row: ConditionResult, queries: Sequence[Query]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(N, M) float64: the measures of N questions."""
    columns = [[row.per_query[name][query.query_id] for query in queries] for name in MEASURES]
    return np.array(columns, dtype=np.float64).T.reshape(len(queries), len(MEASURES))


def _summary(report: EvaluationReport, points: Mapping[str, Mapping[str, Point]]) -> list[Markup]:
    if not report.conditions or not report.split.qrels:
        return [element("div", element("p", "測れる質問がありません。"), class_="summary")]
    last = report.conditions[-1]
    best = points[last.condition]
    unit = _UNITS[report.split.unit]
    sentences = [
        f"正解の{unit}が一番上に出た質問は {percent(best[R1].value)}、"
        f"上から5件までに出た質問は {percent(best[R5].value)} でした"
        f"（順位は「{ranking_name(last.condition)}」。質問を入れ替えても 95 % の確からしさで、"
        f"5件以内は {span(best[R5].interval)} に入ります）。",
        _worse_sentence(report),
    ]
    if report.answers:
        answers = report.answers
        sentences.append(
            f"回答の引用 {answers.n_citations} 件のうち {answers.n_verbatim} 件が原文と一字一句同じでした。"
            f"答えのない質問 {answers.n_unanswerable} 件のうち {answers.unanswerable_refused} 件に、"
            "正しく「答えがない」と返しました。"
        )
    cards = [
        (percent(best[R1].value), "一番上が正解", span(best[R1].interval)),
        (percent(best[R5].value), "5件以内に正解", span(best[R5].interval)),
        (percent(best[R100].value), "100件以内に正解", span(best[R100].interval)),
        (f"{last.latency.p50_ms:.0f} ミリ秒", "1問の検索時間（中央値）", f"遅い 5 % は {last.latency.p95_ms:.0f} ミリ秒以上"),
    ]  # fmt: skip
    return [
        element("div", *(element("p", sentence) for sentence in sentences), class_="summary"),
        element(
            "div",
            *(
                element(
                    "div", element("b", figure), what, element("div", note, class_="soft"),
                    class_="card",
                )
                for figure, what, note in cards
            ),
            class_="cards",
        ),
    ]  # fmt: skip


def _worse_sentence(report: EvaluationReport) -> str:
    if not report.comparisons:
        return "比べる順位付けは一つだけです。"
    worse = [
        f"「{ranking_name(c.later)}」は「{ranking_name(c.earlier)}」を {-100 * c.differences[NDCG]:.1f} ポイント"
        for c in report.comparisons
        if c.verdict == "worse"
    ]
    if worse:
        return f"後の段が前の段を下回った組が {len(worse)} あります（nDCG@10 で、{'、'.join(worse)}）。"
    return "後の段が前の段を、偶然とは考えにくいほど下回った組はありません。"


def _stages(report: EvaluationReport, points: Mapping[str, Mapping[str, Point]]) -> list[Markup]:
    rows: list[tuple[str | None, list[str]]] = []
    for row in report.conditions:
        cells = [_figure(points[row.condition][name]) for name in MEASURES]
        final = "final" if row is report.conditions[-1] else None
        rows.append((final, [ranking_name(row.condition), *cells]))
    plots = [
        dots(
            f"{name}（{MEASURE_WORDS.get(name, (name, ''))[0]}）、%",
            [
                (ranking_name(row.condition), points[row.condition][name])
                for row in report.conditions
            ],
        )
        for name in (NDCG, R5)
    ]
    words = [
        joined(element("dt", term), element("dd", said))
        for term, said in [
            *((name, "。".join(MEASURE_WORDS[name])) for name in MEASURES if name in MEASURE_WORDS),
            *(
                (ranking_name(row.condition), RANKING_WORDS[row.condition])
                for row in report.conditions
                if row.condition in RANKING_WORDS
            ),
        ]
    ]
    return [
        element("h2", "段ごとの成績"),
        element(
            "p",
            "値は %。下の小さな数は 95 % 区間で、別の質問で測り直したときに動きうる幅です。"
            "区間が大きく重なる二つの値は、差があるとは言えません。",
        ),
        table(["順位付け", *MEASURES], rows),
        element("div", *(element("figure", plot) for plot in plots), class_="charts"),
        element("dl", *words),
    ]


def _figure(point: Point) -> Markup:
    if not isfinite(point.value):
        return Markup("–")
    return joined(f"{100 * point.value:.1f}", element("small", span(point.interval)))


def _slices(report: EvaluationReport, queries: Sequence[Query]) -> list[Markup]:
    parts = slices_of(queries)
    if not parts or not report.conditions:
        return []
    names = [ranking_name(row.condition) for row in report.conditions]
    rows: list[tuple[str | None, list[str]]] = [
        (None if part.judged else "unsure", _slice_cells(part, report, queries)) for part in parts
    ]
    return [
        element("h2", "質問の種類ごとの成績"),
        element(
            "p",
            f"{MINIMUM} 問に満たない種類は薄い字にしてあります。たまたまの当たり外れが大きいので、良し悪しを読み取らないでください。",
        ),
        table(
            [
                "質問の種類",
                "質問",
                *(joined(name, element("small", NDCG)) for name in names),
                joined("5件以内に正解", element("small", names[-1])),
            ],
            rows,
        ),
    ]  # fmt: skip


def _slice_cells(part: Slice, report: EvaluationReport, queries: Sequence[Query]) -> list[str]:
    cells: list[str] = []
    for row in report.conditions:
        values = _values(row, queries)[part.mask]
        cells.append(f"{100 * values[:, MEASURES.index(NDCG)].mean():.1f}")
    r5 = MEASURES.index(R5)
    last = _values(report.conditions[-1], queries)[part.mask][:, r5 : r5 + 1]
    point = Point(float(last.mean()), intervals(last, rounds=SLICE_ROUNDS)[0])
    return [part.name, str(part.n), *cells, _figure(point)]


def _by_length(report: EvaluationReport, queries: Sequence[Query]) -> list[Markup]:
    groups = length_groups(lengths(queries))
    if len(groups) < 2 or not report.conditions:
        return []
    chars = lengths(queries)
    masks = [(chars >= low) & (chars <= high) for low, high in groups]
    column = MEASURES.index(NDCG)
    series = [
        (
            ranking_name(row.condition),
            [_mean_of(_values(row, queries)[mask][:, column : column + 1]) for mask in masks],
        )
        for row in report.conditions
    ]
    labels = [
        f"{low}〜{high}\n{int(mask.sum())} 問"
        for (low, high), mask in zip(groups, masks, strict=True)
    ]
    plot = over_range("nDCG@10 と質問の長さ、%", labels, series, "質問の文字数")
    return [
        element("h2", "質問の長さと成績"),
        element("figure", plot, element("figcaption", "縦の線は 95 % 区間。")),
    ]


def _mean_of(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Point:
    return Point(float(values.mean()), intervals(values, rounds=SLICE_ROUNDS)[0])


def length_groups(chars: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[tuple[int, int]]:
    """Cut N lengths into up to six ranges of about as many questions; each (shortest, longest) that occurs in it.

    >>> length_groups(np.arange(1, 31))
    [(1, 10), (11, 20), (21, 30)]
    """
    count = min(MOST_GROUPS, len(chars) // FEWEST_IN_GROUP)
    if count < 2:
        return []
    ordered = np.sort(chars)
    cuts = sorted({int(ordered[len(ordered) * part // count]) for part in range(count)})
    ends = [*cuts[1:], int(ordered[-1]) + 1]
    inside = [
        ordered[(ordered >= low) & (ordered < end)] for low, end in zip(cuts, ends, strict=True)
    ]
    return [(int(part[0]), int(part[-1])) for part in inside if len(part)]


def _latency(report: EvaluationReport) -> list[Markup]:
    if not report.conditions:
        return []
    rows: list[tuple[str | None, list[str]]] = [
        (
            "final" if row is report.conditions[-1] else None,
            [
                ranking_name(row.condition),
                f"{row.latency.p50_ms:.1f}",
                f"{row.latency.p95_ms:.1f}",
            ],
        )
        for row in report.conditions
    ]
    split = [
        (
            ranking_name(row.condition),
            [(STAGE_WORDS.get(stage, stage), ms) for stage, ms in row.latency.stages_ms.items()],
        )
        for row in report.conditions
    ]
    return [
        element("h2", "1問にかかる時間"),
        element(
            "p", "一度に一問ずつ、この機械で測った検索の時間。図は段ごとの中央値を積んだもの。"
        ),
        table(
            ["順位付け", "半分の質問はこれより速い（ミリ秒）", "95 % はこれより速い（ミリ秒）"],
            rows,
        ),
        element("figure", bars("時間の内訳", split, "ms")),
    ]


def _how(report: EvaluationReport) -> list[Markup]:
    unit = _UNITS[report.split.unit]
    facts = {
        "データの指紋（SHA-256）": report.split.digest,
        "数えかた": f"正解は{unit}で判定。1問あたり {report.k} 断片まで探し、同じ{unit}の断片は一つに数える。",
        "答えのない質問": f"{len(report.split.queries) - len(report.split.qrels)} 件（上の成績には入らない）",
        "使ったもの": "、".join(f"{name} {version}" for name, version in report.versions.items()),
        "区間と p": "区間は質問を引き直すブートストラップ（BCa、10,000 回。種類別は 2,000 回）、p は対応のある並べ替え検定（10,000 回）。",
    }
    return [
        element("h2", "測りかた"),
        element("dl", *(joined(element("dt", k), element("dd", v)) for k, v in facts.items() if v)),
    ]
