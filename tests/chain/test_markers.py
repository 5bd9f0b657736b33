"""Citation markers in all the forms that models write them."""

from __future__ import annotations

import pytest

from ragjp.chain.markers import find_markers, strip_markers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("日当は2,500円です[1]。", [(1,)]),
        ("日当は2,500円です［１］。", [(1,)]),
        ("日当は2,500円です【1】。", [(1,)]),
        ("日当です[1][2]。", [(1, 2)]),
        ("日当です[1] [2]。", [(1, 2)]),
        ("日当です[1, 2]。", [(1, 2)]),
        ("日当です［１、３］。", [(1, 3)]),
        ("日当です[1-3]。", [(1, 2, 3)]),
        ("日当です[資料1]。宿泊です[資料 2, 資料 3]。", [(1,), (2, 3)]),
        ("日当です[2][2]。", [(2,)]),
        ("日当です[0]", [(0,)]),
        ("配列 a[1:2] と [注] と [A1] と [12345]", []),
    ],
)
def test_forms(text: str, numbers: list[tuple[int, ...]]) -> None:
    """Guards against citations lost to a bracket of another width, and against taking other brackets for citations."""
    assert [group.numbers for group in find_markers(text)] == numbers


def test_stripping_leaves_the_sentence() -> None:
    """Guards against markers left behind when their citation is dropped."""
    assert strip_markers("日当です [1]［２］。宿泊です【3】。") == "日当です。宿泊です。"
