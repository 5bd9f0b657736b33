"""Tables as text (CSV, TSV): the delimiter found out, one record a line, in pages of so many records that each begin with the header.

A page's header is also its heading, so every chunk of the page is indexed and embedded with it. Cells are as written: no number is
read. A line end inside a cell becomes a blank, as in HTML's tables, so a record is a line; ``Page.places`` says which record of the
file (as Excel counts rows: every record, the header included). Tables too wide for a line are written a record at a time,
``header: value`` a line.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ragjp.documents.cleaning import clean_text, clean_title, title_from_name
from ragjp.documents.contents import remark
from ragjp.documents.encoding import decode
from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page

_DELIMITERS = ",\t;"
#: Records looked at to find the delimiter and the header.
_SAMPLE_RECORDS = 50
_SAMPLE_CHARS = 1 << 18
#: A page is closed when it holds so many records or characters.
PAGE_RECORDS = 100
PAGE_CHARS = 10_000
#: A table with a longer header, or more columns, is written ``header: value``: its rows would not fit in a chunk.
_WIDE_CHARS = 200
_WIDE_COLUMNS = 16
#: What a record costs of the characters allowed, beside its own: its line end and its place.
_PLACE_CHARS = 3
#: Lines above the header that are looked at for a title.
_MOST_TITLE_LINES = 5
#: A quoted cell over more lines than this is taken for a quotation mark that nobody closed.
_MOST_CELL_LINES = 2000
_LINE_END = re.compile(r"[ \t]*\n\s*")
#: What stands in a row of data, not in a header: numbers, amounts, dates, times, postal codes, phone numbers.
_VALUE = re.compile(
    r"[-+△▲¥￥$]?[\d,，./:：年月日時分\-０-９]*[\d０-９][\d,，./:：年月日時分\-０-９]*[円%％人件個]?"
)


@dataclass(slots=True)
class _Pages:
    """Collects the pages of a table."""

    name: str
    max_chars: int
    heading: str = ""
    header_number: int = 0
    header: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _headings: list[tuple[int, int, str]] = field(default_factory=list)
    _places: list[tuple[int, int, str]] = field(default_factory=list)
    _n_chars: int = 0
    _n_records: int = 0
    _first: int = 0
    _last: int = 0
    _total: int = 0

    @property
    def wide(self) -> bool:
        return len(self.header) > _WIDE_COLUMNS or len(self.heading) > _WIDE_CHARS

    def put(self, line: str, number: int) -> None:
        """Add a line that is record ``number`` of the file."""
        if number >= self._last and not (self.pages and number == self.header_number):
            self._first = self._first or number
            self._last = number
        self._lines.append(line)
        end = self._n_chars + len(line)
        if line:
            self._places.append((self._n_chars, end, f"{number} 行"))
        self._n_chars = end + 1
        self._total += len(line) + _PLACE_CHARS
        if self._total > self.max_chars + 1:
            raise reason("too_large", self.name, detail=f"上限 {self.max_chars:,} 文字")

    def put_header(self, number: int) -> None:
        """Begin the table: its header is a line of the page and the heading of what follows."""
        if self.header and not self.wide:
            self._headings.append((self._n_chars, 1, clean_title(self.heading)))
            self.put(self.heading, number)

    def put_record(self, cells: list[str], number: int) -> None:
        if self._n_records >= PAGE_RECORDS or self._n_chars >= PAGE_CHARS:
            self.close()
        if not self._n_records and self.pages:
            self.put_header(self.header_number)
        self._n_records += 1
        if self.wide:
            self._put_pairs(cells, number)
        else:
            self.put(row_text(cells), number)

    def _put_pairs(self, cells: list[str], number: int) -> None:
        pairs = [
            f"{self.header[at]}: {cell}" if at < len(self.header) and self.header[at] else cell
            for at, cell in enumerate(cells)
            if cell
        ]
        if self._lines:
            self.put("", number)
        self._headings.append((self._n_chars, 1, clean_title(pairs[0])))
        for pair in pairs:
            self.put(pair, number)

    def close(self) -> None:
        """End the page if it holds anything."""
        text = "\n".join(self._lines)
        if text.strip():
            label = f"{self._first}–{self._last} 行"
            number = len(self.pages) + 1
            page = Page(number, text, tuple(self._headings), label, tuple(self._places))
            self.pages.append(page)
        self._lines, self._headings, self._places = [], [], []
        self._n_chars = self._n_records = self._first = self._last = 0


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a table of delimited text.

    Raises
    ------
    DocumentError
        ``encoding_unknown``, ``not_text``, ``empty`` or ``too_large``.
    """
    try:
        return _table(raw, name, max_chars)
    except csv.Error as error:  # a cell larger than all that is allowed: nothing else is an error to a reader that is not strict
        raise reason("too_large", name, detail=f"上限 {max_chars:,} 文字") from error


