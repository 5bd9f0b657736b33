"""Hidden normal forms of dates: 令和5年4月1日, R5.4.1 and 2023年4月1日 all give ``@2023-04-01``.

A day also gives its month and year (``@2023-04``, ``@2023``), so that a question about the month finds
it; a fiscal year gives ``@fy2023``. Added to the ``lemma`` field beside the words; folded text only.

An era's year counts from its first (昭和64年 is 1989), also past the era's end: an old contract may
say 平成35年, and means 2023.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from ragjp.japanese.numbers import number_value

#: The year before each era's first: 明治 1868, 大正 1912, 昭和 1926, 平成 1989, 令和 2019.
_BEFORE_ERA = {
    **{"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018},
    **{"m": 1867, "t": 1911, "s": 1925, "h": 1988, "r": 2018},
}
_KANJI = "〇一二三四五六七八九十"
_SHORT = rf"(?:[0-9]{{1,2}}|[{_KANJI}]{{1,3}})"
_ERA_YEAR = rf"(?P<era>明治|大正|昭和|平成|令和|(?<![a-z0-9])[mtshr]\.?)\s?(?P<count>元|{_SHORT})"
_COMMON_YEAR = r"(?<![0-9.])(?P<common>[12][0-9]{3}|[一二][〇一二三四五六七八九]{3})"
#: 2021(令和3)年: the second writing of the same year.
_ALSO = r"(?:\s?\([^()0-9]{0,4}(?:[0-9]{1,4}|元)\s?年?\)\s?)?"
_MONTH_AND_DAY = rf"(?P<month>{_SHORT})\s?月(?:\s?(?P<day>{_SHORT})\s?日)?"
_DATE = re.compile(
    rf"(?:{_ERA_YEAR}|{_COMMON_YEAR}){_ALSO}"
    rf"(?:\s?年(?P<fiscal>度)?(?:\s?{_MONTH_AND_DAY})?"
    r"|(?P<mark>[./-])(?P<m>[0-9]{1,2})(?P=mark)(?P<d>[0-9]{1,2})(?![0-9]|[./-][0-9]))"
    r"|(?<![a-z])fy\s?(?P<fy>[12][0-9]{3})(?![0-9])"
)
#: How every date begins. It starts with a class of characters, which ``re`` finds ten times as fast
#: as it tries the pattern above at every character.
_START = re.compile(
    r"[明大昭平令mtshrf12一二](?:(?<=[明大昭平令])(?=[治正和成])"
    r"|(?<=[12])(?<![0-9.].)(?=[0-9]{3})"
    r"|(?<=[mtshr])(?<![a-z0-9].)(?=[.\s元0-9〇一二三四五六七八九十])"
    r"|(?<=[一二])(?=[〇一二三四五六七八九]{3})|(?<=f)(?<![a-z].)(?=y))"
)


def take_dates(folded: str) -> tuple[list[str], str]:
    """Return the normal forms of the dates of a text, in order, and the text without the dates.

    >>> take_dates("令和5年4月1日付")
    (['@2023-04-01', '@2023-04', '@2023'], ' 付')
    """
    forms: list[str] = []
    rest: list[str] = []
    copied = searched = 0
    for start in _START.finditer(folded):
        at = start.start()
        if at < searched or not (match := _DATE.match(folded, at)):
            continue
        searched = match.end()
        if found := _forms_of(match[0]):
            forms += found
            rest += (folded[copied:at], " ")
            copied = searched
    if not forms:
        return forms, folded
    return forms, "".join((*rest, folded[copied:]))


def take_dates_plainly(folded: str) -> tuple[list[str], str]:
    """Do what :func:`take_dates` does, trying every character: its reference."""
    forms: list[str] = []

    def take(match: re.Match[str]) -> str:
        found = list(_forms(match))
        forms.extend(found)
        return " " if found else match[0]

    return forms, _DATE.sub(take, folded)


@lru_cache(maxsize=8192)
def _forms_of(written: str) -> tuple[str, ...]:
    """Return the normal forms of one date: what stands around it decides only where it begins and ends."""
    match = _DATE.fullmatch(written)
    return tuple(_forms(match)) if match else ()


def _forms(match: re.Match[str]) -> Iterator[str]:
    year = _year(match)
    if match["fy"] or match["fiscal"]:
        yield f"@fy{year}"
        if match["fy"] or not match["month"]:
            return
    month, day = (
        int(number_value(text)) if text else 0
        for text in (match["month"] or match["m"], match["day"] or match["d"])
    )
    if _is_day(year, month, day):
        yield f"@{year}-{month:02}-{day:02}"
    elif match["mark"]:
        return
    if 1 <= month <= 12:
        yield f"@{year}-{month:02}"
    yield f"@{year}"


def _year(match: re.Match[str]) -> int:
    if match["fy"]:
        return int(match["fy"])
    if match["common"]:
        return int(number_value(match["common"]))
    count = 1 if match["count"] == "元" else int(number_value(match["count"]))
    return _BEFORE_ERA[match["era"].rstrip(".")] + count


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
