"""Text in shapes: of DrawingML, which Excel and PowerPoint draw with, and of SmartArt."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from ragjp.documents.cleaning import clean_text
from ragjp.documents.office.package import Package
from ragjp.documents.office.sheet import cell_name

_ANCHORS = ("twoCellAnchor", "oneCellAnchor", "absoluteAnchor")


def paragraph_text(paragraph: Element) -> str:
    """Give the text of a DrawingML paragraph (``a:p``): runs, fields, line breaks, mathematics."""
    pieces: list[str] = []
    for part in paragraph:
        if part.tag == "br":
            pieces.append("\n")
        elif part.tag in ("r", "fld"):
            pieces += [text.text or "" for text in part if text.tag == "t"]
        elif part.tag in ("m", "AlternateContent"):
            chosen = part.find("Choice")
            source = part if chosen is None else chosen
            pieces += [text.text or "" for text in source.iter("t")]
    return clean_text("".join(pieces)).rstrip()


def body_lines(body: Element) -> list[str]:
    """Give the paragraphs of a shape's text that are not blank."""
    return [text for text in map(paragraph_text, body.findall("p")) if text.strip()]


def shape_texts(package: Package, sheet_part: str) -> Iterator[tuple[str, str]]:
    """Yield (cell that the shape is anchored at, text) of the text boxes drawn on a sheet, from top to bottom."""
    drawing = package.optional_tree(package.related(sheet_part, "drawing"))
    found: list[tuple[int, int, str]] = []
    for anchor in drawing if drawing is not None else ():
        if anchor.tag not in _ANCHORS:
            continue
        row, column = (_index(anchor, key) for key in ("row", "col"))
        lines = [line for body in anchor.iter("txBody") for line in body_lines(body)]
        if lines:
            found.append((row, column, "\n".join(lines)))
    for row, column, text in sorted(found):
        yield cell_name(row + 1, column + 1), text


def _index(anchor: Element, key: str) -> int:
    found = anchor.find(f"from/{key}")
    text = "" if found is None else found.text or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0


def diagram_lines(package: Package, part: str) -> list[str]:
    """Give the texts of a SmartArt's data part, in the order of its points."""
    tree = package.optional_tree(part)
    return [
        line
        for point in (tree.iter("pt") if tree is not None else ())
        if point.get("type", "node") in ("node", "asst")
        for body in point.findall("t")
        for line in body_lines(body)
    ]
