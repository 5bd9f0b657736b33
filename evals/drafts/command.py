"""``ragjp eval-draft``: from an index to drafts of questions, and from reviewed drafts to a dataset."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from evals.drafts.drafting import Drafted, draft, llm_writer
from evals.drafts.passages import passages
from evals.drafts.review import REVIEW_NAME, accept, write_drafts
from evals.runner import EVERYONE
from ragjp.cli.arguments import positive
from ragjp.cli.commands import index_folder
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import with_environment
from ragjp.errors import RequestError
from ragjp.types import View

#: Passages looked at for each question wanted, at most.
_TRIES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``ragjp eval-draft`` takes."""
    parser.epilog = (
        f"下書きのフォルダの {REVIEW_NAME} を表計算ソフトで開き、使う行に ○、使わない行に × を入れてから、"
        "ragjp eval-draft --accept 下書きのフォルダ --out 評価用データのフォルダ を実行する。"
    )
    parser.add_argument(
        "source",
        metavar="INDEX",
        help="索引のフォルダ。--accept では、確かめ終わった下書きのフォルダ",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="書き出す、まだないフォルダ"
    )
    parser.add_argument(
        "-n", type=positive, default=100, metavar="N", help="下書きする質問の数（標準は 100）"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="選び方を変える数（同じ数なら同じ箇所を選ぶ）",
    )
    parser.add_argument(
        "--as",
        dest="principals",
        metavar="PRINCIPAL",
        nargs="+",
        action="extend",
        help="この人・グループに見える文書だけを使う（例: --as everyone）。省略すると索引の管理者として全部を使う",
    )
    parser.add_argument(
        "--no-llm", action="store_true", help="LLM サーバーが設定されていても使わない"
    )
    parser.add_argument(
        "--accept", action="store_true", help="確かめ終わった下書きを評価用データにする"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draft, or accept; say what came of it.

    Raises
    ------
    RagjpError
        With one sentence for the person who asked.
    """
    target: Path = arguments.out
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{target} は空ではありません。まだないフォルダか、空のフォルダを --out で指定してください。",
            code="target_exists",
        )
    try:
        return _accept(arguments) if arguments.accept else _draft(arguments)
    except OSError as error:
        raise RequestError(
            f"{target} に書けません（{error.strerror}）。書ける場所を --out で指定してください。",
            code="target_unwritable",
        ) from error


def _draft(arguments: argparse.Namespace) -> int:
    from ragjp.engine import Engine

    chosen = arguments.principals
    view = View.unrestricted_by_operator() if chosen is None else View.of(*chosen)
    with Engine.open(index_folder(arguments.source)) as engine, ProgressDisplay() as progress:
        writer = None if arguments.no_llm else llm_writer(with_environment(engine.recipe.answer))
        found = islice(passages(engine, view=view, seed=arguments.seed), _TRIES * arguments.n)
        drafted = draft(found, arguments.n, writer=writer, seed=arguments.seed, progress=progress)
        common = {info.doc_id for info in engine.documents(view=EVERYONE)}
    if not drafted.drafts:
        raise RequestError(
            f"索引 {arguments.source} から質問を一つも下書きできませんでした{_reasons(drafted)}。"
            "見える文書があるか、--as と索引を確かめてください。",
            code="nothing_drafted",
        )
    write_drafts(drafted.drafts, arguments.out)
    how = "LLM" if writer else "見出しと空欄（LLM なし）"
    print(f"質問の下書き {len(drafted.drafts)} 件を {arguments.out} に書きました（{how}）。")
    if drafted.refused:
        print(f"使わなかった箇所{_reasons(drafted)}")
    if hidden := sum(one.passage.doc_id not in common for one in drafted.drafts):
        print(
            f"このうち {hidden} 件は、everyone に見えない文書の質問です。ragjp eval は everyone の権限で測るので、"
            "外れと数えます。除くには --as everyone を付けてください。"
        )
    print(
        f"次に {arguments.out / REVIEW_NAME} を開き、使う行に ○、使わない行に × を入れてください。"
    )
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    came = accept(Path(arguments.source), arguments.out)
    print(
        f"{arguments.out} に質問 {came.accepted} 件を書きました（うち書き直し {came.edited} 件、不採用 {came.refused} 件、"
        f"未判定 {came.waiting} 件）。ragjp eval {arguments.out} --recipe 索引のレシピ で測れます。"
    )
    return 0


def _reasons(drafted: Drafted) -> str:
    said = "、".join(f"{reason} {count} 件" for reason, count in sorted(drafted.refused.items()))
    return f"（{said}）" if said else ""
