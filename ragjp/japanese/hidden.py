"""Hidden terms: what stands in a text in another writing. They are terms of the ``lemma`` field, and never shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragjp.japanese.dates import take_dates
from ragjp.japanese.numbers import number_forms
from ragjp.japanese.units import MEASURES

#: wi-fi, covid-19, a-1: found by wifi, covid19, a1, too. A telephone number (03-1234-5678) likewise.
_HYPHENED = re.compile(
    r"[a-z0-9](?<![a-z0-9.-].)[a-z0-9]{0,20}(?:-[a-z0-9]{1,20}){1,3}(?![a-z0-9]|[-.][a-z0-9])"
)
_TELEPHONE = re.compile("0[0-9]{9,10}")
#: How often the exact form of a date or a number counts in a question.
_EMPHASIS = 3
#: Exact enough for that: a day, a month, a fiscal year, a number of two digits, an article's branch, a measure. A year, or two
#: people, are said of too much: on JaQuAD they lose (-0.002 nDCG@10, p = 0.004, all forms three times).
_EXACT = re.compile(
    rf"@fy|@[0-9]+-|#[^0-9]*[0-9.]{{2}}|#[0-9]+(?:.*の|(?:{'|'.join(map(re.escape, MEASURES))})$)"
)


def hidden_forms(folded: str) -> list[str]:
    """Return the normal forms of the dates of a text, of its other numbers, and words without their hyphens.

    >>> hidden_forms("令和5年4月に300円、wi-fi")
    ['@2023-04', '@2023', '#300円', 'wifi']
    """
    dates, rest = take_dates(folded)
    forms = dates + number_forms(rest)
    return forms + _without_hyphens(rest) if "-" in rest else forms


def emphasised(lemmas: Sequence[str]) -> list[str]:
    """Repeat the exact forms among the terms of a question; the month and the year of a day are not repeated.

    >>> emphasised(["4", "@2023-04", "@2023", "#2人", "#5kg"])
    ['4', '@2023-04', '@2023-04', '@2023-04', '@2023', '#2人', '#5kg', '#5kg', '#5kg']
    """
    found: list[str] = []
    before = ""
    for term in lemmas:
        exact = term[0] in "@#" and _EXACT.match(term) and not before.startswith(f"{term}-")
        found += [term] * (_EMPHASIS if exact else 1)
        before = term
    return found


def _without_hyphens(text: str) -> list[str]:
    """Return what is written with hyphens as one word; numbers only if they are telephone numbers.

    >>> _without_hyphens("wi-fi 03-1234-5678 12-34")
    ['wifi', '0312345678']
    """
    words = (match[0].replace("-", "") for match in _HYPHENED.finditer(text))
    return [word for word in words if not word.isdigit() or _TELEPHONE.fullmatch(word)]
