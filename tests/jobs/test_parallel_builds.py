"""Builds with several readers: the same index as with one, also when readers are killed under them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from builds import EVERYONE, recipe, run

from ragjp.documents import DocumentReader
from ragjp.documents.contents import Contents
from ragjp.engine import Engine
from ragjp.index.upkeep.check import check
from ragjp.jobs import build as build_module
from ragjp.jobs.build import build


def fill(base: Path, n: int = 24) -> None:
    for number in range(n):
        text = (
            f"# 通達 識別{number:02}番\n\n識別{number:02}番の通達の番号は{number * 37}です。\n"
            * (1 + number % 3)
        )
        (base / "source" / f"{number:02}.md").write_text(text, encoding="utf-8")


def rankings(index: Path) -> list[list[tuple[str, float]]]:
    with Engine.open(index) as engine:
        return [
            [(hit.chunk_id, hit.score) for hit in engine.search(query, view=EVERYONE, k=40).hits]
            for query in ("通達の番号", "課長の宿泊料", "識別07番")
        ]


def test_four_readers_build_what_one_builds(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that depend on which process was scheduled first."""
    monkeypatch.setattr(build_module, "BATCH_CHUNKS", 5)
    fill(base)
    found = []
    for n_readers in (1, 4):
        chosen = recipe(jobs={"readers": n_readers})
        build(chosen, base=base, into=base / f"index{n_readers}")
        found.append(rankings(base / f"index{n_readers}"))
        assert check(base / f"index{n_readers}").problems == ()
    assert found[0] == found[1]


def test_killed_readers_cost_their_file_until_the_next_run(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes a reader for want of memory: the batch stops, or its file is given up for good."""
    fill(base)
    real = DocumentReader.read_all
    calls = [0]

    def read_all(self: DocumentReader, path: Path, doc_id: str) -> Contents:
        calls[0] += 1
        if calls[0] % 5 == 0 and self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGSTOP)  # so that the kill comes while it reads
                os.killpg(self.pid, signal.SIGKILL)
        return real(self, path, doc_id)

    with monkeypatch.context() as patched:
        patched.setattr(DocumentReader, "read_all", read_all)
        first = build(recipe(jobs={"readers": 3}), base=base, into=base / "index")
    assert first.added + len(first.failures) == 27
    assert all(failure.code and failure.sentence for failure in first.failures)
    second = run(base)
    assert (second.n_documents, second.failures) == (27, ())
    build(recipe(), base=base, into=base / "fresh")
    assert rankings(base / "index") == rankings(base / "fresh")
    assert check(base / "index").problems == ()
