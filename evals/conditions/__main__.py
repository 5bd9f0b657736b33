"""``python -m evals.conditions [NAME ...]``: rerun what was published, and say what no longer holds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.command import result_json
from evals.conditions.reading import (
    ConditionError,
    NamedCondition,
    load_condition,
    load_conditions,
)
from evals.conditions.running import judge, measure, stages_of
from evals.conditions.updating import update
from evals.measures import per_query
from evals.report import table, write
from evals.runner import EvaluationReport
from ragjp.cli.progress import ProgressDisplay
from ragjp.errors import RagjpError
from ragjp.offline import stay_offline


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen conditions; 0 when all hold, 1 when one does not, 2 when the request was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.conditions", description="公表した条件で測り直し、期待と比べる"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="条件の名前（省略すると、測れるもの全部）"
    )
    parser.add_argument(
        "--data", type=Path, help="評価用データの置き場所。指定すると大きいデータでも測る"
    )
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="条件ごとの報告を JSON で書き出す"
    )
    parser.add_argument(
        "--update", action="store_true", help="期待値と基準を、今回の結果に書き換える"
    )
    arguments = parser.parse_args(argv)
    stay_offline()
    try:
        return _run(arguments)
    except RagjpError as error:
        print(error.sentence, file=sys.stderr)
        return error.exit_code


def chosen(
    conditions: Mapping[str, NamedCondition], names: Sequence[str], with_benchmarks: bool
) -> list[NamedCondition]:
    """Choose conditions, those that others are compared with first.

    Parameters
    ----------
    names
        Which; none: all whose data are there.

    Raises
    ------
    ConditionError
        For a name that there is no condition of.
    """
    if unknown := [name for name in names if name not in conditions]:
        raise ConditionError(
            f"条件「{unknown[0]}」はありません。{'、'.join(conditions)} から選んでください。",
            code="condition_unknown",
        )
    wanted = [conditions[name] for name in names] or [
        condition
        for condition in conditions.values()
        if with_benchmarks or not condition.file.is_benchmark
    ]
    ordered = [conditions[name] for condition in wanted for name in condition.needs]
    return list({condition.name: condition for condition in [*ordered, *wanted]}.values())


def _run(arguments: argparse.Namespace) -> int:
    per_query({}, {})  # say now that the measures are not installed
    conditions = chosen(load_conditions(), arguments.names, arguments.data is not None)
    reports: dict[str, EvaluationReport] = {}
    failed = []
    for condition in conditions:
        started = time.perf_counter()
        with ProgressDisplay() as progress:
            wants_answers = arguments.results is not None
            report = measure(
                condition, data=arguments.data, answers=wants_answers, progress=progress
            )
        reports[condition.name] = report
        stages = stages_of(report)
        print(f"\n== {condition.name}（{time.perf_counter() - started:.0f} 秒）")
        if arguments.results:
            values = result_json(report, stages)
            text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
            write(arguments.results / f"{condition.name}.json", text)
            print(table(report))
        if arguments.update:
            update(condition, report)
            condition = load_condition(condition.path)
        verdict = judge(condition, report, reports, stages=stages)
        print("\n".join([*verdict.notes, *(f"× {problem}" for problem in verdict.problems)]))
        if verdict.problems:
            failed.append(condition.name)
    total = len(conditions)
    if failed:
        print(
            f"\n条件 {total} 個のうち {len(failed)} 個が期待どおりではありません: {'、'.join(failed)}"
        )
    else:
        print(f"\n条件 {total} 個すべてが期待どおりです。")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
