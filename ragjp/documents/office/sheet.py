"""One worksheet, read as it streams by: what its cells show, which are merged, which rows and columns are hidden.

Of formulas the value that Excel stored is read; a formula is never computed. Rows that a filter hides, or a folded group, are read: they
are there for whoever opens the sheet. Rows and columns that somebody hid are not.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ragjp.documents.cleaning import clean_text
from ragjp.documents.office.number_formats import format_text, format_value
from ragjp.documents.office.package import Package
from ragjp.documents.office.workbook import Alias, Style, Workbook, rich_text
from ragjp.documents.reasons import reason

_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})$")
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
#: Merged areas of one sheet; a sheet of grid paper has thousands.
_MOST_MERGES = 200_000
_DEFAULT_WIDTH = 8.43
_DIGITS = "0123456789"
_ISO_TIME = re.compile(r"T00:00:00(?:\.0+)?Z?$")


class Area(NamedTuple):
    """Cells from a top left to a bottom right one, both included, rows and columns from 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def reference(self) -> str:
        """As Excel writes it.

        >>> Area(3, 1, 3, 4).reference, Area(1, 28, 1, 28).reference
        ('A3:D3', 'AB1')
        """
        first, last = cell_name(self.top, self.left), cell_name(self.bottom, self.right)
        return first if first == last else f"{first}:{last}"


class Cell(NamedTuple):
    """What a cell shows: its text, its readings, its style; whether it holds a number or date, not text."""

    text: str
    style: Style
    is_number: bool = False
    aliases: tuple[Alias, ...] = ()


@dataclass(slots=True)
class Sheet:
    """A sheet's content.

    Attributes
    ----------
    rows
        By row, by column: the cells that show something.
    merges
        Merged areas.
    widths
        (first column, last column, width in characters).
    default_width
        Of all other columns.
    counts
        What was left out or is missing, by the keys of :mod:`ragjp.documents.office.remarks`.
    """

    rows: dict[int, dict[int, Cell]] = field(default_factory=dict)
    merges: list[Area] = field(default_factory=list)
    widths: list[tuple[int, int, float]] = field(default_factory=list)
    default_width: float = _DEFAULT_WIDTH
    counts: Counter[str] = field(default_factory=Counter)

    def width(self, column: int) -> float:
        """Give a column's width in characters."""
        return next(
            (width for first, last, width in self.widths if first <= column <= last),
            self.default_width,
        )


def cell_name(row: int, column: int) -> str:
    """Write a cell's place.

    >>> cell_name(10, 703)
    'AAA10'
    """
    letters = ""
    while column > 0:
        column, at = divmod(column - 1, 26)
        letters = chr(65 + at) + letters
    return f"{letters}{row}"


def place_of(reference: str) -> tuple[int, int]:
    """Read a cell's place as (row, column); (0, 0) when it is none.

    >>> place_of("AB12"), place_of("12")
    ((12, 28), (0, 0))
    """
    found = _REFERENCE.match(reference)
    if not found:
        return 0, 0
    column = 0
    for letter in found[1].upper():
        column = 26 * column + ord(letter) - 64
    row = int(found[2])
    return (row, column) if 0 < row <= LAST_ROW and column <= LAST_COLUMN else (0, 0)


@lru_cache(maxsize=LAST_COLUMN)
def _column(letters: str) -> int:
    return place_of(letters + "1")[1]


def area_of(reference: str) -> Area | None:
    """Read ``A1:B2``; a single cell is an area too."""
    first, _, last = reference.partition(":")
    top, left = place_of(first)
    bottom, right = place_of(last or first)
    if not top or not bottom:
        return None
    return Area(min(top, bottom), min(left, right), max(top, bottom), max(left, right))


def read_sheet(package: Package, part: str, workbook: Workbook, name: str, max_chars: int) -> Sheet:
    """Read a sheet.

    Raises
    ------
    DocumentError
        As :meth:`~ragjp.documents.office.package.Package.events`, and ``too_large`` beyond ``max_chars``.
    """
    reader = _Reader(workbook, name, max_chars)
    for _, element in package.events(part):
        if element.tag == "row":
            reader.row(element)
            element.clear()
        elif element.tag in _OUTSIDE:
            _OUTSIDE[element.tag](reader, element)
    reader.finish(_filters_of_tables(package, part))
    return reader.sheet


def _filters_of_tables(package: Package, part: str) -> list[Area]:
    """Give the areas that a table's own filter may hide rows of."""
    found: list[Area] = []
    for known in package.relations(part).values():
        if known.kind == "table":
            tree = package.optional_tree(known.target)
            area = area_of(tree.get("ref", "")) if tree is not None else None
            if area and tree is not None and tree.find(".//filterColumn") is not None:
                found.append(area)
    return found


