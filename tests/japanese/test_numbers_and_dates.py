"""Hidden normal forms: every writing of one number or date gives one form."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragjp.japanese.dates import take_dates, take_dates_plainly
from ragjp.japanese.normalize import fold
from ragjp.japanese.numbers import number_forms, number_value
from ragjp.japanese.terms import Analyzer


@pytest.mark.parametrize(
    ("writings", "form"),
    [
        (
            ["三百万円", "300万円", "3,000,000円", "３００万円", "3百万円", "3000000円"],
            "#3000000円",
        ),
        (["第二十三条", "第23条", "第２３条", "23条", "第 23 条"], "#23条"),
        (["第二条の三", "第2条の3"], "#2条の3"),
        (["1.5億円", "一億五千万円", "150,000,000円", "1億5,000万円"], "#150000000円"),
        (["3.5%", "３．５％", "3.50パーセント"], "#3.5%"),
        (["三ヶ月", "3か月", "3カ月", "３箇月"], "#3か月"),
        (["七営業日", "7営業日"], "#7営業日"),
        (["千円", "1,000円", "1千円", "¥1,000", "￥1,000", "壱千円", "千円"], "#1000円"),
        (["三千二百万円", "3,200万円", "32,000千円", "32百万円"], "#32000000円"),
        (["二割", "20%", "2割", "二十パーセント", "２０％"], "#20%"),
        (["三割五分", "35%", "3割5分"], "#35%"),
        (["三・五％", "3.5%", "三・五パーセント"], "#3.5%"),
        (["弐拾万円", "二十万円", "20万円"], "#200000円"),
        (["第二十三条の二の三", "第23条の2の3", "23条ノ2ノ3"], "#23条の2の3"),
        (["六箇所", "6か所", "6カ所", "6ヶ所", "6ヵ所"], "#6か所"),
        (["50㎡", "50m2", "50平方メートル", "五十平米"], "#50m2"),
        (["5kg", "５㎏", "5キログラム", "五キログラム"], "#5kg"),
        (["8㍉", "8ミリ", "8mm", "8ミリメートル"], "#8mm"),
        (["30℃", "30度", "30°C"], "#30度"),
        (["別表第一", "別表第1", "別表1", "別表 1"], "#別表1"),
        (["十九世紀", "19世紀"], "#19世紀"),
    ],
)
def test_writings_of_one_number(writings: list[str], form: str) -> None:
    for writing in writings:
        assert number_forms(fold(writing)) == [form], writing


def test_numbers_without_a_known_unit_and_identifiers_stay_out() -> None:
    assert number_forms(fold("型番 12345、一般、三田、" + "9" * 40 + "円")) == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "三度目",
            "持参人",
            "割合",
            "分割",
            "代表2",
            "二・三",
            "ミリ",
            "5ミリオン",
            "20mmhg",
            "a4",
            "5gbps",
        ),
        *("¥", "参照"),
    ],
)
def test_what_only_looks_like_a_number_with_a_unit(text: str) -> None:
    assert number_forms(fold(text)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("100m", "100mm"), ("50m2", "50m3"), ("5kg", "5g"), ("二割", "二分"), ("5キロ", "5kg")),
        *(
            ("10万円", "100万円"),
            ("1,000円", "1,000ドル"),
            ("第23条", "第23条の2"),
            ("3.5%", "35%"),
        ),
    ],
)
def test_different_amounts_stay_apart(one: str, other: str) -> None:
    assert number_forms(fold(one).replace(",", "")) != number_forms(fold(other).replace(",", ""))


@given(st.integers(0, 10**16 - 1))
def test_kanji_numbers_are_read_back(value: int) -> None:
    assert number_value(_in_kanji(value)) == value
    assert number_value(f"{value:,}") == value


def _in_kanji(value: int) -> str:
    text = ""
    for unit in (10**12, 10**8, 10**4, 1):
        section, value = divmod(value, unit)
        part = ""
        for small in (1000, 100, 10, 1):
            digit, section = divmod(section, small)
            if digit:
                one = "" if digit == 1 and small > 1 else "〇一二三四五六七八九"[digit]
                part += one + {1000: "千", 100: "百", 10: "十", 1: ""}[small]
        text += part + ({10**12: "兆", 10**8: "億", 10**4: "万", 1: ""}[unit] if part else "")
    return text or "〇"


def test_mixed_and_positional_digits() -> None:
    assert number_value("3千5百万") == 35_000_000
    assert number_value("二〇二三") == 2023
    assert number_value("1.5億") == Decimal(150_000_000)


@pytest.mark.parametrize(
    ("writings", "forms"),
    [
        (
            [
                *("令和5年4月1日", "R5.4.1", "r5/4/1", "2023年4月1日", "2023/04/01", "2023-4-1"),
                *("令和五年四月一日", "２０２３年４月１日", "令和 5 年 4 月 1 日", "㋿5年4月1日"),
                *("二〇二三年四月一日", "2023(令和5)年4月1日", "令和5(2023)年4月1日", "R.5.4.1"),
            ],
            ["@2023-04-01", "@2023-04", "@2023"],
        ),
        (["令和5年4月", "2023年4月"], ["@2023-04", "@2023"]),
        (["令和5年", "2023年", "R5年", "2023(令和5)年"], ["@2023"]),
        (["令和5年度", "2023年度", "FY2023", "R5年度", "2023（令和５）年度"], ["@fy2023"]),
        # The borders of the eras.
        (["平成31年4月30日", "H31.4.30"], ["@2019-04-30", "@2019-04", "@2019"]),
        (["令和元年5月1日", "令和1年5月1日"], ["@2019-05-01", "@2019-05", "@2019"]),
        (["昭和64年1月7日", "S64.1.7"], ["@1989-01-07", "@1989-01", "@1989"]),
        (["平成元年1月8日", "H1.1.8"], ["@1989-01-08", "@1989-01", "@1989"]),
        (["大正15年12月24日", "T15.12.24"], ["@1926-12-24", "@1926-12", "@1926"]),
        (["昭和元年12月25日"], ["@1926-12-25", "@1926-12", "@1926"]),
        (["明治45年7月29日", "M45.7.29"], ["@1912-07-29", "@1912-07", "@1912"]),
        (["大正元年7月30日"], ["@1912-07-30", "@1912-07", "@1912"]),
        (["明治元年10月23日"], ["@1868-10-23", "@1868-10", "@1868"]),
        # Written before the era ended, meant after it.
        (["平成35年3月31日", "2023年3月31日"], ["@2023-03-31", "@2023-03", "@2023"]),
    ],
)
def test_writings_of_one_date(writings: list[str], forms: list[str]) -> None:
    for writing in writings:
        assert take_dates(fold(writing))[0] == forms, writing


@pytest.mark.parametrize(
    "text",
    ["2023/13/45", "v1.8.0", "192.168.0.1", "iso9001", "a4", "12.5.1", "300円", "1990.5.1.2"],
)
def test_what_is_no_date(text: str) -> None:
    assert take_dates(fold(text)) == ([], fold(text))


def test_impossible_days_keep_their_month() -> None:
    assert take_dates("2023年2月30日")[0] == ["@2023-02", "@2023"]


def test_forms_stand_in_the_lemma_field_only() -> None:
    terms = Analyzer().terms("令和５年４月１日から三百万円")
    assert terms["lemma"][-4:] == ["@2023-04-01", "@2023-04", "@2023", "#3000000円"]
    assert not any(term[0] in "@#" for term in terms["bigram"])
    assert not any(term.startswith("#5") for term in terms["lemma"]), "a date is not a number"


@given(st.text("令和元平成昭rh.0123/-年月日度()fy 一十〇", max_size=30))
def test_any_text_is_survived(text: str) -> None:
    forms, rest = take_dates(text)
    assert all(form.startswith("@") for form in forms)
    number_forms(rest)


@given(st.text("令和元平成昭rhsfy.0123/-年月日度() 一二〇三九", max_size=30))
@example("三一九二三年")
@example("s1923年r2023年")
def test_dates_are_those_found_by_trying_every_character(text: str) -> None:
    """A filter that skips a beginning would lose dates."""
    assert take_dates(text) == take_dates_plainly(text)
