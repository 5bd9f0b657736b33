"""Sentence borders, and that no character is lost between two sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.japanese.sentences import split_sentences

#: Signs that open, close, end, break lines and start items.
TRICKY = "あ漢A1 　\n\r\t\f。．！？!?.、「」『』（）()【】・●①-|…\u2028"


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@settings(max_examples=400)
@given(st.text(TRICKY, max_size=80) | st.text(st.characters(exclude_categories=["Cs"])))
def test_every_character_belongs_to_one_sentence(text: str) -> None:
    """A character between two sentences could be neither found nor cited."""
    spans = split_sentences(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip(), "lost between two sentences"
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今日は晴れ。明日は雨！本当？", ["今日は晴れ。", "明日は雨！", "本当？"]),
        ("本当か！？次だ。", ["本当か！？", "次だ。"]),
        ("「行く。帰る。」と言った。次。", ["「行く。帰る。」と言った。", "次。"]),
        ("「はい。」「いいえ。」", ["「はい。」", "「いいえ。」"]),
        ("条件（注。なお『甲。乙』）に従う。次。", ["条件（注。なお『甲。乙』）に従う。", "次。"]),
        ("終わった（笑）。次だ。", ["終わった（笑）。", "次だ。"]),
        ("終わった。）次だ。", ["終わった。）", "次だ。"]),
        ("(半角。括弧）でも。次。", ["(半角。括弧）でも。", "次。"]),
        ("値は3.5、３．５です．次．", ["値は3.5、３．５です．", "次．"]),
        ("See Co., Ltd. and e.g. this. Next one.", ["See Co., Ltd. and e.g. this.", "Next one."]),
        ("https://a.jp/x?y=1!z を見る。次。", ["https://a.jp/x?y=1!z を見る。", "次。"]),
        ("Yahoo!ニュースを見る。次。", ["Yahoo!ニュースを見る。", "次。"]),
        ("Ⅲ．規格について定める。", ["Ⅲ．規格について定める。"]),
        ("", []),
        (" \n　\n", []),
    ],
)
def test_borders_inside_a_line(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_an_unclosed_bracket_swallows_nothing() -> None:
    text = "「閉じない。" + "文です。" * 200 + "」"
    assert len(sentences(text)) == 201
    assert sentences("（閉じない。次。") == ["（閉じない。", "次。"]


def test_stray_closing_brackets_do_not_open_a_quotation() -> None:
    assert sentences("「甲）乙。丙」と丁。戊。") == ["「甲）乙。丙」と丁。", "戊。"]


def test_a_line_broken_by_the_width_of_the_page_goes_on() -> None:
    """PDF text breaks lines inside words; a sentence cut there cannot be quoted."""
    text = (
        "第1条（目的）\r\n"
        "この規程は、役員及び従業員が社命により出張する場合の旅費について\r\n"
        "定める。\r\n"
        "第2条（区分）\r\n"
        "出張は、日帰り出張、宿泊出張及び海外出張の3種とする。日帰り出張\r\n"
        "とは、勤務地から片道50キロメートル以上の地へ赴くものをいう。\r\n"
    )
    assert [s.replace("\r\n", "") for s in sentences(text)] == [
        "第1条（目的）",
        "この規程は、役員及び従業員が社命により出張する場合の旅費について定める。",
        "第2条（区分）",
        "出張は、日帰り出張、宿泊出張及び海外出張の3種とする。",
        "日帰り出張とは、勤務地から片道50キロメートル以上の地へ赴くものをいう。",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ["・一つ目の項目", "・二つ目の項目", "● 三つ目", "- 四つ目"],
        ["(1) 申請書", "（２）領収書", "① 報告書", "1. 目次", "ア　別紙"],
        ["第3章 海外旅費", "第10条（日当）", "【注意】", "附則"],
        ["職位\t鉄道\t航空機", "役員\tグリーン車\t普通席"],
        ["| 職位 | 鉄道 |", "| 役員 | グリーン車 |"],
    ],
)
def test_items_headings_and_rows_are_sentences_of_their_own(lines: list[str]) -> None:
    assert sentences("\n".join(lines)) == lines


def test_a_full_line_does_not_run_into_an_item() -> None:
    wide = "これはページの幅いっぱいに続いている一行の文章であり終わりに句点がない"
    assert sentences(f"{wide}\n{wide}\n・項目") == [f"{wide}\n{wide}", "・項目"]


def test_an_empty_line_ends_a_sentence() -> None:
    wide = "これはページの幅いっぱいに続いている一行の文章であり終わりに句点がない"
    assert sentences(f"{wide}\n\n{wide}") == [wide, wide]


@pytest.mark.parametrize(
    "unit", ["「", "（「", "」", "あ。", "a.", "(" * 7 + "]", "。", "、\n", "1."]
)
def test_long_degenerate_texts_end(unit: str) -> None:
    """A quadratic search would not come back from this within the time limit of the suite."""
    text = unit * (50_000 // len(unit))
    assert split_sentences(text)[-1].end == len(text.rstrip())
