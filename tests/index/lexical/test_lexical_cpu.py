"""BM25 over arrays against the formula over plain lists, and the statistics of a view."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.index.lexical.bm25 import (
    Bm25,
    bm25_reference,
    bm25_scores,
    document_frequencies,
    field_statistics,
)
from ragjp.index.lexical.postings import Postings, build_postings, merge_postings

WORDS = st.sampled_from(["休暇", "有給", "出張", "旅費", "経費", "申請", "a", "b"])
ROWS = st.lists(st.lists(WORDS, max_size=12), min_size=1, max_size=14)


def split(rows: list[list[str]], cut: int) -> list[Postings]:
    cut = min(cut, len(rows))
    return [build_postings(part) for part in (rows[:cut], rows[cut:]) if part]


@given(ROWS, st.lists(WORDS, max_size=6), st.integers(0, 14), st.randoms())
def test_scores_equal_the_formula_at_any_visibility(
    rows: list[list[str]], query: list[str], cut: int, random: Random
) -> None:
    """Guards against statistics of hidden rows, of the wrong segment, or a repeated query term counted once."""
    allowed = np.array([random.random() < 0.6 for _ in rows])
    segments = split(rows, cut)
    scores = bm25_scores(
        segments, query, allowed, field_statistics(segments, allowed), Bm25(0.9, 0.4)
    )
    np.testing.assert_allclose(
        scores, bm25_reference(rows, query, list(allowed), Bm25(0.9, 0.4)), rtol=2e-5, atol=1e-6
    )


@given(ROWS, st.lists(WORDS, min_size=1, max_size=6), st.randoms())
def test_a_view_scores_as_an_index_of_the_visible_rows_alone(
    rows: list[list[str]], query: list[str], random: Random
) -> None:
    """Non-interference: what somebody may not see changes no number that they do see."""
    allowed = np.array([random.random() < 0.5 for _ in rows])
    all_rows = [build_postings(rows)]
    seen = bm25_scores(all_rows, query, allowed, field_statistics(all_rows, allowed), Bm25())[
        allowed
    ]
    alone = [build_postings([row for row, visible in zip(rows, allowed, strict=True) if visible])]
    everything = np.ones(int(allowed.sum()), dtype=bool)
    expected = bm25_scores(alone, query, everything, field_statistics(alone, everything), Bm25())
    np.testing.assert_array_equal(seen, expected)


@given(ROWS, st.integers(0, 14), st.randoms())
def test_merged_postings_equal_postings_of_the_kept_rows(
    rows: list[list[str]], cut: int, random: Random
) -> None:
    """Guards the merge: rows renumbered, dead rows gone, words that only dead rows had gone with them."""
    cut = min(cut, len(rows))
    keep = [random.random() < 0.7 for _ in rows]
    parts = []
    for part, kept in ((rows[:cut], keep[:cut]), (rows[cut:], keep[cut:])):
        if any(kept):
            parts.append((build_postings(part), np.flatnonzero(kept)))
    if not parts:
        return
    merged = merge_postings(parts)
    fresh = build_postings([row for row, kept in zip(rows, keep, strict=True) if kept])
    for name, array in fresh.arrays("f").items():
        np.testing.assert_array_equal(merged.arrays("f")[name], array, err_msg=name)


def test_document_frequencies_count_visible_rows_only() -> None:
    segments = split([["a", "b"], ["a"], ["a", "a"], ["b"]], 2)
    allowed = np.array([True, False, True, True])
    assert document_frequencies(segments, ["a", "b", "無い語"], allowed) == {
        "a": 2,
        "b": 2,
        "無い語": 0,
    }


def test_a_word_with_the_hash_of_another_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spelling is compared: a query term whose hash happens to meet another term's must not match it."""
    postings = build_postings([["休暇"]])
    monkeypatch.setattr(
        "ragjp.index.lexical.postings.term_hash", lambda term: int(postings.hashes[0])
    )
    assert postings.find(["休暇"]).tolist() == [0]
    assert postings.find(["出張"]).tolist() == [-1]


def test_rankings_equal_bm25s() -> None:
    """An outside implementation of the same formula agrees with ours."""
    bm25s = pytest.importorskip("bm25s", reason="bm25s is not installed")
    rng = np.random.default_rng(7)
    vocabulary = [f"語{number}" for number in range(60)]
    rows = [list(rng.choice(vocabulary, size=rng.integers(3, 30))) for _ in range(200)]
    segments = [build_postings(rows)]
    everything = np.ones(len(rows), dtype=bool)
    theirs = bm25s.BM25(k1=1.2, b=0.6, method="lucene")
    theirs.index([[str(term) for term in row] for row in rows], show_progress=False)
    for _ in range(20):
        query = [str(term) for term in rng.choice(vocabulary, size=4, replace=False)]
        ours = bm25_scores(
            segments, query, everything, field_statistics(segments, everything), Bm25(1.2, 0.6)
        )
        np.testing.assert_allclose(ours, theirs.get_scores(query), rtol=1e-4, atol=1e-6)
