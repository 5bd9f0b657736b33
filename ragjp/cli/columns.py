"""Columns on a terminal, where a Japanese character takes two places and a Latin one takes one (Unicode's East Asian Width)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_ELLIPSIS = "…"


def width(text: str) -> int:
    """Count the places that a text takes; ambiguous characters (→, ①) count as one, as terminals outside of old Japanese ones do.

    >>> width("ｻｰﾊﾞ サーバー DB"), width("か\u3099")
    (16, 2)
    """
    return sum(map(_places, text))


def _places(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf", "Cc"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clipped(text: str, places: int) -> str:
    """Cut a text to so many places, with … where something is missing.

    >>> clipped("旅費規程", 8), clipped("旅費規程", 7), clipped("旅費規程", 6)
    ('旅費規程', '旅費規…', '旅費…')
    """
    if width(text) <= places:
        return text
    room = places - 1
    kept = []
    for char in text:
        room -= _places(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + _ELLIPSIS


def padded(text: str, places: int, *, right: bool = False) -> str:
    """Fill a text up with blanks, behind it or before it.

    >>> padded("規程", 6) + "|", padded("12", 4, right=True)
    ('規程  |', '  12')
    """
    blanks = " " * (places - width(text))
    return blanks + text if right else text + blanks


def table(
    rows: Sequence[Sequence[str]],
    *,
    numbers: frozenset[int] = frozenset(),
    total: int = 100,
    indent: str = "",
) -> list[str]:
    """Lay rows out in columns, two blanks apart; the last column takes what is left of the line.

    Parameters
    ----------
    rows
        Each as long as the first, which is the heading.
    numbers
        Columns that are set against their right edge.
    total
        Places of a line; a column but the last takes at most a third of it.
    """
    if not rows:
        return []
    last = len(rows[0]) - 1
    needed = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    widths = [min(places, total // 3) for places in needed]
    left = total - width(indent) - sum(widths[:last]) - 2 * last
    widths[last] = min(needed[last], max(left, 8))
    lines = []
    for row in rows:
        cells = [
            padded(clipped(cell, places), places, right=column in numbers)
            for column, (cell, places) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def wrapped(parts: Sequence[str], *, total: int, indent: str) -> list[str]:
    """Set short parts one after the other, two blanks apart, in as many lines as they need; none is cut unless it fills a line.

    >>> wrapped(["経費 0.5", "精算 0.25", "a"], total=20, indent="  ")
    ['  経費 0.5', '  精算 0.25  a']
    """
    lines: list[str] = []
    line = ""
    for part in parts:
        fitting = clipped(part, total - width(indent))
        joined = f"{line}  {fitting}" if line else fitting
        if line and width(indent + joined) > total:
            lines.append(indent + line)
            line = fitting
        else:
            line = joined
    return [*lines, indent + line] if line else lines
