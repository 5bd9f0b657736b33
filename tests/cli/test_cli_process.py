"""``ragjp`` as a process of its own: help, pipes, locales, progress."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ragjp.cli.progress import ProgressDisplay

COMMANDS = ("index", "search", "ask", "eval", "check", "doctor")


def ragjp(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ragjp", *map(str, arguments)]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_in_japanese(command: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The parser's own English showing through."""
    done = subprocess.run(
        ragjp(command, "--help"), env=environment, cwd=tmp_path, capture_output=True, check=True
    )
    text = done.stdout.decode()
    assert text.startswith(f"使い方: ragjp {command}")
    for english in ("usage:", "options:", "positional arguments:", "show this help"):
        assert english not in text


def test_no_command_shows_what_there_is(environment: dict[str, str], tmp_path: Path) -> None:
    """A bare `ragjp` that says nothing, or succeeds at nothing."""
    done = subprocess.run(ragjp(), env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    assert all(f"    {command}" in done.stderr.decode() for command in COMMANDS)


def test_japanese_survives_an_ascii_locale(
    environment: dict[str, str], tiny_index: Path, tmp_path: Path
) -> None:
    """A cron job or a container without a locale: UnicodeEncodeError, or a query of question marks."""
    bare = {
        **environment,
        "LC_ALL": "C",
        "LANG": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }
    done = subprocess.run(
        ragjp("search", tiny_index, "日当", "--json"),
        env=bare,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout.decode("utf-8"))
    assert found["query"] == "日当"
    assert found["hits"][0]["doc_id"] == "規程/旅費規程.md"


def test_a_reader_that_leaves_early_is_no_error(
    environment: dict[str, str], tiny_index: Path, tmp_path: Path
) -> None:
    """`ragjp search … | head -1` ends in a stack trace."""
    with subprocess.Popen(
        ragjp("search", tiny_index, "日当"),
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize(
    ("query", "redirection", "exit_code", "n_lines"),
    [
        ("日当", ">/dev/full", 1, 1),  # the disk is full
        ("", ">/dev/full", 2, 1),  # and there is an error to report too
        ("日当", ">&-", 0, 0),  # no standard output at all
        ("", ">&-", 2, 1),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    query: str,
    redirection: str,
    exit_code: int,
    n_lines: int,
    environment: dict[str, str],
    tiny_index: Path,
) -> None:
    """An error that could not be written to standard output ended in two stack traces."""
    command = shlex.join(map(str, ragjp("search", tiny_index, query, "--json")))
    done = subprocess.run(
        ["sh", "-c", f"{command} {redirection}"],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (exit_code, n_lines), done.stderr


def test_progress_off_a_terminal_is_a_line_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file of a hundred thousand progress lines, or hours without one."""
    now = 0.0
    with ProgressDisplay(clock=lambda: now) as progress:
        for done in range(1001):
            now += 0.5
            progress("取り込み", done, 1000)
        now += 5.0
        progress("まとめ", 0, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "取り込み: 100/1000（10%）"
    assert lines[9] == "取り込み: 1000/1000（100%）"
    assert lines[10:] == ["まとめ: 0/0（100%）"]


def test_what_is_over_in_a_moment_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty lines of progress above a summary of two."""
    now = 0.0
    with ProgressDisplay(clock=lambda: now) as progress:
        for done in range(101):
            now += 0.009
            progress("確認", done, 100)
    assert capsys.readouterr().err == ""
