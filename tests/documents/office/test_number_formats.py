"""Numbers and dates of sheets read as they are shown."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.documents.office.date_formats import era_of, moment_of
from ragjp.documents.office.number_formats import BUILT_IN, format_text, format_value
from ragjp.documents.office.numbering import format_number, kanji_number

ERA = '[$-411]ggge"年"m"月"d"日"'


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (1234567.5, "#,##0", "1,234,568"),
        (0.125, "0.0%", "12.5%"),
        (1.005, "0.00", "1.01"),
        (-1234, "#,##0;[Red]▲#,##0", "▲1,234"),
        (-1234, "#,##0_ ;[Red]\\-#,##0\\ ", "-1,234 "),
        (0, '#,##0;-#,##0;"-"', "-"),
        (-0.4, "0", "0"),
        (12345678, '#,##0,"千円"', "12,346千円"),
        (1600004, '000"-"0000', "160-0004"),
        (1234567, '0"万"0000"円"', "123万4567円"),
        (5, "000", "005"),
        (0.5, "#.##", ".5"),
        (12, "0.##", "12"),
        (1, '"第"0"回"', "第1回"),
        (100, 'G/標準"円"', "100円"),
        (1234.5, "0.00E+00", "1.23E+03"),
        (0.5, "# ?/?", "1/2"),
        (2.25, "# ?/?", "2 1/4"),
        (7, '[>=10]"多";"少"', "少"),
        (1000, "[$¥-411]#,##0", "¥1,000"),
        (-1000, '"¥"#,##0;"¥"-#,##0', "¥-1,000"),
        (1e5, '_ * #,##0_ ;_ * -#,##0_ ;_ * "-"_ ;_ @_ ', "100,000"),
        (3, ";;;", ""),
        (5, "", "5"),
        (45047, ERA, "令和5年5月1日"),
        (43585, ERA, "平成31年4月30日"),
        (43586, ERA, "令和1年5月1日"),
        (43586, '[$-ja-JP-x-gannen]ggge"年"m"月"d"日";@', "令和元年5月1日"),
        (43586, "[$-411]ge.m.d", "R1.5.1"),
        (45047, "gge.mm.dd", "令5.05.01"),
        (45047.75, "yyyy/mm/dd hh:mm", "2023/05/01 18:00"),
        (45047, "m/d(aaa)", "5/1(月)"),
        (45047, "yyyy年m月d日(aaaa)", "2023年5月1日(月曜日)"),
        (45047, "d-mmm-yy", "1-May-23"),
        (0.75, "h:mm AM/PM", "6:00 PM"),
        (0.5, 'h"時"mm"分"', "12時00分"),
        (1.5, "[h]:mm", "36:00"),
        (0.00001, "mm:ss.0", "00:00.9"),
        (1, "yyyy/m/d", "1900/1/1"),
        (61, "yyyy/m/d", "1900/3/1"),
        (-1, "yyyy/m/d", "-1"),
    ],
)
def test_as_shown(value: float, code: str, shown: str) -> None:
    """Guards against indexing 45047 where the page says 令和5年5月1日."""
    assert format_value(value, code) == shown


def test_other_beginning_of_days() -> None:
    """Guards against dates four years off in workbooks from old Macs."""
    assert format_value(43585, ERA, from_1904=True) == "令和5年5月1日"


def test_texts() -> None:
    """Guards against number formats applied to words."""
    assert format_text("山田", '@"様"') == "山田様"
    assert format_text("山田", "#,##0") == "山田"


@given(st.dates(date(1900, 3, 1), date(2100, 12, 31)))
def test_every_day_and_its_era(day: date) -> None:
    """Guards against a calendar that is a day off, and eras that begin on the wrong day."""
    number = (day - date(1899, 12, 30)).days
    moment = moment_of(number)
    assert moment is not None
    assert moment.date() == day
    assert format_value(number, "yyyy/m/d") == f"{day.year}/{day.month}/{day.day}"
    name, _, year = era_of(day)
    first = {"令和": 2019, "平成": 1989, "昭和": 1926, "大正": 1912, "明治": 1868}[name]
    assert day.year == first + year - 1
    assert era_of(day)[2] - era_of(day - timedelta(days=1))[2] in (0, 1) or year == 1


@given(st.integers(-(10**12), 10**12))
def test_thousands_keep_their_digits(number: int) -> None:
    """Guards against digits lost between the commas."""
    assert format_value(number, "#,##0") == f"{number:,}"
    assert format_value(number, "General") == str(number)


@given(st.floats(allow_nan=False, allow_infinity=False), st.one_of(st.sampled_from(sorted(BUILT_IN.values())), st.text("0#?.,%E+-/ymdhsegar[]$\";@_*\\年", max_size=12)))  # fmt: skip
def test_any_number_in_any_format(value: float, code: str) -> None:
    """Guards against formats that end the reading of a workbook."""
    assert isinstance(format_value(value, code), str)


def test_a_number_whose_seconds_are_beyond_every_float_is_shown_as_a_number() -> None:
    """Guards against a format of elapsed hours that ended the reading of the workbook (found by the test above)."""
    assert format_value(1e308, "[h]:mm:ss") == format_value(1e308, "General")


def test_the_last_moment_of_the_calendar() -> None:
    """Guards against a moment rounded into the year 10000."""
    for code in ("yyyy/m/d h:mm:ss", "yyyy/m/d h:mm:ss.000", "[h]:mm"):
        assert isinstance(format_value(2958465.9999999995, code), str)


def test_a_fraction_that_begins_with_its_stroke() -> None:
    """Guards against a format ``/0/0`` that ended the reading of the workbook."""
    assert format_value(0.5, "/0/0") == "1/2"


def test_numbers_of_lists() -> None:
    """Guards against 第十条 drawn as 第十零条."""
    assert [kanji_number(n) for n in (1, 10, 11, 20, 110, 1000)] == ["一", "十", "十一", "二十", "百十", "千"]  # fmt: skip
    assert format_number(21, "decimalEnclosedCircle") == "(21)"
    assert format_number(4, "irohaFullWidth") == "ニ"
    assert format_number(3, "someOtherCountry") == "3"
