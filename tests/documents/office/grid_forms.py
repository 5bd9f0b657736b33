"""Forms on Excel grid paper with known fields, drawn the ways that offices draw them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache

from openpyxl import Workbook
from openpyxl.styles import Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

GREY = PatternFill("solid", fgColor="D9D9D9")
BOX = Border(*(Side(style="thin"),) * 4)
N_COLUMNS = 40

#: Labels, some usual, some that no list would have; and what may be written beside them: (value, number format, as shown).
USUAL = (
    "氏名",
    "フリガナ",
    "所属",
    "役職",
    "住所",
    "電話番号",
    "申請日",
    "件名",
    "目的",
    "金額",
    "備考",
    "期間",
    "訪問先",
    "担当者",
    "メールアドレス",
)
UNUSUAL = (
    "機種",
    "緊急度",
    "色",
    "受入態勢",
    "設置階",
    "サイズ",
    "開催地",
    "起票",
    "使用車両",
    "同席",
    "梱包",
    "経路",
    "天候",
    "鍵の有無",
    "持参品",
)
VALUES: tuple[tuple[object, str, str], ...] = (
    ("山田太郎", "General", "山田太郎"),
    ("ヤマダ タロウ", "General", "ヤマダ タロウ"),
    ("営業第二部", "General", "営業第二部"),
    ("課長補佐", "General", "課長補佐"),
    ("東京都千代田区丸の内1-2-3 丸の内ビル5階", "General", "東京都千代田区丸の内1-2-3 丸の内ビル5階"),
    ("03-1234-5678", "General", "03-1234-5678"),
    (date(2023, 5, 1), '[$-411]ggge"年"m"月"d"日"', "令和5年5月1日"),
    (date(2019, 4, 30), "yyyy/m/d", "2019/4/30"),
    (128000, '#,##0"円"', "128,000円"),
    (0.08, "0%", "8%"),
    (15, "General", "15"),
    ("新製品の説明会に出席するため。", "General", "新製品の説明会に出席するため。"),
    ("□ あり  ☑ なし", "General", "□ あり ☑ なし"),
    ("2023年5月10日～12日", "General", "2023年5月10日～12日"),
    ("taro@example.co.jp", "General", "taro@example.co.jp"),
    ("大阪支店", "General", "大阪支店"),
    ("至急", "General", "至急"),
    ("A4", "General", "A4"),
    ("白", "General", "白"),
    ("社用車（白のワゴン）", "General", "社用車（白のワゴン）"),
    ("株式会社 山本商事 御中", "General", "株式会社 山本商事 御中"),
)  # fmt: skip


@dataclass
class Form:
    """A form's file, its fields with their values (blank ones too), and the rows of its tables."""

    raw: bytes
    fields: dict[str, str]
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class _Drawing:
    sheet: Worksheet
    rng: random.Random
    is_merged: bool
    is_filled: bool
    is_bold: bool
    has_colon: bool
    fields: dict[str, str] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    row: int = 1

    def box(self, top: int, left: int, bottom: int, right: int, value: object, *, label: bool = False, code: str = "General") -> None:  # fmt: skip
        cell = self.sheet.cell(top, left, value)
        cell.number_format = code
        if self.is_merged and (bottom > top or right > left):
            self.sheet.merge_cells(start_row=top, start_column=left, end_row=bottom, end_column=right)  # fmt: skip
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                self.sheet.cell(row, column).border = BOX
                if label and self.is_filled:
                    self.sheet.cell(row, column).fill = GREY
        if label and self.is_bold:
            cell.font = Font(bold=True)

    def label(self, top: int, left: int, bottom: int, right: int, text: str) -> None:
        self.box(top, left, bottom, right, text + ("：" if self.has_colon else ""), label=True)

    def value(self, name: str, top: int, left: int, bottom: int, right: int) -> None:
        value, code, shown = (None, "General", "") if self.rng.random() < 0.12 else self.rng.choice(VALUES)  # fmt: skip
        self.box(top, left, bottom, right, value, code=code)
        self.fields[name] = shown

    def single(self, name: str) -> None:
        """A label and one long value."""
        tall = self.rng.choice((0, 0, 1)) if self.is_merged else 0
        self.label(self.row, 2, self.row + tall, 8, name)
        self.value(name, self.row, 9, self.row + tall, N_COLUMNS)
        self.row += 1 + tall

    def double(self, first: str, second: str) -> None:
        """Two fields beside one another."""
        self.label(self.row, 2, self.row, 8, first)
        self.value(first, self.row, 9, self.row, 20)
        self.label(self.row, 21, self.row, 27, second)
        self.value(second, self.row, 28, self.row, N_COLUMNS)
        self.row += 1

    def group(self, names: Sequence[str]) -> None:
        """A label over several rows that have labels of their own."""
        self.label(self.row, 2, self.row + len(names) - 1, 6, "連絡先")
        for name in names:
            self.label(self.row, 7, self.row, 12, name)
            self.value(f"連絡先 {name}", self.row, 13, self.row, N_COLUMNS)
            self.row += 1

    def stamps(self, names: Sequence[str]) -> None:
        """Labels with their values below."""
        for at, name in enumerate(names):
            left = 20 + 6 * at
            self.label(self.row, left, self.row, left + 5, name)
            shown = self.rng.choice(("佐藤", "鈴木", "高橋", ""))
            self.box(self.row + 1, left, self.row + 2, left + 5, shown or None)
            self.fields[name] = shown
        self.row += 3

    def table(self) -> None:
        """A header over several rows."""
        edges = ((2, 15), (16, 22), (23, 30), (31, N_COLUMNS))
        rows: list[list[tuple[object, str, str]]] = [
            [(name, "General", name) for name in ("品名", "数量", "単価", "金額")]
        ]
        for _ in range(self.rng.randint(2, 5)):
            n, price = self.rng.randint(1, 20), 100 * self.rng.randint(1, 99)
            name = self.rng.choice(("ノート", "机", "複合機トナー", "椅子"))
            rows.append([(name, "General", name), (n, "0", str(n)), (price, "#,##0", f"{price:,}"), (n * price, "#,##0", f"{n * price:,}")])  # fmt: skip
        for at, row in enumerate(rows):
            for (left, right), (value, code, _) in zip(edges, row, strict=True):
                self.box(self.row, left, self.row, right, value, label=at == 0, code=code)
            self.rows.append([shown for _, _, shown in row])
            self.row += 1

    def section(self, text: str) -> None:
        self.row += self.rng.choice((0, 1))
        self.box(self.row, 2, self.row, N_COLUMNS, text, label=self.rng.random() < 0.5)
        self.row += 1


