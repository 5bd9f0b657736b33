"""Excel: every visible sheet is a page, with its name; tables row by row, forms on grid paper as fields and their values.

Numbers and dates read as the cell shows them, in its number format. Left out, and remarked: hidden sheets, rows and columns that
somebody hid (not those that a filter or a folded group hides), comments, charts. Of formulas the stored value counts; where a program
stored none, that is remarked too. ``places`` names the cells of each line (``B3:F3``).
"""

from __future__ import annotations

from dataclasses import replace

from ragjp.documents.cleaning import title_from_name
from ragjp.documents.office.drawings import shape_texts
from ragjp.documents.office.grid_paper import is_grid_paper, write_form
from ragjp.documents.office.package import Package
from ragjp.documents.office.remarks import remark, remarks_on
from ragjp.documents.office.sheet import Sheet, read_sheet
from ragjp.documents.office.tables import write_tables
from ragjp.documents.office.workbook import SheetInfo, Workbook
from ragjp.documents.office.writing import Writing
from ragjp.documents.pdf import sensible_title
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page, Remark

#: Sheets beyond are not believed to be a person's work.
MOST_SHEETS = 2000
_SHEET_LEVEL = 1


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a workbook. Pages keep the numbers of the sheets in the workbook; hidden sheets are pages without text.

    Raises
    ------
    DocumentError
        ``office_damaged``, ``office_encrypted``, ``office_bomb``, ``office_dtd``, ``office_no_text``, ``empty`` or ``too_large``.
    """
    package = Package(raw, name)
    try:
        workbook = Workbook(package)
        pages, remarks = _pages(package, workbook, name, max_chars)
    except (ValueError, OverflowError) as error:  # a number that is none
        raise package.damaged(type(error).__name__) from error
    if not any(page.text for page in pages):
        pictures = package.names("xl/media/") or package.names("xl/charts/")
        raise reason("office_no_text" if pictures else "empty", name)
    title = sensible_title(package.title()) or title_from_name(name)
    return Document(name, title, pages, "xlsx", {}, remarks)


def _pages(
    package: Package, workbook: Workbook, name: str, max_chars: int
) -> tuple[tuple[Page, ...], tuple[Remark, ...]]:
    if len(workbook.sheets) > MOST_SHEETS:
        raise reason("too_large", name, detail=f"シート {len(workbook.sheets):,} 枚")
    pages: list[Page] = []
    remarks: list[Remark] = []
    for number, info in enumerate(workbook.sheets, start=1):
        if info.is_hidden or info.kind != "worksheet" or not package.has(info.part):
            key = "hidden_sheet" if info.is_hidden else "chart_sheet"
            remarks.append(remark(key, number, what=info.name))
            pages.append(Page(number, "", (), info.name))
            continue
        page, said = _page(package, workbook, info, number, name, max_chars)
        pages.append(page)
        remarks += said
        max_chars -= len(page.text)
    return tuple(pages), tuple(remarks)


def _page(
    package: Package,
    workbook: Workbook,
    info: SheetInfo,
    number: int,
    name: str,
    max_chars: int,
) -> tuple[Page, list[Remark]]:
    sheet = read_sheet(package, info.part, workbook, name, max_chars)
    writing = Writing(name, max_chars)
    # Of several sheets each has its heading, or that of the sheet before would go on.
    is_named = sensible_sheet_name(info.name) or len(workbook.sheets) > 1
    heading = info.name if is_named else ""
    if heading:
        writing.headings.append((0, _SHEET_LEVEL, heading))
    said: list[Remark] = []
    if is_grid_paper(sheet):
        write_form(sheet, writing)
        said.append(remark("grid_paper", number))
    else:
        write_tables(sheet, writing, heading)
    for place, text in shape_texts(package, info.part):
        writing.put(text, place=place)
    _count_comments(package, info.part, sheet)
    said += remarks_on(sheet.counts, page=number)
    page = writing.page(number, info.name)
    if not page.text:
        said.append(remark("no_text", number))
        page = replace(page, headings=())
    return page, said


def _count_comments(package: Package, part: str, sheet: Sheet) -> None:
    comments = package.optional_tree(package.related(part, "comments"))
    if comments is not None:
        sheet.counts["comments"] += sum(1 for _ in comments.iter("comment"))


def sensible_sheet_name(name: str) -> bool:
    """Tell whether a person named a sheet.

    >>> sensible_sheet_name("Sheet1"), sensible_sheet_name("出張旅費")
    (False, True)
    """
    word = name.strip().lower().rstrip("0123456789０１２３４５６７８９ ()（）")
    return word not in ("", "sheet", "シート", "ワークシート", "worksheet", "book")
