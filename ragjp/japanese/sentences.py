"""Sentences of the source text, as spans. Linear in the length of the text.

First the lines are joined to blocks: a PDF breaks lines anywhere, so a line that fills the width of
its page goes on in the next one, unless that one opens an item, an article or a table row. Then each
block is cut after 。．！？!? and the closing brackets that follow, but not inside 「」 or （）; a bracket
that nothing closes within 300 characters counts as not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragjp.japanese.layout import is_item, is_row, lines, width
from ragjp.types import Span

#: A line narrower than this (in cells; a kanji has two) was not broken by the width of a page.
_NARROWEST_CELLS = 30
#: Share of the width of the lines around it from which a line counts as full.
_FULL = 0.85
#: Lines looked at on either side to learn that width.
_AROUND = 5
#: How far apart, in characters, two brackets may be and still enclose.
_BRACKET_CHARS = 300
#: How many open brackets a closing one looks through for its partner.
_NESTED = 8

_OPENING = "「『（(【〈《［[〔｢"
_CLOSING = "」』）)】〉》］]〕｣"
#: Brackets of one shape close one another, whatever their width.
_KIND = dict(zip(_OPENING + _CLOSING, "「『((【〈《[[〔「" * 2, strict=True))
_ENDING = "。．！？!?｡"
_QUOTES = "「『"

_GAP = re.compile(r"\s*")
_LINE_END = re.compile(r"\r\n|[\n\r\x0b\x85\u2028]")
_PARAGRAPH_END = re.compile(r"[\f\u2029]")
_CONTINUES = re.compile(r"[、,，]\s*$")
_MARK = re.compile(rf"[{re.escape(_OPENING + _CLOSING + _ENDING)}.]")
#: What may follow the end of a sentence and still belong to it.
_TAIL = re.compile(rf"[{re.escape(_ENDING + _CLOSING)}”’\"'…]*")
_LETTER = re.compile(r"[A-Za-zＡ-Ｚａ-ｚ]")
_DIGIT = re.compile(r"[0-9０-９]")
_WORD_CHAR = re.compile(r"[A-Za-z0-9=&/%_#-]")
_JAPANESE = re.compile(r"[\u3041-\u30ff\u3400-\u9fff]")
#: The word that ends in a full stop without ending a sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[^A-Za-z])(?:[A-Za-z]|[A-Za-z]\.[A-Za-z]|Co|Ltd|Inc|Corp|Mr|Mrs|Ms|Dr|Prof|No|Nos|vs|etc|"
    r"Fig|St|Jr|Sr|cf|ca|al|ver|Ver|vol|Vol|pp|ed|approx|Tel|TEL|[0-9]+)$"
)
_ITEM_NUMBER = re.compile(
    r"\s*(?:[Ⅰ-Ⅻⅰ-ⅻ]|[IVXivx]{1,4}|[ア-ンA-Za-zＡ-Ｚａ-ｚ]|[一二三四五六七八九十]{1,3})"
)
_NUMBER_CHARS = 8
_AFTER_STOP = re.compile(r"\s+(?:[\"'“(「『]?[A-Z0-9\u3041-\u30ff\u3400-\u9fff])|\s*$")


def split_sentences(text: str) -> list[Span]:
    """Split a source text into sentences.

    Returns
    -------
    list of Span
        In order, disjoint, none empty, blanks at both ends trimmed. Every character that is not a
        blank belongs to exactly one.
    """
    found: list[Span] = []
    for block in _blocks(text):
        start = block.start
        for end in _ends(text, block):
            found.append(_trimmed(text, start, end))
            start = end
        if text[start : block.end].strip():
            found.append(_trimmed(text, start, block.end))
    return found


def _trimmed(text: str, start: int, end: int) -> Span:
    whole = text[start:end]
    return Span(start + len(whole) - len(whole.lstrip()), end - len(whole) + len(whole.rstrip()))


def _blocks(text: str) -> Iterator[Span]:
    """Join the lines that go on in the next one; every block ends where the layout says so."""
    found = list(lines(text))
    if not found:
        return
    widths = [width(text[line.start : line.end].rstrip()) for line in found]
    start = found[0].start
    for i in range(1, len(found)):
        if not _goes_on(text, found[i - 1], found[i], widths, i - 1):
            yield Span(start, found[i - 1].end)
            start = found[i].start
    yield Span(start, found[-1].end)


def _goes_on(text: str, line: Span, following: Span, widths: list[int], i: int) -> bool:
    """Tell whether line ``i`` continues in the following one."""
    between = text[line.end : following.start]
    if len(_LINE_END.findall(between)) > 1 or _PARAGRAPH_END.search(between):
        return False
    this, other = text[line.start : line.end], text[following.start : following.end]
    if is_row(this) or is_row(other) or is_item(other):
        return False
    if _CONTINUES.search(this):
        return True
    around = sorted(widths[max(0, i - _AROUND) : i + _AROUND + 1])
    # The second widest, so that one long line does not make all others look short.
    usual = around[-2] if len(around) > 2 else around[-1]
    return widths[i] >= max(_NARROWEST_CELLS, _FULL * usual)


def _ends(text: str, block: Span) -> Iterator[int]:
    """Yield where sentences end inside a block, the end of the block left out."""
    closed_at = _brackets(text, block)
    at = block.start
    while match := _MARK.search(text, at, block.end):
        at = match.end()
        mark = match[0]
        if mark in _OPENING:
            close = closed_at.get(match.start())
            if close is None:
                continue
            at = close + 1
            if not (mark in _QUOTES and _is_spoken(text, close, block.end)):
                continue
        elif mark in _CLOSING or not _is_end(text, match.start(), block):
            continue
        tail = _TAIL.match(text, at, block.end)
        at = tail.end() if tail else at
        if at < block.end:
            yield at


def _brackets(text: str, block: Span) -> dict[int, int]:
    """Match brackets that are not too far apart: position of the opening one to the closing one."""
    pairs: dict[int, int] = {}
    open_at: list[int] = []
    for match in _MARK.finditer(text, block.start, block.end):
        if match[0] in _OPENING:
            open_at.append(match.start())
        elif match[0] in _CLOSING:
            kind = _KIND[match[0]]
            # A closing bracket without a partner closes nothing; a deep nest is not searched.
            for depth in range(1, min(_NESTED, len(open_at)) + 1):
                if _KIND[text[open_at[-depth]]] == kind:
                    if match.start() - open_at[-depth] <= _BRACKET_CHARS:
                        pairs[open_at[-depth]] = match.start()
                    del open_at[-depth:]
                    break
    return pairs


def _is_spoken(text: str, close: int, end: int) -> bool:
    """Tell whether a quotation is a whole sentence: it ends as one, and another quotation follows."""
    following = _GAP.match(text, close + 1, end)
    after = following.end() if following else close + 1
    return text[close - 1] in _ENDING and after < end and text[after] in _QUOTES


def _is_end(text: str, at: int, block: Span) -> bool:
    """Tell whether the mark at ``at`` ends a sentence."""
    mark = text[at]
    before = text[at - 1] if at > block.start else ""
    after = text[at + 1] if at + 1 < block.end else ""
    if mark in "。｡":
        return True
    if mark in ".．" and (_DIGIT.match(before) or _numbers(text, block.start, at)):
        return False
    if mark == ".":
        head = text[max(block.start, at - 8) : at]
        return not _ABBREVIATION.search(head) and bool(_AFTER_STOP.match(text, at + 1, block.end))
    if mark in "!?" and _WORD_CHAR.match(after):
        return False
    # Yahoo!ニュース: an exclamation mark inside a name.
    return not (mark in "!！?？" and _LETTER.match(before) and _JAPANESE.match(after))


def _numbers(text: str, start: int, at: int) -> bool:
    """Tell whether a full stop belongs to the number of an item (Ⅲ．, ア．, a.)."""
    return at - start <= _NUMBER_CHARS and _ITEM_NUMBER.fullmatch(text, start, at) is not None
