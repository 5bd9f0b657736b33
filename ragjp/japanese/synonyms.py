"""Synonyms as a file: one group a line, its members between tabs; ``a => b`` for one direction; ``#`` for comments.

::

    # 社内の呼び方
    情シス	情報システム課	情報システム部門
    社食 => 社員食堂	カフェテリア

Who asks with a word of a group finds the others too. With ``=>`` only the left side leads to the right one.
A comment begins at the start of a line or after a blank: C# is a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ragjp.errors import RecipeError
from ragjp.japanese.terms import searched_text

MOST_LINES = 20_000
MOST_MEMBERS = 64
MOST_CHARS = 100
_ARROW = "=>"
_COMMENT = re.compile(r"(?:^|\s)#.*")


@dataclass(frozen=True, slots=True)
class Synonyms:
    """What each word leads to, by its folded spelling; what it leads to never holds the word itself."""

    links: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def joined(self, other: Synonyms) -> Synonyms:
        """Take both: a word leads to what either says."""
        if not (self.links and other.links):
            return self if self.links else other
        links = dict(self.links)
        for word, others in other.links.items():
            links[word] = tuple(dict.fromkeys((*links.get(word, ()), *others)))
        return Synonyms(MappingProxyType(links))


def parse_synonyms(text: str, *, where: str) -> Synonyms:
    r"""Read a list of synonyms.

    >>> parse_synonyms("年休\t有給\n社食 => 食堂", where="test").links["社食"]
    ('食堂',)

    Raises
    ------
    RecipeError
        One sentence with ``where`` and the line: a group of one, a word twice, a word too long, too many lines. Code ``bad_synonyms``.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    if len(lines) > MOST_LINES:
        raise _wrong(where, MOST_LINES + 1, f"{MOST_LINES:,} 行を超えています。減らしてください")
    links: dict[str, list[str]] = {}
    seen: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, 1):
        rule = _COMMENT.sub("", line)
        if not rule.strip():
            continue
        left, arrow, right = rule.partition(_ARROW)
        sources = _members(left, where, number)
        targets = _members(right, where, number) if arrow else sources
        _require_new(seen, "=>" if arrow else "", sources, where, number)
        if arrow and (both := set(sources) & set(targets)):
            raise _wrong(
                where, number, f"「{min(both)}」が => の両側にあります。片方を消してください"
            )
        if not arrow and len(sources) < 2:
            raise _wrong(
                where,
                number,
                "ことばが一つしかありません。同じ意味のことばをタブで区切って並べてください",
            )
        for source in sources:
            known = links.setdefault(source, [])
            known += [one for one in targets if one != source and one not in known]
    return Synonyms(MappingProxyType({word: tuple(others) for word, others in links.items()}))


def _members(part: str, where: str, number: int) -> list[str]:
    members = [searched_text(one).strip() for one in part.split("\t")]
    members = [one for one in members if one]
    if not members:
        raise _wrong(where, number, "ことばがありません。=> の両側にことばを書いてください")
    if len(members) > MOST_MEMBERS:
        raise _wrong(where, number, f"ことばが {MOST_MEMBERS} 個を超えています。行を分けてください")
    for one in members:
        if len(one) > MOST_CHARS:
            raise _wrong(
                where, number, f"{MOST_CHARS} 文字を超えることばがあります。短くしてください"
            )
        if not any(map(str.isalnum, one)):
            raise _wrong(where, number, f"「{one}」は記号だけです。消してください")
        if members.count(one) > 1:
            raise _wrong(
                where,
                number,
                f"「{one}」が二つあります（全角・半角や大文字・小文字は同じことばです）。一つ消してください",
            )
    return members


def _require_new(
    seen: dict[tuple[str, str], int], kind: str, words: list[str], where: str, number: int
) -> None:
    """A word belongs to one group, and to the left side of one arrow: who reads a line sees all that it leads to."""
    for word in words:
        first = seen.setdefault((kind, word), number)
        if first != number:
            raise _wrong(
                where, number, f"「{word}」は {first} 行目にもあります。一つの行にまとめてください"
            )


def _wrong(where: str, number: int, problem: str) -> RecipeError:
    return RecipeError(
        f"同義語のファイル {where} の {number} 行目: {problem}。", code="bad_synonyms"
    )


@cache
def builtin_synonyms() -> Synonyms:
    """Return the list that comes with ragjp: abbreviations and other names that any company's documents share."""
    text = files("ragjp.japanese").joinpath("data/synonyms.tsv").read_text(encoding="utf-8")
    return parse_synonyms(text, where="data/synonyms.tsv")
