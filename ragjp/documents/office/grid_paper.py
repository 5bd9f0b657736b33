"""Forms on grid paper, read as fields: each label with what is written beside or below it, one field a line; tables row by row.

A label takes the boxes to its right up to the next label; if there is none, the box below that is as wide as it. A label over several
rows that has labels to its right names their group (``連絡先 電話: 03-…``). A row of labels over several rows of boxes with the same edges
is a table, and its first row the heading of its rows. What is neither stays a line of its own: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.documents.office.boxes import Box, Looks, boxes_of, is_grid_paper
from ragjp.documents.office.sheet import Area, Sheet
from ragjp.documents.office.writing import Line, Writing

__all__ = ["is_grid_paper", "write_form"]

_SEPARATOR = ": "
#: Columns that may stay empty between a label and its value, and by which edges of one column may differ.
_MOST_GAP = 6
_EDGE = 1
_LEAST_TABLE_COLUMNS = 3
_SAME_EDGES_SHARE = 0.7
_MOST_LABELS_BELOW = 0.4
_SECTION_LEVEL, _TABLE_LEVEL = 2, 3
_LONGEST_SECTION = 40
_MARKS = "：:"


@dataclass(frozen=True, slots=True)
class _Field:
    """A line to be written: a field, or words alone (``label`` empty)."""

    label: str
    values: tuple[Box, ...]
    area: Area


def write_form(sheet: Sheet, writing: Writing) -> None:
    """Write a form."""
    boxes = boxes_of(sheet)
    rows: dict[int, list[Box]] = {}
    for box in boxes:
        rows.setdefault(box.area.top, []).append(box)
    tops = sorted(rows)
    form = _Form(boxes, rows)
    at = 0
    while at < len(tops):
        n_rows = form.table_rows(tops[at:])
        if n_rows:
            _write_table(rows, tops[at : at + n_rows], writing)
            form.used |= {id(box) for top in tops[at : at + n_rows] for box in rows[top]}
            at += n_rows
            continue
        for field in form.fields(rows[tops[at]]):
            _write_field(field, writing, is_section=form.is_section(field))
        at += 1


class _Form:
    def __init__(self, boxes: Sequence[Box], rows: dict[int, list[Box]]) -> None:
        self._rows = rows
        self._by_row: dict[int, list[Box]] = {}
        for box in boxes:
            for row in range(box.area.top, min(box.area.bottom, max(rows)) + 1):
                self._by_row.setdefault(row, []).append(box)
        self.used: set[int] = set()
        for row in sorted(self._by_row):
            self._by_row[row].sort(key=lambda box: box.area.left)
        for top in sorted(rows):
            self._settle(top)

    def _settle(self, top: int) -> None:
        """Decide the boxes that may be either, from left to right: after a label comes its value, else a label comes first."""
        row = self._by_row[top]
        for i, box in enumerate(row):
            if box.looks is not Looks.EITHER or box.area.top != top:
                continue
            before = row[i - 1] if i else None
            after = row[i + 1] if i + 1 < len(row) else None
            follows_label = (
                before is not None
                and before.looks is Looks.LABEL
                and box.area.left - before.area.right - 1 <= _MOST_GAP
                and before.n_rows <= box.n_rows
            )
            names_something = after is not None and after.looks is not Looks.LABEL
            is_named = follows_label or self._is_below_label(box)
            box.looks = Looks.LABEL if names_something and not is_named else Looks.VALUE

    def _is_below_label(self, box: Box) -> bool:
        """Tell whether the box right above, as wide as this one, is a label that has no value beside it."""
        above = self._by_row.get(box.area.top - 1, ())
        for i, other in enumerate(above):
            if other.looks is Looks.LABEL and _same_edges(other, box):
                after = above[i + 1] if i + 1 < len(above) else None
                return after is None or after.looks is Looks.LABEL
        return False

    def fields(self, row: Sequence[Box]) -> list[_Field]:
        """Give the lines that begin in a row."""
        found: list[_Field] = []
        for box in row:
            if id(box) in self.used or not box.text:
                continue
            self.used.add(id(box))
            if box.looks is Looks.LABEL:
                found += self._of_label(box, "")
            else:
                found.append(_Field("", (box,), box.area))
        return found

    def _of_label(self, label: Box, group: str) -> list[_Field]:
        """Give the field of a label, or those of the labels that it groups."""
        name = " ".join(filter(None, (group, label.text.rstrip(_MARKS + " "))))
        found: list[_Field] = []
        values: list[Box] = []
        for row in range(label.area.top, label.area.bottom + 1):
            beside = self._beside(label, row)
            if beside and beside[0].looks is Looks.LABEL and label.n_rows > beside[0].n_rows:
                found += self._group(beside, name)
            else:
                values += self._values(beside)
        if not values and not found:
            values = self._below(label)
        if not values and found:
            return found
        return [_Field(name, tuple(values), _around([label, *values])), *found]

    def _group(self, beside: Sequence[Box], name: str) -> list[_Field]:
        found: list[_Field] = []
        for box in beside:
            if id(box) in self.used or not box.text:
                continue
            self.used.add(id(box))
            if box.looks is Looks.LABEL:
                found += self._of_label(box, name)
            else:
                found.append(_Field(name, (box,), box.area))
        return found

    def _beside(self, label: Box, row: int) -> list[Box]:
        """Give the boxes to the right of a label that begin in one of its rows and do not reach out of them, as far as they are near."""
        found: list[Box] = []
        right = label.area.right
        for box in self._by_row.get(row, ()):
            if box.area.left <= label.area.right or box.area.top != row:
                continue
            if box.area.bottom > label.area.bottom and not box.area.top == label.area.top:
                break
            gap = box.area.left - right - 1
            if gap > _MOST_GAP and not found and box.looks is Looks.LABEL:
                break
            found.append(box)
            right = box.area.right
        return found

    def _values(self, beside: Sequence[Box]) -> list[Box]:
        values: list[Box] = []
        for box in beside:
            if box.looks is Looks.LABEL or id(box) in self.used:
                break
            self.used.add(id(box))
            values.append(box)
        return [box for box in values if box.text] or values[:1]

    def _below(self, label: Box) -> list[Box]:
        """Give the box right below a label, with the same edges."""
        for box in self._by_row.get(label.area.bottom + 1, ()):
            if (
                box.area.top == label.area.bottom + 1
                and _same_edges(box, label)
                and box.looks is not Looks.LABEL
                and id(box) not in self.used
            ):
                self.used.add(id(box))
                return [box]
        return []

    def table_rows(self, tops: Sequence[int]) -> int:
        """Count the rows of the table that begins with the first of these rows; 0 where none does."""
        header = [box for box in self._rows[tops[0]] if id(box) not in self.used]
        if len(header) < _LEAST_TABLE_COLUMNS or not _may_be_header(header):
            return 0
        n_rows = 1
        expected = max(box.area.bottom for box in header) + 1
        for top in tops[1:]:
            row = self._rows[top]
            if top != expected or not _continues(header, row):
                break
            expected = max(box.area.bottom for box in row) + 1
            n_rows += 1
        return n_rows if n_rows > 2 else 0

    def is_section(self, field: _Field) -> bool:
        """Tell whether a line of words stands alone in its row, above something."""
        if field.label and field.values:
            return False
        top = field.area.top
        alone = [box for box in self._by_row.get(top, ()) if box.text]
        text = field.label or field.values[0].text
        return (
            len(alone) == 1
            and len(text) <= _LONGEST_SECTION
            and not text.endswith(("。", "）", ")"))
        )


def _may_be_header(header: Sequence[Box]) -> bool:
    if any(box.looks is Looks.VALUE or not box.text for box in header):
        # Boxes that follow a label were taken for values: judge them by what they are, not where.
        if any(not box.text or box.cell is None or box.cell.is_number for box in header):
            return False
        filled = [box.cell is not None and box.cell.style.is_filled for box in header]
        return all(filled)
    return True


def _continues(header: Sequence[Box], row: Sequence[Box]) -> bool:
    """Tell whether a row has the columns of a table's header, and values in them."""
    n_same = sum(any(_same_edges(box, other) for other in row) for box in header)
    if n_same < _SAME_EDGES_SHARE * len(header) or len(row) > len(header) + 1:
        return False
    n_labels = sum(box.looks is Looks.LABEL for box in row[1:])
    return n_labels <= _MOST_LABELS_BELOW * max(len(row) - 1, 1)


