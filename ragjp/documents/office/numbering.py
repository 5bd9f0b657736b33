"""Word's automatic numbers: 第1条 and （１） stand in no paragraph's text, Word counts them as it draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from ragjp.documents.office.package import attribute, is_on, setting

_KANJI = "〇一二三四五六七八九"
_LEGAL = str.maketrans("一二三十", "壱弐参拾")
_AIUEO = (
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
)
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"),
    (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_MOST = 9999
_N_LEVELS = 9


def kanji_number(number: int) -> str:
    """Write a number as it is counted.

    >>> kanji_number(10), kanji_number(23), kanji_number(105)
    ('十', '二十三', '百五')
    """
    text = ""
    for unit, sign in ((1000, "千"), (100, "百"), (10, "十")):
        digit, number = divmod(number, unit)
        if digit:
            text += (_KANJI[digit] if digit > 1 else "") + sign
    return text + (_KANJI[number] if number else "")


def _letters(number: int, letters: str) -> str:
    """Repeat a letter once more for each round through the alphabet, as Word does: z, aa, bb."""
    rounds, at = divmod(number - 1, len(letters))
    return letters[at] * (rounds + 1)


def _roman(number: int) -> str:
    text = ""
    for value, sign in _ROMAN:
        count, number = divmod(number, value)
        text += sign * count
    return text


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if 1 <= number <= 20 else f"({number})"


_LATIN = "abcdefghijklmnopqrstuvwxyz"
_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02d}",
    "decimalFullWidth": lambda number: str(number).translate(_FULL_WIDTH),
    "decimalFullWidth2": lambda number: str(number).translate(_FULL_WIDTH),
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedParen": lambda number: f"({number})",
    "decimalEnclosedFullstop": lambda number: f"{number}.",
    "japaneseCounting": kanji_number,
    "japaneseDigitalTenThousand": lambda number: "".join(_KANJI[int(d)] for d in str(number)),
    "japaneseLegal": lambda number: kanji_number(number).translate(_LEGAL),
    "chineseCounting": kanji_number,
    "chineseCountingThousand": kanji_number,
    "ideographDigital": lambda number: "".join(_KANJI[int(d)] for d in str(number)),
    "aiueo": lambda number: _letters(number, _AIUEO),
    "aiueoFullWidth": lambda number: _letters(number, _AIUEO),
    "iroha": lambda number: _letters(number, _IROHA),
    "irohaFullWidth": lambda number: _letters(number, _IROHA),
    "lowerLetter": lambda number: _letters(number, _LATIN),
    "upperLetter": lambda number: _letters(number, _LATIN.upper()),
    "lowerRoman": lambda number: _roman(number).lower(),
    "upperRoman": _roman,
    "none": lambda number: "",
}


def format_number(number: int, kind: str) -> str:
    """Write a number in one of Word's formats; those of other countries' languages as digits.

    >>> format_number(3, "aiueo"), format_number(4, "lowerRoman"), format_number(28, "upperLetter"), format_number(7, "decimalFullWidth")
    ('ウ', 'iv', 'BB', '７')
    """
    if not 0 < number <= _MOST:
        return str(number)
    return _FORMATS.get(kind, str)(number)


@dataclass(slots=True)
class _Level:
    start: int = 1
    kind: str = "decimal"
    text: str = ""
    suffix: str = " "
    style: str = ""
    legal: bool = False


@dataclass(slots=True)
class _List:
    """One definition: its levels, and how far it has been counted."""

    levels: dict[int, _Level] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else otherwise


class Numbering:
    """The numbers of a document, counted on with every numbered paragraph.

    Parameters
    ----------
    tree
        The root of ``numbering.xml``, or nothing.
    """

    def __init__(self, tree: Element | None) -> None:
        self._lists: dict[str, _List] = {}
        self._numbers: dict[str, tuple[_List, dict[int, _Level]]] = {}
        self._started: set[str] = set()
        for element in tree if tree is not None else ():
            if element.tag == "abstractNum":
                levels = dict(map(_level, element.findall("lvl")))
                self._lists[attribute(element, "abstractNumId")] = _List(levels)
        for element in tree.findall("num") if tree is not None else ():
            known = self._lists.get(setting(element, "abstractNumId"))
            if known is not None:
                self._numbers[attribute(element, "numId")] = known, _overrides(element, known)

    def level_of_style(self, number_id: str, style: str) -> int:
        """Give the level that a definition ties to a paragraph style."""
        known = self._numbers.get(number_id)
        levels = known[0].levels if known else {}
        return next((at for at, level in levels.items() if level.style == style), 0)

    def label(self, number_id: str, level: str | int) -> str:
        """Count one paragraph on and give its number as it is drawn, with the blank after it."""
        known = self._numbers.get(number_id)
        if known is None:
            return ""
        at = min(_number(str(level)), _N_LEVELS - 1)
        counted, overrides = known
        if number_id not in self._started:
            self._started.add(number_id)
            for other in overrides:
                counted.counts.pop(other, None)
        levels = {**counted.levels, **overrides}
        here = levels.get(at, _Level())
        counted.counts[at] = counted.counts.get(at, here.start - 1) + 1
        for deeper in range(at + 1, _N_LEVELS):
            counted.counts.pop(deeper, None)
        if here.kind == "bullet":
            return "- "
        text = here.text
        for other in range(at + 1):
            if f"%{other + 1}" in text:
                level_of = levels.get(other, _Level())
                number = counted.counts.get(other, level_of.start)
                kind = "decimal" if here.legal else level_of.kind
                text = text.replace(f"%{other + 1}", format_number(number, kind))
        return text + here.suffix if text else ""


def _level(element: Element) -> tuple[int, _Level]:
    suffix = setting(element, "suff", default="tab")
    level = _Level(
        _number(setting(element, "start"), 1),
        setting(element, "numFmt", default="decimal"),
        setting(element, "lvlText"),
        "" if suffix == "nothing" else " ",
        setting(element, "pStyle"),
        is_on(element, "isLgl"),
    )
    return _number(attribute(element, "ilvl")), level


def _overrides(element: Element, known: _List) -> dict[int, _Level]:
    found: dict[int, _Level] = {}
    for override in element.findall("lvlOverride"):
        at = _number(attribute(override, "ilvl"))
        own = override.find("lvl")
        level = _level(own)[1] if own is not None else known.levels.get(at, _Level())
        start = setting(override, "startOverride")
        if start:
            level = _Level(
                _number(start, 1), level.kind, level.text, level.suffix, level.style, level.legal
            )
        found[at] = level
    return found
