"""The commands that look after an index: check, compact, backup, restore, migrate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ragjp.cli.commands import index_folder, write_json
from ragjp.cli.forgetting import verify
from ragjp.cli.progress import ProgressDisplay
from ragjp.errors import RequestError

if TYPE_CHECKING:
    from ragjp.index.upkeep.backup import CopyReport


def check(args: argparse.Namespace) -> int:
    """``ragjp check``: verify every checksum and count; 1 when anything is wrong, and after a repair when documents were lost."""
    from ragjp.cli.show import check_text, check_values
    from ragjp.index.upkeep.check import check as check_index

    path = index_folder(args.index)
    if args.repair:
        if args.receipt:
            raise RequestError(
                "--repair と --receipt は一緒に使えません。先に --repair だけで実行してください。",
                code="bad_arguments",
            )
        return _repair(path, as_json=args.json)
    with ProgressDisplay() as progress:
        report = check_index(path, progress=progress)
    forgotten, traces = verify(path, args.receipt) if args.receipt else ("", [])
    if args.json:
        proof = {"forgotten": forgotten, "traces": traces} if args.receipt else {}
        write_json({**check_values(report, str(path)), **proof})
    else:
        print(check_text(report, str(path)))
        if args.receipt:
            shown = "\n".join(f"  {trace}" for trace in traces)
            print(
                f"受領書の文書 {forgotten} の跡が残っています:\n{shown}"
                if traces
                else f"受領書の文書 {forgotten} は、索引のどのファイルにも残っていません。"
            )
    return 1 if report.problems or traces else 0


def _repair(path: Path, *, as_json: bool) -> int:
    from ragjp.cli.show import repair_text, repair_values
    from ragjp.jobs.upkeep import repair_index

    with ProgressDisplay() as progress:
        report = repair_index(path, progress=progress)
    if as_json:
        write_json(repair_values(report, str(path)))
    else:
        print(repair_text(report, str(path)))
    return 1 if report.after.problems or report.removed else 0


def compact(args: argparse.Namespace) -> int:
    """``ragjp compact``: one segment, and nothing of what was deleted."""
    from ragjp.jobs.upkeep import compact as compact_index

    path = index_folder(args.index)
    with ProgressDisplay() as progress:
        report = compact_index(path, progress=progress)
    if args.json:
        write_json(
            {
                "index": str(path),
                "bytes_before": report.bytes_before,
                "bytes_after": report.bytes_after,
                "n_documents": report.n_documents,
                "n_chunks": report.n_chunks,
                "generation": report.generation,
            }
        )
    else:
        print(
            f"索引 {path} をまとめました: {_megabytes(report.bytes_before)} → {_megabytes(report.bytes_after)}、"
            f"文書 {report.n_documents} 件、断片 {report.n_chunks} 個、第 {report.generation} 世代"
        )
    return 0


def backup(args: argparse.Namespace) -> int:
    """``ragjp backup``: a verified copy of the index as it is now."""
    from ragjp.index.upkeep.backup import backup as make_backup

    path, folder = index_folder(args.index), Path(args.folder)
    with ProgressDisplay() as progress:
        report = make_backup(path, folder, progress=progress)
    _copied(f"索引 {path} の控えを {folder} に作り、全部を確かめました", args, report)
    return 0


def restore(args: argparse.Namespace) -> int:
    """``ragjp restore``: a verified backup in the place of an index."""
    from ragjp.index.upkeep.backup import restore as put_back

    folder, path = index_folder(args.folder), index_folder(args.index)
    with ProgressDisplay() as progress:
        report = put_back(folder, path, replace=args.replace, progress=progress)
    _copied(f"控え {folder} を {path} に戻し、全部を確かめました", args, report)
    return 0


def migrate(args: argparse.Namespace) -> int:
    """``ragjp migrate``: an older index in this program's format."""
    from ragjp.index.storage.migrations import migrate as migrate_index

    path = index_folder(args.index)
    with ProgressDisplay() as progress:
        before, after = migrate_index(path, progress=progress)
    if args.json:
        write_json({"index": str(path), "version_before": before, "version": after})
    elif before == after:
        print(f"索引 {path} は、もう今の形式（版 {after}）です。")
    else:
        print(f"索引 {path} を版 {before} から版 {after} の形式に移しました。")
    return 0


def _copied(sentence: str, args: argparse.Namespace, report: CopyReport) -> None:
    verified = report.verified
    if args.json:
        write_json(
            {
                "index": args.index,
                "folder": args.folder,
                "n_bytes": report.n_bytes,
                "n_documents": verified.n_documents,
                "n_chunks": verified.n_chunks,
                "n_files": verified.n_files,
                "generation": verified.generation,
            }
        )
        return
    print(
        f"{sentence}: 文書 {verified.n_documents} 件、断片 {verified.n_chunks} 個、"
        f"{_megabytes(report.n_bytes)}、第 {verified.generation} 世代"
    )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
