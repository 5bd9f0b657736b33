"""Groups of synonyms in BM25: every path against the formula, views, segments, and what must not change."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lexical_rows import WEIGHTS, Rows, index_of

from ragjp import compiled
from ragjp.index.lexical import search as lexical
from ragjp.index.lexical.bm25 import Bm25, bm25_reference, idf
from ragjp.index.lexical.groups import Group, Phrase, group_reference
from ragjp.index.lexical.terms import KERNELS

WORDS = st.sampled_from("abcdefg")
ROWS = st.lists(
    st.fixed_dictionaries(
        {"lemma": st.lists(WORDS, max_size=9), "bigram": st.lists(WORDS, max_size=4)}
    ),
    min_size=1,
    max_size=20,
)
CONSTANTS = Bm25(0.9, 0.4)


def word(term: str) -> Phrase:
    return Phrase(term, ((("lemma", term),),))


def several(*terms: str, joint: str = "") -> Phrase:
    joints = (("bigram", joint),) if joint else ()
    return Phrase("".join(terms), ((*(("lemma", one) for one in terms), *joints),))


#: One term with two synonyms; several words with one; a synonym of several words, found in two ways.
GROUPS = (
    Group(word("a"), "a", (word("b"), several("c", "d", joint="g")), 0.7),
    Group(several("e", "f"), "", (word("g"),), 0.5, times=2),
    Group(
        word("f"),
        "f",
        (Phrase("ab", ((("lemma", "a"), ("lemma", "c")), (("bigram", "a"), ("bigram", "b")))),),
        0.6,
    ),
)
QUESTION = {"lemma": ["a", "e", "f", "e", "f"], "bigram": ["a", "c"]}


@pytest.fixture(autouse=True, params=["blocks", "whole", "numpy"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on all paths."""
    if request.param == "numpy":
        monkeypatch.setattr(compiled, "ready", lambda module: None)
    elif compiled.load(KERNELS) is None:
        pytest.skip(compiled.why_not())
    else:
        monkeypatch.setattr(lexical, "_WHOLE", {"blocks": 0, "whole": 1 << 16}[request.param])
    return str(request.param)


def reference(rows: Rows, groups: Sequence[Group], allowed: Sequence[bool]) -> list[float]:
    """The formula over plain lists: terms with a group leave their own gain to it."""
    of_groups = {group.term for group in groups if group.term}
    total = np.zeros(len(rows))
    for name, weight in WEIGHTS.items():
        terms = [one for one in QUESTION[name] if name == "bigram" or one not in of_groups]
        field = [row[name] for row in rows]
        total += weight * np.array(bm25_reference(field, terms, allowed, CONSTANTS))
    for group in groups:
        times = QUESTION["lemma"].count(group.term) if group.term else group.times
        # What was asked for counts as often as it is a term of the question, the others as often as the group was met.
        both = group_reference(rows, group, allowed, CONSTANTS)
        for n, row in enumerate(rows):
            asked = group.term in row["lemma"] if group.term else False
            factor = times / group.times if asked else 1.0
            total[n] += WEIGHTS["lemma"] * both[n] * factor
    return total.tolist()


@settings(deadline=None, max_examples=60)
@given(ROWS, st.lists(st.integers(0, 20), max_size=2), st.integers(1, 6), st.randoms())
def test_the_best_rows_are_those_of_the_formula(
    rows: Rows, cuts: Sequence[int], k: int, random: Random
) -> None:
    """Guards df of a group, rows that gain twice, phrases, the place behind the last field, and segments that have no list."""
    allowed = [random.random() < 0.7 for _ in rows]
    groups = random.sample(GROUPS, random.randint(1, 3))
    index = index_of(rows, cuts)
    view = index.view(np.array(allowed))
    expected = np.array(reference(rows, groups, allowed))
    found, scores = index.search(QUESTION, WEIGHTS, view, CONSTANTS, k, groups=groups)
    np.testing.assert_allclose(scores, expected[found], rtol=1e-6)
    assert set(found) <= {n for n, seen in enumerate(allowed) if seen}
    left_out = np.setdiff1d(np.flatnonzero(expected > 0), found)
    if len(left_out):
        assert len(found) >= k
        assert expected[left_out].max() < scores.min() * (1 + 1e-6)
    every = np.arange(len(rows), dtype=np.int64)
    own = index.scores(QUESTION, WEIGHTS, view, CONSTANTS, every, groups=groups)
    np.testing.assert_allclose(own.total, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(own.total[found], scores)
    mixed = 0.8 * own.fields["lemma"].astype(float) + 0.2 * own.fields["bigram"].astype(float)
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(ROWS, st.integers(0, 20), st.randoms())
def test_what_a_view_hides_changes_no_bit(rows: Rows, cut: int, random: Random) -> None:
    """Guards non-interference through the statistics of a group: hidden rows with a synonym would lower its idf."""
    allowed = np.array([random.random() < 0.5 for _ in rows])
    whole = index_of(rows, [cut])
    alone = index_of([row for row, seen in zip(rows, allowed, strict=True) if seen])
    found, scores = whole.search(
        QUESTION, WEIGHTS, whole.view(allowed), CONSTANTS, 5, groups=GROUPS
    )
    every = np.ones(int(allowed.sum()), dtype=bool)
    expected, expected_scores = alone.search(
        QUESTION, WEIGHTS, alone.view(every), CONSTANTS, 5, groups=GROUPS
    )
    np.testing.assert_array_equal(found, np.flatnonzero(allowed)[expected])
    np.testing.assert_array_equal(scores, expected_scores)


def test_a_rare_synonym_is_no_rare_word_and_three_spellings_are_one() -> None:
    """Guards the two faults of adding synonyms as words: the rare one wins over the common one, and rows with both over all."""
    rows = [{"lemma": terms, "bigram": []} for terms in (["a"] * 1, ["b"], ["a", "b"], ["h"])]
    rows += [{"lemma": ["a"], "bigram": []}] * 6 + [{"lemma": ["h"], "bigram": []}] * 20
    index = index_of(rows)
    view = index.view(np.ones(len(rows), dtype=bool))
    group = Group(word("a"), "a", (word("b"),), 0.7)
    own = index.scores(
        {"lemma": ["a"]},
        {"lemma": 1.0},
        view,
        Bm25(0.9, 0.0),
        np.arange(4, dtype=np.int64),
        [group],
    )
    gain = idf(len(rows), 9) / 1.9
    np.testing.assert_allclose(own.total, [gain, 0.7 * gain, gain, 0], rtol=1e-6)


def test_a_word_without_any_row_is_found_by_its_synonym() -> None:
    """Guards the common case: the documents never use the word that people use."""
    rows = [{"lemma": ["食堂"], "bigram": []}, {"lemma": ["x"], "bigram": []}]
    index = index_of(rows)
    view = index.view(np.ones(2, dtype=bool))
    group = Group(word("社食"), "社食", (word("食堂"),), 0.7)
    question = {"lemma": ["社食"]}
    found, _ = index.search(question, WEIGHTS, view, CONSTANTS, 5, groups=[group])
    assert found.tolist() == [0]
    found, _ = index.search(question, WEIGHTS, view, CONSTANTS, 5)
    assert found.tolist() == []
