"""Lines of text put together from the pieces of a page: blanks folded as a browser does, one line per block, one per table row."""

from __future__ import annotations

import re

from ragjp.documents.cleaning import clean_text, clean_title

CELL_SEPARATOR = " | "

#: HTML's blanks; the ideographic space and the no-break space are characters.
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_WIDE = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


class Lines:
    """Collects a page's text; knows where each heading starts in it.

    Parameters
    ----------
    max_chars
        Writing stops, and ``overflowed`` is set, once there is more.
    """

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._done: list[str] = []
        self._n_done = 0  # characters in _done, with their line ends
        self._line: list[str] = []
        self._last = ""  # the last character of the open line
        self._blank = ""  # blanks seen but not yet written
        self._verbatim = 0
        self._heading = 0
        self._marked = False  # the open line holds nothing but a list item's mark
        self._cells: list[str] = []
        self._in_row = self._in_cell = False
        self._headings: list[tuple[int, int, str]] = []
        self.overflowed = False

    def write(self, text: str) -> None:
        """Add text to the open line."""
        if self._verbatim and not self._in_row:
            self._write_verbatim(text)
            return
        at = 0
        for found in _BLANKS.finditer(text):
            self._add(text[at : found.start()])
            self._blank = self._blank or ("\n" if "\n" in found[0] else " ")
            at = found.end()
        self._add(text[at:])

    def _add(self, word: str) -> None:
        if not word:
            return
        # A line end of the source between two Japanese characters is no blank: nobody sees one there.
        between_wide = _WIDE.match(self._last) and _WIDE.match(word)
        if self._blank and self._last and not (self._blank == "\n" and between_wide):
            self._line.append(" ")
        self._blank, self._marked = "", False
        self._line.append(word)
        self._last = word[-1]

    def _write_verbatim(self, text: str) -> None:
        self._marked = False
        first, *others = text.split("\n")
        self._line.append(first)
        for other in others:
            self._flush()
            self._line.append(other)
        self._last = ""

    def write_mark(self, mark: str) -> None:
        """Start a list item; its mark stands before its first words. In a heading or a row it is only more text."""
        if not self._in_row and not self._heading:
            self._line, self._last, self._marked = [mark], "", True

    def drop_mark(self) -> None:
        """End a list item; an empty one leaves nothing."""
        if self._marked:
            self._taken()

    def end_line(self) -> None:
        """End the line; in a heading or a cell, leave a blank."""
        if self._heading or self._in_row:
            self._blank = " "
        elif not self._marked:
            self._flush()

    def end_block(self, *, spaced: bool) -> None:
        """End the line if it holds anything, and ask for an empty one before the next."""
        if self._heading or self._in_row:
            self._blank = " "
            return
        if self._marked:
            return
        if self._line:
            self._flush()
        if spaced and self._done and self._done[-1]:
            self._put("")

    def start_row(self) -> None:
        """Start a table row: from here on, nothing but cells."""
        self.end_block(spaced=False)
        self._cells, self._in_row, self._in_cell = [], True, False

    def start_cell(self) -> None:
        """End the cell before, if any, and start one."""
        if self._in_cell:
            self._cells.append(self._taken())
        self._in_cell = self._in_row

    def end_row(self) -> None:
        """Write the row as one line."""
        if self._in_cell:
            self._cells.append(self._taken())
        self._in_row = self._in_cell = False
        if any(self._cells):
            self._put(CELL_SEPARATOR.join(self._cells).rstrip())
        self._cells = []

    def start_heading(self, level: int) -> None:
        """Start a heading; in a table row it is only a cell's text."""
        if not self._in_row:
            self._heading = level

    def end_heading(self) -> None:
        """Write the heading as one line and remember its place."""
        if not self._heading:
            return
        level, self._heading = self._heading, 0
        text = self._taken()
        if text:
            self._headings.append((self._n_done, level, clean_title(text)))
            self._put(text)

    def keep_blanks(self, on: bool) -> None:
        """Switch to text whose blanks and line ends count (``pre``), and back."""
        self._verbatim = max(0, self._verbatim + (1 if on else -1))

    def finish(self) -> tuple[str, tuple[tuple[int, int, str], ...]]:
        """Give the text and its headings as (offset, level, text)."""
        self.end_row()
        self.end_heading()
        self.end_block(spaced=False)
        return "\n".join(self._done).rstrip("\n"), tuple(self._headings)

    def _taken(self) -> str:
        text = clean_text("".join(self._line)).replace("\n", " ").strip()
        self._line, self._last, self._blank, self._marked = [], "", "", False
        return text

    def _flush(self) -> None:
        text = clean_text("".join(self._line)).replace("\n", " ").rstrip()
        self._line, self._last, self._blank, self._marked = [], "", "", False
        self._put(text)

    def _put(self, line: str) -> None:
        if not line and (not self._done or not self._done[-1]):
            return
        self._done.append(line)
        self._n_done += len(line) + 1
        self.overflowed = self._n_done > self._max_chars + 1
