"""Headings of documents whose format tells none: chapters, articles, numbered and marked lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_NUMBER = "[0-9０-９一二三四五六七八九十百千〇]+"
_DIGITS = "[0-9０-９]{1,2}"
#: A longer line is no heading.
_LONGEST_CHARS = 45

#: Levels of a body of rules, 1 the highest. 第2条の3 is a level of articles like any other.
_RULE_LEVELS = {"編": 1, "部": 1, "章": 2, "節": 3, "款": 4, "目": 5, "条": 6}
_SUPPLEMENT_LEVEL = 2
_NUMBERED_LEVEL = 7
_MARKED_LEVEL = 11

_RULE = re.compile(
    rf"\s*(第\s*{_NUMBER}\s*([編部章節款目条])(?:\s*の\s*{_NUMBER})*)"
    r"(?:\s*(?P<title>[（(【][^）)】\n]{1,40}[）)】])|(?=\s|$))"
)
_SUPPLEMENT = re.compile(
    rf"\s*((?:附\s*則|別\s*表|別\s*紙|付\s*録)\s*(?:第?\s*{_NUMBER})?)(?=\s|$|[（(])"
)
_NUMBERED = re.compile(
    rf"\s*({_DIGITS}(?:[.．\-‐－]{_DIGITS}){{0,3}})([.．、]\s*|\s+)(?![0-9０-９年月日時])\S"
)
#: After a number without a point: an amount, a footnote, a reference.
_NO_TITLE = re.compile(
    r"[億万兆円件名人%％社個台回点位本枚歳倍]|か所|ヶ所|ポイント|[「『A-Za-z]|.*(?:参照|https?:|[(（]\s*[0-9]{4})"
)
_MARKED = re.compile(r"\s*(?:[■◆●▼◎☆★]\s*\S|【[^】\n]{1,40}】\s*$)")
_BRACKETED = re.compile(r"\s*[（(]([^（()）\n]{1,40})[）)]\s*")
_ENDS_AS_TEXT = re.compile(r"[。、，,．.:：;；]\s*$")
#: A line of a table of contents: dots or a gap, then a page number.
_CONTENTS_LINE = re.compile(
    r"(?:[.．…‥・]{3,}|\s{3,}|\t)\s*[-‐－]?\s*[0-9０-９ivx]{1,4}\s*[-‐－]?\s*$"
)


class Heading(NamedTuple):
    """A heading found in the text.

    level : from 1; smaller is higher.
    title : as it goes into a heading path.
    alone : the unit is nothing but the heading (第3条 従業員は… is not).
    """

    level: int
    title: str
    alone: bool


def find_heading(line: str, following: str = "") -> Heading | None:
    """Read a unit of text as a heading, or return None.

    Parameters
    ----------
    line
        A sentence or line of the source, without blanks at its ends.
    following
        The unit after it: （目的） is a heading only where 第1条 follows, and a short numbered line
        only where no other numbered line does (that is a list).
    """
    if _CONTENTS_LINE.search(line):
        return None
    return _rule(line) or _article_title(line, following) or _plain(line, following)


def _rule(line: str) -> Heading | None:
    short = len(line) <= _LONGEST_CHARS and not _ENDS_AS_TEXT.search(line)
    if found := _RULE.match(line):
        level = _RULE_LEVELS[found[2]]
        if short:
            return Heading(level, _one_line(line), alone=True)
        if found[2] == "条":
            return Heading(level, _one_line(found[0]), alone=False)
        return None
    if short and (found := _SUPPLEMENT.match(line)):
        return Heading(_SUPPLEMENT_LEVEL, _one_line(line), alone=True)
    return None


def _article_title(line: str, following: str) -> Heading | None:
    """Read （目的） before 第1条 as the article's heading: 第1条（目的）."""
    bracketed = _BRACKETED.fullmatch(line)
    rule = _RULE.match(following) if bracketed else None
    if bracketed is None or rule is None or rule[2] != "条" or rule["title"]:
        return None
    return Heading(
        _RULE_LEVELS["条"], f"{_one_line(rule[1])}（{bracketed[1].strip()}）", alone=True
    )


def _plain(line: str, following: str) -> Heading | None:
    if len(line) > _LONGEST_CHARS or "\n" in line or _ENDS_AS_TEXT.search(line):
        return None
    if found := _NUMBERED.match(line):
        depth = len(re.findall(r"[.．\-‐－]", found[1]))
        title = line[found.end() - 1 :]
        bare = depth == 0 and found[2].isspace()
        if bare and (not following or _NO_TITLE.match(title)):
            return None
        other = _NUMBERED.match(following)
        is_list = other is not None and len(re.findall(r"[.．\-‐－]", other[1])) <= depth
        return None if is_list else Heading(_NUMBERED_LEVEL + depth, _one_line(line), alone=True)
    if _MARKED.match(line) and not _MARKED.match(following):
        return Heading(_MARKED_LEVEL, _one_line(line), alone=True)
    return None


def _one_line(title: str) -> str:
    return " ".join(title.split())


def enter(path: Sequence[tuple[int, str]], heading: Heading) -> tuple[tuple[int, str], ...]:
    """Return the heading path below ``heading``: what it does not end, and itself.

    （目的） and 第1条 that follows are one heading: the second does not replace the fuller title.
    """
    kept = tuple(step for step in path if step[0] < heading.level)
    last = path[-1] if path else None
    if last and last[0] == heading.level and last[1].startswith(f"{heading.title}（"):
        return tuple(path)
    return (*kept, (heading.level, heading.title))
