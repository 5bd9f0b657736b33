"""Numbers, years, durations and codes in folded Japanese text, by value: what an answer must not get wrong.

All functions take *folded* text (``ragjp.japanese.normalize.fold``): half-width digits, lower case, unified variants.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_DIGITS = {character: value for value, character in enumerate("〇一二三四五六七八九")}
_DIGITS["零"] = 0
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10**4, "億": 10**8, "兆": 10**12}

_KANJI = "〇零一二三四五六七八九十百千"
_ARABIC = r"\d+(?:,\d{3})*(?:\.\d+)?"
#: What follows a number written in kanji alone when it is a number and not part of a word (一般, 三菱, 千葉).
_COUNTER = r"(?=円|日|年|月|人|名|件|回|台|枚|条|項|号|種|章|節|時|分|秒|週|歳|本|社|通|倍|割|世代|営業日|か月|ヶ月|カ月|箇月|パーセント|%|メートル|キロ|万|億|親等|級)"
_NUMBER = re.compile(
    rf"(?P<number>{_ARABIC}[千万億兆]*|[{_KANJI}]+[万億兆]?[{_KANJI}]*{_COUNTER}|(?<=第)[{_KANJI}]+)"
)

_ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
_ERA_LETTERS = {"m": 1867, "t": 1911, "s": 1925, "h": 1988, "r": 2018}
_ERA_YEAR = re.compile(
    rf"(?P<era>明治|大正|昭和|平成|令和)\s*(?P<year>元|\d{{1,2}}|[{_KANJI}]{{1,3}})\s*年"
    r"|(?<![a-z0-9])(?P<letter>[mtshr])\s*(?P<short>\d{1,2})(?=\s*年|[./-]\d{1,2})"
)
_PLAIN_YEAR = re.compile(
    r"(?<![\d,.])(?P<year>(?:1[89]|20)\d{2})(?=\s*年|[./-]\d{1,2})|fy\s*(?P<fy>(?:19|20)\d{2})"
)
_DOTTED = re.compile(r"(?<![a-z0-9.])([mtshr]?)(\d{1,4})[./-](\d{1,2})[./-](\d{1,2})(?![\d.])")
_MONTH_DAY = re.compile(rf"(\d{{1,2}}|[{_KANJI}]{{1,3}})\s*月\s*(\d{{1,2}}|[{_KANJI}]{{1,3}})\s*日")
_ARTICLE = re.compile(rf"第\s*(?P<number>\d+|[{_KANJI}]+)\s*条(?:の(?P<sub>\d+|[{_KANJI}]+))?")
_CODE = re.compile(
    r"(?<![a-z0-9])(?=[a-z0-9-]*[a-z])(?=[a-z0-9-]*\d)[a-z0-9]+(?:-[a-z0-9]+)*(?![a-z0-9])"
)
_QUANTITY = re.compile(
    rf"(?P<number>{_ARABIC}[千万億兆]*|[{_KANJI}]+[万億兆]?[{_KANJI}]*)\s*"
    r"(?P<unit>円|km|キロメートル|か月|ヶ月|カ月|箇月|年|時間|日|歳|人|名|台|件|回|%|パーセント)(?P<half>半)?"
)
_BOUND = re.compile(r"^\s*(?:間|の)?\s*(?P<bound>以上|以下|以内|未満|超|を超え|まで)")
_MONTHS = {"か月", "ヶ月", "カ月", "箇月"}


def value_of(numeral: str) -> float | None:
    """Return the value of a numeral (``3,200万``, ``三百万``, ``二十三``, ``1.5``); None when it is none.

    Examples
    --------
    >>> value_of("3,200万"), value_of("三百万"), value_of("二〇二四"), value_of("八百")
    (32000000.0, 3000000.0, 2024.0, 800.0)
    """
    total, group, plain = 0.0, 0.0, ""
    seen = False
    for character in numeral.replace(",", ""):
        if (character.isdigit() and character.isascii()) or character == ".":
            plain += character
        elif character in _DIGITS:
            plain += str(_DIGITS[character])
        elif character in _SMALL:
            group += (float(plain) if plain else 1.0) * _SMALL[character]
            plain = ""
        elif character in _LARGE:
            group += float(plain) if plain else 0.0
            total += (group or 1.0) * _LARGE[character]
            group, plain = 0.0, ""
        else:
            return None
        seen = True
    try:
        return total + group + (float(plain) if plain else 0.0) if seen else None
    except ValueError:
        return None


def years_in(folded: str) -> frozenset[int]:
    """Return the years named in a text in the western calendar: 令和5年, R5.4.1, 2023年, FY2023 are all 2023."""
    found: set[int] = set()
    for match in _ERA_YEAR.finditer(folded):
        if match["era"]:
            number = 1 if match["year"] == "元" else int(value_of(match["year"]) or 0)
            found.add(_ERAS[match["era"]] + number)
        else:
            found.add(_ERA_LETTERS[match["letter"]] + int(match["short"]))
    found.update(int(match["year"] or match["fy"]) for match in _PLAIN_YEAR.finditer(folded))
    return frozenset(found)


@lru_cache(maxsize=4096)
def numbers_in(folded: str) -> frozenset[float]:
    """Return the values of all numbers in a text, years of an era both as written and in the western calendar."""
    return _values(folded) | years_in(folded)


def claimed_numbers(folded: str) -> frozenset[float]:
    """Return the numbers that a statement claims: years of an era count once, in the western calendar.

    A text supports the statement's numbers when :func:`numbers_in` of it holds them all.
    """
    return _values(_ERA_YEAR.sub(" ", _undotted(folded))) | years_in(folded)


def _values(folded: str) -> frozenset[float]:
    values = {value_of(match["number"]) for match in _NUMBER.finditer(_undotted(folded))}
    return frozenset(value for value in values if value is not None)


def _undotted(folded: str) -> str:
    """Write R5.4.1 and 2023/4/1 as years, months and days, so that no part is taken for a decimal."""
    return _DOTTED.sub(r"\1\2年\3月\4日", folded)


def articles_in(folded: str) -> frozenset[str]:
    """Return the articles named in a text: 第二十三条 and 第23条 are ``23``, 第5条の2 is ``5-2``."""
    found = set()
    for match in _ARTICLE.finditer(folded):
        number = value_of(match["number"])
        sub = value_of(match["sub"]) if match["sub"] else None
        if number is not None:
            found.add(f"{number:g}" + (f"-{sub:g}" if sub is not None else ""))
    return frozenset(found)


def mentions_in(folded: str) -> frozenset[str]:
    """Return the words of letters, digits and hyphens with at least one of both: ``hs-200``, ``e-04``, ``80a``, ``12km``.

    Eras and fiscal years written with letters are not among them.
    """
    return frozenset(code for code in _CODE.findall(folded) if not _YEAR_CODE.fullmatch(code))


def days_in(folded: str) -> frozenset[tuple[int, int]]:
    """Return the (month, day) pairs named in a text: 7月1日 and 2024/7/1 are both (7, 1)."""
    pairs = _MONTH_DAY.findall(_undotted(folded))
    return frozenset((int(value_of(month) or 0), int(value_of(day) or 0)) for month, day in pairs)


def codes_in(folded: str) -> frozenset[str]:
    """Return the mentions that can only be names, such as ``hs-200``: not a number with what may be its unit."""
    return frozenset(code for code in mentions_in(folded) if not _MEASURE.fullmatch(code))


_YEAR_CODE = re.compile(r"[mtshr]\d{1,2}|fy\d{2,4}")
_MEASURE = re.compile(r"\d+[a-z]{1,3}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, and the bound written after it (``以上``, ``未満`` …), if any. Years become months."""

    value: float
    unit: str
    bound: str = ""


