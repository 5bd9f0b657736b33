"""What an Office file is, told from its bytes: the name's ending is not asked."""

from __future__ import annotations

import io
import zipfile
import zlib

OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Enough to see that a file is none: a header and a directory take three sectors.
_LEAST_OLE2_BYTES = 3 * 512
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_RTF = b"{\\rtf"
#: Streams in the root of the older files, and how such files are called.
_STREAMS = {
    "worddocument": ".doc",
    "workbook": ".xls",
    "book": ".xls",
    "powerpoint document": ".ppt",
    # Protected with a password, or by rights management: what is inside cannot be told. ``old`` refuses it by name.
    "encryptedpackage": ".doc",
}
_OPEN_DOCUMENT = {"text": ".odt", "spreadsheet": ".ods", "presentation": ".odp"}
_OPEN_DOCUMENT_TYPE = b"application/vnd.oasis.opendocument."


def office_suffix(raw: bytes) -> str:
    """Give the suffix that such a file should have: ``.docx``, ``.xlsx``, ``.pptx``, or one that LibreOffice reads; empty for any other.

    Files with macros and templates are read like documents: what is inside is the same.
    """
    if raw.startswith(_ZIP):
        return _in_zip(raw)
    if raw.startswith(OLE2):
        names = [name for name in ole2_names(raw) if name in _STREAMS]
        return _STREAMS[names[0]] if names else ""
    return ".rtf" if raw.startswith(_RTF) else ""


def _in_zip(raw: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = {name.replace("\\", "/").lstrip("/").lower() for name in archive.namelist()}
            if "mimetype" in names and "content.xml" in names:
                return _open_document(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError):
        return ""
    if "[content_types].xml" not in names:
        return ""
    if "xl/workbook.bin" in names:
        return ".xlsb"
    folders = {name.partition("/")[0] for name in names}
    found = [
        suffix
        for folder, suffix in (("word", ".docx"), ("xl", ".xlsx"), ("ppt", ".pptx"))
        if folder in folders
    ]
    return found[0] if found else ""


def _open_document(archive: zipfile.ZipFile) -> str:
    with archive.open("mimetype") as part:
        kind = part.read(200).strip()
    if not kind.startswith(_OPEN_DOCUMENT_TYPE):
        return ""
    word = kind.removeprefix(_OPEN_DOCUMENT_TYPE).decode("ascii", "replace")
    return _OPEN_DOCUMENT.get(word.removesuffix("-template"), "")


def ole2_names(raw: bytes) -> list[str]:
    """List what lies in the root of an OLE2 file, in lower case, such as ``worddocument``; empty when it is damaged."""
    import olefile

    if len(raw) < _LEAST_OLE2_BYTES:
        return []
    try:
        with olefile.OleFileIO(io.BytesIO(raw)) as ole:
            return [entry.name.lower() for entry in ole.root.kids]
    except Exception:  # olefile raises what a damaged file makes it run into
        return []
