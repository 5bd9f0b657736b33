"""An index that was updated, merged and compacted answers exactly as one built afresh: the same ids, bit for bit the same scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from builds import recipe

from ragjp.engine import Engine
from ragjp.index.upkeep.check import check
from ragjp.jobs import build as build_module
from ragjp.jobs.build import build
from ragjp.ranking import RANKINGS
from ragjp.types import View

EVERYONE = View.of("everyone")
WORDS = ["旅費", "宿泊", "日当", "出張", "課長", "部長", "申請", "精算", "休暇", "年次"]
QUESTIONS = ["旅費の精算", "課長の宿泊と日当", "年次休暇の申請", "部長", "出張 出張 日当の課長"]


def text_of(number: int, edition: int) -> str:
    """Few words in many combinations: full of equal scores, in every ranking."""
    picked = [WORDS[(number * step + edition) % len(WORDS)] for step in (1, 3, 7)]
    return f"# 通達\n\n{'と'.join(picked)}について定める。\n"


def write(source: Path, editions: dict[int, int]) -> None:
    source.mkdir(exist_ok=True)
    for path in source.glob("*.md"):
        if int(path.stem) not in editions:
            path.unlink()
    for number, edition in editions.items():
        (source / f"{number:03}.md").write_text(text_of(number, edition), encoding="utf-8")


def answers(index: Path) -> list[list[tuple[str, float]]]:
    with Engine.open(index) as engine:
        return [
            [(hit.chunk_id, hit.score) for hit in ranking.hits]
            for question in QUESTIONS
            for ranking in engine.search_all(question, view=EVERYONE, k=7).values()
        ]


def test_updates_answer_as_a_fresh_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties used to be broken by where a row lay, so the same documents gave other answers after an update."""
    monkeypatch.setattr(build_module, "BATCH_CHUNKS", 8)
    # Candidates are cut in the middle of ties.
    chosen = recipe(retrieval={"n_candidates": 10}, rerank={"depth": 5})
    source, updated = tmp_path / "source", tmp_path / "updated"
    write(source, dict.fromkeys(range(30), 0))
    build(chosen, base=tmp_path, into=updated)
    write(source, {**dict.fromkeys(range(5, 40), 0), **dict.fromkeys(range(8, 20), 3)})
    build(chosen, base=tmp_path, into=updated)
    write(source, {**dict.fromkeys(range(2, 45), 0), **dict.fromkeys(range(10, 12), 4)})
    build(chosen, base=tmp_path, into=updated)
    build(chosen, base=tmp_path, into=tmp_path / "fresh")
    assert check(updated).problems == ()
    expected = answers(tmp_path / "fresh")
    assert sum(map(len, expected)) > len(QUESTIONS) * len(RANKINGS)
    assert answers(updated) == expected


def test_an_open_engine_follows_the_recipe(tmp_path: Path) -> None:
    """A server went on searching by the recipe it was started with, however often the index was rebuilt."""
    write(tmp_path / "source", {1: 0})
    build(recipe(), base=tmp_path, into=tmp_path / "index")
    with Engine.open(tmp_path / "index") as engine:
        write(tmp_path / "source", {1: 0, 2: 0})
        build(recipe(rerank={"depth": 7}), base=tmp_path, into=tmp_path / "index")
        engine.search("旅費", view=EVERYONE)
        assert engine.recipe.rerank.depth == 7
    with Engine.open(tmp_path / "index", recipe=recipe(rerank={"depth": 9})) as engine:
        write(tmp_path / "source", {1: 0, 2: 0, 3: 0})
        build(recipe(), base=tmp_path, into=tmp_path / "index")
        engine.search("旅費", view=EVERYONE)
        assert engine.recipe.rerank.depth == 9
