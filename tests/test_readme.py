"""What the READMEs and the Makefile promise is there, and their examples run."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from ragjp.cli import commands
from ragjp.cli.arguments import EVALUATIONS, build_parser
from ragjp.config import load_recipe

READMES = ("README.md", "README.ja.md", "CONTRIBUTING.md")


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language, their indentation removed."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def test_every_make_target_named_exists_and_is_listed(root: Path) -> None:
    """A README that tells a stranger to type what does not exist."""
    listed = subprocess.run(
        ["make", "help"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"^make ([a-z-]+) ", listed, re.MULTILINE))
    assert {"demo", "test", "ui", "demo-llm", "lock"} <= targets
    for name in READMES:
        text = (root / name).read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize("name", READMES)
def test_every_command_shown_is_one_that_can_be_typed(name: str, root: Path) -> None:
    """An option shown in a README that was renamed."""
    lines = [line for body in blocks(root / name, "sh") for line in body.splitlines()]
    shown = [line for line in lines if re.match(r"(\.venv/bin/)?ragjp ", line)]
    assert shown or name == "CONTRIBUTING.md"
    names = (
        "index",
        "search",
        "ask",
        "check",
        "compact",
        "forget",
        "backup",
        "restore",
        "migrate",
        "doctor",
    )
    table = dict.fromkeys((*names, *EVALUATIONS), commands.doctor)
    for line in shown:
        arguments = shlex.split(line, comments=True)[1:]
        if arguments[0] in EVALUATIONS:
            module = import_module(EVALUATIONS[arguments[0]][1])
            build_parser(table, module.add_arguments, of=arguments[0]).parse_args(arguments)
        else:
            build_parser(table).parse_args(arguments)


@pytest.mark.parametrize("name", ["README.md", "README.ja.md"])
def test_every_recipe_shown_can_be_read(name: str, root: Path, tmp_path: Path) -> None:
    """A recipe copied from a README and refused for a key that does not exist."""
    shown = blocks(root / name, "toml")
    assert shown
    (tmp_path / "synonyms.tsv").write_text("社食\t食堂\n", encoding="utf-8")
    (tmp_path / "words.csv").write_text("情シス,ジョウシス\n", encoding="utf-8")
    for body in shown:
        recipe = tmp_path / "shown.toml"
        recipe.write_text(body if "name =" in body else f'name = "x"\n{body}', encoding="utf-8")
        assert load_recipe(recipe).name


def test_every_example_runs(
    root: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A library example that raises on its first line."""
    (tiny_folder / "indexes").mkdir()
    (tiny_folder / "source").rename(tiny_folder / "indexes" / "source")
    recipe = (tiny_folder / "tiny.toml").read_text(encoding="utf-8")
    (tiny_folder / "indexes" / "demo.toml").write_text(recipe.replace("tiny", "demo"), "utf-8")
    monkeypatch.chdir(tiny_folder)
    examples = blocks(root / "README.md", "python")
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
        assert "規程/旅費規程.md 1" in capsys.readouterr().out
