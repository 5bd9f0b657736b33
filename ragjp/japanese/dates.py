"""Hidden normal forms of dates: 令和5年4月1日, R5.4.1 and 2023年4月1日 all give ``@2023-04-01``.

A day also gives its month and year (``@2023-04``, ``@2023``), so that a question about the month finds
it; a fiscal year gives ``@fy2023``. Added to the ``lemma`` field beside the words; folded text only.

An era's year counts from its first (昭和64年 is 1989), also past the era's end: an old contract may
say 平成35年, and means 2023. There is no year 0. Days before 1873 are taken as they are written: the
calendar was another one.
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
_ERA = r"(?:明治|大正|昭和|平成|令和|(?<![a-z0-9])[mtshr]\.?)"
_ERA_YEAR = rf"(?P<era>{_ERA})\s?(?P<count>元|{_SHORT})"
_COMMON = r"(?:[12][0-9]{3}|[一二][〇一二三四五六七八九]{3})"
_COMMON_YEAR = rf"(?<![0-9.])(?P<common>{_COMMON})"
#: '98年, '98.6.1: the century is left out.
_SHORT_YEAR = r"(?<![a-z0-9'])'(?P<short>[0-9]{2})"
#: 2021(令和3)年: the second writing of the same year.
_ALSO = r"(?:\s?\([^()0-9]{0,4}(?:[0-9]{1,4}|元)\s?年?\)\s?)?"
#: 平成30・令和元年度, 2021~2023年度: the first year of a span, whose 年 stands behind the last.
_UNTIL = rf"(?P<link>[~・-])\s?(?P<until_era>{_ERA}?)\s?(?P<until>元|{_COMMON}|{_SHORT})(?=\s?年)"
_MONTH_AND_DAY = rf"(?P<month>{_SHORT})\s?月(?:\s?(?P<day>{_SHORT})\s?日)?"
_DATE = re.compile(
    rf"(?:{_ERA_YEAR}|{_COMMON_YEAR}|{_SHORT_YEAR}){_ALSO}"
    rf"(?:(?:{_UNTIL})?\s?(?:年|(?=会計年度|事業年度))(?P<fiscal>度|(?:会計|事業)年度)?(?:\s?{_MONTH_AND_DAY})?"
    r"|(?P<mark>[./-])(?P<m>[0-9]{1,2})(?P=mark)(?P<d>[0-9]{1,2})(?![0-9]|[./-][0-9])"
    r"|(?<=[0-9]{4})/(?P<only>0?[1-9]|1[0-2])(?![0-9]|[./-][0-9]))"
    # Eight digits of their own; an identifier that happens to be a day is one, too.
    r"|(?<![0-9.])(?P<packed>(?:19|20)[0-9]{6})(?![0-9]|[./-][0-9])"
    r"|(?<![a-z])fy\s?(?P<fy>[12][0-9]{3}|'?[0-9]{2})(?![0-9])"
)
#: Years between the ends of a span, beyond which only the ends count.
_LONGEST_SPAN = 5
#: How every date begins. It starts with a class of characters, which ``re`` finds ten times as fast
#: as it tries the pattern above at every character.
_START = re.compile(
    r"[明大昭平令mtshrf12一二'](?:(?<=[明大昭平令])(?=[治正和成])"
    r"|(?<=[12])(?<![0-9.].)(?=[0-9]{3})"
    r"|(?<=[mtshr])(?<![a-z0-9].)(?=[.\s元0-9〇一二三四五六七八九十])"
    r"|(?<=[一二])(?=[〇一二三四五六七八九]{3})|(?<=f)(?<![a-z].)(?=y)|(?<=')(?=[0-9]{2}))"
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
    years = _years(match)
    if not years:
        return
    if match["fy"] or match["fiscal"]:
        yield from (f"@fy{year}" for year in years)
        if match["fy"] or not match["month"]:
            return
    if len(years) > 1:
        yield from (f"@{year}" for year in years)
        return
    if packed := match["packed"]:
        month, day = int(packed[4:6]), int(packed[6:])
    else:
        month, day = (
            int(number_value(text)) if text else 0
            for text in (match["month"] or match["m"] or match["only"], match["day"] or match["d"])
        )
    yield from _day_forms(years[0], month, day, surely=not (match["mark"] or packed))


def _day_forms(year: int, month: int, day: int, *, surely: bool) -> Iterator[str]:
    """Give the forms of a day, its month and its year; of what is no day only if it is ``surely`` a date."""
    if (year, month) == (1872, 12) and day >= 3:
        # 明治5年12月3日 became 明治6年1月1日 (太政官布告第337号): the calendar changed that day.
        year, month, day = 1873, 1, day - 2
    if _is_day(year, month, day):
        yield f"@{year}-{month:02}-{day:02}"
    elif not surely:
        return
    if 1 <= month <= 12:
        yield f"@{year}-{month:02}"
    yield f"@{year}"


def _years(match: re.Match[str]) -> list[int]:
    """Return the year of a date or all years of a span; none when there is no such year."""
    if packed := match["packed"]:
        return [int(packed[:4])]
    if fy := match["fy"]:
        return [_with_century(fy)]
    if match["short"]:
        first = _with_century(match["short"])
    elif match["common"]:
        first = int(number_value(match["common"]))
    else:
        first = _era_year(match["era"], match["count"])
    if not first:
        return []
    last = _last_year(match, first)
    if match["link"] == "・" or last - first > _LONGEST_SPAN:
        return [first, last]
    return list(range(first, last + 1))


def _last_year(match: re.Match[str], first: int) -> int:
    """Return the last year of a span, ``first`` where there is none or it makes no sense."""
    until = match["until"]
    if not until:
        return first
    if match["until_era"]:
        last = _era_year(match["until_era"], until)
    elif match["era"] and not re.fullmatch(_COMMON, until):
        last = _era_year(match["era"], until)
    else:
        last = int(number_value(until))
        last += first // 100 * 100 if last < 100 else 0
    return max(first, last)


def _era_year(era: str, count: str) -> int:
    """Count from an era's first year; 0 when the count is 0."""
    number = 1 if count == "元" else int(number_value(count))
    return _BEFORE_ERA[era.rstrip(".")] + number if number else 0


def _with_century(written: str) -> int:
    """Complete a year of two digits: 69 to 99 are in the last century (the rule of POSIX), as '98 and FY23 are meant."""
    year = int(written.lstrip("'"))
    return year if year > 99 else year + (1900 if year > 68 else 2000)


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
