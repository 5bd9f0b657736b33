"""Terms found again with their places are the analyzer's terms, and the places are the source's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.japanese.located import folded_parts, locate
from ragjp.japanese.normalize import fold
from ragjp.japanese.terms import Analyzer
from ragjp.japanese.words import Word, WordList

PIECES = (
    *("ＪＲ東日本㈱", "平成31年度", "令和5年4月1日", "R5.4.1", "第二十三条の二", "三百万円"),
    *("3,000,000円", "1.8.0", "ｻｰﾊﾞｰ", "サーバ", "申 込み", "申込", "髙橋", "か゛", "、", "。\n"),
    *(" ", "\t", "①②", "½", "10②", "経費の精算", "が", "です", "(株)", "A-1", "12.5", "3.", ",000"),
    *("１２，３４５", "𠮷野家", "\u200b"),
)
texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    words = WordList(frozenset({Word("経費の精算"), Word("平成31", "ｻｰﾊﾞ"), Word("野家", "ノイエ")}))
    return Analyzer(words=words)


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_the_terms_are_the_analyzers(analyzer: Analyzer, text: str) -> None:
    """An explanation that names other terms than those that were searched."""
    found, terms = locate(analyzer, text), analyzer.terms(text)
    lemmas = [one.term for one in (*found.lemmas, *found.hidden, *found.own)]
    assert sorted(lemmas) == sorted(terms["lemma"])
    assert [one.term for one in found.bigrams] == terms["bigram"]


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_places_lie_in_the_source(analyzer: Analyzer, text: str) -> None:
    """A mark beside the word: every span is inside of the text, not empty, and in the order of the words."""
    found = locate(analyzer, text)
    spans = [
        one.span for one in (*found.lemmas, *found.bigrams, *found.hidden, *found.own, *found.words)
    ]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    ends = [word.span.end for word in found.words]
    assert ends == sorted(ends)


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_folded_parts_make_the_folded_text(text: str) -> None:
    """A list of changes that leaves one out: putting every part in gives the folded text."""
    made, at = "", 0
    for part in folded_parts(text):
        assert text[slice(*part.span)] == part.source
        assert part.source != part.folded
        made += text[at : part.span.start] + part.folded
        at = part.span.end
    assert made + text[at:] == fold(text)


@pytest.mark.parametrize(
    ("text", "term", "written"),
    [
        ("髙橋はｻｰﾊﾞを申 込んだ", "サーバー", "ｻｰﾊﾞ"),
        ("髙橋はｻｰﾊﾞを申 込んだ", "申し込む", "申 込ん"),
        ("髙橋はｻｰﾊﾞを申 込んだ", "高橋", "髙橋"),
        ("上限は3,000,000円である", "3000000", "3,000,000"),
        ("上限は3,000,000円である", "#3000000円", "3,000,000円"),
        ("版1.8.0の平成31年度の規程", "1.8.0", "1.8.0"),
        ("版1.8.0の平成31年度の規程", "@fy2019", "平成31年度"),
        ("令和5年4月1日付け", "@2023-04", "令和5年4月"),
        ("第二十三条の二による", "#23条の2", "二十三条の二"),
    ],
)
def test_a_term_is_found_as_it_is_written(
    analyzer: Analyzer, text: str, term: str, written: str
) -> None:
    """A match shown as the dictionary spells it, where the reader looks for what the page says."""
    spans = locate(analyzer, text).spans("lemma", term)
    assert [text[slice(*span)] for span in spans] == [written]


def test_words_that_are_no_terms_have_a_reason(analyzer: Analyzer) -> None:
    """A word that vanishes from the question without a why."""
    fates = {word.surface: word.fate for word in locate(analyzer, "旅費は12.5円ですか。").words}
    assert fates["旅費"] == "term"
    assert fates["は"] == "particle"
    assert fates["です"] == "auxiliary"
    assert fates["。"] == "sign"
    assert fates["12"] == fates["5"] == "number"
