"""The lexical index: compiled and NumPy paths against the formula, views, segments, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lexical_rows import QUESTION, ROWS, WEIGHTS, WORDS, Rows, index_of, reference

from ragjp import compiled
from ragjp.errors import IndexCorrupt
from ragjp.index.lexical import blocks as lexical_blocks
from ragjp.index.lexical import search as lexical
from ragjp.index.lexical.bm25 import Bm25, bm25_reference
from ragjp.index.lexical.postings import build_postings
from ragjp.index.lexical.search import LexicalIndex

#: Every test runs on all paths.
pytestmark = pytest.mark.usefixtures("path")

CONSTANTS = st.sampled_from([Bm25(), Bm25(0.9, 0.4)])


@settings(deadline=None)
@given(ROWS, QUESTION, st.lists(st.integers(0, 24), max_size=3), st.integers(1, 8), st.randoms())
def test_the_best_rows_of_any_view_are_those_of_the_formula(
    rows: Rows,
    question: Mapping[str, Sequence[str]],
    cuts: Sequence[int],
    k: int,
    random: Random,
) -> None:
    """Guards the pruning, the statistics of a view, the numbering over segments, masks and ties."""
    allowed = np.array([random.random() < 0.7 for _ in rows])
    mask = np.array([random.random() < 0.8 for _ in rows]) if random.random() < 0.5 else None
    constants = Bm25(0.9, 0.4)
    index = index_of(rows, cuts)
    expected = reference(rows, question, allowed, constants)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lexical, "_SPARSE", random.choice([1, 8])
        )  # every view, or few, count as sparse
        found, scores = index.search(question, WEIGHTS, index.view(allowed), constants, k, mask)
    assert scores.dtype == np.float32
    may_come = np.flatnonzero((expected > 0) & (True if mask is None else mask))
    assert len(found) >= min(k, len(may_come))
    np.testing.assert_allclose(scores, expected[found], rtol=1e-6)
    assert (np.diff(scores) <= 0).all()
    assert set(found) <= set(may_come.tolist())
    left_out = np.setdiff1d(may_come, found)
    if len(left_out):
        assert expected[left_out].max() < scores.min() * (1 + 1e-6)
        # All that tie with the k-th are there: what is left out is below it for good.
        own = index.scores(question, WEIGHTS, index.view(allowed), constants, left_out)
        assert own.total.max() < scores.min()


@settings(deadline=None)
@given(ROWS, QUESTION, st.lists(st.integers(0, 24), max_size=3), st.integers(1, 8), st.randoms())
def test_both_paths_and_any_cutting_give_the_same_bits(
    rows: Rows,
    question: Mapping[str, Sequence[str]],
    cuts: Sequence[int],
    k: int,
    random: Random,
) -> None:
    """Guards results that depend on which path answered, or on how often the index was updated."""
    allowed = np.array([random.random() < 0.7 for _ in rows])
    results = []
    for index in (index_of(rows), index_of(rows, cuts)):
        view = index.view(allowed)
        results.append(index.search(question, WEIGHTS, view, Bm25(), k))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "ready", lambda module: None)
            results.append(index.search(question, WEIGHTS, view, Bm25(), k))
    for found, scores in results[1:]:
        np.testing.assert_array_equal(found, results[0][0])
        np.testing.assert_array_equal(scores, results[0][1])


@settings(deadline=None)
@given(ROWS, QUESTION, st.integers(0, 24), st.integers(1, 8), st.randoms())
def test_a_view_answers_as_an_index_of_the_visible_rows_alone(
    rows: Rows, question: Mapping[str, Sequence[str]], cut: int, k: int, random: Random
) -> None:
    """Non-interference: what somebody may not see changes neither order nor any bit of a score."""
    allowed = np.array([random.random() < 0.4 for _ in rows])
    whole = index_of(rows, [cut])
    alone = index_of([row for row, seen in zip(rows, allowed, strict=True) if seen])
    found, scores = whole.search(question, WEIGHTS, whole.view(allowed), Bm25(), k)
    everything = np.ones(int(allowed.sum()), dtype=bool)
    expected, expected_scores = alone.search(question, WEIGHTS, alone.view(everything), Bm25(), k)
    np.testing.assert_array_equal(found, np.flatnonzero(allowed)[expected])
    np.testing.assert_array_equal(scores, expected_scores)


@settings(deadline=None)
@given(ROWS, QUESTION, st.integers(0, 24), st.randoms(), CONSTANTS)
def test_scores_of_given_rows_are_those_of_the_search(
    rows: Rows, question: Mapping[str, Sequence[str]], cut: int, random: Random, constants: Bm25
) -> None:
    """Guards a dense candidate that is scored otherwise than the same row found by words."""
    allowed = np.array([random.random() < 0.7 for _ in rows])
    index = index_of(rows, [cut])
    view = index.view(allowed)
    found, scores = index.search(question, WEIGHTS, view, constants, len(rows))
    every = np.array(random.sample(range(len(rows)), len(rows)), dtype=np.int64)
    own = index.scores(question, WEIGHTS, view, constants, every)
    expected = np.zeros(len(rows), dtype=np.float32)
    expected[found] = scores
    np.testing.assert_array_equal(own.total, expected[every])
    for name in WEIGHTS:
        alone = bm25_reference(
            [row[name] for row in rows], question[name], list(allowed), constants
        )
        np.testing.assert_allclose(own.fields[name], np.array(alone)[every], rtol=1e-6)


@settings(deadline=None)
@given(ROWS, QUESTION, st.integers(0, 24), st.randoms())
def test_a_view_scores_as_an_index_of_the_visible_rows_alone(
    rows: Rows, question: Mapping[str, Sequence[str]], cut: int, random: Random
) -> None:
    """Non-interference of every number, not of the best alone: what a dense candidate's row scores, in all and by field."""
    allowed = np.array([random.random() < 0.5 for _ in rows])
    places = np.flatnonzero(allowed)
    whole = index_of(rows, [cut])
    alone = index_of([rows[place] for place in places])
    seen = whole.scores(question, WEIGHTS, whole.view(allowed), Bm25(), places)
    everything = np.ones(len(places), dtype=bool)
    expected = alone.scores(
        question, WEIGHTS, alone.view(everything), Bm25(), np.arange(len(places))
    )
    np.testing.assert_array_equal(seen.total, expected.total)
    for name in WEIGHTS:
        np.testing.assert_array_equal(seen.fields[name], expected.fields[name])