class _Reader:
    def __init__(self, workbook: Workbook, name: str, max_chars: int) -> None:
        self._workbook = workbook
        self._name = name
        self._max_chars = max_chars
        self._n_chars = 0
        self._row = 0
        self._hidden_rows: list[int] = []
        self._hidden_columns: list[tuple[int, int]] = []
        self._filters: list[Area] = []
        self.sheet = Sheet()

    def row(self, element: Element) -> None:
        number = element.get("r", "")
        self._row = int(number) if number.isdecimal() and len(number) < 8 else self._row + 1
        cells: dict[int, Cell] = {}
        column = 0
        for known in element:
            if known.tag != "c":
                continue
            reference = known.get("r")
            column = _column(reference.rstrip(_DIGITS)) if reference else column + 1
            cell = self._cell(known) if column else None
            if cell is not None:
                cells[column] = cell
                self._n_chars += len(cell.text)
        if self._n_chars > self._max_chars:
            raise reason("too_large", self._name, detail=f"上限 {self._max_chars:,} 文字")
        if cells:
            self.sheet.rows[self._row] = cells
            folded = element.get("outlineLevel", "0") != "0"
            if element.get("hidden") in ("1", "true") and not folded:
                self._hidden_rows.append(self._row)

    def _cell(self, element: Element) -> Cell | None:
        """Read what a cell shows; nothing when that is nothing."""
        kind = element.get("t", "n")
        value: str | None = None
        formula = False
        for part in element:
            if part.tag == "v":
                value = part.text
            elif part.tag == "f":
                formula = True
            elif part.tag == "is" and kind == "inlineStr":
                text, aliases = rich_text(part)
                return self._text(element, text, aliases)
        if value is None:
            self.sheet.counts["no_cache"] += formula and kind != "str"
            return None
        if kind == "s":
            at = int(value) if value.isdecimal() and len(value) < 10 else -1
            known = self._workbook.strings[at] if 0 <= at < len(self._workbook.strings) else None
            return self._text(element, *known) if known else None
        return self._value(element, kind, value)

    def _value(self, element: Element, kind: str, value: str) -> Cell | None:
        style = self._workbook.style(element.get("s", ""))
        if kind == "e":
            self.sheet.counts["errors"] += 1
            return None
        if kind == "b":
            return Cell("TRUE" if value == "1" else "FALSE", style)
        if kind == "d":
            return Cell(clean_text(_ISO_TIME.sub("", value)), style, is_number=True)
        if kind == "str":
            return self._text(element, clean_text(value), ())
        try:
            number = float(value)
            text = format_value(
                number, style.number_format, from_1904=self._workbook.from_1904
            ).strip()
        except (ValueError, OverflowError):
            text = clean_text(value).strip()
        return Cell(text, style, is_number=True) if text else None

    def _text(self, element: Element, text: str, aliases: tuple[Alias, ...]) -> Cell | None:
        if not text.strip():
            return None
        style = self._workbook.style(element.get("s", ""))
        shown = format_text(text, style.number_format)
        phonetic = element.get("ph") in ("1", "true") and shown == text
        return Cell(shown, style, aliases=aliases if phonetic else ())

    def columns(self, element: Element) -> None:
        first, last = (int(element.get(key, "0")) for key in ("min", "max"))
        if not 0 < first <= last <= LAST_COLUMN:
            return
        width = float(element.get("width") or self.sheet.default_width)
        self.sheet.widths.append((first, last, width))
        folded = element.get("outlineLevel", "0") != "0"
        if (element.get("hidden") in ("1", "true") or width == 0) and not folded:
            self._hidden_columns.append((first, last))

    def default_width(self, element: Element) -> None:
        base = float(element.get("baseColWidth") or 8)
        self.sheet.default_width = float(element.get("defaultColWidth") or base + 0.43)

    def merge(self, element: Element) -> None:
        area = area_of(element.get("ref", ""))
        if area and len(self.sheet.merges) < _MOST_MERGES:
            self.sheet.merges.append(area)

    def filter(self, element: Element) -> None:
        area = area_of(element.get("ref", ""))
        if area and element.find("filterColumn") is not None:
            self._filters.append(area)

    def finish(self, filters: list[Area]) -> None:
        """Take out what somebody hid."""
        filters = [*filters, *self._filters]
        for row in self._hidden_rows:
            if not any(area.top <= row <= area.bottom for area in filters):
                del self.sheet.rows[row]
                self.sheet.counts["hidden_rows"] += 1
        for first, last in self._hidden_columns:
            n_hidden = 0
            for cells in self.sheet.rows.values():
                hidden = [column for column in cells if first <= column <= last]
                n_hidden += bool(hidden)
                for column in hidden:
                    del cells[column]
            self.sheet.counts["hidden_columns"] += (last - first + 1) if n_hidden else 0


_OUTSIDE = {
    "col": _Reader.columns,
    "sheetFormatPr": _Reader.default_width,
    "mergeCell": _Reader.merge,
    "autoFilter": _Reader.filter,
}
