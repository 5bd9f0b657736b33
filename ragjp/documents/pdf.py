"""PDF: the text layer, page by page, with pdfium. Pages keep their numbers: a page without text stays, empty."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragjp.documents.cleaning import clean_text, clean_title, title_from_name
from ragjp.documents.plausible import plausibility
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page

if TYPE_CHECKING:
    import pypdfium2

#: pdfium gives U+FFFE for a hyphen and the line end after it. Printed is the hyphen, and in Japanese documents most are real
#: (``HS-200``, ``yyyy-mm``), so it is put back.
_HYPHEN_AT_LINE_END = re.compile("\ufffe(?:\r?\n)?")
_BLANKS_AT_LINE_END = re.compile(r"[^\S\n]+$", re.MULTILINE)
#: Symbol fonts (Wingdings, Symbol) are mapped to private code points; these are the marks that lists are made with.
_SYMBOL_FONTS = str.maketrans(
    {
        "\uf02a": "*",
        "\uf06c": "●",
        "\uf06e": "■",
        "\uf075": "◆",
        "\uf09e": "・",
        "\uf09f": "・",
        "\uf0a7": "▪",
        "\uf0b7": "・",
        "\uf0d8": "➢",
        "\uf0e0": "→",
        "\uf0f0": "⇒",
        "\uf0fc": "✓",
        "\uf0fe": "☑",
        "\uf0a8": "□",
    }
)
#: Any other one, alone at the beginning of a line, is some list mark.
_SYMBOL_AT_LINE_START = re.compile("^([ \t]*)[\uf020-\uf0ff](?=[ \t])", re.MULTILINE)
#: Titles that a program wrote, not a person: its own name, the name of the file it printed, the empty document's name.
_MACHINE_TITLE = re.compile(
    r"Microsoft (Word|PowerPoint|Excel)\b|untitled|無題|名称未設定|(文書|document|book|プレゼンテーション)\s*\d*$"
    r"|PowerPoint プレゼンテーション|スライド\s*\d|.*\.(docx?|xlsx?|pptx?|jtdc?|indd|pdf|txt|html?|ai|tif|qxd)$|<[0-9a-f]{8,}>|[\W\d_]+$|.$",
    re.IGNORECASE,
)
#: Below this, the title is in a wrongly declared encoding.
_PLAUSIBLE_TITLE = 0.35
_MAX_TITLE_CHARS = 200
_PASSWORD, _SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read the text layer of a PDF, one :class:`Page` per physical page, numbered from 1.

    Lines are those of the page; joining them inside words is the business of the folding. Forms and annotations are left out.

    Raises
    ------
    DocumentError
        ``pdf_encrypted``, ``pdf_damaged``, ``pdf_no_text`` (scanned pages: OCR is needed) or ``too_large``.
    """
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(raw) as pdf:
            pages = _pages(pdf, name, max_chars)
            title = sensible_title(pdf.get_metadata_value("Title"))
    except pypdfium2.PdfiumError as error:
        if error.err_code in (_PASSWORD, _SECURITY):
            raise reason("pdf_encrypted", name) from error
        raise reason("pdf_damaged", name, detail=f"pdfium の誤り {error.err_code}") from error
    if not pages:
        raise reason("pdf_damaged", name, detail="ページがありません")
    if not any(page.text for page in pages):
        raise reason("pdf_no_text", name)
    return Document(name, title or title_from_name(name), pages, "pdf")


def _pages(pdf: pypdfium2.PdfDocument, name: str, max_chars: int) -> tuple[Page, ...]:
    pages: list[Page] = []
    n_chars = 0
    for number in range(1, len(pdf) + 1):
        pages.append(Page(number, _page_text(pdf, number)))
        n_chars += len(pages[-1].text)
        if n_chars > max_chars:
            raise reason("too_large", name, detail=f"上限 {max_chars:,} 文字")
    return tuple(pages)


def _page_text(pdf: pypdfium2.PdfDocument, number: int) -> str:
    page = pdf[number - 1]
    try:
        layer = page.get_textpage()
        try:
            # The call by area would leave out what lies outside of the page, and loses line ends besides.
            text: str = layer.get_text_range()
        finally:
            layer.close()
    finally:
        page.close()
    return tidy(text)


def tidy(text: str) -> str:
    r"""Put hyphens and list marks back, unify line ends, and strip the blanks at the ends of lines and of the page.

    >>> tidy("型番は HS\ufffe200 \r\n\uf06c 電源\r\n")
    '型番は HS-200\n● 電源'
    """
    text = _HYPHEN_AT_LINE_END.sub("-", text).translate(_SYMBOL_FONTS)
    text = _SYMBOL_AT_LINE_START.sub(r"\1・", clean_text(text))
    return _BLANKS_AT_LINE_END.sub("", text).strip("\n")


def sensible_title(title: str) -> str:
    """Give the title of the metadata if a person wrote it; else nothing.

    >>> sensible_title("出張旅費規程"), sensible_title("Microsoft Word - 規程.doc"), sensible_title("Œo”ï‹K’ö")
    ('出張旅費規程', '', '')
    """
    if plausibility(title) < _PLAUSIBLE_TITLE:
        return ""
    title = clean_title(title)
    return (
        "" if not title or len(title) >= _MAX_TITLE_CHARS or _MACHINE_TITLE.match(title) else title
    )
