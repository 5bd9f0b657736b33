"""The arguments of every command, with help and errors in Japanese."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ragjp import __version__
from ragjp.cli.forgetting import add_forget_arguments
from ragjp.cli.indexing import add_index_arguments
from ragjp.errors import RequestError

#: What argparse says → what we say. Tried in order, on the whole message.
_TRANSLATIONS = (
    (r"the following arguments are required: (.+)", r"「\1」が足りません"),
    (r"unrecognized arguments: (.+)", r"「\1」という引数はありません"),
    (
        r"argument (.+?): invalid choice: (.+?) \(choose from (.+)\)",
        r"\1 に \2 は使えません（\3 のどれか）",
    ),
    (r"argument (.+?): expected (?:one|at least one) argument", r"\1 の後に値がありません"),
    (r"argument (.+?): expected \d+ arguments?", r"\1 の後の値の数が違います"),
    (r"argument (.+?): ignored explicit argument (.+)", r"\1 に値 \2 は付けられません"),
    (r"argument (.+?): not allowed with argument (.+)", r"\1 と \2 は一緒に使えません"),
    (r"argument (.+?): invalid \w+ value: (.+)", r"\1 の値 \2 が正しくありません"),
    (r"argument (.+?): (.+)", r"\1 の\2"),
)

#: The commands of the evaluation: what they do, and the module that has their arguments and their work.
EVALUATIONS = {
    "eval": ("質問と正解の組（BEIR 形式）で、正しさと速さを測る", "evals.command"),
    "eval-draft": (
        "索引の文書から質問の下書きを作り、人が確かめたものを評価用データにする",
        "evals.drafts.command",
    ),
    "eval-convert": ("評価用データを BEIR、MTEB、TREC の形式の間で移す", "evals.exchange.convert"),
}

Command = Callable[[argparse.Namespace], int]


class JapaneseParser(argparse.ArgumentParser):
    """An argument parser that speaks Japanese and raises instead of leaving the program."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, add_help=False, **options)  # type: ignore[arg-type]
        self._positionals.title = "引数"
        self._optionals.title = "オプション"
        self.add_argument("-h", "--help", action="help", help="この説明を表示して終わる")

    def error(self, message: str) -> NoReturn:
        """Raise the problem as one sentence.

        Raises
        ------
        RequestError
            Always; code ``bad_arguments``.
        """
        for pattern, ours in _TRANSLATIONS:
            found = re.fullmatch(pattern, message, re.DOTALL)
            if found:
                message = found.expand(ours)
                break
        raise RequestError(
            f"{message}。使い方は {self.prog} --help で見られます。", code="bad_arguments"
        )

    def format_usage(self) -> str:
        """Return the usage line, headed in Japanese."""
        return super().format_usage().replace("usage: ", "使い方: ", 1)

    def format_help(self) -> str:
        """Return the whole help, headed in Japanese."""
        return super().format_help().replace("usage: ", "使い方: ", 1)


