"""Forms drawn on grid paper: the boxes that a reader sees, and whether each looks like a label.

A sheet of grid paper has many narrow columns. What a reader sees as one box is a merged area, or one cell whose text runs on over the
empty cells to its right. Which boxes are labels shows by their colour, by what they are called, and by what they are not: a number, a
sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from ragjp.documents.office.sheet import Area, Cell, Sheet
from ragjp.documents.office.writing import one_line

#: Columns up to this many characters wide are squares of grid paper.
_NARROW = 4.2
_NARROW_SHARE = 0.6
_LEAST_COLUMNS = 12
_MOST_ROWS = 3000
_LEAST_WIDE_MERGES = 6
_WIDE_MERGE_SHARE = 0.5
#: Of the boxes beside others; colour tells labels from values only where it marks some and not nearly all.
_FILLED_SHARES = (0.12, 0.75)
_MOST_WIDTH = 400
_MOST_BOX_ROWS = 200
_MOST_MERGES = 30_000

_LABEL = re.compile(
    r"(?:.*(?:氏名|名前|名称|フリガナ|ふりがな|カナ|住所|所在地|電話|携帯|TEL|FAX|メール|E-?mail|アドレス|内線|連絡先|年月日|日付|日時|時間|"
    r"所属|部署|部門|課名|役職|職名|職種|資格|番号|コード|No\.?|件名|題名|標題|目的|理由|事由|原因|内容|詳細|概要|金額|合計|小計|総額|税額|単価|数量|"
    r"品名|品目|商品名|型番|規格|単位|備考|摘要|特記事項|期間|期限|期日|納期|開始|終了|場所|会場|行先|訪問先|宛先|支払先|取引先|会社名|担当者?|"
    r"承認者?|確認者?|作成者|申請者|起案者|責任者|報告者|性別|年齢|生年月日|国籍|学歴|職歴|趣味|区分|種別|分類|状況|状態|結果|対応|対策|方法|"
    r"手段|交通費|宿泊費?|日当|費用|経費|予算|口座|郵便番号|保証人|続柄|入社|退社|勤務先|発行日|[申起決作受提発]\w{1,3}日)"
    r"(?:[（(][^）)]{1,12}[）)])?|[^、。]{1,20}[：:])$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"[□■☐☑☒○●◯レ✓]|.*[。、]|.*(?:様|御中|殿)$|[ァ-ヴー・\s]{8,}$|(?:令和|平成|昭和|R|H|S)\s*\d|.*@.*\.|.*[都道府県].*[市区町村郡]|〒|[\d,.\-ー/()（）:：~〜～%¥￥\s]+(?:円|個|名|人|日|時間|分|回|件|台|冊|式|本|枚|kg|km|年|月|歳|才)?$"
)
_LONGEST_LABEL, _SURELY_VALUE = 14, 24
_DIGITS_SHARE = 0.3


class Looks(Enum):
    """What a box looks like by itself."""

    LABEL = 1
    EITHER = 0
    VALUE = -1


@dataclass(slots=True, eq=False)
class Box:
    """A box of a form: where it is, what it says on one line, what it looks like. An empty one is a place to write in."""

    area: Area
    text: str
    looks: Looks
    cell: Cell | None

    @property
    def n_columns(self) -> int:
        """How many columns it covers."""
        return self.area.right - self.area.left + 1

    @property
    def n_rows(self) -> int:
        """How many rows it covers."""
        return self.area.bottom - self.area.top + 1


def is_grid_paper(sheet: Sheet) -> bool:
    """Tell whether a sheet is a form on grid paper: many narrow columns, or mostly cells merged over several columns."""
    texts = [(row, column) for row, cells in sheet.rows.items() for column in cells]
    if not texts or max(sheet.rows) > _MOST_ROWS or len(sheet.merges) > _MOST_MERGES:
        return False
    wide = {(area.top, area.left): area for area in sheet.merges if area.right > area.left}
    ends = [column for _, column in texts] + [
        area.right for area in wide.values() if area.right - area.left < _MOST_WIDTH
    ]
    first, last = min(ends), max(ends)
    n_columns = last - first + 1
    if n_columns < _LEAST_COLUMNS:
        return False
    # Where every column has words of its own, narrow columns are only narrow.
    used = len({column for _, column in texts})
    n_narrow = sum(sheet.width(column) <= _NARROW for column in range(first, last + 1))
    if n_narrow >= _NARROW_SHARE * n_columns and used <= 0.9 * n_columns:
        return True
    n_wide = sum(place in wide for place in texts)
    return n_wide >= max(_LEAST_WIDE_MERGES, _WIDE_MERGE_SHARE * len(texts))


def boxes_of(sheet: Sheet) -> list[Box]:
    """Give the boxes of a form in reading order, empty merged areas among them."""
    merged = {(area.top, area.left): area for area in sheet.merges}
    last_row = max(sheet.rows, default=0) + 1
    starts = _starts(sheet, last_row)
    boxes: list[Box] = []
    for row, cells in sheet.rows.items():
        for column in sorted(cells):
            area = merged.pop((row, column), None) or _run_on(sheet, row, column, starts[row])
            cell = cells[column]
            boxes.append(Box(area, one_line(cell.text), Looks.EITHER, cell))
    boxes += [Box(area, "", Looks.VALUE, None) for area in merged.values() if area.top <= last_row]
    boxes.sort(key=lambda box: box.area)
    _settle_looks(boxes)
    return boxes


def _starts(sheet: Sheet, last_row: int) -> dict[int, list[int]]:
    """Give the columns where something begins, by row: words, or a merged area."""
    found = {row: set(cells) for row, cells in sheet.rows.items()}
    for area in sheet.merges:
        for row in range(area.top, min(area.bottom, last_row) + 1):
            if row in found:
                found[row].add(area.left)
    return {row: sorted(columns) for row, columns in found.items()}


def _run_on(sheet: Sheet, row: int, column: int, starts: list[int]) -> Area:
    """Give the cells that a text which is not merged covers as it is drawn: to the right, up to the next box."""
    limit = next((start for start in starts if start > column), column + _MOST_WIDTH)
    wanted = text_width(one_line(sheet.rows[row][column].text))
    right, width = column, sheet.width(column)
    while width < wanted and right + 1 < limit:
        right += 1
        width += sheet.width(right)
    return Area(row, column, row, right)


def text_width(text: str) -> int:
    """Give the width of a text in half-width characters.

    >>> text_width("経費ABC")
    7
    """
    return sum(2 if unicodedata.east_asian_width(char) in "WFA" else 1 for char in text)


def _settle_looks(boxes: list[Box]) -> None:
    in_row = Counter(row for box in boxes for row in _rows(box))
    beside = [box for box in boxes if box.cell and any(in_row[row] > 1 for row in _rows(box))]
    marks = [
        [box for box in beside if box.cell is not None and getattr(box.cell.style, mark)]
        for mark in ("is_filled", "is_bold")
    ]
    low, high = _FILLED_SHARES
    marked = next(
        (
            {id(box) for box in chosen}
            for chosen in marks
            if low * len(beside) <= len(chosen) <= high * len(beside)
        ),
        None,
    )
    for box in boxes:
        if box.cell is not None:
            box.looks = _look(box, box.cell, None if marked is None else id(box) in marked)


def _rows(box: Box) -> range:
    """Give the rows of a box; of one drawn down the whole sheet only the first."""
    return range(box.area.top, min(box.area.bottom, box.area.top + _MOST_BOX_ROWS) + 1)


def _look(box: Box, cell: Cell, marked: bool | None) -> Looks:
    """Judge a box by its mark where the form has one for labels, else by its words."""
    text = box.text
    if cell.is_number:
        return Looks.VALUE
    if text[-1:] in "：:":
        return Looks.LABEL
    if marked is not None:
        if marked:
            return Looks.LABEL
        named = len(text) <= _LONGEST_LABEL and _LABEL.match(text) and not _VALUE.match(text)
        return Looks.EITHER if named else Looks.VALUE
    if len(text) > _SURELY_VALUE or _VALUE.match(text):
        return Looks.VALUE
    if sum(char.isdecimal() for char in text) > _DIGITS_SHARE * len(text):
        return Looks.VALUE
    if len(text) <= _LONGEST_LABEL and _LABEL.match(text):
        return Looks.LABEL
    return Looks.EITHER if len(text) <= _LONGEST_LABEL else Looks.VALUE
