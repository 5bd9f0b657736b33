"""Where ``ragjp`` starts: reads the arguments, runs a command, and turns every failure into a sentence and an exit code."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ragjp.cli import commands, forgetting, indexing, upkeep
from ragjp.cli.arguments import EVALUATIONS, Command, build_parser
from ragjp.errors import MissingExtra, RagjpError
from ragjp.offline import stay_offline

#: 128 + the number of the signal, as a shell reports it.
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process when not given.

    Returns
    -------
    int
        The exit code: 0 done, 1 the work failed, 2 the request was wrong, 3 deletions withheld, 4 locked, 130 and 143 interrupted.
    """
    stay_offline()
    _write_utf8()
    arguments = [_decoded(text) for text in (sys.argv[1:] if argv is None else argv)]
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write(
            "\n中断しました。索引は壊れていません。同じコマンドで続きから再開できます。\n"
        )
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()  # who was reading has left: say nothing
        return PIPE_CLOSED
    except Exception as error:
        return _failed(error, arguments)
    return code


def _run(arguments: list[str]) -> int:
    typed = next((text for text in arguments if not text.startswith("-")), None)
    table: dict[str, Command] = {
        "index": indexing.index,
        "search": commands.search,
        "ask": commands.ask,
        "check": upkeep.check,
        "forget": forgetting.forget,
        "compact": upkeep.compact,
        "backup": upkeep.backup,
        "restore": upkeep.restore,
        "migrate": upkeep.migrate,
        "doctor": commands.doctor,
        **dict.fromkeys(EVALUATIONS, _evaluate),
    }
    if typed in EVALUATIONS:
        parser = build_parser(table, _evaluation_arguments(typed), of=typed)
    else:
        parser = build_parser(table)
    try:
        args = parser.parse_args(arguments)
    except SystemExit as left:  # --help and --version
        return int(left.code or 0)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    call: Command = args.call
    return call(args)


def _evaluation_arguments(command: str) -> Callable[[argparse.ArgumentParser], None]:
    add_arguments: Callable[[argparse.ArgumentParser], None] = _evaluation(command).add_arguments
    return add_arguments


def _evaluate(args: argparse.Namespace) -> int:
    return int(_evaluation(args.command).run(args))


def _evaluation(command: str) -> ModuleType:
    # By name at run time: the layers go the other way (evals uses ragjp), and nobody but `ragjp eval` pays for loading it.
    _, module = EVALUATIONS[command]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"評価の部品 {error.name} がありません。pip install 'ragjp[eval]' で入れてください。"
        ) from error


def _failed(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong in one sentence, and in JSON too when that was asked for."""
    if "--traceback" in arguments:
        traceback.print_exception(error)
    code, sentence, exit_code = _reason(error)
    try:
        if "--json" in arguments:
            commands.write_json({"error": {"code": code, "message": sentence}})
        sys.stdout.flush()
    except (
        OSError
    ):  # nobody reads it, or its disk is full: standard error still says what went wrong
        _abandon_stdout()
    sys.stderr.write(sentence + "\n")
    return exit_code


def _abandon_stdout() -> None:
    """Let what is still to be written to standard output, by the interpreter's own last flush too, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reason(error: Exception) -> tuple[str, str, int]:
    """Return the reason code, the sentence, and the exit code."""
    if isinstance(error, RagjpError):
        return error.code, error.sentence, error.exit_code
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("ragjp"):
        sentence = f"部品 {error.name} がありません。pip install 'ragjp[cpu,offline]' で入れ直してください。"
        return "missing_extra", sentence, 1
    if isinstance(error, OSError | sqlite3.OperationalError):
        return _refusal(error)
    if isinstance(error, MemoryError):
        return (
            "out_of_memory",
            "メモリーが足りません。ほかのプログラムを閉じるか、文書を分けてください。",
            1,
        )
    sentence = (
        f"予期しない誤りで止まりました（{type(error).__name__}: {error}）。"
        "ragjp の直後に --traceback を付けて実行し、出力を開発者に送ってください。"
    )
    return "unexpected", " ".join(sentence.split()), 1


def _refusal(error: OSError | sqlite3.OperationalError) -> tuple[str, str, int]:
    """Say what the system refused where nobody nearer to it has."""
    from ragjp.index.storage.disk import reason_of, storage_failed

    if reason_of(error) in ("disk_full", "too_many_files"):
        failed = storage_failed(Path(), error)
        return failed.code, failed.sentence, failed.exit_code
    if isinstance(error, sqlite3.OperationalError):
        sentence = f"索引の目録を扱えません（{error}）。権限、更新中の処理、ディスクの空きを確かめてください。"
    else:
        where = f"{error.filename} を" if error.filename else "ファイルを"
        sentence = f"{where}扱えません（{error.strerror or error}）。権限とディスクの空きを確かめてください。"
    return "os_error", sentence, 1


def _write_utf8() -> None:
    """Write Japanese whatever the locale says; what cannot be written is escaped, not an error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this process
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def _decoded(text: str) -> str:
    """Repair an argument that an ASCII locale could not decode; arguments are UTF-8 whatever the locale says."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode("utf-8", "replace")
    return text
