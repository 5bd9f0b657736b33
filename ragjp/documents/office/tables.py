"""Ordinary sheets: each run of rows is a block, each row a line, its cells separated; the header of a table goes with all its rows.

The header is a heading, so it stands in the heading path of every chunk that is cut from the table. A cell merged over several rows is
repeated in each of them if it is short, so that a row says by itself what it belongs to; one merged over columns stands once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.documents.office.sheet import Area, Cell, Sheet
from ragjp.documents.office.writing import Line, Writing, one_line

#: A merged cell up to this long is repeated in the rows that it spans.
_REPEATED_CHARS = 40
#: Cells that repeating may add to one sheet.
_MOST_REPEATED = 1_000_000
_LONGEST_HEADER_CELL = 40
_MOST_HEADER_ROWS = 3
_SHEET_LEVEL, _TITLE_LEVEL, _HEADER_LEVEL = 1, 2, 3

Row = tuple[int, dict[int, Cell]]


def write_tables(sheet: Sheet, writing: Writing, heading: str) -> None:
    """Write a sheet block by block. ``heading`` is what the path of what has no header of its own falls back to; may be empty."""
    _repeat_merged(sheet)
    merges_at = {(area.top, area.left): area for area in sheet.merges}
    in_table = False
    for block in _blocks(sheet):
        if in_table and heading:
            writing.headings.append((writing.n_chars, _SHEET_LEVEL, heading))
        in_table = _write_block(block, writing, merges_at)


def _repeat_merged(sheet: Sheet) -> None:
    numbers = sorted(sheet.rows)
    n_repeated = 0
    for area in sheet.merges:
        cell = sheet.rows.get(area.top, {}).get(area.left)
        if cell is None or area.top == area.bottom or len(cell.text) > _REPEATED_CHARS:
            continue
        span = numbers[bisect_right(numbers, area.top) : bisect_right(numbers, area.bottom)]
        n_repeated += len(span)
        if n_repeated > _MOST_REPEATED:
            return
        for row in span:
            sheet.rows[row].setdefault(area.left, cell)


def _blocks(sheet: Sheet) -> Iterator[list[Row]]:
    """Yield the runs of rows between empty ones."""
    block: list[Row] = []
    for number in sorted(sheet.rows):
        if not sheet.rows[number]:
            continue
        if block and number != block[-1][0] + 1:
            yield block
            block = []
        block.append((number, sheet.rows[number]))
    if block:
        yield block


def _write_block(
    block: list[Row], writing: Writing, merges_at: dict[tuple[int, int], Area]
) -> bool:
    """Write a block; tell whether it had a header."""
    columns = sorted(set().union(*(row.keys() for _, row in block)))
    n_titles = next((i for i, (_, row) in enumerate(block) if len(row) > 1), len(block))
    headers = _headers(block[n_titles:], merges_at)
    title_level = _TITLE_LEVEL if headers else 0
    for i, (number, row) in enumerate(block):
        if headers and i == n_titles:
            header = _header_text([row for _, row in headers], columns, headers, merges_at)
            writing.headings.append((writing.n_chars, _HEADER_LEVEL, header))
        if len(row) == 1:
            _write_alone(number, row, writing, title_level if i < n_titles else 0)
        else:
            _write_row(number, row, columns, writing)
    return bool(headers)


def _write_alone(number: int, row: dict[int, Cell], writing: Writing, level: int) -> None:
    """Write a row of one cell: a title, or a paragraph, whose line ends are kept."""
    ((column, cell),) = row.items()
    line = Line()
    line.add("\n".join(part.rstrip() for part in cell.text.split("\n")))
    line.aliases += cell.aliases
    writing.write(line, level=level, place=Area(number, column, number, column).reference)


def _write_row(number: int, row: dict[int, Cell], columns: list[int], writing: Writing) -> None:
    first, last = min(row), max(row)
    place = Area(number, first, number, last).reference
    shown = columns[: bisect_right(columns, last)]
    if not any(cell.aliases for cell in row.values()):
        cells = map(row.get, shown)
        texts = ["" if cell is None else one_line(cell.text) for cell in cells]
        writing.put(CELL_SEPARATOR.join(texts), place=place)
        return
    lines: list[Line] = []
    for column in shown:
        line = Line()
        if column in row:
            line.add(row[column].text)
            line.aliases += row[column].aliases
        lines.append(line)
    writing.put_row(lines, place=place)


def _headers(rows: list[Row], merges_at: dict[tuple[int, int], Area]) -> list[Row]:
    """Give the rows that name the columns of a block: the first, and those below it that divide what it groups."""
    headers: list[Row] = []
    for number, row in rows[: _MOST_HEADER_ROWS + 1]:
        if len(headers) == _MOST_HEADER_ROWS or not _is_header(row):
            break
        headers.append((number, row))
        grouped = any(
            area is not None and area.right > area.left
            for area in (merges_at.get((number, column)) for column in row)
        )
        if not grouped:
            break
    return headers if len(rows) > len(headers) else []


def _is_header(row: dict[int, Cell]) -> bool:
    """Tell whether a row may name columns: all words, or numbers (years) that are set apart by colour or weight."""
    return len(row) > 1 and all(
        len(cell.text) <= _LONGEST_HEADER_CELL
        and (not cell.is_number or cell.style.is_filled or cell.style.is_bold)
        for cell in row.values()
    )


def _header_text(
    rows: list[dict[int, Cell]],
    columns: list[int],
    headers: list[Row],
    merges_at: dict[tuple[int, int], Area],
) -> str:
    """Give the names of the columns as one line: of grouped ones the group and the name."""
    names: list[str] = []
    for column in columns:
        words: dict[str, None] = {}
        for (number, _), row in zip(headers, rows, strict=True):
            cell = row.get(column) or _merged_over(row, number, column, columns, merges_at)
            if cell is not None:
                words[one_line(cell.text)] = None
        if words:
            names.append(" ".join(words))
    return CELL_SEPARATOR.join(dict.fromkeys(names))


def _merged_over(
    row: dict[int, Cell],
    number: int,
    column: int,
    columns: list[int],
    merges_at: dict[tuple[int, int], Area],
) -> Cell | None:
    """Give the cell to the left whose merged area reaches over a column."""
    for left in reversed(columns[: bisect_left(columns, column)]):
        if left in row:
            area = merges_at.get((number, left))
            return row[left] if area is not None and area.right >= column else None
    return None