def positive(text: str) -> int:
    """Read a whole number of at least 1.

    Raises
    ------
    argparse.ArgumentTypeError
        For anything else.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"値「{text}」が正しくありません（1 以上の整数）")
    return int(text)


def _reading(command: argparse.ArgumentParser) -> None:
    """Add what search and ask share."""
    _index(command)
    command.add_argument("text", metavar="QUERY", help="探す言葉、または質問の文")
    command.add_argument(
        "--as",
        dest="principals",
        metavar="PRINCIPAL",
        nargs="+",
        action="extend",
        help="この人・グループの権限で見る（例: --as everyone group:人事部）。"
        "省略すると索引の管理者として全部を見る",
    )
    _json(command)


def _index(command: argparse.ArgumentParser) -> None:
    command.add_argument("index", metavar="INDEX", help="索引のフォルダ（例: indexes/demo）")


def _upkeep(child: Callable[[str, str], JapaneseParser]) -> None:
    """Add the commands that look after an index."""
    compact = child(
        "compact", "索引を一つにまとめ、消した文書の跡を捨てて小さくする。検索の結果は変わらない"
    )
    _index(compact)
    _json(compact)

    backup = child("backup", "索引の控えを作り、写しを全部確かめる。検索や更新の最中でもよい")
    _index(backup)
    backup.add_argument("folder", metavar="FOLDER", help="控えを置く、まだないフォルダ")
    _json(backup)

    restore = child("restore", "控えを確かめてから、索引として戻す")
    restore.add_argument("folder", metavar="FOLDER", help="控えのフォルダ")
    _index(restore)
    restore.add_argument(
        "--replace",
        action="store_true",
        help="INDEX に索引があれば置き換える（新しいほうを確かめ終わるまで、古いほうを残しておく）",
    )
    _json(restore)

    migrate = child("migrate", "古い版の索引を、この版の形式に移す。埋め込みは作り直さない")
    _index(migrate)
    _json(migrate)


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="結果を JSON で標準出力に書く")


def build_parser(
    commands: dict[str, Command],
    evaluation: Callable[[argparse.ArgumentParser], None] | None = None,
    *,
    of: str = "eval",
) -> JapaneseParser:
    """Describe the whole command line.

    Parameters
    ----------
    commands
        What to call for each command's name; every command of this parser has one.
    evaluation
        Adds the arguments of ``of``; given only when that command was typed, for it loads the evaluation code.
    of
        Which of :data:`EVALUATIONS` that is.
    """
    parser = JapaneseParser(
        prog="ragjp",
        description="社内の文書を、社内の機械だけで探し、出典のページを付けて答えます。",
        epilog="終了コード: 0 成功、1 処理の失敗、2 指定の誤り。",
    )
    parser.add_argument(
        "--version", action="version", version=f"ragjp {__version__}", help="版を表示して終わる"
    )
    parser.add_argument(
        "--traceback", action="store_true", help="失敗したとき、プログラムの詳しい経過も表示する"
    )
    children = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="コマンド", parser_class=JapaneseParser
    )

    def child(name: str, summary: str) -> JapaneseParser:
        made = children.add_parser(name, help=summary, description=summary)
        made.set_defaults(call=commands[name])
        return made

    index = child("index", "レシピに書いた文書を索引にする。2 回目からは変わった文書だけを処理する")
    add_index_arguments(index)

    search = child("search", "索引から、言葉や文に合う箇所を探す")
    search.epilog = (
        'QUERY では "年次有給休暇" のように引用符で囲むとそのままの言葉が入っている箇所だけを、'
        "-賞与 でその言葉のない箇所を、title:就業規則 で題名や見出しにその言葉がある箇所を探す。"
    )
    _reading(search)
    search.add_argument(
        "-k", type=positive, default=10, metavar="N", help="表示する件数（標準は 10）"
    )
    search.add_argument(
        "--explain",
        action="store_true",
        help="質問をどう区切り、どの言葉がどこに当たり、点数と順位がどう決まったかも示す（探すだけより遅い）",
    )

    ask = child("ask", "質問に、出典のページを付けて答える")
    _reading(ask)
    ask.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="答えを書けたところから表示する、しない（標準は、画面に出すときだけする）",
    )
    ask.add_argument(
        "--local-llm",
        action="store_true",
        help="付属の小さな言語モデルをこの機械の中で動かして答える（試用。追加の部品 llm が要る）",
    )

    for name, (summary, _) in EVALUATIONS.items():
        evaluate = child(name, summary)
        if evaluation is not None and name == of:
            evaluation(evaluate)

    check = child("check", "索引のファイルがすべて正しいか調べる")
    _index(check)
    check.add_argument(
        "--repair",
        action="store_true",
        help="直せるものを直す。埋め込みが壊れた文書は索引から外して名前を挙げる（次の ragjp index で入り直す）",
    )
    check.add_argument(
        "--receipt",
        metavar="FILE",
        type=Path,
        help="ragjp forget の受領書のとおり、文書が跡形もなく消えているかも調べる",
    )
    _json(check)
    add_forget_arguments(
        child("forget", "文書を、索引のすべてのファイルから跡形もなく消し、受領書を出す")
    )
    _upkeep(child)

    doctor = child("doctor", "この機械で何が使えるか、使えないものはなぜかを表示する")
    _json(doctor)
    return parser
