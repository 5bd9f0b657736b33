"""Dates at the borders of eras, fiscal years and calendars; spans of years; what is no date."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ragjp.japanese.dates import take_dates, take_dates_plainly
from ragjp.japanese.hidden import hidden_forms
from ragjp.japanese.normalize import fold

#: First and last day of each era, as its own count of years writes it.
BORDERS = [
    ("明治6年1月1日", "1873-01-01"),
    ("明治5年12月3日", "1873-01-01"),  # the day that the calendar changed
    ("明治5年12月2日", "1872-12-02"),  # of the old calendar, as written
    ("明治45年7月29日", "1912-07-29"),
    ("明治45年7月30日", "1912-07-30"),
    ("大正元年7月30日", "1912-07-30"),
    ("大正15年12月24日", "1926-12-24"),
    ("大正15年12月25日", "1926-12-25"),
    ("昭和元年12月25日", "1926-12-25"),
    ("昭和64年1月7日", "1989-01-07"),
    ("S64.1.7", "1989-01-07"),
    ("平成元年1月8日", "1989-01-08"),
    ("H1.1.8", "1989-01-08"),
    ("平成31年4月30日", "2019-04-30"),
    ("H31.4.30", "2019-04-30"),
    ("令和元年5月1日", "2019-05-01"),
    ("R1.5.1", "2019-05-01"),
    ("令和六年二月二十九日", "2024-02-29"),
]


def forms(text: str) -> list[str]:
    found = take_dates(fold(text))
    assert found == take_dates_plainly(fold(text)), text
    return found[0]


@pytest.mark.parametrize(("written", "day"), BORDERS)
def test_days_at_the_borders_of_eras(written: str, day: str) -> None:
    """An era counted from the wrong year is wrong everywhere, and at its border first."""
    assert forms(written) == [f"@{day}", f"@{day[:7]}", f"@{day[:4]}"]
    common = date.fromisoformat(day)
    if common.year > 1872:
        assert forms(f"{common.year}年{common.month}月{common.day}日") == forms(written)
        assert forms(common.strftime("%Y/%m/%d")) == forms(written)
        assert forms(common.strftime("%Y%m%d")) == forms(written) or common.year < 1900


@pytest.mark.parametrize(("era", "first"), [("昭和", 1926), ("平成", 1989), ("令和", 2019)])
def test_every_first_of_april_of_an_era(era: str, first: int) -> None:
    for count in range(2, 40):
        assert forms(f"{era}{count}年4月1日") == forms(f"{first + count - 1}年4月1日")
        assert forms(f"{era}{count}年度") == [f"@fy{first + count - 1}"]


@pytest.mark.parametrize(
    "writings",
    [
        [
            "2019年度",
            "平成31年度",
            "令和元年度",
            "令和1年度",
            "H31年度",
            "R元年度",
            "FY2019",
            "FY19",
        ],
        ["2020年度", "令和2年度", "平成32年度", "二〇二〇年度", "2020会計年度", "FY'20"],
        ["1988年度", "昭和63年度", "S63年度"],
    ],
)
def test_writings_of_one_fiscal_year(writings: list[str]) -> None:
    """A question about the fiscal year 2019 must find both names of it."""
    assert len({tuple(forms(writing)) for writing in writings}) == 1, writings


def test_a_fiscal_year_is_no_year_and_neither_the_next() -> None:
    assert not set(forms("2019年度")) & set(forms("2019年"))
    assert not set(forms("2019年度")) & set(forms("2020年度"))
    assert forms("平成31年度4月1日")[:2] == ["@fy2019", "@2019-04-01"]


def test_the_days_around_the_end_of_a_fiscal_year_stay_apart() -> None:
    """31 March 2020 and 1 April 2020 share their year and nothing smaller."""
    last = date(2020, 3, 31)
    before, after = forms(f"{last:%Y/%m/%d}"), forms(f"{last + timedelta(1):%Y/%m/%d}")
    assert set(before) & set(after) == {"@2020"}
    assert forms("令和2年3月31日") == before
    assert forms("令和2年4月1日") == after


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("令和5~7年度", ["@fy2023", "@fy2024", "@fy2025"]),
        ("平成30・令和元年度", ["@fy2018", "@fy2019"]),
        ("平成30～令和2年度", ["@fy2018", "@fy2019", "@fy2020"]),
        ("2021-23年", ["@2021", "@2022", "@2023"]),
        ("2021年度から2023年度まで", ["@fy2021", "@fy2023"]),
        ("1939〜1960年", ["@1939", "@1960"]),
    ],
)
def test_spans_of_years(text: str, expected: list[str]) -> None:
    """The first year of a span has no 年 of its own."""
    assert forms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'98年6月", ["@1998-06", "@1998"]),
        ("’05年", ["@2005"]),
        ("FY68", ["@fy2068"]),
        ("FY69", ["@fy1969"]),
        ("2023/09", ["@2023-09", "@2023"]),
        ("20230401", ["@2023-04-01", "@2023-04", "@2023"]),
    ],
)
def test_short_and_packed_dates(text: str, expected: list[str]) -> None:
    assert forms(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("令和0年", "平成〇年", "令和0年4月1日", "98年", "20231301", "20230230", "12345678"),
        *("920230401", "2023/13", "2023/0", "2023-04", "1/2", "'9年", "o'98", "fy5"),
    ],
)
def test_what_is_no_year(text: str) -> None:
    """There is no year 0; two digits alone may be of any era; a part of a longer number is none."""
    assert forms(text) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2023年度第1四半期", "令和5年度第一四半期"),
        ("第3四半期", "3Q"),
        ("2024年度第３四半期", "FY2024 3Q"),
    ],
)
def test_quarters(one: str, other: str) -> None:
    assert hidden_forms(fold(one)) == hidden_forms(fold(other))
    assert hidden_forms(fold("第1四半期")) != hidden_forms(fold("第2四半期"))
