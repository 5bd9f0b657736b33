"""Reports: a table for people, JSON for programs, one line a question for looking into a difference."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from evals.answers import AnswerReport
from evals.indexes import Condition
from evals.latency import Latency
from evals.measures import MEASURES, NDCG
from evals.runner import Comparison, ConditionResult, EvaluationReport

FORMAT = 1
#: Units kept a question in the per-query lines.
KEPT = 10
NAMES: Final[Mapping[Condition, str]] = {
    "bm25": "BM25 のみ",
    "dense": "ベクトルのみ",
    "fused": "融合",
    "reranked": "融合＋再順位付け",
}
_UNITS = {"document": "文書", "page": "ページ"}


def table(report: EvaluationReport) -> str:
    """The report as text: conditions, slices, comparisons, answers. Japanese headings, aligned in a terminal."""
    split = report.split
    unanswerable = len(split.queries) - len(split.qrels)
    lines = [
        f"データ {split.dataset} / {split.name}（sha256 {split.digest[:12]}）  "
        f"質問 {len(split.qrels)} 件、答えのない質問 {unanswerable} 件  単位 {_UNITS[split.unit]}",
        f"索引 {report.n_documents} 文書 {report.n_chunks} 断片  1問あたり {report.k} 断片まで取得",
        "",
        *_grid(_condition_rows(report.conditions)),
        "",
        *_grid(_stage_rows(report.conditions)),
    ]
    for key in dict.fromkeys(part.key for row in report.conditions for part in row.slices):
        lines += ["", *_grid(_slice_rows(report.conditions, key))]
    if report.comparisons:
        lines += ["", *_comparison_lines(report.comparisons)]
    if report.answers:
        lines += ["", *_answer_lines(report.answers)]
    return "\n".join(lines)


def to_json(report: EvaluationReport) -> dict[str, object]:
    """The report as plain values: no date, no path, no commit, so that two runs differ only in figures."""
    split = report.split
    values: dict[str, object] = {
        "format": FORMAT,
        "dataset": split.dataset,
        "split": split.name,
        "unit": split.unit,
        "data_sha256": split.digest,
        "n_queries": len(split.qrels),
        "n_unanswerable": len(split.queries) - len(split.qrels),
        "n_documents": report.n_documents,
        "n_chunks": report.n_chunks,
        "k": report.k,
        "recipe": report.recipe,
        "conditions": [_condition_json(row) for row in report.conditions],
        "never_worse": {
            "measure": NDCG,
            "holds": report.never_worse,
            "pairs": [_comparison_json(comparison) for comparison in report.comparisons],
        },
        "versions": dict(report.versions),
    }
    if report.answers:
        values["answers"] = {
            key: _rounded(value)
            for key, value in asdict(report.answers).items()
            if key != "records"
        }
    return values


def per_query_lines(report: EvaluationReport) -> Iterable[str]:
    """One JSON line for each question under each condition, then one for each answer."""
    for row in report.conditions:
        for asked in row.asked:
            yield _line(
                {
                    "query_id": asked.query_id,
                    "condition": row.condition,
                    **{name: row.per_query[name][asked.query_id] for name in MEASURES},
                    "latency_ms": asked.latency_ms,
                    "units": [
                        [unit, score]
                        for unit, score in zip(asked.units[:KEPT], asked.scores[:KEPT], strict=True)
                    ],
                }
            )
    for record in report.answers.records if report.answers else ():
        yield _line({"condition": "answer", **asdict(record)})


def write(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        waiting.write_text(text, encoding="utf-8")
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)


def _condition_json(row: ConditionResult) -> dict[str, object]:
    return {
        "condition": row.condition,
        "measures": _rounded(dict(row.measures)),
        "units_per_query": round(row.units_per_query, 2),
        "latency": _rounded(asdict(row.latency)),
        "slices": [_rounded(asdict(part)) for part in row.slices],
    }


def _comparison_json(comparison: Comparison) -> dict[str, object]:
    return {
        "later": comparison.later,
        "earlier": comparison.earlier,
        "worse": comparison.worse,
        "differences": _rounded(dict(comparison.differences)),
        "verdict": comparison.verdict,
        "interval": _rounded(asdict(comparison.interval)),
        "p": round(comparison.p_ndcg, 5),
        "p_holm": round(comparison.p_holm, 5),
    }


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return value


def _line(values: object) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _condition_rows(rows: Sequence[ConditionResult]) -> list[list[str]]:
    head = ["条件", *MEASURES, "p50 ms", "p95 ms"]
    return [head] + [
        [
            NAMES[row.condition],
            *(f"{row.measures[name]:.4f}" for name in MEASURES),
            f"{row.latency.p50_ms:.1f}",
            f"{row.latency.p95_ms:.1f}",
        ]
        for row in rows
    ]


def _stage_rows(rows: Sequence[ConditionResult]) -> list[list[str]]:
    by_length = sorted(
        rows, key=lambda row: -len(row.latency.stages_ms)
    )  # the longest has their order
    stages = list(dict.fromkeys(name for row in by_length for name in row.latency.stages_ms))
    head = ["段ごとの中央値 ms", *stages]
    return [head] + [[NAMES[row.condition], *_stage_cells(row.latency, stages)] for row in rows]


def _stage_cells(latency: Latency, stages: Sequence[str]) -> list[str]:
    return [
        f"{latency.stages_ms[name]:.1f}" if name in latency.stages_ms else "-" for name in stages
    ]


def _slice_rows(rows: Sequence[ConditionResult], key: str) -> list[list[str]]:
    table_rows = [[key, "条件", "質問", *MEASURES]]
    for value in dict.fromkeys(
        part.value for row in rows for part in row.slices if part.key == key
    ):
        for row in rows:
            for part in row.slices:
                if (part.key, part.value) == (key, value):
                    figures = [f"{part.measures[name]:.4f}" for name in MEASURES]
                    table_rows.append([value, NAMES[row.condition], str(part.n_queries), *figures])
    return table_rows


def _comparison_lines(comparisons: Sequence[Comparison]) -> list[str]:
    worse = [comparison for comparison in comparisons if comparison.worse]
    verdict = (
        "前の段を下回る組はありません" if not worse else f"前の段を下回る組が {len(worse)} あります"
    )
    said = {"better": "  上回る", "worse": "  ← 下回る", "even": "  差があるとは言えない"}
    return [f"{NDCG} の比較（Holm 補正後 p < 0.05 の差だけを差と呼ぶ）: {verdict}"] + [
        f"  {NAMES[c.later]} − {NAMES[c.earlier]}: {c.differences[NDCG]:+.4f}"
        f"（95% 区間 {c.interval.low:+.4f}〜{c.interval.high:+.4f}、補正後 p={c.p_holm:.4f}）"
        + said[c.verdict]
        for c in comparisons
    ]


def _answer_lines(answers: AnswerReport) -> list[str]:
    lines = [
        f"回答: 答えのある質問 {answers.n_answerable} 件のうち回答 {answers.answerable_answered}、"
        f"誤って回答なし {answers.answerable_refused}／"
        f"答えのない質問 {answers.n_unanswerable} 件のうち正しく回答なし {answers.unanswerable_refused}、"
        f"誤って回答 {answers.unanswerable_answered}",
        f"引用: {answers.n_citations} 件のうち原文と一致 {answers.n_verbatim}、"
        f"答えのある質問の {_percent(answers.gold_cited_rate)} で正解の箇所を引用",
    ]
    if answers.char_f1 is not None and answers.contains_gold_rate is not None:
        lines.append(
            f"正解との文字F1 {answers.char_f1:.4f}、正解を含む回答 {_percent(answers.contains_gold_rate)}"
        )
    latency = answers.latency
    return [*lines, f"回答の時間: p50 {latency.p50_ms:.1f} ms、p95 {latency.p95_ms:.1f} ms"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns by their width in a terminal: the first to the left, the others to the right."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        first, *rest = zip(row, cells, strict=True)
        lines.append("  ".join([first[0] + first[1], *(pad + cell for cell, pad in rest)]).rstrip())
    return lines


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "FW" else 1 for char in text)