@given(ROWS, st.lists(WORDS, min_size=1, max_size=3), st.integers(0, 24))
def test_rows_with_all_terms(rows: Rows, terms: Sequence[str], cut: int) -> None:
    """Guards phrases and exclusions against rows of another segment, and against rows with some of the terms."""
    found = index_of(rows, [cut]).rows_with("lemma", terms)
    assert found.tolist() == [n for n, row in enumerate(rows) if set(terms) <= set(row["lemma"])]


def test_many_tied_rows_all_come_back() -> None:
    """Guards the room for results: a thousand copies of one page tie, and the caller orders them."""
    rows = [{"lemma": ["規程", "別表"], "bigram": []}] * 1000
    index = index_of(rows, [300])
    view = index.view(np.ones(1000, dtype=bool))
    found, scores = index.search({"lemma": ["規程"]}, WEIGHTS, view, Bm25(), 3)
    assert found.tolist() == list(range(1000))
    assert len(set(scores.tolist())) == 1


def test_any_count_scores_by_the_formula() -> None:
    """Guards the edge of the table of ratios for small counts: 15, 16 and far beyond."""
    rows = [{"lemma": ["a"] * n + ["b"] * (n % 7), "bigram": ["a"] * n} for n in range(40)]
    question = {"lemma": ["a", "b"], "bigram": ["a"]}
    allowed = np.arange(40) % 3 > 0
    index = index_of(rows, [20])
    expected = reference(rows, question, allowed, Bm25())
    found, scores = index.search(question, WEIGHTS, index.view(allowed), Bm25(), 40)
    np.testing.assert_allclose(scores, expected[found], rtol=1e-6)
    assert set(found.tolist()) == set(np.flatnonzero(expected > 0).tolist())


