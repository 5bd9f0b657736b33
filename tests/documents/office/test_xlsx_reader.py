"""Excel: sheets as pages, rows as lines, cells as they are shown, each with its place."""

from __future__ import annotations

import io
import random
from datetime import date, datetime
from types import ModuleType

import pytest
from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from ragjp.config import Chunking
from ragjp.documents.contents import finding_for
from ragjp.documents.office.sheet import Area, area_of, cell_name, place_of
from ragjp.documents.office.xlsx import read
from ragjp.errors import DocumentError
from ragjp.japanese.chunks import chunk_document
from ragjp.types import Document

NAMES = ("営業第一部", "ﾃﾞｰﾀ管理課", "㈱山本商事", "髙橋", "東京・大阪", "A-1042")


def saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def sheet_of(book: Workbook) -> Worksheet:
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    return sheet


def check_places(document: Document) -> None:
    """Every line's place names the cells that it was read from, as far as can be told from the text alone."""
    for page in document.pages:
        for start, end, place in page.places:
            area = area_of(place)
            assert area is not None
            line = page.text[start:end]
            assert start == 0 or page.text[start - 1] == "\n"
            assert area.right - area.left >= sum(map(bool, line.split(" | "))) - 1


@pytest.mark.parametrize("seed", range(10))
def test_cells_of_tables(seed: int) -> None:
    """Guards against cells that are lost or leave their column: F1 of cells by row and column at least 0.95."""
    rng = random.Random(seed)
    book = Workbook()
    n_right = n_read = n_true = 0
    wanted: list[list[list[str]]] = []
    for at in range(3):
        sheet = sheet_of(book) if at == 0 else book.create_sheet(f"表{at}")
        n_rows, n_columns, top, left = rng.randint(3, 30), rng.randint(3, 9), rng.randint(1, 6), rng.randint(1, 4)  # fmt: skip
        rows = [[f"見出し{j}" for j in range(n_columns)]]
        for j, name in enumerate(rows[0]):
            sheet.cell(top, left + j, name).font = Font(bold=True)
        for i in range(1, n_rows):
            rows.append([])
            for j in range(n_columns):
                value, code, shown = rng.choice(
                    [
                        (rng.choice(NAMES), "General", None),
                        (n := rng.randint(-9999, 10**6), "#,##0", f"{n:,}"),
                        (date(2023, 5, 1), '[$-411]ggge"年"m"月"d"日"', "令和5年5月1日"),
                        (datetime(2023, 5, 1, 9, 30), "yyyy/m/d h:mm", "2023/5/1 9:30"),
                        (0.375, "0.0%", "37.5%"),
                        (None, "General", "") if j else ("行", "General", None),
                    ]
                )
                cell = sheet.cell(top + i, left + j, value)
                cell.number_format = code
                rows[-1].append(str(value) if shown is None else shown)
        wanted.append(rows)
    document = read(saved(book), "a.xlsx", 10**6)
    check_places(document)
    for page, rows in zip(document.pages, wanted, strict=True):
        for line, row in zip(page.text.split("\n"), rows, strict=True):
            cells = line.split(" | ")
            n_right += sum(bool(a) and a == b for a, b in zip(cells, row, strict=False))
            n_read += sum(map(bool, cells))
            n_true += sum(map(bool, row))
    assert 2 * n_right / (n_read + n_true) >= 0.95


def test_headers_go_with_every_chunk_of_their_table() -> None:
    """Guards against rows of numbers that nobody knows the columns of; and a header that goes on after its table."""
    book = Workbook()
    sheet = sheet_of(book)
    sheet.title = "旅費"
    sheet["A1"] = "2023年度 出張旅費一覧"
    sheet.append(["部署", "実績", None, "担当"])
    sheet.append([None, "上期", "下期", None])
    for merged in ("A2:A3", "B2:C2", "D2:D3"):
        sheet.merge_cells(merged)
    for at in range(60):
        sheet.append(["営業部", 1000 + at, 2000 + at, f"担当者{at}"])
    note = "ここにある金額は、どれも税込みである。" * 20
    sheet["A70"] = note
    document = read(saved(book), "a.xlsx", 10**6)
    chunks = chunk_document(document, Chunking())
    assert len(chunks) > 3
    header = "部署 | 実績 上期 | 実績 下期 | 担当"
    for chunk in chunks:
        in_table = ("旅費", "2023年度 出張旅費一覧", header)
        assert chunk.heading_path == (in_table if "営業部" in chunk.text else ("旅費",))
    assert chunks[-1].text in note


