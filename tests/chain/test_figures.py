"""Numbers, years and measures by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.chain.figures import (
    Quantity,
    articles_in,
    claimed_numbers,
    codes_in,
    days_in,
    mentions_in,
    numbers_in,
    quantities_in,
    value_of,
    within,
    years_in,
)
from ragjp.japanese.normalize import fold


@given(st.integers(0, 10**12))
def test_digits_with_commas_have_their_value(number: int) -> None:
    """Guards against thousands taken for decimals."""
    assert value_of(f"{number:,}") == number


@pytest.mark.parametrize(
    ("numeral", "value"),
    [
        ("三百万", 3e6),
        ("3,200万", 3.2e7),
        ("一千八百四十万", 1.84e7),
        ("二〇二四", 2024),
        ("十", 10),
        ("41億2千万", 4.12e9),
        ("1.5", 1.5),
    ],
)
def test_kanji_numerals(numeral: str, value: float) -> None:
    """Guards against 三百万円 and 3,000,000円 being two amounts."""
    assert value_of(numeral) == value


@pytest.mark.parametrize(
    "text", ["令和5年4月1日", "R5.4.1", "2023年4月1日", "２０２３／４／１", "FY2023"]
)
def test_one_year_in_every_calendar(text: str) -> None:
    """Guards against refusing 令和5年 for a page that writes 2023年."""
    assert years_in(fold(text)) == {2023}


def test_dates_agree_across_calendars() -> None:
    """Guards against R5.4.1 read as five point four."""
    assert claimed_numbers(fold("令和5年4月1日")) <= numbers_in(fold("R5.4.1"))
    assert claimed_numbers(fold("R5.4.1")) <= numbers_in(fold("2023年4月1日"))
    assert days_in(fold("R5.4.1")) == days_in("四月一日") == {(4, 1)}


def test_words_with_kanji_numerals_claim_no_number() -> None:
    """Guards against dropping a citation over the 一 of 一般."""
    assert claimed_numbers("一般に統一された第三者機関と千葉の三菱") == {3}


def test_articles_and_codes() -> None:
    """Guards against 第二十三条 and 第23条 being two articles, and eras being product codes."""
    assert articles_in(fold("第二十三条及び第５条の２")) == {"23", "5-2"}
    assert codes_in(fold("ＨＳ－２００のE-04は80A、R5.4.1から12km")) == {"hs-200", "e-04"}
    assert "80a" in mentions_in("80aと12km")


@pytest.mark.parametrize(
    ("asked", "row", "verdict"),
    [
        ("12km", "10km以上15km未満 7,100円", True),
        ("15km", "10km以上15km未満 7,100円", False),
        ("勤続3年", "1年以上5年未満 6か月", True),
        ("3年半", "3年6か月 16日", True),
        ("三百万円", "300万円以上1,000万円未満 本部長", True),
        ("三百万円", "50万円以上300万円未満 部長", False),
        ("3人", "10km以上15km未満", None),
    ],
)
def test_measures_lie_in_ranges(asked: str, row: str, verdict: bool | None) -> None:
    """Guards against the wrong row of a table of steps."""
    assert within(quantities_in(asked)[-1], quantities_in(row)) is verdict


def test_months_join_years() -> None:
    """Guards against 3年6か月 read as two durations."""
    assert quantities_in("3年6か月以上") == [Quantity(42, "か月", "以上")]
