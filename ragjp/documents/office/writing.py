"""Text put together line by line, with what is known of each line: its place in the source, its heading level, its readings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ragjp.documents.cleaning import clean_text, clean_title
from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.documents.reasons import reason
from ragjp.types import Page

_BLANKS = re.compile(r"[ \t\n]+")


class Line:
    """The text of one paragraph or cell while it is read: pieces, readings and page breaks at their offsets."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.n_chars = 0
        self.aliases: list[tuple[int, int, str]] = []
        self.breaks: list[int] = []

    def add(self, text: str) -> None:
        """Add text, cleaned."""
        text = clean_text(text)
        if text:
            self._pieces.append(text)
            self.n_chars += len(text)

    def add_ruby(self, base: str, reading: str) -> None:
        """Add a word; its reading goes beside it, not into it."""
        start = self.n_chars
        self.add(base)
        reading = clean_title(reading)
        if reading and self.n_chars > start:
            self.aliases.append((start, self.n_chars, reading))

    @property
    def text(self) -> str:
        """All pieces."""
        return "".join(self._pieces)


class Writing:
    """A page's text while it grows.

    Parameters
    ----------
    name
        The document, for the error's sentence.
    max_chars
        How many characters it may have; ``too_large`` is raised beyond.
    """

    def __init__(self, name: str, max_chars: int) -> None:
        self._name = name
        self._max_chars = max_chars
        self._lines: list[str] = []
        self.n_chars = 0  # with the line ends
        self.headings: list[tuple[int, int, str]] = []
        self.places: list[tuple[int, int, str]] = []
        self.aliases: list[tuple[int, int, str]] = []
        self.breaks: list[int] = []

    def write(self, line: Line, *, prefix: str = "", level: int = 0, place: str = "") -> None:
        """Write a paragraph; blank ones leave nothing. ``level`` from 1 makes it a heading."""
        text = line.text
        kept = text.rstrip()
        begin = len(text) - len(text.lstrip("\n"))
        self.breaks += [self.n_chars + min(offset, len(kept)) for offset in line.breaks]
        if not kept.strip():
            return
        shift = self.n_chars + len(prefix) - begin
        self.aliases += [
            (start + shift, end + shift, reading)
            for start, end, reading in line.aliases
            if start >= begin and end <= len(kept)
        ]
        self.put(prefix + kept[begin:], level=level, place=place)

    def put(self, text: str, *, level: int = 0, place: str = "") -> None:
        """Write a line of clean text.

        Raises
        ------
        DocumentError
            ``too_large``.
        """
        if level:
            self.headings.append((self.n_chars, level, clean_title(text)))
        if place:
            self.places.append((self.n_chars, self.n_chars + len(text), place))
        self._lines.append(text)
        self.n_chars += len(text) + 1
        if self.n_chars > self._max_chars + 1:
            raise reason("too_large", self._name, detail=f"上限 {self._max_chars:,} 文字")

    def put_row(self, cells: Sequence[Line], *, place: str = "") -> None:
        """Write a table row as one line, its cells between separators; a row of blanks leaves nothing."""
        texts = [one_line(cell.text) for cell in cells]
        if not any(texts):
            return
        while not texts[-1]:
            texts.pop()
        row = CELL_SEPARATOR.join(texts)
        at = self.n_chars
        for cell, text in zip(cells, texts, strict=False):
            for start, end, reading in cell.aliases:
                word = cell.text[start:end]
                found = text.find(word)
                if found >= 0:
                    self.aliases.append((at + found, at + found + len(word), reading))
            self.breaks += [self.n_chars] * len(cell.breaks)
            at += len(text) + len(CELL_SEPARATOR)
        self.put(row, place=place)

    def page(self, number: int, label: str = "") -> Page:
        """Give what was written as a page."""
        return Page(
            number,
            "\n".join(self._lines),
            tuple(self.headings),
            label,
            tuple(self.places),
            tuple(sorted(self.aliases)),
        )

    def page_places(self) -> tuple[tuple[int, int, str], ...]:
        """Give the runs between page breaks as places ``p.1``, ``p.2``, ...; nothing where no break is known."""
        if not self.breaks:
            return ()
        end = max(self.n_chars - 1, 0)
        bounds = [0, *sorted(min(at, end) for at in self.breaks), end]
        return tuple(
            (a, b, f"p.{number}")
            for number, (a, b) in enumerate(pairwise(bounds), start=1)
            if b > a
        )


def one_line(text: str) -> str:
    r"""Give a cell's text as one line.

    >>> one_line(" 宿泊\n（甲地） ")
    '宿泊 （甲地）'
    """
    if "\n" in text or "\t" in text or "  " in text:
        text = _BLANKS.sub(" ", text)
    return text.strip(" ")


def joined(lines: Iterable[Line]) -> Line:
    """Join the paragraphs of a cell to one line, their readings kept."""
    whole = Line()
    for line in lines:
        if not line.text.strip():
            whole.breaks += [whole.n_chars] * len(line.breaks)
            continue
        if whole.n_chars:
            whole.add(" ")
        shift = whole.n_chars
        whole.aliases += [(start + shift, end + shift, text) for start, end, text in line.aliases]
        whole.breaks += [offset + shift for offset in line.breaks]
        whole.add(line.text)
    return whole
