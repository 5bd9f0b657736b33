"""``ragjp eval``: arguments in, a table on stdout, a report in a file, an exit code out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from evals.dataset import open_dataset
from evals.hardest import hardest, hardest_json, texts_of
from evals.html_report import html_report
from evals.indexes import searcher_for
from evals.measures import per_query
from evals.report import per_query_lines, table, to_json, write
from evals.runner import EVERYONE, evaluate
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import cache_folder
from ragjp.errors import RequestError
from ragjp.jobs.sources import REPORT_NAME


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
        "--answers",
        action="store_true",
        help="回答も生成し、引用・回答なしの判断・正解との一致を調べる",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="先頭の N 問だけで測る")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write the reports; 0 when it was measured.

    Raises
    ------
    RagjpError
        With one sentence for the person who asked; the caller prints it and exits with its code.
    """
    dataset = open_dataset(arguments.dataset)
    split = dataset.read(arguments.split).first(arguments.limit)
    per_query(
        {}, {}
    )  # say now, not after an hour of searching, that the measures are not installed
    with (
        ProgressDisplay() as progress,
        searcher_for(dataset, arguments.recipe, progress=progress) as engine,
    ):
        report = evaluate(split, engine, answers=arguments.answers, progress=progress)
        hard = hardest(report, texts_of(engine.page_text, split.unit, EVERYONE))
        textless = unindexed(engine.path)
    print(table(report))
    if textless:
        print(
            f"\n文字がなく、索引に入らなかった文書 {textless} 件。これが正解の質問は外れと数えています。"
        )
    written = _write(
        arguments.json,
        report=to_json(report),
        lines=per_query_lines(report),
        name=f"{split.dataset}-{split.name}",
    )
    if arguments.json:
        _put(
            arguments.json.with_suffix(".hardest.json"), _json(hardest_json(report, hard)), "--json"
        )
    if arguments.html:
        _put(arguments.html, html_report(report, hard), "--html")
    print(f"\n質問ごとの結果: {written}")
    return 0


def unindexed(index: Path) -> int:
    """Count the documents that the index's last build could not take."""
    listed = index / REPORT_NAME
    return len(listed.read_text(encoding="utf-8").splitlines()) if listed.exists() else 0


def _write(chosen: Path | None, report: object, lines: Iterable[str], name: str) -> Path:
    """Write the report where it was asked for, and the lines beside it or into the cache folder."""
    results = cache_folder() / "evals" / "results"
    beside = chosen.with_suffix(".queries.jsonl") if chosen else results / f"{name}.queries.jsonl"
    if chosen:
        _put(chosen, _json(report), "--json")
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