def _table(raw: bytes, name: str, max_chars: int) -> Document:
    source, encoding = decode(raw, name=name)
    text = clean_text(source)
    csv.field_size_limit(max(max_chars, 1 << 17))
    tabbed = name.lower().endswith((".tsv", ".tab"))
    delimiter = find_delimiter(text, likely="\t" if tabbed else ",")
    records = Records(text, delimiter)
    sample = list(islice(records, _SAMPLE_RECORDS))
    n_above = _lines_above(sample)
    pages = _Pages(name, max_chars)
    body = sample[n_above:]
    if has_header(body):
        # A header of its own name only: what is above the table is its title.
        pages.header = body[0][1]
        pages.heading = row_text(pages.header)
    for number, cells in sample[:n_above]:
        pages.put(row_text(cells), number)
    if pages.header:
        pages.header_number = body[0][0]
        pages.put_header(pages.header_number)
        body = body[1:]
    for number, cells in body:
        pages.put_record(cells, number)
    for number, cells in records:
        pages.put_record(cells, number)
    pages.close()
    if not pages.pages:
        raise reason("empty", name)
    title = clean_title(" ".join(filter(None, sample[0][1]))) if n_above else ""
    metadata = {
        "encoding": encoding,
        "delimiter": "tab" if delimiter == "\t" else delimiter,
    }
    remarks = (
        (remark("csv_unclosed_quote", name, detail=f"{records.unclosed} 行目"),)
        if records.unclosed
        else ()
    )
    known = title or title_from_name(name)
    return Document(name, known, tuple(pages.pages), "csv", metadata, remarks)


def row_text(cells: list[str]) -> str:
    """Write a row as one line.

    >>> row_text(["佐藤", "", "03-1234-5678"])
    '佐藤 |  | 03-1234-5678'
    """
    return CELL_SEPARATOR.join(cells).rstrip()


class Records:
    """The records of a table that hold anything, as (number in the file from 1, cells).

    Where a quotation mark opens and none closes, quotation marks count as characters from that record on: else the rest of the file
    would be one cell. ``unclosed`` is that record's number, 0 if there is none.
    """

    def __init__(self, text: str, delimiter: str) -> None:
        self._text = text
        self._delimiter = delimiter
        self._number = 0
        self.unclosed = 0
        self._records = self._all()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return self._records

    def _all(self) -> Iterator[tuple[int, list[str]]]:
        lines = _Lines(self._text)
        while lines.at < len(self._text):
            start = lines.at
            reader = csv.reader(lines, delimiter=self._delimiter)
            for cells in reader:
                if lines.is_open(start):
                    break
                start = lines.at
                yield from self._record(cells)
            else:
                return
            self.unclosed = self.unclosed or self._number + 1
            lines.at = start
            for line in lines:
                yield from self._record(line.rstrip("\n").split(self._delimiter))
            return

    def _record(self, cells: list[str]) -> Iterator[tuple[int, list[str]]]:
        self._number += 1
        cells = [_LINE_END.sub(" ", cell).strip() for cell in cells]
        if any(cells):
            yield self._number, cells


class _Lines:
    """The lines of a text, with the place after the last one handed out."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._n_lines = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.at >= len(self._text):
            raise StopIteration
        end = self._text.find("\n", self.at) + 1 or len(self._text)
        line = self._text[self.at : end]
        self.at = end
        return line

    def is_open(self, start: int) -> bool:
        """Tell whether the record from ``start`` to here is one that a quotation mark has swallowed."""
        n_lines = self._text.count("\n", start, self.at)
        if n_lines > _MOST_CELL_LINES:
            return True
        return n_lines > 1 and self.at >= len(self._text) and self._text.count('"', start) % 2 == 1


def find_delimiter(text: str, *, likely: str) -> str:
    r"""Find what separates cells: the character that cuts most records into the same number of cells, two or more.

    >>> find_delimiter("部署;内線\n総務;1,200\n人事;1,300\n", likely=",")
    ';'
    """
    sample = text[:_SAMPLE_CHARS]

    def merit(delimiter: str) -> tuple[float, int, bool]:
        widths = Counter(
            len(cells) for _, cells in islice(iter(Records(sample, delimiter)), _SAMPLE_RECORDS)
        )
        width, n_same = max(
            ((width, n) for width, n in widths.items() if width > 1),
            key=lambda pair: (pair[1], pair[0]),
            default=(1, 0),
        )
        return round(n_same / max(widths.total(), 1), 1), width, delimiter == likely

    shares = {delimiter: merit(delimiter) for delimiter in _DELIMITERS}
    if shares[likely][0] >= max(share for share, _, _ in shares.values()):
        return likely
    return max(shares, key=lambda delimiter: shares[delimiter])


def _lines_above(sample: list[tuple[int, list[str]]]) -> int:
    """Count the lines above the table: each holds one cell, and what follows holds more."""
    n_filled = [sum(map(bool, cells)) for _, cells in sample]
    n_above = next((at for at, filled in enumerate(n_filled) if filled > 1), 0)
    return n_above if n_above <= _MOST_TITLE_LINES else 0


def has_header(records: list[tuple[int, list[str]]]) -> bool:
    """Tell whether the first record names the columns: its cells differ, none is empty between two others, none is a value.

    >>> has_header([(1, ["氏名", "内線"]), (2, ["佐藤", "1200"])]), has_header([(1, ["01101", "060"]), (2, ["01101", "064"])])
    (True, False)
    """
    if len(records) < 2:
        return False
    cells = records[0][1]
    named = [cell for cell in cells if cell]
    if len(cells) < 2 or len(named) * 2 <= len(cells) or len(set(named)) < len(named):
        return False
    return not any(map(_VALUE.fullmatch, named))
