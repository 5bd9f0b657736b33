"""Hidden normal forms of numbers with a unit: 三百万円, 300万円 and 3,000,000円 all give ``#3000000円``.

They are added to the ``lemma`` field beside the words; the text itself never changes. Folded text
only.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_KANJI_DIGITS = {digit: value for value, digit in enumerate("〇一二三四五六七八九")}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10**4, "億": 10**8, "兆": 10**12}
_KANJI = "〇一二三四五六七八九十百千"

#: A longer run of digits is an identifier, not a number to normalise.
_LONGEST_CHARS = 24

#: One class after another, never one repetition inside another: a long run of digits stays linear.
_NUMBER = f"[0-9{_KANJI}][0-9.,{_KANJI}万億兆]*"
_UNITS = {
    "円": "円",
    "%": "%",
    "パーセント": "%",
    **dict.fromkeys(("か月", "ヶ月", "ヵ月", "カ月", "ケ月", "箇月", "ヶ月間", "か月間"), "か月"),
    **{unit: unit for unit in "条章節項号款編回期版件人名社個台株点枚冊本歳級等倍割票株室階"},
    **{unit: unit for unit in ("週間", "時間", "営業日", "日", "年", "時", "分", "秒", "ページ")},
    **{unit: unit for unit in ("km", "kg", "mm", "cm", "m2", "ドル", "ユーロ", "ポイント")},
}
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_AMOUNT = re.compile(
    # The class comes first and what may not stand before it second: so ``re`` finds it fast.
    rf"([0-9{_KANJI}](?<![0-9.,{_KANJI}万億兆].)[0-9.,{_KANJI}万億兆]*) ?({_UNIT})(?:の({_NUMBER})(?![0-9]|{_UNIT}))?"
)
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|.")


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
    """Return the normal form of every number with a known unit, in order.

    >>> number_forms("第二十三条の二により三百万円")
    ['#23条の2', '#3000000円']
    """
    forms: list[str] = []
    for number, unit, branch in _AMOUNT.findall(folded):
        if len(number) + len(branch) <= _LONGEST_CHARS and (form := _form(number, unit, branch)):
            forms.append(form)
    return forms


@lru_cache(maxsize=8192)
def _form(number: str, unit: str, branch: str) -> str:
    """Write a number, its unit and what follows の in one way; "" when it is no number after all."""
    try:
        tail = f"の{_plain(branch)}" if branch else ""
        return f"#{_plain(number)}{_UNITS[unit]}{tail}"
    except ValueError:
        return ""


def _plain(number: str) -> str:
    """Write a number without exponent and without trailing zeros behind the point."""
    text = f"{number_value(number):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
