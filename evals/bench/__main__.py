"""``python -m evals.bench``: run items, one process each, write their JSON, print one table."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from evals.bench.lines import table
from evals.bench.material import scratch
from evals.bench.results import FOLDER, Options, busy_cores, load, save, to_json
from ragjp.errors import RagjpError

#: Item → the module whose ``run`` measures it. ``bm25`` uses the large index that ``growth`` has built.
ITEMS = {
    "query": "evals.bench.query",
    "maxsim": "evals.bench.maxsim",
    "analysis": "evals.bench.analysis",
    "open": "evals.bench.opening",
    "peers": "evals.bench.peers",
    "growth": "evals.bench.growth",
    "bm25": "evals.bench.bm25",
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 0 when all of it could be measured, whether or not the targets are met."""
    asked = _parser().parse_args(arguments)
    items = asked.items.split(",") if asked.items else list(ITEMS)
    if unknown := [item for item in items if item not in ITEMS]:
        print(
            f"{'、'.join(unknown)} という項目はありません。{'、'.join(ITEMS)} から選んでください。"
        )
        return 2
    folder = asked.out or (scratch() / "quick" if asked.quick else FOLDER)
    failed = False
    if not asked.table:
        for item in items:
            if len(items) == 1:
                failed = not _run(item, Options(asked.full, asked.quick, asked.keep), folder)
            else:
                failed |= _run_apart(item, asked, folder) != 0
    if len(items) > 1 or not failed:
        print(table([line for values in load(folder, items) for line in values["lines"]]))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evals.bench", description="速さと大きさを測る")
    parser.add_argument("--items", help=f"コンマ区切りの項目: {','.join(ITEMS)}（省略: 全部）")
    parser.add_argument(
        "--full", action="store_true", help="全件の構築など、時間のかかる測定もする"
    )
    parser.add_argument("--quick", action="store_true", help="ごく小さく、動くことだけを確かめる")
    parser.add_argument("--keep", action="store_true", help="作った大きな索引を残す")
    parser.add_argument("--table", action="store_true", help="測らずに、ある結果の表だけを出す")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="結果の JSON を書くフォルダ")
    return parser


def _run(item: str, options: Options, folder: Path) -> bool:
    busy = busy_cores()
    try:
        result = importlib.import_module(ITEMS[item]).run(options)
    except RagjpError as error:
        print(error.sentence, file=sys.stderr)
        return False
    path = save(folder, to_json(result, busy_before=busy, options=options))
    print(f"{item}: {path}", file=sys.stderr)
    return True


def _run_apart(item: str, asked: argparse.Namespace, folder: Path) -> int:
    """Run one item in a process of its own: no item meets the threads, caches and memory of another."""
    flags = [f"--{name}" for name in ("full", "quick", "keep") if getattr(asked, name)]
    command = [sys.executable, "-m", "evals.bench", "--items", item, "--out", str(folder), *flags]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if code:
        print(f"{item} を測れませんでした（終了コード {code}）。", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