def test_merged_cells() -> None:
    """Guards against a department that only its first row belongs to, and against one written in every column."""
    book = Workbook()
    sheet = sheet_of(book)
    for row in (
        ["部署", "氏名", "備考"],
        ["営業部", "山田", "全社共通", "x"],
        [None, "鈴木"],
        [None, "佐藤"],
    ):
        sheet.append(row)
    sheet.merge_cells("A2:A4")
    sheet.merge_cells("C2:C3")
    lines = read(saved(book), "a.xlsx", 10**6).pages[0].text.split("\n")
    assert lines == [
        "部署 | 氏名 | 備考",
        "営業部 | 山田 | 全社共通 | x",
        "営業部 | 鈴木 | 全社共通",
        "営業部 | 佐藤",
    ]


def test_what_is_hidden() -> None:
    """Guards against indexing what somebody hid, and against losing what only a filter or a folded group hides."""
    book = Workbook()
    sheet = sheet_of(book)
    for row in (["品名", "原価", "単価"], ["机", 1, 10], ["椅子", 2, 20], ["棚", 3, 30]):
        sheet.append(row)
    sheet.column_dimensions["B"].hidden = True
    sheet.row_dimensions[3].hidden = True
    secret = book.create_sheet("控え")
    secret["A1"] = "社外秘"
    secret.sheet_state = "veryHidden"
    filtered = book.create_sheet("絞り込み")
    for row in (["部署", "氏名"], ["営業", "山田"], ["総務", "鈴木"]):
        filtered.append(row)
    filtered.auto_filter.ref = "A1:B3"
    filtered.auto_filter.add_filter_column(0, ["総務"])
    filtered.row_dimensions[2].hidden = True
    folded = book.create_sheet("内訳")
    for row in (["計", "3"], ["甲", "1"], ["乙", "2"]):
        folded.append(row)
    folded.row_dimensions.group(2, 3, outline_level=1, hidden=True)
    document = read(saved(book), "a.xlsx", 10**6)
    assert [page.text for page in document.pages] == [
        "品名 | 単価\n机 | 10\n棚 | 30",
        "",
        "部署 | 氏名\n営業 | 山田\n総務 | 鈴木",
        "計 | 3\n甲 | 1\n乙 | 2",
    ]
    assert [page.label for page in document.pages] == ["Sheet", "控え", "絞り込み", "内訳"]
    assert [(remark.code, remark.page) for remark in document.remarks] == [
        ("hidden_rows_left_out", 1),
        ("hidden_columns_left_out", 1),
        ("hidden_sheet_left_out", 2),
    ]


def test_formulas_and_errors(parts: ModuleType) -> None:
    """Guards against formulas in the text, and against values that are silently missing."""
    rows = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>計</t></is></c><c r="B1"><f>1+1</f><v>2</v></c></row>'
        '<row r="2"><c r="A2" t="str"><f>A1</f><v>計</v></c><c r="B2"><f>B1*2</f></c></row>'
        '<row r="3"><c r="A3" t="e"><f>1/0</f><v>#DIV/0!</v></c><c r="B3" t="b"><v>1</v></c><c r="C3" t="str"><f>""</f><v></v></c></row>'
    )
    document = read(parts.workbook(rows), "a.xlsx", 1000)
    assert document.pages[0].text == "計 | 2\n計\nTRUE"
    assert [remark.code for remark in document.remarks] == ["formulas_without_values", "error_values"]  # fmt: skip
    assert "1 個" in document.remarks[0].sentence
    assert finding_for(document).status == "partly"


