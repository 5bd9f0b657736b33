"""The measure of variants measures what it says, and the analysis reaches its goal by terms alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evals.dataset import DatasetError
from evals.indexes import Condition
from evals.robustness.variants import (
    DIRECTIONS,
    GOAL,
    Found,
    alone,
    measure,
    measure_apart,
    rank_by_terms,
    same_terms,
    shares,
)
from evals.robustness.variants_corpus import (
    DATA,
    SENTENCES,
    Pair,
    Trials,
    families,
    read_pairs,
    trials,
)
from ragjp.japanese import terms
from ragjp.types import Hit, Ranking

PAIRS = read_pairs(DATA / "pairs.tsv")
APART = read_pairs(DATA / "apart.tsv")


def hit(name: str, score: float) -> Hit:
    return Hit(name, name, 1, 0, 0, "", "", (), score, {})


def share(found: Sequence[Found], direction: str) -> float:
    hits, n = shares(found)["all"][direction]["bm25"]
    return hits / n


def test_there_are_enough_pairs_of_every_class() -> None:
    """A class that somebody takes out because it fails."""
    assert len(PAIRS) >= 360
    assert len(APART) >= 60
    assert len({pair.kind for pair in PAIRS}) == 19
    assert 0.3 < sum(pair.held_out for pair in PAIRS) / len(PAIRS) < 0.36
    forms = [frozenset((pair.one, pair.other)) for pair in (*PAIRS, *APART)]
    assert len(set(forms)) == len(forms)


@pytest.mark.parametrize("line", ["a\tnoun\tx", "a\tverb\tx\ty", "a\tnoun\tx\tx"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(f"# comment\na\tnoun\tx\ty\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="3 行目"):
        read_pairs(path)


def test_no_passage_of_a_round_says_the_word_of_another_question() -> None:
    """A passage with the very word of the question would win, and the pair would count as missed."""
    pairs = [Pair("k", "noun", "甲乙", "丙丁"), Pair("k", "noun", "丙丁", "戊己")]
    assert families(pairs) == [[0, 1]]
    asked = trials(pairs, [], swapped=False, seed=1)
    assert [trial.round for trial in asked.trials] == [0, 1]
    seen = [{p.text for p in asked.passages.values() if number in p.rounds} for number in range(2)]
    assert all(len(texts) == 1 for texts in seen)
    assert seen[0] != seen[1]


def test_sentences_differ_in_the_word_only() -> None:
    """Easy passages would show nothing: at least six others share the sentence of every passage."""
    asked = trials(PAIRS, APART, swapped=False, seed=1)
    sentences = [passage.split("{}") for slot in SENTENCES.values() for passage, _ in slot]
    for number in {trial.round for trial in asked.trials}:
        seen = [p.text for p in asked.passages.values() if number in p.rounds]
        counts = [
            sum(text.startswith(head) and text.endswith(tail) for text in seen)
            for head, tail in sentences
        ]
        assert min(counts) >= 7
        assert sum(counts) == len(seen)


def test_a_tie_is_no_hit() -> None:
    """Passages of which no word is known all score the same, and one of them is the right one."""
    assert alone(Ranking("q", (hit("a", 2.0), hit("b", 1.0)), 1, {})) == "a"
    assert alone(Ranking("q", (hit("a", 2.0), hit("b", 2.0)), 1, {})) == ""
    assert alone(Ranking("q", (), 1, {})) == ""


def test_a_wrong_passage_is_no_hit() -> None:
    pairs = [Pair("k", "noun", "甲乙", "丙丁"), Pair("k", "noun", "庚辛", "戊己")]

    def first(asked: Trials) -> dict[Condition, list[Ranking]]:
        return {"bm25": [Ranking("q", (hit("pair-000", 1.0),), 1, {})] * 2}

    counts = shares(measure(pairs, [], first))
    assert counts["all"][DIRECTIONS[0]]["bm25"] == [1, 2]


def test_terms_alone_reach_the_goal() -> None:
    """A rule of folding or a hidden form that is lost. Abbreviations are not spellings: synonyms have them."""
    found = measure(PAIRS, APART, rank_by_terms)
    spellings = [one for one in found if one.pair.kind != "abbreviation"]
    for direction in DIRECTIONS:
        assert share(spellings, direction) >= GOAL


def test_what_must_stay_apart_does() -> None:
    """Folding too much makes more pairs equal, and other things, too."""
    found = measure_apart(APART, rank_by_terms)
    assert [(one.pair.one, one.pair.other) for one in found if not one.hit] == []
    # The dictionary says that シーツ is シート; their bigrams keep them apart.
    assert [pair.one for pair in same_terms(APART)] == ["シート"]


@pytest.mark.parametrize(
    ("step", "fault"), [("searched_text", str), ("hidden_forms", lambda folded: [])]
)
def test_a_lost_step_shows(
    monkeypatch: pytest.MonkeyPatch, step: str, fault: Callable[[str], object]
) -> None:
    """A measure that passes whatever the analysis does."""
    monkeypatch.setattr(terms, step, fault)
    found = measure(PAIRS, APART, rank_by_terms)
    assert all(share(found, direction) < 0.9 for direction in DIRECTIONS)
