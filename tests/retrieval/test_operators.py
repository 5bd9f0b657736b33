"""Operators of a query: taken for what they are, and for nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.errors import RequestError
from ragjp.retrieval.operators import parse_operators


@pytest.mark.parametrize(
    ("query", "text", "phrases", "excluded", "titles"),
    [
        (
            '出張 "日当の額" -海外 title:旅費規程',
            "出張 日当の額 旅費規程",
            ("日当の額",),
            ("海外",),
            ("旅費規程",),
        ),
        ("＂有給＂ 題名：就業規則", "有給 就業規則", ("有給",), (), ("就業規則",)),
        ("“年次有給休暇”の日数", "年次有給休暇 の日数", ("年次有給休暇",), (), ()),
        ('日当 -"海外 出張"', "日当", (), ("海外 出張",), ()),
        ("手当　－賞与", "手当", (), ("賞与",), ()),
        ('title:"旅費 規程" 日当', "旅費 規程 日当", (), (), ("旅費 規程",)),
    ],
)
def test_operators_are_taken_out(
    query: str,
    text: str,
    phrases: tuple[str, ...],
    excluded: tuple[str, ...],
    titles: tuple[str, ...],
) -> None:
    parsed = parse_operators(query)
    assert (parsed.text, parsed.phrases, parsed.excluded, parsed.titles) == (
        text,
        phrases,
        excluded,
        titles,
    )
    assert parsed.query == query


@pytest.mark.parametrize(
    "query",
    [
        "気温が-5度になる日",
        "気温 -5 度",
        "サ-バの設定",
        "A-B-C 型番",
        "「結婚」したらお祝い金は",
        '"閉じない引用',
        "- 箇条書き",
        "--option とは",
        "subtitle:字幕",
    ],
)
def test_what_only_looks_like_an_operator_stays_text(query: str) -> None:
    """A minus sign, a part number or Japanese brackets in a question must not hide documents."""
    assert parse_operators(query).text == query
    assert not parse_operators(query).restricts


def test_exclusions_alone_are_refused() -> None:
    """Nothing to rank by: an arbitrary ten of all the others would look like an answer."""
    with pytest.raises(RequestError) as caught:
        parse_operators("-賞与 -退職")
    assert caught.value.code == "query_only_excludes"


@given(st.text(alphabet='有給休暇 "“”＂-－:：title題名a5\n　', max_size=40))
def test_any_text_is_parsed_or_refused(query: str) -> None:
    try:
        parsed = parse_operators(query)
    except RequestError:
        return
    assert parsed.text or not query.strip()
    assert all((*parsed.phrases, *parsed.excluded, *parsed.titles))
