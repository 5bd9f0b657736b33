"""The pieces of a passage that can answer: sentences, and rows of tables together with the row that heads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragjp.japanese.sentences import split_sentences
from ragjp.types import Span

_RULE = re.compile(r"[\s|:+=─━-]+")
_GAP = re.compile(r"\t+|[ 　]{2,}|　")
_STOP = re.compile(r"[。．！？!?]\s*$")
_ASKS = re.compile(
    r"(?:[？?]|ですか|ますか|でしょうか|ませんか|(?:教えて|聞かせて)ください|のですが)[。．]?\s*$"
)
_FAQ = re.compile(r"\s*[QＱ][0-9０-９]*[.．:：、 　]")
_NUMBERED = re.compile(
    r"\s*(?:#{1,6}\s|【[^】]*】\s*$|■|第\s*[0-9０-９一二三四五六七八九十百]+\s*[編部章節款条]|[0-9０-９]{1,2}(?:[.．][0-9０-９]{1,2})*[.．]?[\s　]|附則)"
)
#: Sentences that only point at what follows.
_POINTS = re.compile(r"(?:次の(?:各号の)?(?:表の)?|下記の|別表[^。]{0,8}の|以下の)(?:とおり|通り)")
_DATE_LINE = re.compile(
    r"\s*(?:\d{4}年|(?:明治|大正|昭和|平成|令和).{1,3}年|\d{1,2}月)[\d年月日（）()曜 　]*$"
)
#: A cell that holds a value: a number with little around it.
_FIGURE = re.compile(r"\D{0,3}[0-9０-９][0-9０-９,，.．]*\D{0,4}")
_PAGE_NUMBER = re.compile(r"\W*[0-9０-９]+\W*")
_HEADER_CELL_CHARS = 14
_HEADING_CHARS = 40


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or a row: ``text`` is the passage's ``[start, end)``.

    ``header`` is the row that heads the table, '' where there is none. ``mute`` marks what tells what comes next and answers
    nothing: headings, the questions of an FAQ, sentences that point at a table. ``opens`` marks a numbered heading: what stands
    before it is about something else.
    """

    start: int
    end: int
    text: str
    header: str = ""
    mute: bool = False
    opens: bool = False


def units_of(text: str, headings: Sequence[str] = ()) -> list[Unit]:
    """Cut a passage's text into units, in order. ``headings`` are known headings, to be recognised where they stand."""
    known = {_squeezed(heading) for heading in headings}
    units: list[Unit] = []
    for block in _blocks(text):
        if len(block) > 1:
            units.extend(_table(text, block))
            continue
        span = block[0]
        piece = text[span.start : span.end]
        if not _RULE.fullmatch(piece):
            mute = _is_mute(piece, known)
            opens = mute and bool(_NUMBERED.match(piece))
            units.append(Unit(span.start, span.end, piece, mute=mute, opens=opens))
    return _with_dates(text, units)


def cells(row: str) -> list[str]:
    """Return the cells of a row: parted by bars, by tabs or wide gaps, else by single blanks."""
    inner = row.strip().strip("|").strip()
    if "|" in inner:
        return [part.strip() for part in inner.split("|")]
    parts = [part for part in _GAP.split(inner) if part]
    return parts if len(parts) > 1 else inner.split(" ")


def _blocks(text: str) -> Iterator[list[Span]]:
    """Yield sentences alone, and the rows of each table together: two or more lines that look like rows, one after another."""
    rows: list[Span] = []
    for span in _pieces(text):
        if _looks_like_row(text[span.start : span.end]):
            rows.append(span)
            continue
        yield from _gathered(rows)
        rows = []
        yield [span]
    yield from _gathered(rows)


def _gathered(rows: list[Span]) -> Iterator[list[Span]]:
    if len(rows) > 1:
        yield rows
    else:
        yield from ([row] for row in rows)


def _pieces(text: str) -> Iterator[Span]:
    """Yield sentences; one that spans lines is cut into them when they are rows or begin with a date."""
    for span in split_sentences(text):
        lines = list(_lines(text, span))
        apart = len(lines) > 1 and (
            all(_looks_like_row(text[line.start : line.end]) for line in lines)
            or any(_DATE_LINE.fullmatch(text[line.start : line.end]) for line in lines)
        )
        yield from lines if apart else [span]


def _lines(text: str, span: Span) -> Iterator[Span]:
    at = span.start
    for line in text[span.start : span.end].split("\n"):
        inner = line.strip()
        if inner:
            start = at + line.index(inner)
            yield Span(start, start + len(inner))
        at += len(line) + 1


def _looks_like_row(piece: str) -> bool:
    if "\n" in piece or _STOP.search(piece) or _PAGE_NUMBER.fullmatch(piece) or len(piece) > 200:
        return False
    if _RULE.fullmatch(piece) and "|" in piece:
        return True
    parts = cells(piece)
    if len(parts) < 2:
        return False
    return "|" in piece or not (len(parts) == 2 and _NUMBERED.match(piece))


def _table(text: str, rows: Sequence[Span]) -> list[Unit]:
    pieces = [text[row.start : row.end] for row in rows]
    pieces_and_rows = [(p, r) for p, r in zip(pieces, rows, strict=True) if not _RULE.fullmatch(p)]
    header = ""
    units: list[Unit] = []
    for place, (piece, row) in enumerate(pieces_and_rows):
        if place == 0 and len(pieces_and_rows) > 1 and _is_header(piece):
            header = piece
            units.append(Unit(row.start, row.end, piece, mute=True))
        else:
            units.append(Unit(row.start, row.end, piece, header=header))
    return units


def _is_header(piece: str) -> bool:
    return all(
        len(cell) <= _HEADER_CELL_CHARS and not _FIGURE.fullmatch(cell) for cell in cells(piece)
    )


def _is_mute(piece: str, known: set[str]) -> bool:
    squeezed = _squeezed(piece)
    if squeezed in known or _FAQ.match(piece) or _ASKS.search(piece) or _POINTS.search(piece):
        return True
    if _PAGE_NUMBER.fullmatch(piece) or any(
        len(one) > 3 and one in squeezed for one in known if len(squeezed) <= len(one) + 10
    ):
        return True
    short = len(piece) <= _HEADING_CHARS and not _STOP.search(piece)
    return short and bool(_NUMBERED.match(piece))


def _with_dates(text: str, units: Sequence[Unit]) -> list[Unit]:
    """Join a line that is nothing but a date to the line it dates."""
    joined: list[Unit] = []
    for unit in units:
        before = joined[-1] if joined else None
        if (
            before
            and not unit.header
            and _DATE_LINE.fullmatch(before.text)
            and not _DATE_LINE.fullmatch(unit.text)
        ):
            joined[-1] = Unit(before.start, unit.end, text[before.start : unit.end])
        else:
            joined.append(unit)
    return joined


def _squeezed(text: str) -> str:
    return "".join(text.split()).lstrip("#")
