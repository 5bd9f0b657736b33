"""The folding contract: what folds to what, and that every place leads back to the source."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragjp.japanese.normalize import FOLDING_VERSION, Folded, fold, normalize
from ragjp.japanese.variants import VARIANTS

#: Characters whose folding depends on one another: marks, blanks, dashes, digits in all shapes.
TRICKY = (
    "アカサバーかがは日本東京國髙﨑、。「」（）ABab019０９①②½²㈱㍻⽤⺟ｶﾊﾞﾟﾞ゛゜"
    "\u3099\u309a\u200b\u00ad\ufe0e\U000e0100\ufeff \u3000\u00a0\n\r\t\f\x00\x0b\u2028-‐―－~～ーｰ"
    "\u0301\u0307İIΣςǅ한ᄒ\u1161\u11ab𠮷\U0002f800𝟙😀"
)
any_text = st.text(st.characters(exclude_categories=["Cs"]))
tricky_text = st.text(TRICKY, max_size=24)


@pytest.mark.parametrize(
    ("source", "folded"),
    [
        ("㈱髙島屋", "(株)高島屋"),
        ("㍻31年→㋿元年", "平成31年→令和元年"),
        ("ﾊﾞﾝｸﾞﾗﾃﾞｼｭ", "バングラデシュ"),
        ("か\u3099か゛ハ゜", "ががパ"),
        ("あ゛", "あ゛"),
        ("ＪＲ　Ｅａｓｔ", "jr east"),
        ("國立・澤田・山﨑・渡邉・渡邊", "国立・沢田・山崎・渡辺・渡辺"),
        ("斎藤と斉藤と齋藤と齊藤", "斎藤と斉藤と斎藤と斉藤"),
        ("利⽤⺟⼀", "利用母一"),
        ("葛\U000e0100城", "葛城"),
        ("サ-バ-は、サ−バ‐。A-B 東-西", "サーバーは、サーバー。a-b 東-西"),
        ("03ー1234―5678", "03-1234-5678"),
        ("10時〜12時～~", "10時~12時~~"),
        ("あ\u200bい\u00adう\ufeff", "あいう"),
        ("10②", "10 2"),
        ("①②③", "1 2 3"),
        ("3½", "3 1/2"),
        ("m²、①申込", "m2、1申込"),
        ("調　査　目　的", "調査目的"),
        ("出張\r\nとは、勤務地", "出張とは、勤務地"),
        ("概要\n\n本書", "概要\t本書"),
        ("氏名\t田中", "氏名\t田中"),
        ("JR 東京 駅", "jr 東京駅"),
        ("this  is\na line", "this is a line"),
        ("人々　ヴァイオリン", "人々ヴァイオリン"),
        ("“引用”‘句’", "\"引用\"'句'"),
        ("a\x00b", "a b"),
        ("", ""),
    ],
)
def test_folding(source: str, folded: str) -> None:
    assert fold(source) == folded
    assert normalize(source).text == folded


@settings(max_examples=400)
@given(any_text | tricky_text)
@example("0①0")
@example("か\u200b゛")
@example("カ-\nカ")
@example("\u1100\u1161\u200b\u11a8")
def test_folding_twice_changes_nothing(text: str) -> None:
    """An index that stores folded text and folds it again must not drift from the query."""
    once = fold(text)
    assert fold(once) == once


@settings(max_examples=300)
@given(tricky_text | any_text, st.data())
def test_every_span_leads_to_the_source_and_back(text: str, data: st.DataObject) -> None:
    """A highlight must lie in the source, grow with the span, and hold all the span came from."""
    folded = normalize(text)
    n = len(folded.text)
    start = data.draw(st.integers(0, n))
    end = data.draw(st.integers(start, n))
    source = folded.source_span(start, end)
    assert 0 <= source.start <= source.end <= len(text)
    back = folded.folded_span(*source)
    assert 0 <= back.start <= back.end <= n
    if start < end:
        assert source.start < source.end
        assert back.start <= start
        assert end <= back.end
        # Cut from the source and folded alone, the span has the same characters, but for blanks.
        alone = normalize(text[source.start : source.end])
        assert alone.text != "" or not folded.text[start:end].strip()
    if end < n:
        wider = folded.source_span(start, end + 1)
        assert wider.end >= source.end
    if start > 0:
        assert folded.source_span(start - 1, max(start, end)).start <= source.start


@given(st.text("日本語の文章、これは。ab12-", max_size=40))
def test_where_nothing_folds_offsets_are_the_same(text: str) -> None:
    folded = normalize(text)
    if folded.text == text:
        assert folded.stages == ()
    for i in range(len(text)):
        if folded.stages == ():
            assert folded.source_span(i, i + 1) == (i, i + 1)


def test_same_length_folding_keeps_no_edits() -> None:
    """Full-width text is common; its map must cost nothing."""
    folded = normalize("ＡＢＣ１２３（髙﨑）カ-ド")
    assert folded == Folded("abc123(高崎)カード")


def test_the_map_is_exact_around_every_kind_of_edit() -> None:
    text = "前㈱ﾊﾞ東\n京\u200b後"
    folded = normalize(text)
    assert folded.text == "前(株)バ東京後"
    spans = [folded.source_span(i, i + 1) for i in range(len(folded.text))]
    assert [text[a:b] for a, b in spans] == ["前", "㈱", "㈱", "㈱", "ﾊﾞ", "東", "京", "後"]
    assert folded.source_span(5, 7) == (4, 7)
    assert folded.folded_span(1, 2) == (1, 4)
    assert folded.folded_span(5, 6) == (6, 6)
    assert [stage.before.dtype for stage in folded.stages] == [np.int32, np.int32]


def test_tables_have_no_chains() -> None:
    """A variant of a variant would need two passes, and folding twice would differ."""
    for old, new in VARIANTS.items():
        assert len(old) == len(new) == 1
        assert new not in VARIANTS
        assert unicodedata.normalize("NFKC", old) == old, f"{old} is NFKC's business"
        assert unicodedata.normalize("NFKC", new) == new


def test_unrelated_characters_stay_apart() -> None:
    for one, other in ("斎斉", "竜龍", "はぱ", "ー一", "土士", "未末"):
        assert fold(one) != fold(other)


def test_every_character_alone_is_a_fixed_point_after_one_fold() -> None:
    """Hypothesis samples; this looks at every character with its neighbours at once."""
    for first in range(0, 0x30000, 0x800):
        block = "".join(map(chr, range(first, first + 0x800)))
        block = "".join(c for c in block if unicodedata.category(c) != "Cs")
        for text in (block, "ア".join(block), "1".join(block)):
            once = fold(text)
            assert fold(once) == once, hex(first)


@given(st.text("アカサーかが々〇髙國ｶﾞ゛゜\u3099東京𠮷ヷヿゟ㌔ー", max_size=8) | tricky_text)
def test_folding_without_a_map_is_the_same(text: str) -> None:
    """Words of letters alone take a shorter way."""
    assert fold(text) == normalize(text).text


def test_version_is_named() -> None:
    assert FOLDING_VERSION
