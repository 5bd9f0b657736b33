"""``ragjp index``: plan, run and report; once, or again whenever the sources change."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ragjp.cli.commands import write_json
from ragjp.cli.stopping import StopRequest
from ragjp.errors import RequestError

if TYPE_CHECKING:
    from ragjp.config import Recipe
    from ragjp.jobs.build import BuildReport, Options

#: What a scheduler sees when documents whose files are gone were left in the index.
DELETIONS_WITHHELD = 3


def add_index_arguments(command: argparse.ArgumentParser) -> None:
    """Describe the arguments of ``ragjp index``."""
    command.add_argument("recipe", metavar="RECIPE.toml", help="レシピ（例: indexes/demo.toml）")
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="何をするかだけを示す。索引も文書も書き換えず、文書を読みもしない",
    )
    command.add_argument(
        "--allow-deletions",
        action="store_true",
        help="ファイルの見つからない文書を、いくつあっても索引から消す"
        "（標準では jobs.max_removed_share を超えると残して終了コード 3）",
    )
    command.add_argument(
        "--verify-content",
        action="store_true",
        help="大きさと更新時刻を信じず、全部のファイルの中身を確かめる。前に読めなかった文書も読み直す",
    )
    command.add_argument(
        "--report", metavar="FILE", type=Path, help="文書ごとの結果を JSON Lines で書く"
    )
    command.add_argument(
        "--html", metavar="FILE", type=Path, help="文書ごとの結果を一枚の HTML で書く"
    )
    command.add_argument(
        "--watch",
        action="store_true",
        help="終わったあとも文書フォルダーを見張り、変わるたびに取り込む（Ctrl-C か SIGTERM で終わる）",
    )
    command.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="--watch で見に行く間隔（標準は 10 秒）",
    )
    command.add_argument("--json", action="store_true", help="結果を JSON で標準出力に書く")
    command.epilog = (
        "終了コード: 0 全部を取り込んだ、1 読めない文書があった（ほかは取り込んだ）か処理の失敗、2 指定の誤り、"
        "3 消えた文書が多すぎるので残した、4 ほかの処理が更新中、130 と 143 は途中で止めた（済んだ分は取り込んだ）。"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"値「{text}」が正しくありません（0.1 から 86400 の秒数）")
    return value


def index(args: argparse.Namespace) -> int:
    """``ragjp index``: build or update; 1 when any document could not be read, after committing the others."""
    from ragjp.config import load_recipe
    from ragjp.jobs.build import Options

    path = Path(args.recipe)
    if path.is_dir():
        raise RequestError(
            f"{path} はフォルダです。レシピのファイル（{path}.toml など）を指定してください。",
            code="recipe_missing",
        )
    if args.watch and args.dry_run:
        raise RequestError(
            "--watch と --dry-run は一緒に使えません。どちらか一つにしてください。",
            code="bad_arguments",
        )
    recipe = load_recipe(path)
    with StopRequest() as stop:
        options = Options(
            verify_content=args.verify_content, allow_deletions=args.allow_deletions, stop=stop
        )
        if args.watch:
            return _watch(args, path, stop, options)
        report = _build(args, recipe, path, options)
    return _told(args, report, path.parent / recipe.name, stop)


def _build(args: argparse.Namespace, recipe: Recipe, path: Path, options: Options) -> BuildReport:
    from ragjp.cli.progress import ProgressDisplay
    from ragjp.jobs.build import build, plan_build

    into = path.parent / recipe.name
    with ProgressDisplay() as progress:
        chosen = replace(options, paced=progress.note)
        run = plan_build if args.dry_run else build
        return run(recipe, base=path.parent, into=into, progress=progress, options=chosen)


def _watch(args: argparse.Namespace, path: Path, stop: StopRequest, options: Options) -> int:
    from ragjp.cli.progress import ProgressDisplay
    from ragjp.config import load_recipe
    from ragjp.jobs.watch import watch

    def told(report: BuildReport) -> None:
        _told(args, report, path.parent / load_recipe(path).name, stop)
        sys.stdout.flush()

    with ProgressDisplay() as progress:
        watch(
            path,
            interval_s=args.interval,
            wait=stop.wait,
            options=replace(options, paced=progress.note),
            progress=progress,
            told=told,
            complain=_say,
        )
    _say("見張りを終えました。索引は最後に取り込んだ状態です。")
    return 0


def _told(args: argparse.Namespace, report: BuildReport, into: Path, stop: StopRequest) -> int:
    """Write the reports, say what was done, and choose the exit code."""
    from ragjp.cli.show import build_text, build_values, failures_text
    from ragjp.jobs.reports import write_html_report, write_json_report

    if args.report:
        write_json_report(args.report, report)
    if args.html:
        write_html_report(args.html, report, title=str(into), at=datetime.now().astimezone())
    if args.json:
        write_json(build_values(report, str(into)))
    else:
        print(build_text(report, str(into)))
    if report.failures:
        _say(failures_text(report, str(args.report or into / "report.jsonl")))
    if report.interrupted:
        _say("途中で止めました。済んだ分は索引に入っています。同じコマンドで続きから再開できます。")
        return stop.exit_code
    if report.kept_why:
        _say(report.kept_why)
        return DELETIONS_WITHHELD
    return 1 if report.failures else 0


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
