"""Derived files that could not be written are named by ``ragjp check``, and cost nothing but speed."""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path

import pytest

from indexes import MANIFEST, batch_of, contents
from ragjp.cli import main
from ragjp.index.dense import derived
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check

TEXTS = {"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算"}
APPROXIMATE = '{"retrieval": {"dense": "approximate"}}'


@pytest.fixture(autouse=True)
def every_segment_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "MIN_ROWS", 1)
    monkeypatch.setattr("ragjp.index.dense.lists.MIN_ROWS", 1)


def index_with(path: Path, recipe: str = "") -> Path:
    with IndexWriter(path, MANIFEST) as writer:
        writer.set_meta("recipe", recipe)
        writer.commit(batch_of(TEXTS))
        writer.tidy()
    return path


def notes(index: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The codes of the notes, each of which ``ragjp check`` must show without calling the index wrong."""
    report = check(index)
    assert report.problems == ()
    capsys.readouterr()
    assert main(["check", str(index)]) == 0
    shown = capsys.readouterr().out
    assert all(f"{one.where} [{one.code}]" in shown for one in report.warnings)
    return [one.code for one in report.warnings]


def test_codes_that_the_disk_refused_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against an index that is slow for months because a disk was full for a minute, and nobody is told."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(derived, "_write", refuse)
        index = index_with(tmp_path / "index")
    assert len(contents(index)) == len(TEXTS)
    assert notes(index, capsys) == ["derived_missing"]
    with IndexWriter(index, MANIFEST) as writer:
        writer.tidy()
    assert notes(index, capsys) == []


def test_lists_that_the_recipe_asks_for_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without faiss a search of ``dense = "approximate"`` is exact: what was asked for is not there, and nothing else says so."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "faiss" else find(name)
    )
    index = index_with(tmp_path / "index", APPROXIMATE)
    assert notes(index, capsys) == ["lists_unbuilt"]
    assert "faiss" in check(index).warnings[0].sentence
    assert notes(index_with(tmp_path / "exact", "{}"), capsys) == []
