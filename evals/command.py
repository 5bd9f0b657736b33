"""``ragjp eval``: arguments in, a table on stdout, a report in a file, an exit code out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evals import gate
from evals.answerable import AnswerableReport, answerability
from evals.answerable import report_text as answerable_text
from evals.answerable import report_values as answerable_values
from evals.dataset import Split, open_dataset
from evals.exchange.trec import run_lines, scored_run
from evals.hardest import hardest, hardest_json, texts_of
from evals.html.report import html_report
from evals.indexes import Progress, searcher_for
from evals.measures import MEASURES, MRR, NDCG, R1, R5, R10, R100, PerQuery, per_query
from evals.never_worse import NeverWorse, never_worse
from evals.never_worse import lines as never_worse_lines
from evals.never_worse import to_json as never_worse_json
from evals.provenance import commit
from evals.report import NAMES, per_query_lines, table, to_json, write
from evals.robustness.perturb_report import chosen_kinds, loss_json, loss_table, losses
from evals.runner import EVERYONE, EvaluationReport, evaluate
from evals.statistics import intervals
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import cache_folder
from ragjp.errors import RequestError
from ragjp.jobs.sources import REPORT_NAME

if TYPE_CHECKING:
    from ragjp.engine import Engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``ragjp eval`` takes."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="BEIR 形式のフォルダ")
    parser.add_argument(
        "--recipe",
        type=Path,
        help="索引のレシピ。corpus.jsonl のないデータセットでは、評価する索引のレシピ（必須）",
    )
    parser.add_argument("--split", help="qrels/ のどの分割で測るか（一つだけなら省略可）")
    parser.add_argument("--json", type=Path, metavar="FILE", help="報告を JSON で書き出す")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="図と難しかった質問の入った報告を HTML で書き出す"
    )
    parser.add_argument(
        "--run-out",
        type=Path,
        metavar="FILE",
        help="利用者に見える順位を、TREC の形式（質問 Q0 文書 順位 得点 名前）で書き出す",
    )
    parser.add_argument(
        "--gate",
        type=Path,
        metavar="BASELINE",
        help="基準のファイルと質問ごとに比べ、有意に下がった指標があれば終了コード 1 で終わる",
    )
    parser.add_argument(
        "--write-baseline",
        type=Path,
        metavar="BASELINE",
        help="今回の質問ごとの結果を、次から --gate で比べる基準として書き出す",
    )
    parser.add_argument(
        "--answers",
        action="store_true",
        help="回答も生成し、引用・回答なしの判断・正解との一致を調べる",
    )
    parser.add_argument(
        "--perturb",
        metavar="KINDS",
        help="質問を書き換えて聞き、失う R@5 を測る（variants,typo,keywords,polite,width から選ぶ。all で全部）",
    )
    parser.add_argument(
        "--no-answer",
        action="store_true",
        help="正解を隠したときにそれと分かるか（AUROC、断れる割合、確率の正しさ）を測る",
    )
    parser.add_argument(
        "--hide",
        choices=("document", "file", "title"),
        default="file",
        help="--no-answer で隠すもの。正解の文書、そのファイル（標準）、同じ題名の文書すべて",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="先頭の N 問だけで測る")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write the reports; 0 when it was measured and nothing fell below the baseline, 1 when something did.

    Raises
    ------
    RagjpError
        With one sentence for the person who asked; the caller prints it and exits with its code.
    """
    dataset = open_dataset(arguments.dataset)
    split = dataset.read(arguments.split).first(arguments.limit)
    kinds = chosen_kinds(arguments.perturb) if arguments.perturb else ()
    baseline = gate.read(arguments.gate) if arguments.gate else None
    if baseline:
        gate.require_same_data(baseline, split.dataset, split.name, split.digest)
    per_query(
        {}, {}
    )  # say now, not after an hour of searching, that the measures are not installed
    with (
        ProgressDisplay() as progress,
        searcher_for(dataset, arguments.recipe, progress=progress) as engine,
    ):
        report = evaluate(split, engine, answers=arguments.answers, progress=progress)
        hard = hardest(report, texts_of(engine.page_text, split.unit, EVERYONE))
        lost = losses(split, engine, kinds, progress=progress) if kinds else ()
        known = _known(arguments, split, engine, progress)
        textless = unindexed(engine.path)
    print(table(report))
    rows = {row.condition: row.per_query for row in report.conditions}
    asked = [query for query in split.queries if query.answerable]
    table_of_stages = never_worse(asked, rows)
    print("\n" + "\n".join(never_worse_lines(table_of_stages, NAMES)))
    if lost:
        print("\n" + loss_table(lost))
    _tell_known(arguments.json, known)
    if textless:
        print(
            f"\n文字がなく、索引に入らなかった文書 {textless} 件。これが正解の質問は外れと数えています。"
        )
    written = _write(
        arguments.json,
        report=result_json(report, table_of_stages),
        lines=per_query_lines(report),
        name=f"{split.dataset}-{split.name}@{commit()}",
    )
    if arguments.json:
        _put(
            arguments.json.with_suffix(".hardest.json"), _json(hardest_json(report, hard)), "--json"
        )
    if arguments.json and lost:
        _put(arguments.json.with_suffix(".perturbed.json"), _json(loss_json(lost)), "--json")
    if arguments.run_out and report.conditions:
        last = report.conditions[-1]
        found = run_lines(scored_run(last.asked), tag=f"ragjp-{last.condition}")
        _put(arguments.run_out, "".join(found), "--run-out")
    if arguments.html:
        page = html_report(report, hard, table_of_stages, lost=lost, known=known)
        _put(arguments.html, page, "--html")
    print(f"\n質問ごとの結果: {written}")
    if arguments.write_baseline:
        _put(arguments.write_baseline, gate.to_json(baseline_of(report)), "--write-baseline")
    return _judge(baseline, report) if baseline else 0


