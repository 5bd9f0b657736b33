"""Every way to fail: one clear sentence, the contract's exit code, and nothing lost."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ragjp.cli import commands
from ragjp.index.storage import writer
from ragjp.index.storage.writer import IndexWriter
from ragjp.jobs.upkeep import stored_manifest

if TYPE_CHECKING:
    from conftest import Ran, Run

QUESTION = "国内出張の日当はいくらですか"


def refused(ran: Ran, *, exit_code: int, code: str) -> str:
    """Check a failure with ``--json`` and return its sentence."""
    assert ran.code == exit_code
    assert ran.values == {"error": {"code": code, "message": ran.sentence}}
    assert ran.sentence.endswith(("。", "）"))
    assert "Traceback" not in ran.err
    return ran.sentence


# ----------------------------------------------------------------------------------- the request was wrong


def test_a_missing_recipe(ragjp_cli: Run, tmp_path: Path) -> None:
    """A stack trace instead of a file name."""
    ran = ragjp_cli("index", tmp_path / "無い.toml", "--json")
    assert "無い.toml" in refused(ran, exit_code=2, code="recipe_missing")


def test_a_folder_in_place_of_a_recipe(ragjp_cli: Run, tiny_index: Path) -> None:
    """The index given where its recipe is wanted: an easy slip that must not say "permission denied"."""
    ran = ragjp_cli("index", tiny_index, "--json")
    assert "tiny.toml" in refused(ran, exit_code=2, code="recipe_missing")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("colour = 1", "colour"),
        ("name = ", "TOML"),
        ("name = '..'", "name"),
        ("name = '.'", "name"),
        ("[chunks]\ntarget_chars = -1", "chunks.target_chars"),
        ("[encoder]\ndevice = 'tpu'", "encoder.device"),
    ],
)
def test_a_bad_recipe(line: str, named: str, ragjp_cli: Run, tmp_path: Path) -> None:
    """A recipe's slip reported without the key that is wrong."""
    recipe = tmp_path / "bad.toml"
    name = "" if line.startswith("name") else 'name = "bad"\n'
    recipe.write_text(f"{name}{line}\n", encoding="utf-8")
    ran = ragjp_cli("index", recipe, "--json")
    assert named in refused(ran, exit_code=2, code="bad_recipe")
    assert not (tmp_path / "bad").exists()