def _same_edges(one: Box, other: Box) -> bool:
    return (
        abs(one.area.left - other.area.left) <= _EDGE
        and abs(one.area.right - other.area.right) <= _EDGE
    )


def _around(boxes: Sequence[Box]) -> Area:
    return Area(
        min(box.area.top for box in boxes),
        min(box.area.left for box in boxes),
        max(box.area.bottom for box in boxes),
        max(box.area.right for box in boxes),
    )


def _write_table(rows: dict[int, list[Box]], tops: Sequence[int], writing: Writing) -> None:
    header = rows[tops[0]]
    title = CELL_SEPARATOR.join(box.text for box in header)
    writing.headings.append((writing.n_chars, _TABLE_LEVEL, title))
    for top in tops:
        writing.put_row([_line(box) for box in rows[top]], place=_around(rows[top]).reference)


def _line(box: Box) -> Line:
    line = Line()
    line.add(box.text)
    return line


def _write_field(field: _Field, writing: Writing, *, is_section: bool) -> None:
    words = [box.text for box in field.values if box.text]
    level = _SECTION_LEVEL if is_section else 0
    if not field.label:
        text = " ".join(words)
        line = Line()
        cell = field.values[0].cell
        keeps = cell is not None and cell.text == text
        line.add(text)
        line.aliases += cell.aliases if cell is not None and keeps else ()
        writing.write(line, level=level, place=field.area.reference)
        return
    text = field.label if is_section else (field.label + _SEPARATOR + " ".join(words)).rstrip()
    writing.put(text, level=level, place=field.area.reference)
