"""What a line looks like: a list item, a heading and its level, a row of a table, a page number.

Patterns only; they read the source text, so both widths of every sign are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragjp.japanese.characters import HIRAGANA, KANJI, KATAKANA, PUNCTUATION
from ragjp.types import Span

_NUMBER = "[0-9０-９一二三四五六七八九十百千〇]"
_DIGITS = "[0-9０-９]"
#: What follows 第3条 where it opens an article (第3条（目的）, 第3条 従業員は) and is not just named.
_OPENS = r"(?=\s|[（(【［\[:：]|$)"
_LINE = re.compile(r"[^\n\r\f\x0b\x85\u2028\u2029]+")

#: The start of a list item, an article, a numbered or a bracketed heading.
_ITEM = re.compile(
    rf"""\s*(?:
      第\s*{_NUMBER}+\s*[編部章節款目条項号](?:\s*の\s*{_NUMBER}+)*{_OPENS}
    | [・●○◆◇■□▪▶►★☆※◎→⇒✓✔➢•‣⚫\uf0a7-\uf0fc]
    | [-‐‑–—－−*＊]\s
    | [（(]\s*(?:{_NUMBER}{{1,3}}|[ア-ンa-zA-Zａ-ｚＡ-Ｚ]|[ivx]{{1,4}})\s*[）)]
    | [①-⑳㉑-㉟㊱-㊿⑴-⒇⒈-⒛❶-❿➀-➓Ⅰ-Ⅻⅰ-ⅻ]
    | {_DIGITS}{{1,3}}(?:[.．]{_DIGITS}{{1,3}})*\s*[.．、)）](?!{_DIGITS})
    | {_DIGITS}{{1,2}}(?:[.．-]{_DIGITS}{{1,2}}){{1,3}}\s+(?=\S)
    | {_DIGITS}{{1,2}}(?:\u3000|\s\s)
    | [一二三四五六七八九十]{{1,3}}(?:\s|[、.．])
    | [ア-ン](?:\s|[.．、)）])
    | [#＃]{{1,6}}\s
    | [（(【〔［\[〈《][^（()）【】〔〕［］\[\]]{{1,30}}[）)】〕］\]〉》]\s*$
    | (?:附\s*則|別\s*表|目\s*次|別\s*紙|様\s*式)(?=$|[\s第0-9０-９一二三四五])
    | [QＱAＡ問]\s?{_DIGITS}{{0,3}}\s?[.．:：]
    )""",
    re.VERBOSE,
)
_JAPANESE = f"[{KANJI}{HIRAGANA}{KATAKANA}{PUNCTUATION}（）]"
_WRAP = re.compile(rf"(?<={_JAPANESE})[^\S\n]*\n\s*(?={_JAPANESE})")
#: A row of a table: cells parted by tabs or bars.
_ROW = re.compile(r"\s*\S[^\t]*\t+[^\t]*\S|[^|｜]*[|｜][^|｜]*[|｜]|\s*[|｜]")
#: A line with nothing but a page number.
_PAGE_NUMBER = re.compile(
    rf"\s*(?:[-‐‑–—－−─―]\s*)?(?:p\.?|P\.?|page|ページ)?\s*{_DIGITS}{{1,4}}"
    rf"(?:\s*[/／]\s*{_DIGITS}{{1,4}})?\s*(?:ページ|頁)?(?:\s*[-‐‑–—－−─―])?\s*"
)


def unwrap(sentence: str) -> str:
    r"""Write a sentence that runs over lines as one line: no blank where a Japanese word was broken.

    For what is read out; what is cited stays as it is on the page.

    >>> unwrap("業\n務上やむを得ないときは\n 7 days\n以内")
    '業務上やむを得ないときは 7 days 以内'
    """
    return " ".join(_WRAP.sub("", sentence).split())


def lines(text: str) -> Iterator[Span]:
    """Yield the lines of a text that hold more than blanks, without their line ends."""
    for match in _LINE.finditer(text):
        if not match[0].isspace():
            yield Span(*match.span())


def is_item(line: str) -> bool:
    """Tell whether a line starts something new whatever the line before it looked like."""
    return _ITEM.match(line) is not None


def is_row(line: str) -> bool:
    """Tell whether a line is a row of a table."""
    return _ROW.match(line) is not None


def is_page_number(text: str) -> bool:
    """Tell whether a text is only a page number: ``12``, ``- 12 -``, ``3/17``, ``5ページ``."""
    return _PAGE_NUMBER.fullmatch(text) is not None


def width(line: str) -> int:
    """Return the width of a line in cells: two for a kanji or kana, one for an ASCII character."""
    return len(line.encode("cp932", "replace"))
