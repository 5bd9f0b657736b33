"""Dates and times of a sheet, written out: days counted from 1900 or 1904, the eras of Japan, elapsed hours."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

#: First day, name, two letters' and one letter's writing.
_ERAS: tuple[tuple[date, str, str], ...] = (
    (date(2019, 5, 1), "令和", "R"),
    (date(1989, 1, 8), "平成", "H"),
    (date(1926, 12, 25), "昭和", "S"),
    (date(1912, 7, 30), "大正", "T"),
    (date(1868, 1, 25), "明治", "M"),
)
_WEEKDAYS = "月火水木金土日"
_ENGLISH_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: Excel's calendar has a 29 February 1900; before it, every day is one off.
_FALSE_DAY = 60
_LAST_DAY = 2958465
_DAYS_TO_1904 = 1462
_DAY_S = 86400


def moment_of(value: float, *, from_1904: bool = False, n_places: int = 0) -> datetime | None:
    """Give the moment that a sheet's number means, rounded to so many places of a second (three at most).

    Returns nothing for numbers that are no date there, such as negative ones.

    >>> moment_of(45047.5)
    datetime.datetime(2023, 5, 1, 12, 0)
    """
    days = value + (_DAYS_TO_1904 if from_1904 else 0)
    if not 0 <= days < _LAST_DAY + 1:
        return None
    start = datetime(1899, 12, 31) if days < _FALSE_DAY else datetime(1899, 12, 30)
    unit = 10 ** min(n_places, 3)
    rounded = min(round(days * _DAY_S * unit), (_LAST_DAY + 1) * _DAY_S * unit - 1)
    return start + timedelta(milliseconds=1000 // unit * rounded)


def era_of(day: date) -> tuple[str, str, int]:
    """Give the era's name, its letter, and the year in it; before 明治 none, and the year as it is.

    >>> era_of(date(2019, 4, 30)), era_of(date(2019, 5, 1))
    (('平成', 'H', 31), ('令和', 'R', 1))
    """
    for first, name, letter in _ERAS:
        if day >= first:
            return name, letter, day.year - first.year + 1
    return "", "", day.year


def format_date(
    value: float, tokens: tuple[tuple[str, str], ...], *, first_year: bool, from_1904: bool
) -> str | None:
    """Write a date through the tokens of a format's section.

    Returns nothing where the number is no date. ``first_year``: an era's first year is 元.
    """
    n_places = max(
        len(text.partition(".")[2]) for kind, text in tokens if kind in ("date", "elapsed")
    )
    moment = moment_of(value, from_1904=from_1904, n_places=n_places)
    elapsed = any(kind == "elapsed" for kind, _ in tokens)
    if moment is None and not (elapsed and value >= 0 and math.isfinite(value * _DAY_S)):
        return None
    half = any(kind == "ampm" for kind, _ in tokens)
    writer = _Moment(moment or datetime(1900, 1, 1), value, half=half, first_year=first_year)
    marks = [text.lower() if kind in ("date", "elapsed") else "" for kind, text in tokens]
    shown: list[str] = []
    for i, (kind, text) in enumerate(tokens):
        if kind == "date":
            minutes = marks[i][0] == "m" and _is_minutes(marks, i)
            shown.append(writer.minutes(text) if minutes else writer.part(marks[i]))
        elif kind == "elapsed":
            shown.append(writer.elapsed(marks[i]))
        elif kind == "ampm":
            shown.append(writer.half_of_day(text))
        else:
            shown.append(text)
    return "".join(shown)


def _is_minutes(marks: list[str], at: int) -> bool:
    """Tell minutes from months: the letter before is that of hours, or the one after that of seconds."""
    before = next((mark[0] for mark in reversed(marks[:at]) if mark), "")
    after = next((mark[0] for mark in marks[at + 1 :] if mark), "")
    return len(marks[at]) <= 2 and (before == "h" or after == "s")


class _Moment:
    """One moment, and how each letter writes it."""

    def __init__(self, moment: datetime, value: float, *, half: bool, first_year: bool) -> None:
        self._at = moment
        self._total_s = round(value * _DAY_S)
        self._half = half
        self._first_year = first_year

    def minutes(self, mark: str) -> str:
        return str(self._at.minute).zfill(min(len(mark), 2))

    def elapsed(self, mark: str) -> str:
        unit = {"h": 3600, "m": 60, "s": 1}[mark[0]]
        return str(self._total_s // unit).zfill(len(mark))

    def half_of_day(self, mark: str) -> str:
        names = mark.split("/")
        return names[0] if self._at.hour < 12 else names[-1]

    def part(self, mark: str) -> str:
        match mark[0]:
            case "y" | "b":
                return f"{self._at.year:04d}" if len(mark) > 2 else f"{self._at.year % 100:02d}"
            case "m":
                return self._named(mark, self._at.month, _MONTHS[self._at.month - 1])
            case "d":
                return self._named(mark, self._at.day, _ENGLISH_WEEKDAYS[self._at.weekday()])
            case "a":
                day = _WEEKDAYS[self._at.weekday()]
                return day + "曜日" if len(mark) == 4 else day
            case "h":
                hour = (self._at.hour % 12 or 12) if self._half else self._at.hour
                return str(hour).zfill(min(len(mark), 2))
            case "s":
                return self._seconds(mark)
        return self._era(mark)

    def _named(self, mark: str, number: int, name: str) -> str:
        if len(mark) <= 2:
            return str(number).zfill(len(mark))
        return {3: name[:3], 5: name[:1]}.get(len(mark), name)

    def _seconds(self, mark: str) -> str:
        whole, _, places = mark.partition(".")
        text = str(self._at.second).zfill(min(len(whole), 2))
        return text + (f".{self._at.microsecond:06d}"[: 1 + len(places)] if places else "")

    def _era(self, mark: str) -> str:
        name, letter, year = era_of(self._at.date())
        if mark[0] == "g":
            return {1: letter, 2: name[:1]}.get(len(mark), name)
        number = "元" if self._first_year and year == 1 else str(year).zfill(min(len(mark), 2))
        if mark[0] == "r":
            return (name if len(mark) > 1 else "") + str(year).zfill(2)
        return number
