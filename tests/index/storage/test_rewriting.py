"""Merges that leave large segments alone, and terms made anew block by block over dead rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from indexes import MANIFEST, batch_of, build_toy, contents
from ragjp.index.reader import Snapshot
from ragjp.index.storage import rewriting
from ragjp.index.storage.merging import Terms
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check
from ragjp.types import Chunk


def texts(start: int, stop: int) -> dict[str, str]:
    return {f"{number}.md": f"通達 番号{number} の 本文" for number in range(start, stop)}


def segment_names(index: Path) -> set[str]:
    return {path.name for path in (index / "segments").iterdir()}


def test_a_large_segment_is_not_rewritten_for_a_few_new_documents(tmp_path: Path) -> None:
    """Adding one per cent of documents a day must not cost the tokens of the other ninety-nine."""
    index = build_toy(tmp_path, batch_of(texts(0, 200)))
    for number in range(200, 212):
        build_toy(index, batch_of(texts(number, number + 1)))
    with IndexWriter(index, MANIFEST) as writer:
        assert writer.needs_merge()
        writer.tidy()
        assert not writer.needs_merge()
    names = segment_names(index)
    assert len(names) == 2
    assert "00000001" in names
    assert len(contents(index)) == 212
    assert check(index).problems == ()


def test_a_segment_with_many_dead_rows_is_rewritten_alone(tmp_path: Path) -> None:
    index = build_toy(tmp_path, batch_of(texts(0, 20)), batch_of(texts(20, 40)))
    build_toy(index, batch_of({}, removed=[f"{number}.md" for number in range(20, 39)]))
    before = contents(index)
    with IndexWriter(index, MANIFEST) as writer:
        writer.tidy()
    assert "00000001" in segment_names(index)
    assert "00000002" not in segment_names(index)
    assert contents(index) == before
    assert check(index).n_dead_rows == 0


@pytest.mark.parametrize("block_rows", [1, 2, 3, 4096])
def test_terms_made_anew_skip_dead_rows_and_join_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    """Terms one row off: every search finds the neighbour of what it should."""
    monkeypatch.setattr(rewriting, "_BLOCK_ROWS", block_rows)
    index = build_toy(
        tmp_path,
        batch_of(texts(0, 7)),
        batch_of(texts(7, 9), removed=["0.md", "3.md", "6.md"]),
    )
    before = contents(index)
    inodes = {path.name: path.stat().st_ino for path in (index / "segments/00000001").iterdir()}
    manifest = replace(MANIFEST, analyzer="analyzer-2", fields=("lemma", "title"))

    def analyse(chunks: Sequence[Chunk]) -> Terms:
        words = [chunk.text.split() for chunk in chunks]
        return {"lemma": words, "title": [[f"題{chunk.doc_id}"] for chunk in chunks]}

    calls: list[tuple[int, int]] = []
    with IndexWriter(index, manifest) as writer:
        assert writer.is_analysis_stale()
        writer.analyse_again(analyse, progress=lambda done, total: calls.append((done, total)))
        assert not writer.is_analysis_stale()
    assert calls[-1][0] == calls[-1][1]
    assert contents(index) == before
    snapshot = Snapshot(index)
    assert json.loads(snapshot.meta["fields"]) == ["lemma", "title"]
    assert check(index).problems == ()
    renewed = next(path for path in (index / "segments").iterdir() if path.name.endswith("3"))
    assert (renewed / "tokens.npy").stat().st_ino == inodes["tokens.npy"]  # linked, not written
    build_toy_with(index, manifest)
    assert check(index).problems == ()


def build_toy_with(index: Path, manifest: object) -> None:
    batch = batch_of({"z.md": "あと から"})
    batch.terms = {"lemma": [["あと", "から"]], "title": [["題"]]}
    with IndexWriter(index, manifest) as writer:  # type: ignore[arg-type]
        writer.commit(batch)
