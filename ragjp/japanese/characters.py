"""What each character folds to on its own, and the classes of characters the folding looks at.

Computed once per process from Python's Unicode tables and ``variants``, at the first use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from ragjp.japanese.variants import VARIANTS

#: Inside of a regular-expression class: blanks as they are after the character stage.
BLANK = " \t\n\r\f"
#: Inside of a class: kanji, iteration marks and 〇.
KANJI = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
HIRAGANA = "\u3041-\u3096\u309d-\u309f"
KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
#: Punctuation that belongs to Japanese text: no blank is meaningful between it and a kanji or kana.
PUNCTUATION = "\u3001-\u3003\u3008-\u3011\u3014-\u301b\u30fb"
JAPANESE = KANJI + HIRAGANA + KATAKANA + PUNCTUATION

#: Invisible: soft hyphen, joiners, zero-width blanks, directions, variation selectors, tags, BOM.
_DROPPED_RANGES = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xE0001, 0xE007F),
    (0xE0100, 0xE01EF),
)
DROPPED = frozenset(chr(c) for first, last in _DROPPED_RANGES for c in range(first, last + 1))

#: Spacing forms of the voiced and semi-voiced sound marks, and the combining forms.
_TO_COMBINING = str.maketrans("゛゜", "\u3099\u309a")
_TO_SPACING = str.maketrans("\u3099\u309a", "゛゜")
#: Line ends that are not ``\n``; every other control character becomes a blank.
_LINE_ENDS = {"\x0b": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\f"}
_KEPT_CONTROLS = frozenset("\t\n\r\f")
#: Code points with nothing to fold: Hangul syllables, private use, plain kanji of the upper planes.
_QUIET_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xF8FF),
    (0x12000, 0x1BBFF),
    (0x20000, 0x2F7FF),
    (0x2FA20, 0xE0000),
    (0xE0200, 0x10FFFF),
)


def _fold_once(text: str) -> str:
    kept = "".join(c for c in text if c not in DROPPED).translate(_TO_COMBINING)
    folded = unicodedata.normalize("NFKC", kept).translate(_TO_SPACING)
    return "".join(_substitute(c) for c in folded)


def _substitute(c: str) -> str:
    if c in _LINE_ENDS:
        return _LINE_ENDS[c]
    category = unicodedata.category(c)
    if category == "Zs" or (category == "Cc" and c not in _KEPT_CONTROLS):
        return " "
    return "".join(VARIANTS.get(x, x) for x in VARIANTS.get(c, c).lower())


def fold_cluster(text: str) -> str:
    """Fold a character with the marks that follow it, until nothing changes any more."""
    while (folded := _fold_once(text)) != text:
        text = folded
    return text


@dataclass(frozen=True, slots=True)
class Characters:
    """The character stage as tables and patterns.

    one : code point → single character, for folding that keeps the length.
    many : character → text, for folding that changes the length or stands apart.
    detached : the characters of ``many`` whose digits stand apart (①, ², ½).
    one_pattern : runs of characters of ``one``.
    many_pattern : a character of ``many`` with its marks, or a run of marks and dropped characters.
    """

    one: dict[int, str]
    many: dict[str, str]
    detached: frozenset[str]
    one_pattern: re.Pattern[str]
    many_pattern: re.Pattern[str]


@cache
def characters(astral: bool) -> Characters:
    """Tables for texts with (``astral``) or without characters above U+FFFF.

    The patterns of the first kind are slower, and few texts need them.
    """
    last = 0x10FFFF if astral else 0xFFFF
    listening = list(_listening(last))
    joins = _joining(listening)
    one: dict[int, str] = {}
    many: dict[str, str] = {}
    marks = set(DROPPED)
    for c in listening:
        folded = c if _plain(c) else fold_cluster(c)
        if c in joins or folded[:1] in joins:
            marks.add(c)
        elif c in DROPPED or folded == c:
            continue
        elif len(folded) == 1 and not _stands_apart(c):
            one[ord(c)] = folded
        else:
            many[c] = folded
    marks = {c for c in marks if ord(c) <= last}
    one_class, many_class, mark_class = map(as_class, (map(chr, one), many, marks))
    return Characters(
        one=one,
        many=many,
        detached=frozenset(filter(_stands_apart, many)),
        one_pattern=re.compile(f"[{one_class}]+"),
        many_pattern=re.compile(f"[{many_class}{mark_class}][{mark_class}]*"),
    )


def _listening(last: int) -> Iterator[str]:
    """Yield every character up to ``last`` that might fold or join."""
    start = 0
    for first, quiet_last in _QUIET_RANGES:
        yield from map(chr, range(start, min(first, last + 1)))
        start = quiet_last + 1
        if start > last:
            break
    yield from (c for c in VARIANTS if _is_quiet(c) and ord(c) <= last)


def _is_quiet(c: str) -> bool:
    return any(first <= ord(c) <= last for first, last in _QUIET_RANGES)


def _joining(listening: Iterable[str]) -> set[str]:
    """Return the characters that NFC may join to the one before them, and ゛ and ゜."""
    found = {"゛", "゜"}
    found.update(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))
    for c in listening:
        if unicodedata.combining(c):
            found.add(c)
        parts = unicodedata.decomposition(c)
        if parts and parts[0] != "<":
            found.update(chr(int(part, 16)) for part in parts.split()[1:])
    return found


def _plain(c: str) -> bool:
    """Tell quickly that a character folds to itself."""
    return (
        c not in VARIANTS
        and c.lower() == c
        and unicodedata.is_normalized("NFKC", c)
        and unicodedata.category(c) not in {"Zs", "Cc", "Zl", "Zp"}
    )


def _stands_apart(c: str) -> bool:
    """Tell whether a character is a digit in a shape of its own: circled, raised, a fraction."""
    kind = unicodedata.decomposition(c).partition(">")[0]
    return kind in {"<circle", "<super", "<sub", "<fraction", "<compat", "<square"} and any(
        x in "0123456789" for x in fold_cluster(c)
    )


def as_class(members: Iterable[str]) -> str:
    """Write characters as the inside of a regular-expression class, with ranges."""
    ranges: list[list[int]] = []
    for code in sorted({ord(c) for c in members}):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(
        f"{re.escape(chr(a))}-{re.escape(chr(b))}" if b > a else re.escape(chr(a))
        for a, b in ranges
    )
