"""What becomes a term, and in which field."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.errors import IndexMismatch
from ragjp.japanese.terms import FIELDS, Analyzer, bigrams
from ragjp.types import in_context

ANALYZER = Analyzer()


def lemmas(text: str) -> list[str]:
    assert ANALYZER.lemmas(text) == ANALYZER.terms(text)["lemma"]
    return ANALYZER.lemmas(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("サーバの申込", "ｻｰﾊﾞｰの申し込み"),
        ("引越しの見積り", "引っ越しを見積もり"),
        ("髙島屋", "高島屋"),
        ("３，０００，０００円", "3000000円"),
        ("バイオリン", "ヴァイオリン"),
        ("打合せ", "打ち合わせ"),
        ("㈱青葉", "株式会社青葉"),
        ("（株）青葉", "株式会社 青葉"),
        ("北斗(株)", "北斗株式会社"),
        ("㈲北斗", "有限会社北斗"),
        ("（公財）白樺文庫", "公益財団法人白樺文庫"),
        ("斎藤", "齊藤"),
        ("龍崎", "竜崎"),
        ("関ヶ原", "関ケ原"),
        ("ヴェネツィア", "ベネチア"),
        ("トランスデューサ", "トランスデューサー"),
        ("ズヴォルキン", "ズボルキン"),
    ],
)
def test_spellings_of_one_word_have_one_lemma(one: str, other: str) -> None:
    assert lemmas(one) == lemmas(other)


def test_names_with_one_reading_stay_apart() -> None:
    """UniDic's lemma of a proper noun is its reading: 橋本 and 端本 would be one."""
    assert lemmas("橋本") == ["橋本"]
    assert lemmas("東京") == ["東京"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("斉藤", "佐藤"), ("伊藤", "伊東"), ("ビル", "ビール"), ("スー", "ス"), ("書斎", "書斉")],
)
def test_other_words_keep_other_terms(one: str, other: str) -> None:
    assert lemmas(one) != lemmas(other)


def test_brackets_that_name_no_company_stay() -> None:
    assert lemmas("駐車場(有)") == ["駐車", "場", "有"]
    assert lemmas("(同)、(名)2") == ["同", "名", "2"]


def test_words_with_hyphens_are_found_without_them() -> None:
    """Wi-Fi is two words for the dictionary, WiFi one."""
    assert "wifi" in lemmas("Wi‐Fi")
    assert "covid19" in lemmas("COVID-19")
    assert "0312345678" in lemmas("03ー1234ー5678")
    assert lemmas("12-34") == ["12", "34"]
    assert lemmas("A-1.2") == ["a", "1.2"]


def test_grammar_and_signs_are_no_terms() -> None:
    assert lemmas("経費は、「旅費」でした。★😀") == ["経費", "旅費"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2023年", "2023"),
        ("３，０００，０００円", "3000000"),
        ("3.5%", "3.5"),
        ("版 1.8.0 です", "1.8.0"),
        ("192.168.0.1", "192.168.0.1"),
    ],
)
def test_a_number_is_one_term(text: str, number: str) -> None:
    assert number in lemmas(text)


def test_numbers_that_only_stand_together_are_not_joined() -> None:
    """1. 2023年 is an item and a year; 12,34 is a list."""
    assert lemmas("1. 2023年")[:2] == ["1", "2023"]
    assert lemmas("12,34")[:2] == ["12", "34"]
    assert lemmas("版1.2023と1. 2023年")[1:4] == ["1.2023", "1", "2023"]


def test_bigrams_stay_inside_runs() -> None:
    assert bigrams("経費規程、jr2023 円。a") == ["経費", "費規", "規程", "jr2023", "円", "a"]
    assert ANALYZER.terms("経費\n規程")["bigram"] == ["経費", "費規", "規程"]
    assert ANALYZER.terms("経費\n\n規程")["bigram"] == ["経費", "規程"]
    assert bigrams("") == []


@settings(max_examples=150)
@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("日本語かなカナー々A1０①,. \n「", max_size=40)
)
def test_terms_are_never_empty_or_blank(text: str) -> None:
    """An empty term would match every document."""
    terms = ANALYZER.terms(text)
    assert tuple(terms) == ("lemma", "bigram")
    for field in terms:
        assert all(term and not any(map(str.isspace, term)) for term in terms[field])


@pytest.mark.parametrize("field", ["lemma", "bigram"])
def test_folding_first_changes_no_term(field: str) -> None:
    """A caller that folded already must find the same documents."""
    from ragjp.japanese.normalize import fold

    text = "㈱髙島屋のＩＴ統制、第②条　ｻｰﾊﾞｰ　3½"
    assert ANALYZER.terms(text)[field] == ANALYZER.terms(fold(text))[field]


@pytest.mark.parametrize("context", ["", "経費規程 第3章", "旅費"])
def test_a_passage_has_the_terms_of_what_is_embedded_and_its_title_apart(context: str) -> None:
    """A title in two places must not count twice in one, and a cached one must not grow."""
    body = "精算は3営業日以内に行う。"
    for _ in range(2):
        terms = ANALYZER.passage_terms(context, body)
        assert tuple(terms) == FIELDS
        whole = ANALYZER.terms(in_context(context, body))
        assert (terms["lemma"], terms["bigram"]) == (whole["lemma"], whole["bigram"])
        assert terms["title"] == lemmas(context)
        terms["title"].append("追記")


def test_fingerprint_names_dictionary_folding_and_terms() -> None:
    assert "unidic-lite 1.0.8" in ANALYZER.fingerprint
    assert "folding" in ANALYZER.fingerprint
    assert Analyzer(ANALYZER.fingerprint).fingerprint == ANALYZER.fingerprint
    with pytest.raises(IndexMismatch, match=r"unidic-lite 1\.0\.7") as caught:
        Analyzer("unidic-lite 1.0.7; folding 1; terms 1")
    assert caught.value.code == "analyzer_mismatch"


def test_importing_loads_no_analyser() -> None:
    """``ragjp doctor`` must be able to say that fugashi is missing."""
    code = (
        "import sys, ragjp.japanese.terms, ragjp.japanese.chunks;"
        "print([m for m in ('fugashi', 'unidic_lite', 'torch', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "unit",
    [
        "9",
        "1.",
        "1 . 1.1 ",
        "9,",
        "九百",
        "令和5年",
        "2023/",
        "①",
        "カ-",
        "ｶﾞ",
        "か\u3099",
        "\u3099",
    ],
)
def test_long_degenerate_texts_end(unit: str) -> None:
    """Nested repetition in a pattern, or a quadratic join, would not come back from this."""
    terms = ANALYZER.terms(unit * (10_000 // len(unit)))
    assert tuple(terms) == ("lemma", "bigram")


def test_exact_forms_count_more_in_a_question() -> None:
    """R5.4.1 shares no word with 2023年4月1日, and 2023年4月2日 shares nearly all: the day has to win."""
    asked = ANALYZER.question_terms("R5.4.1の300円と2人、2023年")["lemma"]
    plain = ANALYZER.lemmas("R5.4.1の300円と2人、2023年")
    for term in ("@2023-04-01", "#300円"):
        assert asked.count(term) > plain.count(term) == 1
    for term in ("@2023-04", "@2023", "#2人", "2"):
        assert asked.count(term) == plain.count(term)
    assert ANALYZER.question_terms("経費の精算") == ANALYZER.terms("経費の精算")
