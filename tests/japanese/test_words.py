"""The company's own words: what the file says, where a word is found, and one result on every path."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp import compiled
from ragjp.errors import IndexMismatch, RecipeError
from ragjp.japanese import terms as module
from ragjp.japanese.terms import KERNELS, Analyzer, searched_text
from ragjp.japanese.words import Word, WordList, parse_words

PLAIN = Analyzer()
WORDS = parse_words("情シス,じょうしす\nハチ公プロジェクト\n年休暇\nAI室\nHS-200", where="test")
ANALYZER = PLAIN.with_words(WORDS)
TEXTS = st.text(
    alphabet="情シス課年休暇ＡＩai室hs-200ジョウシスじょうしすハチ公プロジェクト、。 の",
    max_size=40,
)


def test_a_word_is_one_term_more_and_takes_none_away() -> None:
    """Guards old matches: 情 and シス are found as before."""
    before, after = (one.terms("情シスに聞く") for one in (PLAIN, ANALYZER))
    assert after["lemma"] == [*before["lemma"], "=情シス"]
    assert after["bigram"] == before["bigram"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ｼﾞｮｳｼｽに、じょうしすの情シス課", ["=情シス"] * 3),
        ("ＡＩ室とOPENAI室とai室", ["=ai室", "=ai室"]),
        ("コジョウシスム", []),
        ("hs-200とHS-2000", ["=hs-200"]),
        ("ハチ公プロ\nジェクト", ["=ハチ公プロジェクト"]),
        ("年休と休暇", []),
    ],
)
def test_where_a_word_stands(text: str, found: list[str]) -> None:
    """Guards readings, folding, line breaks inside a word, and words inside longer ones."""
    assert [term for term in ANALYZER.lemmas(text) if term.startswith("=")] == found


@settings(deadline=None)
@given(TEXTS)
def test_a_words_terms_depend_on_no_other_word(text: str) -> None:
    """Guards the promise behind changing only the texts that hold what was changed."""
    folded = searched_text(text)
    alone = [WordList(frozenset([word])).terms(folded) for word in WORDS.words]
    assert sorted(WORDS.terms(folded)) == sorted(term for terms in alone for term in terms)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=8))
def test_the_bulk_path_finds_the_same(texts: list[str]) -> None:
    """Guards an index whose words depend on how many texts were analysed at once."""
    if compiled.load(KERNELS) is None:
        pytest.skip(compiled.why_not())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST_CHARS", 0)
        columns = ANALYZER.terms_many(texts)
    assert list(columns["lemma"]) == [ANALYZER.terms(text)["lemma"] for text in texts]


def test_titles_hold_words_too() -> None:
    """Guards title: searches, whose terms come from another call."""
    fields = ANALYZER.passages_terms([("情シスの手引き", "本文")])
    assert "=情シス" in fields["title"][0]
    assert fields["lemma"][0].count("=情シス") == 1
    assert ANALYZER.passage_terms("情シスの手引き", "本文")["title"] == fields["title"][0]


def test_the_list_is_part_of_the_fingerprint_and_its_file_is_not() -> None:
    """Guards an index searched with other words, and terms made anew because of a comment or another order."""
    other = parse_words(
        "# 注\n見出し語,読み\n\nHS-200\nＡＩ室\n年休暇\nハチ公プロジェクト\n情シス,ジョウシス\n",
        where="x",
    )
    assert PLAIN.with_words(other).fingerprint == ANALYZER.fingerprint != PLAIN.fingerprint
    assert PLAIN.with_words(WordList()).fingerprint == PLAIN.fingerprint
    assert WordList.of(WORDS.canonical).words == WORDS.words
    assert WordList.of("").words == frozenset()
    with pytest.raises(IndexMismatch):
        Analyzer(ANALYZER.fingerprint)
    assert Analyzer(ANALYZER.fingerprint, words=WORDS).word_list is WORDS


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("課", "見出し語にできません"),
        ("、。", "見出し語にできません"),
        ("あ" * 65, "見出し語にできません"),
        (",よみ", "見出し語がありません"),
        ("旅費,りょひ,名詞", "項目が三つ以上"),
        ("旅費,ryohi", "読み「ryohi」"),
        ("情シス", "「情シス」は 1 行目にもあります"),
        ("情ｼｽ,じょうしす", "「情シス」は 1 行目にもあります"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_line(line: str, said: str) -> None:
    """Guards a dictionary that is half read."""
    with pytest.raises(RecipeError) as error:
        parse_words(f"情シス\n\n{line}\n", where="words.csv")
    assert "words.csv の 3 行目" in error.value.sentence
    assert said in error.value.sentence
    assert error.value.code == "bad_words"


def test_a_word_keeps_its_reading_in_katakana() -> None:
    """Guards two spellings of one reading, and quoted cells of a spreadsheet."""
    assert parse_words('"情シス","じょうしす"\r\n', where="x").words == {
        Word("情シス", "ジョウシス")
    }