@cache
def make_form(seed: int) -> Form:
    """Draw one form; the same seed draws the same form."""
    rng = random.Random(seed)
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for column in range(1, N_COLUMNS + 3):
        sheet.column_dimensions[get_column_letter(column)].width = 2.6
    is_merged = rng.random() < 0.75
    has_colon = rng.random() < (0.2 if is_merged else 0.5)
    drawing = _Drawing(sheet, rng, is_merged, rng.random() < 0.6, rng.random() < 0.2, has_colon)
    title = rng.choice(("出張申請書", "備品購入稟議書", "業務報告書", "施設利用申込書"))
    drawing.box(1, 12, 2, 30, title)
    drawing.row = 4
    names = list(rng.sample(USUAL, 9) + rng.sample(UNUSUAL, 5 if drawing.is_filled or has_colon else 2))  # fmt: skip
    rng.shuffle(names)
    if is_merged and rng.random() < 0.4:
        drawing.stamps(("承認", "確認", "担当"))
    while names:
        kind = rng.random()
        if kind < 0.1:
            drawing.section(rng.choice(("１．基本事項", "２．詳細", "■ 内容について")))
        if kind < 0.5 or len(names) < 2:
            drawing.single(names.pop())
        else:
            drawing.double(names.pop(), names.pop())
    if is_merged and rng.random() < 0.5:
        drawing.group(("電話", "メール"))
    if rng.random() < 0.5:
        drawing.row += 1
        drawing.table()
    drawing.box(drawing.row + 1, 2, drawing.row + 1, N_COLUMNS, "※ 提出の前に上長の確認を受けてください。")  # fmt: skip
    out = io.BytesIO()
    book.save(out)
    return Form(out.getvalue(), drawing.fields, drawing.rows)


def folded(text: str) -> str:
    """Leave out what no reader minds."""
    return "".join(text.split())


def counts(form: Form, text: str) -> tuple[int, int, int]:
    """Compare fields: (right, read, true); of those without a value only that none is made up."""
    read = {}
    for line in text.split("\n"):
        name, separator, value = line.partition(": ")
        if separator and value:
            read[folded(name)] = folded(value)
    true = {folded(name): folded(value) for name, value in form.fields.items() if value}
    right = sum(read.get(name) == value for name, value in true.items())
    return right, len(read), len(true)
