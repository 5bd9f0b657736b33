"""``ragjp eval-convert``: a dataset in one format becomes one in another."""

from __future__ import annotations

import argparse
from pathlib import Path

from evals.exchange.formats import FORMATS, read_collection, write_collection
from ragjp.errors import RequestError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``ragjp eval-convert`` takes."""
    parser.epilog = (
        "beir: corpus.jsonl、queries.jsonl、qrels/*.tsv。mteb: 同じ行と qrels/*.jsonl。"
        "trec: topics.tsv、qrels.*.txt（質問の文と正解だけが残る）。"
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="読み込むフォルダ")
    parser.add_argument("target", type=Path, metavar="TARGET", help="書き出すフォルダ")
    parser.add_argument(
        "--from",
        dest="source_format",
        choices=FORMATS,
        default="beir",
        help="SOURCE の形式（標準は beir）",
    )
    parser.add_argument(
        "--to", dest="target_format", choices=FORMATS, required=True, help="TARGET の形式"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read, write, say how much.

    Raises
    ------
    RequestError
        With one sentence for the person who asked.
    """
    source, target = arguments.source, arguments.target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{target} は空ではありません。まだないフォルダか、空のフォルダを指定してください。",
            code="target_exists",
        )
    collection = read_collection(source, arguments.source_format)
    try:
        write_collection(collection, target, arguments.target_format)
    except OSError as error:
        raise RequestError(
            f"{target} に書けません（{error.strerror}）。書ける場所を指定してください。",
            code="target_unwritable",
        ) from error
    passages = "なし" if collection.corpus is None else f"{len(collection.corpus)} 件"
    splits = "、".join(
        f"{split}（{sum(map(len, grades.values()))} 組）"
        for split, grades in collection.qrels.items()
    )
    print(
        f"{target} に書きました: 文書 {passages}、質問 {len(collection.queries)} 件、正解 {splits}"
    )
    return 0
