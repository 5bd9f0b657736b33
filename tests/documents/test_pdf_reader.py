"""PDF: pages keep their numbers, and what cannot be read says why."""

from __future__ import annotations

from types import ModuleType

import pytest

from ragjp.documents.pdf import read, sensible_title, tidy
from ragjp.errors import DocumentError


def test_pages_lines_and_title(pdfs: ModuleType) -> None:
    """Guards against page numbers that shift behind an empty page, and against lost line ends."""
    raw = pdfs.make_pdf(
        [["第1条 経費の精算は、", "月末までに行う。"], [], ["① ㈱ひなた 髙橋"]],
        title="経費精算規程",
    )
    document = read(raw, "規程/a.pdf", 1000)
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert [page.text for page in document.pages] == [
        "第1条 経費の精算は、\n月末までに行う。",
        "",
        "① ㈱ひなた 髙橋",
    ]
    assert document.title == "経費精算規程"
    assert document.format == "pdf"


def test_characters_beyond_sixteen_bits(pdfs: ModuleType) -> None:
    """Guards against losing 𠮷 and 𩸽, which take two units of UTF-16."""
    raw = pdfs.make_raw_pdf("000100020003", "<0001> <D842DFB7> <0002> <91CE> <0003> <D867DE3D>")
    assert read(raw, "a.pdf", 100).pages[0].text == "𠮷野𩸽"


def test_a_hyphen_at_a_line_end_stays(pdfs: ModuleType) -> None:
    """Guards against part numbers that lose their hyphen, or hold pdfium's mark in its place."""
    text = read(pdfs.make_pdf([["part-", "number HS-", "series"]]), "a.pdf", 100).pages[0].text
    assert text == "part-number HS-series"


def test_symbol_fonts_and_blanks() -> None:
    """Guards against private code points in what is cited."""
    assert tidy("\uf0b2 一\r\n二\uf0b2") == "・ 一\n二\uf0b2"
    assert tidy("\uf06c 電源 \r\n　\r\n\uf0d8次\x00\r\n\r\n") == "● 電源\n\n➢次"


@pytest.mark.parametrize(
    "title", ["出張旅費規程", "Café マニュアル", "2024年度 Annual Report", "ISO 9001"]
)
def test_titles_that_people_wrote(title: str) -> None:
    """Guards against throwing good titles away."""
    assert sensible_title(title) == title


@pytest.mark.parametrize(
    "title",
    ["Microsoft Word - 規程.doc", "untitled", "", "Œo”ï‹K’ö", "規程最終版.docx", "PowerPoint プレゼンテーション", "スライド 1",
     "<4D6963726F736F667420576F7264>", "20240401_12", "\ufffd\ufffd規程", "文書 1"],
)  # fmt: skip
def test_titles_that_programs_wrote(title: str) -> None:
    """Guards against hits that are all called Microsoft Word."""
    assert sensible_title(title) == ""


def test_reasons(pdfs: ModuleType) -> None:
    """Guards against one word for everything that can be wrong with a PDF."""
    good = pdfs.make_pdf([["経費の精算"], ["旅費"]])
    cases = {
        "pdf_encrypted": pdfs.make_pdf([["秘密"]], password="secret"),
        "pdf_damaged": b"%PDF-1.7\n" + bytes(range(256)),
        "pdf_no_text": pdfs.make_pdf([[], []]),
        "too_large": good,
    }
    for code, raw in cases.items():
        with pytest.raises(DocumentError) as caught:
            read(raw, "規程/a.pdf", 5)
        assert caught.value.code == code
        assert "規程/a.pdf" in caught.value.sentence
    no_table = good.replace(b"startxref", b"startxxxx")  # pdfium rebuilds a lost table
    assert read(no_table, "a.pdf", 100).pages[0].text == "経費の精算"
