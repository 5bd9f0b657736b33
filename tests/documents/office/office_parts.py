"""Office files written part by part, for what no library writes: ruby, deletions, text boxes, damage, bombs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CONTENT_TYPES = f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>'


def relationships(*targets: tuple[str, str, str]) -> str:
    """Write (id, kind, target) as a part of relationships; a target with ``://`` is an external one."""
    rows = ""
    for key, kind, target in targets:
        mode = ' TargetMode="External"' if "://" in target else ""
        rows += f'<Relationship Id="{key}" Type="{_R}/{kind}" Target="{target}"{mode}/>'
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{rows}</Relationships>'


def zipped(parts: Mapping[str, str | bytes], *, stored: bool = False) -> bytes:
    """Put parts into a ZIP."""
    out = io.BytesIO()
    kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


def word_parts(body: str, **others: str) -> dict[str, str | bytes]:
    """Give the parts of a Word document: its body, and others by kind (``footnotes``, ``styles``, ``numbering``, ``header``)."""
    root = f'xmlns:w="{_W}" xmlns:r="{_R}" xmlns:mc="{_MC}" xmlns:v="urn:v" xmlns:wps="urn:wps"'
    return {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": relationships(("a", "officeDocument", "word/document.xml")),
        "word/document.xml": f"{_HEAD}<w:document {root}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relationships(
            *((f"k{kind}", kind, f"{kind}.xml") for kind in others)
        ),
        **{
            f"word/{kind}.xml": f"{_HEAD}<w:{_root(kind)} {root}>{part}</w:{_root(kind)}>"
            for kind, part in others.items()
        },
    }


def _root(kind: str) -> str:
    return {"header": "hdr", "footer": "ftr"}.get(kind, kind)


def word(body: str, **others: str) -> bytes:
    """Write a Word document."""
    return zipped(word_parts(body, **others))


def paragraph(text: str, properties: str = "") -> str:
    """Write a paragraph of one run."""
    head = f"<w:pPr>{properties}</w:pPr>" if properties else ""
    return f'<w:p>{head}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def ruby(base: str, reading: str) -> str:
    """Write a run with its reading."""
    return (
        f"<w:r><w:ruby><w:rubyPr/><w:rt><w:r><w:t>{reading}</w:t></w:r></w:rt>"
        f"<w:rubyBase><w:r><w:t>{base}</w:t></w:r></w:rubyBase></w:ruby></w:r>"
    )


def sheet_parts(
    rows: str, *, strings: str = "", styles: str = "", more: str = "", before: str = ""
) -> dict[str, str | bytes]:
    """Give the parts of a workbook of one sheet: its rows, shared strings, styles, and what stands after and before the rows."""
    return {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": relationships(("a", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_S}" xmlns:r="{_R}"><sheets><sheet name="表" sheetId="1" r:id="s1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relationships(
            ("s1", "worksheet", "worksheets/sheet1.xml"),
            ("s2", "sharedStrings", "sharedStrings.xml"),
            ("s3", "styles", "styles.xml"),
        ),
        "xl/worksheets/sheet1.xml": f'{_HEAD}<worksheet xmlns="{_S}">{before}<sheetData>{rows}</sheetData>{more}</worksheet>',
        "xl/sharedStrings.xml": f'{_HEAD}<sst xmlns="{_S}">{strings}</sst>',
        "xl/styles.xml": f'{_HEAD}<styleSheet xmlns="{_S}">{styles}</styleSheet>',
    }


def workbook(rows: str, **parts: str) -> bytes:
    """Write a workbook of one sheet."""
    return zipped(sheet_parts(rows, **parts))
