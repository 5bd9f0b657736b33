"""Question words are not searched for, whatever way they are written."""

from __future__ import annotations

import pytest

from ragjp.japanese.terms import Analyzer
from ragjp.retrieval.question_words import without_question_words


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.mark.parametrize("asked", ["どこ", "何処", "いつ", "誰", "だれ", "何", "なに", "いくら"])
def test_a_question_word_is_known_by_the_dictionarys_spelling(
    analyzer: Analyzer, asked: str
) -> None:
    """Guards against a list in other spellings than the analyzer's, which would drop nothing."""
    terms = analyzer.terms(f"日本の首都は{asked}ですか")
    assert without_question_words(terms)["lemma"] == ["日本", "首都"]
    assert without_question_words(terms)["bigram"] == terms["bigram"]


def test_a_question_of_nothing_else_is_still_searched(analyzer: Analyzer) -> None:
    """Guards against an empty search, and a RequestError, for the word alone."""
    terms = analyzer.terms("誰")
    assert without_question_words(terms) == terms
