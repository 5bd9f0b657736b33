"""Who may read what, from the recipe to the search."""

from __future__ import annotations

from pathlib import Path

import pytest
from builds import EVERYONE, found, recipe, run

from ragjp.engine import Engine
from ragjp.types import View


@pytest.mark.parametrize("content", ["", "# 旅費規程\n\n宿泊料は一万五千円とする。\n"])
def test_a_tightened_access_holds_for_what_cannot_be_read_any_more(
    base: Path, content: str
) -> None:
    """The last version of a broken file stayed readable by those whom the recipe had just shut out."""
    run(base)
    (base / "source" / "規程" / "旅費.md").write_text(content, encoding="utf-8")
    run(base, recipe(sources=[{"path": "source", "access": ["group:人事部"]}]))
    with Engine.open(base / "index") as engine:
        assert engine.documents(view=EVERYONE) == ()
        assert len(engine.documents(view=View.of("group:人事部"))) == 3


def test_a_change_of_access_needs_no_embedding(base: Path) -> None:
    run(base)
    report = run(base, recipe(sources=[{"path": "source", "access": ["group:人事部"]}]))
    assert report.embedded_chunks == 0
    assert found(base, "宿泊料") == []
    with Engine.open(base / "index") as engine:
        assert engine.search("宿泊料", view=View.of("group:人事部")).hits


def test_a_hidden_document_changes_nothing_that_others_see(base: Path) -> None:
    """Non-interference through the whole engine: same hits, scores and order with and without documents one may not see."""
    run(base)
    with Engine.open(base / "index") as engine:
        alone = {
            query: engine.search(query, view=EVERYONE).hits
            for query in ("宿泊料", "休暇", "申請 連絡")
        }
    hidden = base / "hidden"
    hidden.mkdir()
    for number in range(8):
        (hidden / f"機密{number}.md").write_text(
            f"# 機密\n\n宿泊料と休暇の申請の連絡{number}。\n", encoding="utf-8"
        )
    both = recipe(
        sources=[
            {"path": "source", "access": ["everyone"]},
            {"path": "hidden", "access": ["group:役員"]},
        ]
    )
    run(base, both)
    with Engine.open(base / "index") as engine:
        assert engine.document_count(view=View.of("group:役員")) >= 8
        for query, hits in alone.items():
            assert engine.search(query, view=EVERYONE).hits == hits
