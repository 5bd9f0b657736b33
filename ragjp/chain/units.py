"""The pieces of a passage that can answer: sentences, and rows of tables together with the row that heads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragjp.japanese.sentences import split_sentences

_RULE = re.compile(r"[\s|:+=─━-]+")
_WIDE_GAP = re.compile(r"\S(?:\t| {3,}|　{2,})\S")
_QUESTION_END = re.compile(r"(?:[？?]|ですか|ますか|でしょうか|ませんか)[。．]?\s*$")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|【[^】]*】\s*$|■)")


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence or a row: ``text`` is the passage's ``[start, end)``.

    ``header`` is the row that heads the table, '' outside tables. ``asks`` marks questions (of an FAQ) and ``heads`` headings:
    both tell what comes next and answer nothing.
    """

    start: int
    end: int
    text: str
    header: str = ""
    asks: bool = False
    heads: bool = False


def units_of(text: str, headings: Sequence[str] = ()) -> list[Unit]:
    """Cut a passage's text into units, in order. ``headings`` are known headings, to be recognised where they stand."""
    known = {_squeezed(heading) for heading in headings}
    units: list[Unit] = []
    header: str | None = None
    for span in split_sentences(text):
        piece = text[span.start : span.end]
        if _RULE.fullmatch(piece):
            continue
        if _is_row(piece):
            units.append(
                Unit(span.start, span.end, piece, header=header or "", heads=header is None)
            )
            header = piece if header is None else header
            continue
        header = None
        heads = bool(_HEADING.match(piece)) or _squeezed(piece) in known
        units.append(
            Unit(span.start, span.end, piece, asks=bool(_QUESTION_END.search(piece)), heads=heads)
        )
    return units


def cells(row: str) -> list[str]:
    """Return the cells of a row."""
    inner = row.strip().strip("|")
    parts = inner.split("|") if "|" in inner else re.split(r"\t+| {3,}|　{2,}", inner)
    return [part.strip() for part in parts]


def _is_row(piece: str) -> bool:
    return piece.count("|") >= 2 or bool(_WIDE_GAP.search(piece.strip())) or " | " in piece


def _squeezed(text: str) -> str:
    return "".join(text.split()).lstrip("#")
