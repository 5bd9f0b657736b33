"""Query operators: ``"経費の精算"`` must stand there word for word, ``-賞与`` must not, ``title:就業規則`` must be in the title.

Quotes are ``"``, ``＂`` or ``“ ”`` in pairs; 「」 are not operators, since questions are full of them. ``-`` and ``title:`` (``題名:``) count
at the start of a word; before a digit ``-`` is a minus sign. Operators are for people who search: a question to be answered is plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragjp.errors import RequestError

_QUOTED = r'"[^"\n]+"|＂[^＂\n]+＂|“[^”\n]+”'
_OPERATOR = re.compile(
    rf"(?P<lead>(?<!\S)(?:(?P<minus>[-－](?![0-9０-９]))|(?P<title>(?:title|題名|タイトル)[:：])))?"
    rf"(?P<phrase>{_QUOTED})"
    r"|(?<!\S)(?:(?P<minus_word>[-－](?![0-9０-９])(?=[\w]))|(?P<title_word>(?:title|題名|タイトル)[:：]))(?P<word>\S+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query taken apart.

    query : as it was typed.
    text : what is analysed and embedded; phrases are part of it, exclusions are not.
    phrases : each must stand in the chunk, or in its title or headings, after folding.
    excluded : none may.
    titles : the words of each must be in the chunk's title or headings.
    """

    query: str
    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()

    @property
    def restricts(self) -> bool:
        """Whether any operator was used."""
        return bool(self.phrases or self.excluded or self.titles)


def parse_operators(query: str) -> ParsedQuery:
    """Take the operators out of a query.

    >>> asked = parse_operators('出張 "日当の額" -海外 title:旅費規程')
    >>> asked.text, asked.phrases, asked.excluded, asked.titles
    ('出張 日当の額 旅費規程', ('日当の額',), ('海外',), ('旅費規程',))

    Raises
    ------
    RequestError
        When nothing is left to search for (only exclusions); code ``query_only_excludes``.
    """
    phrases: list[str] = []
    excluded: list[str] = []
    titles: list[str] = []

    def take(match: re.Match[str]) -> str:
        words = match["word"] or match["phrase"][1:-1]
        if match["minus"] or match["minus_word"]:
            excluded.append(words)
            return " "
        if match["title"] or match["title_word"]:
            titles.append(words)
        else:
            phrases.append(words)
        return f" {words} "

    text = " ".join(_OPERATOR.sub(take, query).split())
    if not text:
        raise RequestError(
            "除くことば（-ことば）だけでは探せません。調べたいことばも入力してください。",
            code="query_only_excludes",
        )
    if not (phrases or excluded or titles):
        return ParsedQuery(query, query)
    return ParsedQuery(query, text, tuple(phrases), tuple(excluded), tuple(titles))
