"""Faults that the swaps and the malformed files have found, each in its shortest form."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from isolated import isolated
from library import OPERATOR, batch_of, edition_of, held, open_engine, open_writer, remember_recipe

from ragjp.errors import IndexCorrupt, RagjpError
from ragjp.index.reader import Snapshot
from ragjp.index.upkeep.check import check
from ragjp.types import View

EVERYONE = View.of("everyone")


@pytest.fixture
def index(folder: Path) -> Path:
    """An index of two documents."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
    return path


def replace_and_merge(path: Path, edition: int) -> None:
    with open_writer(path) as writer:
        writer.commit(batch_of(writer, {0: edition, 1: edition}))
        writer.merge()


def test_a_generation_that_a_merge_has_forgotten_says_so(index: Path) -> None:
    """A view resolved after the merge saw fewer rows, the list fewer documents, a page was "denied", and ties raised a KeyError."""
    snapshot = Snapshot(index)
    rows = [int(row) for row in np.arange(snapshot.n_rows)]
    replace_and_merge(index, 2)
    for question in (
        lambda: snapshot.allowed(EVERYONE),
        lambda: snapshot.documents(OPERATOR),
        lambda: snapshot.page_text("000.md", 1, OPERATOR),
        lambda: snapshot.chunk_ids(rows),
        lambda: snapshot.chunks(rows),
    ):
        with pytest.raises(IndexCorrupt) as refused:
            question()
        assert refused.value.code in ("generation_gone", "chunk_missing")
    snapshot.close()


def test_an_engine_moves_on_however_often_a_merge_overtakes_it(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tried one newer generation only, and none where another of its threads had moved on already."""
    real, edition = Snapshot.chunk_ids, [1]

    def overtaken(self: Snapshot, rows: list[int]) -> list[str]:
        if edition[0] < 4:
            edition[0] += 1
            replace_and_merge(index, edition[0])
        return real(self, rows)

    monkeypatch.setattr(Snapshot, "chunk_ids", overtaken)
    with open_engine(index) as engine:
        assert edition_of(engine, "000.md") == 4


def test_a_fifo_in_the_place_of_any_file_keeps_nobody_waiting(index: Path) -> None:
    """Opening a FIFO waits for somebody who writes to it: a server would hang at its first search, or at its next."""
    files = [file.relative_to(index) for file in index.rglob("*") if file.is_file()]
    path = index.with_name("case")

    def behave() -> list[str]:
        codes = []
        for ask in (lambda: held(path), lambda: check(path), lambda: open_writer(path).close()):
            try:
                ask()
            except RagjpError as error:
                codes.append(error.code)
        return codes

    for file in files:
        shutil.copytree(index, path)
        (path / file).unlink()
        os.mkfifo(path / file)
        outcome = isolated(behave, limit_s=20.0)
        assert "value" in outcome, f"{file}: {outcome}"
        shutil.rmtree(path)


def test_opening_runs_after_a_writer_that_merges_faster_than_it_opens(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a loaded machine three merges came between reading the catalog and opening the files, and a sound index was called broken."""
    loads = Snapshot._load_once
    overtaken = iter(range(6))

    def overtake(snapshot: Snapshot, thorough: bool) -> None:
        if (edition := next(overtaken, None)) is not None:
            replace_and_merge(snapshot.path, edition + 2)
            raise FileNotFoundError(2, "No such file or directory", "vectors.npy")
        loads(snapshot, thorough)

    monkeypatch.setattr(Snapshot, "_load_once", overtake)
    with open_engine(index) as engine:
        assert edition_of(engine, "000.md") == 7


def test_a_file_that_is_gone_for_good_is_named(index: Path) -> None:
    """Running after a writer must end where nobody writes."""
    (missing,) = index.glob("segments/*/vectors.npy")
    missing.unlink()
    with pytest.raises(IndexCorrupt, match=r"vectors\.npy") as caught:
        Snapshot(index)
    assert caught.value.code == "segment_missing"