def test_readings_of_cells(parts: ModuleType) -> None:
    """Guards against the kana that Excel keeps of everything typed: in the text never, beside it where it is shown."""
    strings = (
        '<si><t>山田太郎</t><rPh sb="0" eb="2"><t>ヤマダ</t></rPh><rPh sb="2" eb="4"><t>タロウ</t></rPh></si>'
        "<si><r><t>営業</t></r><r><rPr><b/></rPr><t>部_x000D_</t></r><rPh sb='0' eb='2'><t>エイギョウ</t></rPh></si>"
    )
    rows = '<row r="1"><c r="A1" t="s" ph="1"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row><row r="2"><c r="A2" t="s"><v>0</v></c></row><row r="3"><c r="A3" t="s"><v>99</v></c></row>'
    page = read(parts.workbook(rows, strings=strings), "a.xlsx", 1000).pages[0]
    assert page.text == "山田太郎 | 営業部\n山田太郎"
    assert page.aliases == ((0, 2, "ヤマダ"), (2, 4, "タロウ"))


def test_dates_since_1904(parts: ModuleType) -> None:
    """Guards against dates four years off."""
    made = parts.sheet_parts(
        '<row r="1"><c r="A1" s="0"><v>43585</v></c></row>',
        styles='<cellXfs><xf numFmtId="58"/></cellXfs>',
    )
    made["xl/workbook.xml"] = made["xl/workbook.xml"].replace(
        "<sheets>", '<workbookPr date1904="1"/><sheets>'
    )
    assert read(parts.zipped(made), "a.xlsx", 1000).pages[0].text == "令和5年5月1日"


def test_prose_and_text_boxes(parts: ModuleType) -> None:
    """Guards against sheets used as paper: a cell a paragraph, and boxes drawn over the cells."""
    made = parts.sheet_parts(
        '<row r="2"><c r="B2" t="inlineStr"><is><t>一行目。&#10;二行目。</t></is></c></row>',
        more='<drawing xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:id="d"/>',
    )
    made["xl/worksheets/_rels/sheet1.xml.rels"] = parts.relationships(
        ("d", "drawing", "../drawings/drawing1.xml")
    )
    made["xl/drawings/drawing1.xml"] = (
        '<x:wsDr xmlns:x="urn:x" xmlns:a="urn:a"><x:twoCellAnchor><x:from><x:col>3</x:col><x:row>9</x:row></x:from>'
        "<x:sp><x:txBody><a:p><a:r><a:t>図の</a:t></a:r><a:r><a:t>説明</a:t></a:r></a:p></x:txBody></x:sp></x:twoCellAnchor></x:wsDr>"
    )
    page = read(parts.zipped(made), "a.xlsx", 1000).pages[0]
    assert page.text == "一行目。\n二行目。\n図の説明"
    assert page.places == ((0, 9, "B2"), (10, 14, "D10"))


def test_many_rows(parts: ModuleType) -> None:
    """Guards against a sheet of 10^5 rows that is cut, and one beyond the limit that is read all the same."""
    rows = "".join(f'<row r="{at}"><c r="A{at}"><v>{at}</v></c><c r="C{at}"><v>1</v></c></row>' for at in range(1, 100_001))  # fmt: skip
    raw = parts.workbook(rows)
    page = read(raw, "a.xlsx", 10**7).pages[0]
    assert page.text.count("\n") == 99_999
    assert page.text.endswith("\n100000 | 1")
    assert page.places[-1][2] == "A100000:C100000"
    with pytest.raises(DocumentError) as caught:
        read(raw, "a.xlsx", 10**5)
    assert caught.value.code == "too_large"


def test_places_of_cells() -> None:
    """Guards against a column named AAA that counts as none."""
    for column in (1, 26, 27, 702, 703, 16384):
        name = cell_name(7, column)
        assert place_of(name) == (7, column)
        assert name == f"{get_column_letter(column)}7"
    assert place_of("ZZZ1") == place_of("A0") == place_of("A1048577") == (0, 0)
    assert area_of("B2:A1") == Area(1, 1, 2, 2)
    assert area_of("B2:") == Area(2, 2, 2, 2)
    assert area_of("x") is None
