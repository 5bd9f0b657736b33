"""Forms on grid paper: fields with their values, whatever way the form is drawn."""

from __future__ import annotations

import io
from types import ModuleType

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from ragjp.documents.office.xlsx import read

#: The rules were made looking at seeds below 100.
UNSEEN = range(5000, 5040)


def text_of(raw: bytes) -> str:
    document = read(raw, "a.xlsx", 10**6)
    assert [remark.code for remark in document.remarks] == ["grid_paper"]
    page = document.pages[0]
    for start, end, place in page.places:
        assert page.text[start:end].strip()
        assert place[0].isalpha()
    return page.text


def test_fields(forms: ModuleType) -> None:
    """Guards against values that lose their label, or take another's."""
    n_right = n_read = n_true = 0
    for seed in UNSEEN:
        form = forms.make_form(seed)
        right, read_fields, true = forms.counts(form, text_of(form.raw))
        n_right, n_read, n_true = n_right + right, n_read + read_fields, n_true + true
    assert n_true > 400
    f1 = 2 * n_right / (n_read + n_true)
    assert f1 >= 0.9, f"{n_right} right of {n_read} read and {n_true} true"


def test_tables_in_forms(forms: ModuleType) -> None:
    """Guards against a list of goods that is taken for fields."""
    n_right = n_true = 0
    for seed in UNSEEN:
        form = forms.make_form(seed)
        lines = text_of(form.raw).split("\n")
        n_true += len(form.rows)
        n_right += sum(" | ".join(row) in lines for row in form.rows)
    assert n_true > 50
    assert n_right >= 0.95 * n_true


def test_nothing_is_lost(forms: ModuleType) -> None:
    """Guards against words of a form that are neither field nor line."""
    for seed in UNSEEN:
        form = forms.make_form(seed)
        text = forms.folded(text_of(form.raw))
        for name, value in form.fields.items():
            assert forms.folded(name.removeprefix("連絡先 ")) in text
            assert forms.folded(value) in text


@pytest.mark.parametrize("width", [None, 3])
def test_an_ordinary_table_is_no_form(width: int | None) -> None:
    """Guards against a wide table of months, its columns narrow, read as fields."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.append(["部署", *(f"{month}月" for month in range(1, 13)), "計"])
    for name in ("営業部", "総務部", "開発部"):
        sheet.append([name, *range(12), 66])
    if width:
        for column in "ABCDEFGHIJKLMN":
            sheet.column_dimensions[column].width = width
    out = io.BytesIO()
    book.save(out)
    document = read(out.getvalue(), "a.xlsx", 10**6)
    assert document.remarks == ()
    assert document.pages[0].text.split("\n")[1].startswith("営業部 | 0 | 1 | 2")
