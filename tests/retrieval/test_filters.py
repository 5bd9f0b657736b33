"""Operators on a real index: what is asked for word for word is found word for word, in any view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragjp.config import parse_recipe
from ragjp.engine import Engine
from ragjp.errors import RequestError
from ragjp.japanese.normalize import fold
from ragjp.jobs.build import build
from ragjp.retrieval.filters import certain_terms, phrase_pattern
from ragjp.types import View

STAFF, ALL = View.of("everyone"), View.unrestricted_by_operator()
PAGES = {
    "open/就業規則.md": "# 就業規則\n\n第23条の規定により、年次有給休暇を与える。生成AI活用も休暇の対象とする。\n",
    "open/旅費規程.md": "# 旅費規程\n\n出張の日当は2,500円とする。海外出張の日当は別に定める。\n",
    "open/賞与.md": "# 賞与の支給\n\n有給の休暇を年次で集計する。申し込みは人事部へ。OpenAIの利用は禁止する。\n",
    "open/申込.md": "# 申込書\n\n出張の申込は一週間前までに行う。\n",
    "secret/役員.md": "# 役員規程\n\n役員の年次有給休暇と出張の日当は取締役会で決める。\n",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    base = tmp_path_factory.mktemp("filters")
    for name, text in PAGES.items():
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(text, encoding="utf-8")
    recipe = parse_recipe(
        {
            "name": "toy",
            "encoder": {"model": "hashing"},
            "sources": [
                {"path": "open", "access": ["everyone"]},
                {"path": "secret", "access": ["group:役員"]},
            ],
        },
        where="test",
    )
    build(recipe, base=base, into=base / "toy")
    with Engine.open(base / "toy") as engine:
        yield engine


def found(engine: Engine, query: str, view: View = STAFF) -> set[str]:
    hits = engine.search(query, view=view, operators=True).hits
    return {Path(hit.doc_id).stem for hit in hits}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"年次有給休暇"', {"就業規則"}),
        ('"第23条"', {"就業規則"}),
        ('"第２３条" 休暇', {"就業規則"}),
        ('"AI" 利用', {"就業規則"}),
        ('"出張の" "日当"', {"旅費規程"}),
        ('出張の日当 "そのような語はない"', set()),
        ("出張 -海外", {"就業規則", "賞与", "申込"}),
        ("出張 -申込", {"就業規則", "旅費規程"}),
        ("title:旅費規程 日当", {"旅費規程"}),
        ("title:賞与 title:支給", {"賞与"}),
        ("title:役員 日当", set()),
    ],
)
def test_operators_restrict_what_is_found(engine: Engine, query: str, expected: set[str]) -> None:
    """Not 休暇を年次で for 年次有給休暇, not OpenAI for AI; 申し込み is excluded with 申込."""
    assert found(engine, query) == expected


def test_a_phrase_is_searched_in_the_view_alone(engine: Engine) -> None:
    """A hidden page must not come back, whatever is asked for word for word."""
    assert found(engine, '"取締役会"') == set()
    assert found(engine, '"取締役会"', ALL) == {"役員"}


def test_scores_are_those_of_the_plain_query(engine: Engine) -> None:
    """An operator takes rows away; the statistics, and so the scores, stay the view's."""
    plain = engine.search("出張の日当", view=STAFF, ranking="bm25").hits
    kept = engine.search("出張の日当 -海外", view=STAFF, ranking="bm25", operators=True).hits
    assert kept
    assert {hit.chunk_id: hit.score for hit in kept}.items() <= {
        hit.chunk_id: hit.score for hit in plain
    }.items()


def test_without_operators_quotes_are_text(engine: Engine) -> None:
    """A question to be answered may hold quotes; nothing is hidden from it."""
    assert len(engine.search('"そのような語はない" 出張', view=STAFF).hits) == 4


def test_one_character_is_too_little(engine: Engine) -> None:
    with pytest.raises(RequestError) as caught:
        found(engine, '"円"')
    assert caught.value.code == "phrase_too_short"


@pytest.mark.parametrize("text", ["就業規則第23条の2により", "AI活用", "第23条", "経費 精算"])
def test_certain_terms_are_in_every_text_with_the_phrase(engine: Engine, text: str) -> None:
    """The lookup may let too much through, never too little."""
    analyzer = engine._analyzer
    around = fold(f"この{text}というものは。")
    for start in range(len(text)):
        for end in range(start + 2, len(text) + 1):
            phrase = fold(text[start:end]).strip()
            if phrase and phrase_pattern(phrase).search(around):
                assert set(certain_terms(phrase)) <= set(analyzer.terms(around)["bigram"])