def test_an_unknown_model(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A misspelt model makes a half-built index, or tries the network."""
    recipe = tiny_folder / "tiny.toml"
    recipe.write_text(recipe.read_text("utf-8").replace("hashing", "no-such/model"), "utf-8")
    ran = ragjp_cli("index", recipe, "--json")
    assert "no-such/model" in refused(ran, exit_code=2, code="model_unknown")
    assert not (tiny_folder / "tiny" / "catalog.sqlite").exists()


@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_missing_index(command: str, ragjp_cli: Run, tmp_path: Path) -> None:
    """A missing folder is made by the very look for it."""
    ran = ragjp_cli(command, tmp_path / "無い", QUESTION, "--json")
    assert "無い" in refused(ran, exit_code=2, code="index_missing")
    assert not (tmp_path / "無い").exists()


def test_a_missing_index_to_check(ragjp_cli: Run, tmp_path: Path) -> None:
    """`ragjp check` of nothing says that nothing is wrong."""
    ran = ragjp_cli("check", tmp_path / "無い", "--json")
    assert "無い" in refused(ran, exit_code=2, code="index_missing")


@pytest.mark.parametrize("command", ["search", "check"])
def test_a_recipe_in_place_of_an_index(command: str, ragjp_cli: Run, tiny_base: Path) -> None:
    """The recipe given where the index is wanted: say which folder was meant."""
    query = [QUESTION] if command == "search" else []
    ran = ragjp_cli(command, tiny_base / "tiny.toml", *query, "--json")
    assert str(tiny_base / "tiny") in refused(ran, exit_code=2, code="index_missing")


def test_a_folder_that_is_no_index(ragjp_cli: Run, tiny_base: Path) -> None:
    """The folder of documents given where the index is wanted."""
    ran = ragjp_cli("search", tiny_base / "source", QUESTION, "--json")
    assert "source" in refused(ran, exit_code=2, code="index_missing")


def test_an_index_of_another_dictionary(ragjp_cli: Run, tiny_index: Path, tmp_path: Path) -> None:
    """An index searched with words cut by another dictionary finds less, and nobody is told."""
    copy = shutil.copytree(tiny_index, tmp_path / "copy")
    with IndexWriter(copy, stored_manifest(copy)) as other:
        other.set_meta("analyzer", "ipadic 2.7")
    ran = ragjp_cli("search", copy, QUESTION, "--json")
    assert "ipadic 2.7" in refused(ran, exit_code=2, code="index_mismatch")


def test_an_empty_question(ragjp_cli: Run, tiny_index: Path) -> None:
    """Blanks searched for as if they were words."""
    assert ragjp_cli("search", tiny_index, "  ", "--json").code == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["search"], "INDEX"),
        (["search", "x", "y", "-k", "0"], "-k"),
        (["search", "x", "y", "-k", "many"], "many"),
        (["search", "x", "y", "--as"], "--as"),
        (["search", "x", "y", "z"], "z"),
        (["ask", "x", "y", "--strem"], "--strem"),
        (["serch", "x"], "serch"),
        (["--colour", "index", "x"], "--colour"),
    ],
)
def test_arguments_that_make_no_sense(arguments: list[str], named: str, ragjp_cli: Run) -> None:
    """English usage text, or an exit code that means something else, for a slip of the keyboard."""
    ran = ragjp_cli(*arguments, "--json")
    sentence = refused(ran, exit_code=2, code="bad_arguments")
    assert named in sentence
    assert "--help" in sentence
    assert "argument " not in sentence


# ----------------------------------------------------------------------------------- the work failed


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An LLM server that takes connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=take)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for connection in taken:
        connection.close()


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/v1"


@pytest.mark.parametrize("server", ["nobody", "silent_server"])
def test_an_llm_server_that_is_down_or_slow(
    server: str, ragjp_cli: Run, tiny_folder: Path, request: pytest.FixtureRequest
) -> None:
    """A hang or a stack trace when the LLM is away; and the passages, which were found, thrown away with it."""
    endpoint = request.getfixturevalue(server)
    recipe = tiny_folder / "tiny.toml"
    text = f'{recipe.read_text("utf-8")}\n[answer]\nendpoint = "{endpoint}"\ntimeout_s = 1.0\n'
    recipe.write_text(text, encoding="utf-8")
    assert ragjp_cli("index", recipe).code == 0
    ran = ragjp_cli("ask", tiny_folder / "tiny", QUESTION, "--json")
    assert ran.code == 1
    assert ran.values["error"]["message"] == ran.sentence
    assert ran.values["error"]["code"].startswith("llm_")
    assert endpoint.split("/")[2] in ran.sentence
    said = ragjp_cli("ask", tiny_folder / "tiny", QUESTION)
    assert said.code == 1
    assert "規程/旅費規程.md  1 ページ" in said.out
    assert said.sentence == ran.sentence
    assert ragjp_cli("search", tiny_folder / "tiny", QUESTION).code == 0
    assert ragjp_cli("check", tiny_folder / "tiny").code == 0


def test_a_file_that_the_system_refuses(
    ragjp_cli: Run, tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or unreadable disk reported as a stack trace."""

    def full(args: object) -> int:
        raise OSError(28, "No space left on device", "segments/x.npy")

    monkeypatch.setattr(commands, "search", full)
    ran = ragjp_cli("search", tiny_index, "日当", "--json")
    sentence = refused(ran, exit_code=1, code="disk_full")
    assert "segments/x.npy" in sentence
    assert "No space left" in sentence


def test_a_disk_that_fills_up_under_the_catalog(
    ragjp_cli: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk met by SQLite reported as a bug; or half of a commit kept."""
    assert ragjp_cli("index", tiny_folder / "tiny.toml").code == 0
    (tiny_folder / "source" / "新.txt").write_text("長い通達です。\n" * 2_000, encoding="utf-8")
    real = writer.open_catalog

    def nearly_full(index: Path, *, writable: bool = False) -> sqlite3.Connection:
        connection = real(index, writable=writable)
        (n_pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {n_pages + 2}")
        return connection

    monkeypatch.setattr(writer, "open_catalog", nearly_full)
    ran = ragjp_cli("index", tiny_folder / "tiny.toml", "--json")
    assert "full" in refused(ran, exit_code=1, code="disk_full")
    assert ragjp_cli("check", tiny_folder / "tiny").code == 0


def test_a_bug_is_one_sentence_too_and_its_trace_is_there_on_request(
    ragjp_cli: Run, tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user faced with forty lines of Python, or a developer without them."""

    def broken(args: object) -> int:
        raise ValueError("shapes\n(3,) and (4,)")

    monkeypatch.setattr(commands, "search", broken)
    ran = ragjp_cli("search", tiny_index, "日当", "--json")
    assert "ValueError: shapes (3,) and (4,)" in refused(ran, exit_code=1, code="unexpected")
    traced = ragjp_cli("--traceback", "search", tiny_index, "日当")
    assert "Traceback" in traced.err
    assert "in broken" in traced.err


def test_an_interrupted_command(
    ragjp_cli: Run, tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C answered with a stack trace, or with success."""

    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "search", interrupted)
    ran = ragjp_cli("search", tiny_index, "日当")
    assert ran.code == 130
    assert "中断しました" in ran.err
    assert "Traceback" not in ran.err


def test_an_evaluation_without_its_parts(ragjp_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ragjp eval` on a light install says "No module named" and not what to install."""
    monkeypatch.setitem(__import__("sys").modules, "evals.command", None)
    ran = ragjp_cli("eval", "somewhere")
    assert ran.code == 1
    assert "ragjp[eval]" in ran.sentence


def test_errors_are_json_only_when_asked(ragjp_cli: Run, tmp_path: Path) -> None:
    """Scripts that read standard output get a sentence in it."""
    ran = ragjp_cli("search", tmp_path / "無い", QUESTION)
    assert ran.out == ""
    with pytest.raises(json.JSONDecodeError):
        json.loads(ran.err)
