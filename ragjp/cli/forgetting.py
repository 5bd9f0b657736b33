"""``ragjp forget`` and the proof that it worked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ragjp.cli.commands import index_folder, write_json
from ragjp.cli.progress import ProgressDisplay

if TYPE_CHECKING:
    from ragjp.jobs.receipts import Receipt


def add_forget_arguments(command: argparse.ArgumentParser) -> None:
    """Describe the arguments of ``ragjp forget``."""
    command.add_argument("index", metavar="INDEX", help="索引のフォルダ（例: indexes/demo）")
    command.add_argument(
        "document",
        metavar="DOC",
        help="文書の名前（検索結果の名前。メールや ZIP なら、その中の文書も全部）",
    )
    command.add_argument(
        "--receipt",
        metavar="FILE",
        type=Path,
        help="受領書を書く。あとで ragjp check INDEX --receipt FILE で確かめられる",
    )
    command.add_argument("--json", action="store_true", help="受領書を JSON で標準出力に書く")
    command.epilog = "途中で止まったときは、同じコマンドをもう一度実行すると続きから終わる。"


def forget(args: argparse.Namespace) -> int:
    """``ragjp forget``: a document out of every file of an index, with a receipt."""
    from ragjp.jobs.forgetting import forget as forget_document
    from ragjp.jobs.receipts import receipt_values, write_receipt

    path = index_folder(args.index)

    def hand_over(receipt: Receipt) -> None:
        values = receipt_values(receipt, str(path))
        if args.receipt and receipt.doc_id == args.document:
            write_receipt(args.receipt, values)
        if args.json:
            write_json(values)
        else:
            print(
                f"文書 {receipt.doc_id} を索引 {path} から消しました: 文書 {len(receipt.documents)} 件、"
                f"ページ {receipt.n_pages} 枚、断片 {receipt.n_chunks} 個、第 {receipt.generation} 世代。\n"
                f"本文の {receipt.n_probes} か所を索引の全ファイルで探し、ほかの文書にもある {receipt.n_probes - len(receipt.probes)} か所のほかは残っていません。"
            )
        sys.stdout.flush()

    with ProgressDisplay() as progress:
        receipt = forget_document(path, args.document, handed_over=hand_over, progress=progress)
    if receipt.source_files:
        sys.stderr.write(
            f"もとのファイル {'、'.join(receipt.source_files)} がまだあります。次の ragjp index で入り直すので、"
            "ファイルを消すか、レシピの exclude に加えてください。\n"
        )
    return 0


def verify(path: Path, receipt_path: Path) -> tuple[str, list[str]]:
    """Compare an index with a receipt: the document's name, and a sentence for each trace of it."""
    from ragjp.jobs.receipts import read_receipt, verify_receipt

    receipt = read_receipt(receipt_path)
    return receipt.doc_id, verify_receipt(path, receipt)
