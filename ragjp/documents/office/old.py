"""What LibreOffice reads for us: Word, Excel and PowerPoint of before 2007, binary workbooks, RTF and OpenDocument.

Converted to what the readers beside this one read. Without LibreOffice such a document is refused with a reason of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import cast

from ragjp.documents.office.converter import ConversionFailed, convert, find_converter
from ragjp.documents.office.kinds import OLE2, office_suffix, ole2_names
from ragjp.documents.office.remarks import remark
from ragjp.documents.reasons import reason
from ragjp.types import Document

#: What each becomes.
CONVERTED: dict[str, str] = {
    **dict.fromkeys((".doc", ".dot", ".rtf", ".odt"), ".docx"),
    **dict.fromkeys((".xls", ".xlt", ".xlsb", ".ods"), ".xlsx"),
    **dict.fromkeys((".ppt", ".pps", ".pot", ".odp"), ".pptx"),
}
_MOST_RECORDS = 64
_FILE_PASS, _END_OF_RECORDS = 0x2F, 0x0A
_WORD_ENCRYPTED = 0x01
_POWERPOINT_ENCRYPTED = b"\xdf\xc4\xd1\xf3"


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a document through LibreOffice.

    Raises
    ------
    DocumentError
        ``office_converter_missing``, ``office_not_converted``, ``office_encrypted``, ``office_damaged``, and those of the reader
        of what it becomes.
    """
    suffix = office_suffix(raw)
    if not suffix:
        raise reason("office_damaged", name, detail="中身を見分けられません")
    if raw.startswith(OLE2) and is_protected(raw):
        raise reason("office_encrypted", name)
    converter = find_converter()
    if not converter:
        raise reason("office_converter_missing", name, detail=suffix[1:])
    wanted = CONVERTED[suffix]
    try:
        converted = convert(raw, suffix, wanted, converter)
    except (ConversionFailed, OSError) as error:
        detail = str(error) if isinstance(error, ConversionFailed) else type(error).__name__
        raise reason("office_not_converted", name, detail=detail) from error
    if office_suffix(converted) != wanted:
        raise reason("office_not_converted", name, detail="変換結果が正しくありません")
    document = _reader(wanted)(converted, name, max_chars)
    return replace(
        document,
        format=suffix[1:],
        remarks=(*document.remarks, remark("converted", 0, what=wanted[1:])),
    )


def _reader(suffix: str) -> Callable[[bytes, str, int], Document]:
    module = import_module(f"ragjp.documents.office.{suffix[1:]}")
    return cast("Callable[[bytes, str, int], Document]", module.read)


def is_protected(raw: bytes) -> bool:
    """Tell whether an OLE2 file needs a password, or a server's leave, to be read."""
    import olefile

    names = ole2_names(raw)
    if "encryptedpackage" in names:
        return True
    try:
        with olefile.OleFileIO(io.BytesIO(raw)) as ole:
            if "worddocument" in names:
                head = ole.openstream("WordDocument").read(12)
                return len(head) == 12 and bool(head[11] & _WORD_ENCRYPTED)
            if "current user" in names:
                return bool(ole.openstream("Current User").read(16)[12:16] == _POWERPOINT_ENCRYPTED)
            book = next((known for known in ("workbook", "book") if known in names), "")
            return bool(book) and _has_file_pass(ole.openstream(book).read(64 << 10))
    except Exception:  # a damaged one: LibreOffice will say so
        return False


def _has_file_pass(head: bytes) -> bool:
    """Look for the record that says that a workbook is encrypted, among the first ones."""
    at = 0
    for _ in range(_MOST_RECORDS):
        kind, size = (int.from_bytes(head[at + i : at + i + 2], "little") for i in (0, 2))
        if kind == _FILE_PASS:
            return True
        if kind == _END_OF_RECORDS or at + 4 > len(head):
            return False
        at += 4 + size
    return False
