"""Which reader reads which file: by its suffix, checked against its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePosixPath
from typing import cast

from ragjp.documents.office.kinds import office_suffix
from ragjp.documents.reasons import reason
from ragjp.types import Document

#: A reader: (the file's bytes, the document's name, the most characters it may yield) to a document.
Read = Callable[[bytes, str, int], Document]

#: Suffix to module. A new format (office, mail, archives, OCR) is one module with a ``read`` and its lines here.
READERS: dict[str, str] = {
    ".md": "ragjp.documents.markdown",
    ".markdown": "ragjp.documents.markdown",
    ".txt": "ragjp.documents.text",
    ".text": "ragjp.documents.text",
    ".html": "ragjp.documents.html",
    ".htm": "ragjp.documents.html",
    ".xhtml": "ragjp.documents.html",
    ".pdf": "ragjp.documents.pdf",
    **dict.fromkeys((".csv", ".tsv", ".tab"), "ragjp.documents.delimited"),
    ".json": "ragjp.documents.json_values",
    **dict.fromkeys((".jsonl", ".ndjson"), "ragjp.documents.json_lines"),
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), "ragjp.documents.office.docx"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), "ragjp.documents.office.xlsx"),
    **dict.fromkeys(
        (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), "ragjp.documents.office.pptx"
    ),
    **dict.fromkeys(
        (".doc", ".dot", ".xls", ".xlt", ".xlsb", ".ppt", ".pps", ".rtf", ".odt", ".ods", ".odp"),
        "ragjp.documents.office.old",
    ),
}
#: Suffix to module of files that hold several documents: a ``parts`` instead of a ``read``; see :mod:`ragjp.documents.walk`.
CONTAINERS: dict[str, str] = {
    ".zip": "ragjp.documents.archive",
    ".eml": "ragjp.documents.mail",
    ".msg": "ragjp.documents.outlook",
}
FORMATS: tuple[str, ...] = (*READERS, *CONTAINERS)

#: First bytes that settle what a file is, whatever its name says.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP（Word・Excel・PowerPoint を含む）"),
    (b"PK\x05\x06", "ZIP（Word・Excel・PowerPoint を含む）"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "古い形式の Office 文書"),
    (b"{\\rtf", "リッチテキスト（RTF）"),
    (b"\x89PNG\r\n", "PNG 画像"),
    (b"\xff\xd8\xff", "JPEG 画像"),
    (b"GIF8", "GIF 画像"),
    (b"II*\x00", "TIFF 画像"),
    (b"MM\x00*", "TIFF 画像"),
    (b"\x1f\x8b\x08", "gzip 圧縮ファイル"),
    (b"7z\xbc\xaf\x27\x1c", "7z 圧縮ファイル"),
    (b"Rar!\x1a\x07", "RAR 圧縮ファイル"),
    (b"SQLite format 3\x00", "SQLite データベース"),
    (b"\x7fELF", "実行ファイル"),
)
#: Programs give tables as text these names, so that Excel opens them.
_TABLES_UNDER = {".xls": ".csv", ".doc": ".txt"}
_TEXT_BYTES = 64 << 10
#: A damaged Office file is still one.
_OFFICE_MAGIC = (b"PK", b"\xd0\xcf\x11\xe0", b"{\\rtf")
_HTML = re.compile(rb"\s*(<\?xml[^>]{0,200}>\s*)?(<!doctype\s+html|<html[\s>])", re.IGNORECASE)
#: A PDF may have junk before its header; viewers accept it within this many bytes.
_PDF_HEADER_WITHIN = 1024


def kind_of(raw: bytes) -> str:
    """Name what the first bytes settle, in Japanese for the reader of an error; empty when they settle nothing."""
    head = raw.removeprefix(b"\xef\xbb\xbf")[:_PDF_HEADER_WITHIN]
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return "HTML" if _HTML.match(head) else ""


def is_container(name: str) -> bool:
    """Tell by a file's name whether it may hold several documents."""
    return PurePosixPath(name).suffix.lower() in CONTAINERS


def reader_for(suffix: str, name: str) -> Read:
    """Find the reader for a suffix (lower case, with its dot), importing its module.

    Raises
    ------
    DocumentError
        ``format_unsupported``, ``several_documents``.
    """
    if suffix in CONTAINERS:
        raise reason("several_documents", name)
    module = READERS.get(suffix)
    if module is None:
        raise reason("format_unsupported", name, detail="・".join(FORMATS))
    return cast("Read", import_module(module).read)


def settled_suffix(raw: bytes, suffix: str) -> str:
    """Give the suffix that the content settles where it settles one, else the one that the name has.

    An Office file is what its parts are; a web page or a PDF saved under an Office name is one all the same.
    """
    if found := office_suffix(raw):
        return found
    if not READERS.get(suffix, "").startswith("ragjp.documents.office."):
        return suffix
    kind = kind_of(raw)
    if not kind and suffix in _TABLES_UNDER and b"\0" not in raw[:_TEXT_BYTES]:
        return _TABLES_UNDER[suffix]
    return {"HTML": ".html", "PDF": ".pdf"}.get(kind, suffix)


def check_content(raw: bytes, suffix: str, name: str) -> None:
    """Refuse a file that is not what its suffix says. Web pages saved as text or Markdown pass: they are readable as such.

    Raises
    ------
    DocumentError
        ``wrong_extension``.
    """
    kind = kind_of(raw)
    if READERS.get(suffix, "").startswith("ragjp.documents.office."):
        lies = bool(kind) and not raw.startswith(_OFFICE_MAGIC)
    elif suffix == ".pdf":
        lies = bool(kind) and kind != "PDF" and b"%PDF-" not in raw[:_PDF_HEADER_WITHIN]
    else:
        lies = bool(kind) and kind != "HTML"
    if lies:
        raise reason("wrong_extension", name, suffix=suffix, detail=kind)