def test_a_view_with_longer_rows_loses_nothing_to_the_pruning() -> None:
    """Bounds are taken over all rows; where the visible ones are longer than most, scores rise above unscaled bounds."""
    rng = np.random.default_rng(3)
    rows: list[dict[str, list[str]]] = []
    for number in range(400):
        size = 200 if number % 4 == 0 else 3
        words = rng.choice([f"語{n}" for n in range(40)], size=size).tolist()
        rows.append({"lemma": words, "bigram": words[:2]})
    index = index_of(rows, [350])
    allowed = np.arange(400) % 4 == 0
    question = {"lemma": ["語1", "語2", "語3", "語4"], "bigram": ["語1"]}
    expected = reference(rows, question, allowed, Bm25())
    found, _ = index.search(question, WEIGHTS, index.view(allowed), Bm25(), 5)
    best = np.sort(expected)[::-1]
    np.testing.assert_allclose(expected[found[:5]], best[:5], rtol=1e-6)


def test_changed_constants_and_full_tables_change_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards bounds kept for other constants, and tables of bounds that start anew when they are full."""
    monkeypatch.setattr(lexical_blocks, "_MOST_BYTES", 0)
    rng = np.random.default_rng(5)
    words = [f"語{n}" for n in range(600)]
    rows = [
        {"lemma": rng.choice(words, size=30).tolist(), "bigram": rng.choice(words, 5).tolist()}
        for _ in range(120)
    ]
    index = index_of(rows)
    allowed = np.ones(len(rows), dtype=bool)
    view = index.view(allowed)
    for round_ in range(12):
        constants = Bm25(0.2 + round_ / 4, round_ / 12)
        question = {
            "lemma": rng.choice(words, 150).tolist(),
            "bigram": rng.choice(words, 9).tolist(),
        }
        found, scores = index.search(question, WEIGHTS, view, constants, 4)
        expected = reference(rows, question, allowed, constants)
        np.testing.assert_allclose(scores, np.sort(expected)[::-1][: len(found)], rtol=1e-6)


def test_frequencies_are_those_of_the_view() -> None:
    rows = [{"lemma": words, "bigram": []} for words in (["a", "b"], ["a"], ["a", "a"], ["b"])]
    index = index_of(rows, [2])
    view = index.view(np.array([True, False, True, True]))
    assert index.frequencies("lemma", ["a", "b", "無い語"], view) == {"a": 2, "b": 2, "無い語": 0}
    assert index.frequencies("surface", ["a"], view) == {"a": 0}


def test_nothing_to_find() -> None:
    """Guards empty questions, empty views, empty indexes, fields of weight 0 and words that nobody wrote."""
    index = index_of([{"lemma": ["a"], "bigram": ["b"]}])
    everything, nothing = index.view(np.array([True])), index.view(np.array([False]))
    for question, weights, view in (
        ({}, WEIGHTS, everything),
        ({"lemma": ["無い語"]}, WEIGHTS, everything),
        ({"lemma": ["a"]}, {"lemma": 0.0}, everything),
        ({"surface": ["a"]}, {"surface": 1.0}, everything),
        ({"lemma": ["a"]}, WEIGHTS, nothing),
    ):
        found, scores = index.search(question, weights, view, Bm25(), 10)
        assert len(found) == len(scores) == 0
    empty = LexicalIndex({"lemma": []}, 0)
    assert not len(
        empty.search({"lemma": ["a"]}, WEIGHTS, empty.view(np.ones(0, bool)), Bm25(), 1)[0]
    )


def test_fields_of_other_sizes_are_refused() -> None:
    fields = {"a": [build_postings([["x"]])], "b": [build_postings([["x"], ["y"]])]}
    with pytest.raises(IndexCorrupt):
        LexicalIndex(fields, 2)