def _known(
    arguments: argparse.Namespace, split: Split, engine: Engine, progress: Progress
) -> AnswerableReport | None:
    """Measure, where that was asked for, whether a search knows that the answer is not there."""
    if not arguments.no_answer:
        return None
    return answerability(split, engine, view=EVERYONE, hide=arguments.hide, progress=progress)


def _tell_known(chosen: Path | None, known: AnswerableReport | None) -> None:
    """Print it, and write it beside the report."""
    if known is None:
        return
    print("\n" + answerable_text(known))
    if chosen:
        _put(chosen.with_suffix(".no-answer.json"), _json(answerable_values(known)), "--json")


def result_json(report: EvaluationReport, stages: NeverWorse) -> dict[str, object]:
    """The report with the commit that it is of, the measures of each stage, and the never-worse table with its slices."""
    by_name = {row.condition: row.measures for row in report.conditions}
    per_stage: dict[str, object] = {}
    if "fused" in by_name:
        per_stage["candidates"] = {R100: round(by_name["fused"][R100], 5)}
    if "reranked" in by_name:
        per_stage["rerank"] = {
            name: round(by_name["reranked"][name], 5) for name in (NDCG, R1, R5, R10, MRR)
        }
    return {
        "commit": commit(),
        **to_json(report),
        "stages": per_stage,
        "intervals": {row.condition: _intervals(row.per_query) for row in report.conditions},
        "never_worse_by_slice": never_worse_json(stages),
    }


def _intervals(values: PerQuery) -> dict[str, list[float]]:
    """Bootstrap intervals (BCa, 95 %) of a ranking's means."""
    table = np.array([list(values[name].values()) for name in MEASURES], dtype=np.float64).T
    found = intervals(table) if len(table) else ()
    return {
        name: [round(one.low, 5), round(one.high, 5)]
        for name, one in zip(MEASURES, found, strict=False)
    }


def baseline_of(report: EvaluationReport, tolerance: float = gate.TOLERANCE) -> gate.Baseline:
    """Keep a report's scores, question by question, for later runs to be held against."""
    split = report.split
    kept = gate.keep_report(report)
    return gate.Baseline(split.dataset, split.name, split.digest, commit(), tolerance, kept)


def _judge(baseline: gate.Baseline, report: EvaluationReport) -> int:
    """Hold the run against the baseline and say what came of it; 1 when something fell."""
    run = gate.keep_report(report)
    verdict = gate.hold(run, baseline.kept, baseline.tolerance)
    texts = {query.query_id: query.text for query in report.split.queries}
    print("\n" + "\n".join(gate.sentences(verdict, NAMES, texts)))
    return 0 if verdict.passed else 1


def unindexed(index: Path) -> int:
    """Count the documents that the index's last build could not take."""
    listed = index / REPORT_NAME
    return len(listed.read_text(encoding="utf-8").splitlines()) if listed.exists() else 0


def _write(chosen: Path | None, report: object, lines: Iterable[str], name: str) -> Path:
    """Write the report where it was asked for, and under the commit's name into the cache folder; the lines beside the one asked for.

    Returns
    -------
    Path
        Where the lines are.
    """
    named = cache_folder() / "evals" / "results" / f"{name}.json"
    for path in {chosen or named, named}:
        _put(path, _json(report), "--json")
    beside = (chosen or named).with_suffix(".queries.jsonl")
    _put(beside, "".join(lines), "--json")
    return beside


def _json(values: object) -> str:
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"


def _put(path: Path, content: str, option: str) -> None:
    try:
        write(path, content)
    except OSError as error:
        raise RequestError(
            f"報告を {path} に書けません（{error.strerror}）。書ける場所を {option} で指定してください。",
            code="report_unwritable",
        ) from error
