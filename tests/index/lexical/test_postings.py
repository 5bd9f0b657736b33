"""Postings: built, numbered and merged they are the same; damaged ones are refused, at open or when a question meets them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lexical_rows import ROWS, Rows
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.postings import (
    Postings,
    build_postings,
    merge_postings,
    posting_fault,
    postings_from_arrays,
    postings_from_ids,
)
from ragjp.index.lexical.search import LexicalIndex


@given(ROWS, st.integers(0, 24), st.randoms())
def test_postings_by_any_way_are_sound_and_equal(rows: Rows, cut: int, random: Random) -> None:
    """Guards the merge and the builder from numbers: renumbered rows, dropped words, sums."""
    field = [row["lemma"] for row in rows]
    keep = np.array([random.random() < 0.7 for _ in rows])
    cut = min(cut, len(rows))
    merged = merge_postings(
        [
            (build_postings(field[:cut]), np.flatnonzero(keep[:cut])),
            (build_postings(field[cut:]), np.flatnonzero(keep[cut:])),
        ]
    )
    kept = [row for row, alive in zip(field, keep, strict=True) if alive]
    vocabulary = sorted({word for row in field for word in row})
    ids = np.array([vocabulary.index(word) for row in kept for word in row], dtype=np.int32)
    numbered = postings_from_ids(
        vocabulary, ids, np.array([len(row) for row in kept], dtype=np.int64)
    )
    fresh = build_postings(kept).arrays("f")
    for other in (merged, numbered):
        assert posting_fault(other) == ""
        for name, array in other.arrays("f").items():
            np.testing.assert_array_equal(array, fresh[name], err_msg=name)
            assert array.dtype == fresh[name].dtype


def _damage(
    postings: Postings, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    arrays = postings.arrays("f")
    arrays[f"f.{name}"] = change(arrays[f"f.{name}"].copy())
    return arrays


def _put(place: int, value: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def change(array: NDArray[Any]) -> NDArray[Any]:
        array[place] = value
        return array

    return change


DAMAGED: dict[str, tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    "offset descends": ("offsets", _put(1, 99)),
    "offsets begin late": ("offsets", _put(0, 1)),
    "offsets end early": ("offsets", lambda a: np.append(a[:-1], a[-1] - 1)),
    "no offsets": ("offsets", lambda a: a[:0]),
    "hashes out of order": ("hashes", lambda a: a[::-1].copy()),
    "spelling ends descend": ("ends", _put(0, -1)),
    "spellings cut": ("spellings", lambda a: a[:-1]),
    "rows cut": ("rows", lambda a: a[:-1]),
    "counts cut": ("counts", lambda a: a[:-1]),
    "wrong type": ("rows", lambda a: a.astype(np.int64)),
    "wrong shape": ("counts", lambda a: a[:, None]),
    "other byte order": ("offsets", lambda a: a.astype(">i8")),
    "length below 0": ("lengths", _put(0, -1)),
}  # fmt: skip
ROW_DAMAGE = {
    "row outside": ("rows", _put(-1, 9)),
    "row below 0": ("rows", _put(0, -1)),
    "row far outside": ("rows", _put(-1, 2**31 - 1)),
    "count of 0": ("counts", _put(0, 0)),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_arrays_are_refused_at_open(case: str) -> None:
    """Guards against reading out of bounds in a kernel, or answering from a broken table."""
    with pytest.raises(IndexCorrupt):
        postings_from_arrays(_damage(build_postings([["a", "b"], ["a"]]), *DAMAGED[case]), "f")


def test_a_missing_array_is_refused_at_open() -> None:
    arrays = build_postings([["a"]]).arrays("f")
    del arrays["f.rows"]
    with pytest.raises(IndexCorrupt, match=r"f\.rows"):
        postings_from_arrays(arrays, "f")


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("case", ROW_DAMAGE)
def test_damaged_rows_are_refused_when_a_question_meets_them(case: str) -> None:
    arrays = _damage(build_postings([["a"], ["a"]]), *ROW_DAMAGE[case])
    postings = postings_from_arrays(arrays, "f")
    assert posting_fault(postings)
    index = LexicalIndex({"f": [postings]}, 2)
    view = index.view(np.ones(2, dtype=bool))
    for ask in (
        lambda: index.search({"f": ["a"]}, {"f": 1.0}, view, Bm25(), 3),
        lambda: index.scores({"f": ["a"]}, {"f": 1.0}, view, Bm25(), np.array([0])),
        lambda: index.frequencies("f", ["a"], view),
        lambda: index.rows_with("f", ["a"]),
    ):
        with pytest.raises(IndexCorrupt):
            ask()


def test_a_word_with_the_hash_of_another_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spelling is compared: a query term whose hash happens to meet another term's must not match it."""
    postings = build_postings([["休暇"]])
    monkeypatch.setattr(
        "ragjp.index.lexical.postings.term_hash", lambda term: int(postings.hashes[0])
    )
    assert postings.find(["休暇"]).tolist() == [0]
    assert postings.find(["出張"]).tolist() == [-1]