def quantities_in(folded: str) -> list[Quantity]:
    """Return the quantities in a text, in order. ``3年6か月`` and ``3年半`` are one duration of 42 months."""
    found: list[Quantity] = []
    pending_end = -1
    for match in _QUANTITY.finditer(folded):
        value = value_of(match["number"])
        if value is None or (match["unit"] == "年" and value > 1000):
            continue
        unit = match["unit"]
        if unit == "年":
            value, unit = 12 * value + (6 if match["half"] else 0), "か月"
        elif unit in _MONTHS:
            unit = "か月"
        unit = {"キロメートル": "km", "パーセント": "%", "名": "人"}.get(unit, unit)
        tail = _BOUND.match(folded[match.end() :])
        bound = (
            {"を超え": "超", "まで": "以下", "以内": "以下"}.get(tail["bound"], tail["bound"])
            if tail
            else ""
        )
        if unit == "か月" and match.start() == pending_end and found and found[-1].unit == "か月":
            value += found.pop().value
        found.append(Quantity(value, unit, bound))
        pending_end = match.end()
    return found


def within(asked: Quantity, row: list[Quantity]) -> bool | None:
    """Say whether a quantity lies in the range that a line of a table gives in the same unit; None when it gives none.

    Examples
    --------
    >>> row = quantities_in("10km以上15km未満 7,100円")
    >>> within(Quantity(12, "km"), row), within(Quantity(20, "km"), row), within(Quantity(3, "人"), row)
    (True, False, None)
    """
    same = [quantity for quantity in row if quantity.unit == asked.unit]
    bounds = [quantity for quantity in same if quantity.bound]
    if not bounds:
        return True if any(quantity.value == asked.value for quantity in same) else None
    return all(_TESTS[quantity.bound](asked.value, quantity.value) for quantity in bounds)


_TESTS: dict[str, Callable[[float, float], bool]] = {
    "以上": operator.ge,
    "以下": operator.le,
    "未満": operator.lt,
    "超": operator.gt,
}
