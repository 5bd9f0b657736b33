"""What the sheets of a workbook share: its list of sheets, its strings, its number formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ragjp.documents.cleaning import clean_text
from ragjp.documents.office.number_formats import BUILT_IN
from ragjp.documents.office.package import Package, attribute, child, setting

#: Characters that XML cannot hold are written like this, ``_x000D_`` before all.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
#: Patterns of a fill that colour a cell.
_NO_FILL = ("none", "", "gray125")
_WHITE = ("FFFFFF", "FFFFFFFF", "00FFFFFF")
#: Of a workbook; Excel allows 64,000 formats.
_MOST_STYLES = 100_000

Alias = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Style:
    """What counts of a cell's format here.

    Attributes
    ----------
    number_format
        The code of its number format.
    is_filled, is_bold
        Whether the cell is coloured, its text bold: labels of forms often are.
    """

    number_format: str = "General"
    is_filled: bool = False
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """A sheet as the workbook lists it. ``part`` is empty where the file has none; ``kind`` is ``worksheet``, ``chartsheet``, ..."""

    name: str
    part: str
    is_hidden: bool
    kind: str


class Workbook:
    """The parts of a workbook that are read before its sheets.

    Raises
    ------
    DocumentError
        As :meth:`ragjp.documents.office.package.Package.tree`.
    """

    def __init__(self, package: Package) -> None:
        main = package.main_part("xl/workbook.xml")
        tree = package.tree(main)
        relations = package.relations(main)
        self.from_1904 = setting(tree, "workbookPr", of="date1904") in ("1", "true")
        self.sheets: list[SheetInfo] = []
        for sheet in tree.iter("sheet"):
            target = relations.get(attribute(sheet, "id"))
            self.sheets.append(
                SheetInfo(
                    clean_text(sheet.get("name", "")).replace("\n", " ").strip(),
                    target.target if target else "",
                    sheet.get("state", "visible") != "visible",
                    target.kind if target else "",
                )
            )
        parts = {known.kind: known.target for known in relations.values()}
        #: Shared strings, each with the readings above it (shown only where a cell asks for it).
        self.strings: list[tuple[str, tuple[Alias, ...]]] = []
        if package.has(parts.get("sharedStrings", "")):
            for _, element in package.events(parts["sharedStrings"]):
                if element.tag == "si":
                    self.strings.append(rich_text(element))
                    element.clear()
        self.styles = _styles(package.optional_tree(parts.get("styles", "")))

    def style(self, number: str) -> Style:
        """Give a cell's style by its number."""
        if number.isascii() and number.isdecimal() and len(number) < 7:
            at = int(number)
            return self.styles[at] if at < len(self.styles) else _PLAIN
        return _PLAIN


_PLAIN = Style()


def rich_text(element: Element) -> tuple[str, tuple[Alias, ...]]:
    """Read a string item: its runs as one text, and its phonetic runs as readings of what they stand above."""
    pieces: list[str] = []
    aliases: list[Alias] = []
    for part in element:
        if part.tag == "t":
            pieces.append(part.text or "")
        elif part.tag == "r":
            pieces += [text.text or "" for text in part if text.tag == "t"]
        elif part.tag == "rPh":
            reading = "".join(text.text or "" for text in part if text.tag == "t")
            aliases.append((_number(part.get("sb")), _number(part.get("eb")), reading))
    text = "".join(pieces)
    whole = clean_text(_unescaped(text))
    # Readings count characters of the text as it is written; where cleaning moved those, they no longer fit.
    kept = whole == text and all(0 <= start < end <= len(text) for start, end, _ in aliases)
    return whole, tuple(aliases) if kept else ()


def _unescaped(text: str) -> str:
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else -1


def _styles(tree: Element | None) -> tuple[Style, ...]:
    if tree is None:
        return ()
    codes = dict(BUILT_IN)
    for known in tree.findall("numFmts/numFmt"):
        codes[_number(known.get("numFmtId"))] = known.get("formatCode", "General")
    fills = [_is_filled(fill) for fill in tree.findall("fills/fill")]
    bold = [setting(font, "b", default="0" if font.find("b") is None else "1") not in ("0", "false")
            for font in tree.findall("fonts/font")]  # fmt: skip
    found: list[Style] = []
    for known in tree.findall("cellXfs/xf")[:_MOST_STYLES]:
        fill, font = _number(known.get("fillId")), _number(known.get("fontId"))
        found.append(
            Style(
                codes.get(_number(known.get("numFmtId")), "General"),
                0 <= fill < len(fills) and fills[fill],
                0 <= font < len(bold) and bold[font],
            )
        )
    return tuple(found)


def _is_filled(fill: Element) -> bool:
    pattern = child(fill, "patternFill")
    if pattern is None:
        return fill.find("gradientFill") is not None
    if pattern.get("patternType", "") in _NO_FILL:
        return False
    colour = child(pattern, "fgColor")
    is_white = colour is not None and (
        colour.get("rgb", "").upper() in _WHITE
        or (colour.get("theme") == "0" and not colour.get("tint", "").startswith("-"))
    )
    return not is_white
