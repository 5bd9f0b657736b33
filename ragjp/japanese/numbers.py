"""Hidden normal forms of numbers with a unit: 三百万円, 300万円 and 3,000,000円 all give ``#3000000円``.

They are added to the ``lemma`` field beside the words; the text itself never changes. Folded text
only.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from ragjp.japanese.characters import KANJI, KATAKANA
from ragjp.japanese.units import UNITS

_KANJI_DIGITS = {digit: value for value, digit in enumerate("〇一二三四五六七八九")}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10**4, "億": 10**8, "兆": 10**12}
_KANJI = "〇一二三四五六七八九十百千"

#: A longer run of digits is an identifier, not a number to normalise.
_LONGEST_CHARS = 24

#: One class after another, never one repetition inside another: a long run of digits stays linear.
_NUMBER = f"[0-9{_KANJI}][0-9.,{_KANJI}万億兆]*"


def _alternatives(units: list[str], guard: str) -> str:
    """Write the units, longest first, none of them inside of a longer word."""
    ordered = sorted(units, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, ordered))}){guard}" if ordered else ""


_UNIT = "|".join(
    [
        _alternatives([u for u in UNITS if u[-1].isascii() and u[-1] != "%"], "(?![a-z0-9])"),
        _alternatives([u for u in UNITS if "ァ" <= u[-1] <= "ー"], f"(?![{KATAKANA}])"),
        _alternatives([u for u in UNITS if u[-1] == "%" or u[-1] > "ー"], ""),
    ]
)
_AMOUNT = re.compile(
    # The class comes first and what may not stand before it second: so ``re`` finds it fast.
    rf"([0-9{_KANJI}](?<![0-9.,{_KANJI}万億兆].)[0-9.,{_KANJI}万億兆]*) ?({_UNIT})"
    rf"((?:[のノ]{_NUMBER}(?![0-9]|{_UNIT}))*)"
)
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|.")
_BRANCH = re.compile("[のノ]")

#: 三割五分 is 35 %; 割 by itself is ten of them.
_WARI = re.compile(
    rf"([0-9.{_KANJI}]{{1,24}})割(?:([0-9一二三四五六七八九])分(?![の以間前後]))?(?:([0-9一二三四五六七八九])厘)?"
)
#: 三・五%: a point between kanji digits, where the unit leaves no doubt (二・三人 is two or three).
_UNDOUBTED = ("%", "倍", "パーセント", "ポイント")
_KANJI_POINT = re.compile(
    f"([〇一二三四五六七八九]{{1,9}})・([〇一二三四五六七八九]{{1,9}})(?={'|'.join(_UNDOUBTED)})"
)
_POSITIONAL = str.maketrans("〇一二三四五六七八九", "0123456789")
#: The forms that cannot be altered (大字), in sums of money only: 持参人 has no number in it.
_FORMAL = re.compile(
    "[壱壹弐貳参參拾百千万億〇一二三四五六七八九]*[壱弐参拾][壱弐参拾百千万億〇一二三四五六七八九]*円"
)
_FORMAL_DIGITS = "壱弐参拾"
_PLAIN_DIGITS = str.maketrans(_FORMAL_DIGITS, "一二三十")
_YEN = re.compile(r"¥ ?([0-9][0-9.,万億]*)(?!円)")
#: 別表第一, 様式第3号, 図2: a number of a thing, not an amount. Every alternative begins with its character, which
#: ``re`` finds five times as fast as one that first looks behind.
_NUMBERED = re.compile(
    rf"(図(?<![{KANJI}].)|表(?<![{KANJI}].)|別表|別紙|別添|別図|別記|様式|資料|附表|付表)"
    rf"第? ?([0-9{_KANJI}]{{1,4}})(?![0-9{_KANJI}万億.])"
    rf"(?!(?!号)(?:{_UNIT}))"
)


def number_value(text: str) -> Decimal:
    """Read a number in Arabic or kanji digits, or a mixture: 3千5百万, 二〇二三, 1.5億.

    >>> number_value("三百二十万")
    Decimal('3200000')

    Raises
    ------
    ValueError
        When there is anything else in the text, such as a second point.
    """
    total = section = Decimal(0)
    digits: Decimal | None = None
    for token in _TOKEN.findall(text.replace(",", "")):
        if token in _KANJI_DIGITS:
            digits = (digits or Decimal(0)) * 10 + _KANJI_DIGITS[token]
        elif token in _SMALL:
            section += (Decimal(1) if digits is None else digits) * _SMALL[token]
            digits = None
        elif token in _LARGE:
            section += digits or Decimal(0)
            total += (section or Decimal(1)) * _LARGE[token]
            section, digits = Decimal(0), None
        elif token[0].isdigit():
            digits = Decimal(token)
        else:
            raise ValueError(f"not a number: {text}")
    return total + section + (digits or Decimal(0))


def number_forms(folded: str) -> list[str]:
    """Return the normal form of every number with a known unit, in order; then the numbered things.

    >>> number_forms("第二十三条の二により三百万円、別表第一の三割五分")
    ['#23条の2', '#3000000円', '#35%', '#別表1']
    """
    text = _plainly(folded)
    forms = [
        form
        for number, unit, branches in _AMOUNT.findall(text)
        if len(number) + len(branches) <= _LONGEST_CHARS and (form := _form(number, unit, branches))
    ]
    for thing, number in _NUMBERED.findall(text):
        forms.append(f"#{thing}{_plain(number)}")
    return forms


def _plainly(text: str) -> str:
    """Write what is written in a way of its own (割, ¥, 大字, a point between kanji) as other numbers are."""
    if "割" in text:
        text = _WARI.sub(_percent, text)
    if "・" in text and any(unit in text for unit in _UNDOUBTED):
        text = _KANJI_POINT.sub(lambda m: f"{m[1]}.{m[2]}".translate(_POSITIONAL), text)
    if "円" in text and any(digit in text for digit in _FORMAL_DIGITS):
        text = _FORMAL.sub(lambda m: m[0].translate(_PLAIN_DIGITS), text)
    if "¥" in text:
        text = _YEN.sub(r" \1円 ", text)
    return text


def _percent(match: re.Match[str]) -> str:
    try:
        tens, ones, tenths = (number_value(part or "") for part in match.groups())
    except ValueError:
        return match[0]
    return f" {_decimal(10 * tens + ones + tenths / 10)}%"


@lru_cache(maxsize=8192)
def _form(number: str, unit: str, branches: str) -> str:
    """Write a number, its unit and what follows の in one way; "" when it is no number after all."""
    if unit == "度" and not number[0].isdigit():
        return ""  # 一度, 三度: how often, not how warm
    try:
        tail = "".join(f"の{_plain(part)}" for part in _BRANCH.split(branches)[1:])
        return f"#{_plain(number)}{UNITS[unit]}{tail}"
    except ValueError:
        return ""


def _plain(number: str) -> str:
    return _decimal(number_value(number))


def _decimal(value: Decimal) -> str:
    """Write a number without exponent and without trailing zeros behind the point."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
