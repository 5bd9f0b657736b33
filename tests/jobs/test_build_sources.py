"""Sources that are broken, gone, hostile or oddly named: the rest goes on, and nothing is removed by mistake."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from builds import EVERYONE, found, recipe, run

from ragjp.engine import Engine
from ragjp.errors import RecipeError
from ragjp.jobs.sources import CorpusSource


def test_a_bad_file_is_reported_and_the_rest_goes_on(base: Path) -> None:
    (base / "source" / "空.txt").write_bytes(b"")
    (base / "source" / "図面.dwg").write_bytes(b"\x00\x01binary")
    report = run(base)
    assert report.n_documents == 3
    assert {failure.doc_id for failure in report.failures} == {"空.txt", "図面.dwg"}
    assert all(failure.code and failure.sentence for failure in report.failures)
    lines = (base / "index" / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["doc_id"] for line in lines} == {"空.txt", "図面.dwg"}


def test_a_file_that_became_unreadable_keeps_its_last_version(base: Path) -> None:
    run(base)
    (base / "source" / "規程" / "旅費.md").write_bytes(b"")
    report = run(base)
    assert "以前の版" in report.failures[0].sentence
    assert found(base, "課長の宿泊料")[0][0] == "規程/旅費.md"


def test_an_unmounted_share_removes_nothing(base: Path) -> None:
    """An empty or missing source folder looks like "everything was deleted": it must stop the job instead."""
    run(base)
    (base / "source").rename(base / "elsewhere")
    with pytest.raises(RecipeError, match="ありません"):
        run(base)
    (base / "source").mkdir()
    with pytest.raises(RecipeError, match="一つもありません"):
        run(base)
    assert len(found(base, "宿泊料")) > 0


def test_a_folder_that_cannot_be_looked_into_removes_nothing(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost rights on one folder looked like "its documents were deleted", and nothing was reported."""
    run(base)
    real = os.scandir

    def refuse(path: str | Path) -> Any:
        if Path(path).name == "規程":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = run(base, recipe(sources=[{"path": "source", "access": ["group:人事部"]}]))
    assert [(failure.doc_id, failure.code) for failure in report.failures] == [
        ("規程", "permission")
    ]
    assert (report.removed, report.n_documents) == (0, 3)
    with Engine.open(base / "index") as engine:
        assert engine.documents(view=EVERYONE) == ()


def test_the_index_is_no_document_of_itself(base: Path) -> None:
    """A recipe beside its sources: from the second run on, every file of the index was a failure."""
    everything = recipe(sources=[{"path": ".", "access": ["everyone"], "exclude": ["*.toml"]}])
    for _ in range(2):
        assert run(base, everything).failures == ()


def test_names_that_are_not_utf_8_are_read(base: Path) -> None:
    """One file name in CP932 on an old share stopped the whole job with a stack trace."""
    folder = os.fsencode(base / "source" / "規程")
    for name in ("運賃.txt".encode("cp932"), b"\x81.txt"):
        with open(os.path.join(folder, name), "wb") as file:  # noqa: PTH118, PTH123 - bytes
            file.write("片道の運賃は百円である。".encode())
    assert run(base).failures == ()
    assert {doc_id for doc_id, text in found(base, "片道の運賃") if "百円" in text} == {
        "規程/運賃.txt",
        r"規程/\x81.txt",
    }


@pytest.mark.parametrize("pattern", ["/etc/*", "", "**x"])
def test_a_pattern_that_is_none_is_refused(base: Path, pattern: str) -> None:
    """A stack trace for a slip in the recipe."""
    source = {"path": "source", "access": ["everyone"], "include": [pattern]}
    with pytest.raises(RecipeError, match="include"):
        run(base, recipe(sources=[source]))


@pytest.mark.parametrize(
    "line", ['{"_id": "1", "text": "規程"}'.encode("cp932"), rb'{"_id": "1", "text": "\ud83d"}']
)
def test_a_corpus_with_broken_characters_names_the_line(base: Path, line: bytes) -> None:
    """A stack trace in the middle of a build."""
    corpus = base / "corpus.jsonl"
    corpus.write_bytes(b'{"_id": "0", "text": "a"}\n' + line + b"\n")
    with pytest.raises(RecipeError, match="2 行目"):
        list(CorpusSource(corpus).items())


def test_a_link_out_of_the_folder_is_not_followed(base: Path) -> None:
    secret = base / "秘密.txt"
    secret.write_text("役員報酬は非公開である。", encoding="utf-8")
    (base / "source" / "近道.txt").symlink_to(secret)
    run(base)
    assert all("役員報酬" not in text for _, text in found(base, "役員報酬"))
