"""Word: paragraphs with their automatic numbers, headings, tables, text boxes and notes, as one page.

Word settles its pages only as it prints. Where the file remembers them, ``places`` tells which run stands on which printed page (``p.3``).
Left out, and remarked where there was any: tracked deletions, comments, hidden text. Headers and footers go to the metadata, once.
A cell merged over several rows is repeated in each of them if it is short, so that each row says what it belongs to; one merged over columns stands once.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from xml.etree.ElementTree import Element

from ragjp.documents.cleaning import clean_text, clean_title, title_from_name
from ragjp.documents.office.numbering import Numbering
from ragjp.documents.office.package import Package, attribute, child, is_on, setting
from ragjp.documents.office.remarks import remarks_on
from ragjp.documents.office.word_text import Paragraph
from ragjp.documents.office.writing import Line, Writing, joined
from ragjp.documents.pdf import sensible_title
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page

_HEADING_STYLE = re.compile(r"(?:heading|見出し)\s*([1-9])$", re.IGNORECASE)
_TITLE_STYLES = ("title", "表題")
#: A merged cell up to this long is repeated in the rows that it spans.
_REPEATED_CHARS = 40
_BODY_LEVEL = 9
_MOST_STYLES = 50
_LONGEST_HEADER = 500


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a Word document. Its title is that of the properties if a person wrote it, else the paragraph in the style for titles.

    Raises
    ------
    DocumentError
        ``office_damaged``, ``office_encrypted``, ``office_bomb``, ``office_dtd``, ``office_no_text``, ``empty`` or ``too_large``.
    """
    package = Package(raw, name)
    main = package.main_part("word/document.xml")
    body = package.tree(main).find("body")
    if body is None:
        raise package.damaged(main)
    reader = _Reader(package, main, Writing(name, max_chars))
    reader.blocks(body)
    page = reader.page()
    if not page.text.strip():
        pictures = package.names("word/media/") or package.names("word/embeddings/")
        raise reason("office_no_text" if pictures else "empty", name)
    title = sensible_title(package.title()) or reader.title or title_from_name(name)
    reader.dropped["embedded"] += len(package.names("word/embeddings/"))
    return Document(
        name, title, (page,), "docx", reader.metadata(), remarks_on(reader.dropped, page=0)
    )


class _Styles:
    """What a paragraph's style says of it: its level in the outline, its number, its being the title."""

    def __init__(self, tree: Element | None) -> None:
        self._styles: dict[str, Element] = {}
        self.default = ""
        for style in tree.findall("style") if tree is not None else ():
            self._styles[attribute(style, "styleId")] = style
            if attribute(style, "type") == "paragraph" and attribute(style, "default") in (
                "1",
                "true",
            ):
                self.default = attribute(style, "styleId")

    def _chain(self, style: str) -> list[Element]:
        """Give a style and those that it is based on."""
        chain: list[Element] = []
        found = self._styles.get(style)
        while found is not None and len(chain) < _MOST_STYLES:
            chain.append(found)
            found = self._styles.get(setting(found, "basedOn"))
        return chain

    def level(self, style: str) -> int:
        """Give the level from 1, or 0."""
        for known in self._chain(style):
            if outline := setting(known, "pPr", "outlineLvl"):
                return _outline(outline)
            if found := _HEADING_STYLE.match(setting(known, "name")):
                return int(found[1])
        return 0

    def number(self, style: str) -> tuple[str, str, str]:
        """Give the number's id, its level as the style tells it, and the style that told."""
        for known in self._chain(style):
            if number := setting(known, "pPr", "numPr", "numId"):
                return number, setting(known, "pPr", "numPr", "ilvl"), attribute(known, "styleId")
        return "", "", ""

    def is_title(self, style: str) -> bool:
        return any(
            setting(known, "name").lower() in _TITLE_STYLES for known in self._chain(style)[:1]
        )


def _outline(text: str) -> int:
    level = int(text) + 1 if text.isascii() and text.isdecimal() and len(text) < 3 else 0
    return level if level <= _BODY_LEVEL else 0


class _Reader:
    def __init__(self, package: Package, main: str, writing: Writing) -> None:
        self._package = package
        self._writing = writing
        self._main = main
        self._related = package.relations(main).values()
        self._styles = _Styles(self._optional("styles"))
        self._numbering = Numbering(self._optional("numbering"))
        self._notes = {kind: self._note_texts(kind) for kind in ("footnote", "endnote")}
        self._n_notes = 0
        self._rendered_breaks: bool | None = None
        self.dropped: Counter[str] = Counter()
        self.title = ""

    def _optional(self, kind: str) -> Element | None:
        parts = [known.target for known in self._related if known.kind == kind]
        return self._package.optional_tree(parts[0]) if parts else None

    def _note_texts(self, kind: str) -> dict[str, Element]:
        tree = self._optional(f"{kind}s")
        return {
            attribute(note, "id"): note
            for note in (tree.findall(kind) if tree is not None else ())
            if not attribute(note, "type")
        }

    def page(self) -> Page:
        page = self._writing.page(1)
        return replace(page, places=self._writing.page_places())

    def blocks(self, parent: Element) -> None:
        """Read paragraphs and tables in order, whatever they are wrapped in."""
        if self._rendered_breaks is None:
            self._rendered_breaks = next(parent.iter("lastRenderedPageBreak"), None) is not None
        for block in parent:
            if block.tag == "p":
                self._paragraph(block)
            elif block.tag == "tbl":
                self._table(block)
            elif block.tag == "altChunk":
                self.dropped["embedded"] += 1
            elif block.tag == "AlternateContent":
                chosen = block.find("Choice")
                self.blocks(chosen if chosen is not None else block)
            elif block.tag not in ("sectPr", "sdtPr", "del", "moveFrom"):
                self.blocks(block)

    def _paragraph(self, block: Element) -> None:
        paragraph, prefix = self._read(block)
        style = setting(block, "pPr", "pStyle") or self._styles.default
        text = paragraph.line.text.strip()
        if text and not self.title and self._styles.is_title(style):
            self.title = clean_title(text)
        own = setting(block, "pPr", "outlineLvl")
        level = _outline(own) if own else self._styles.level(style)
        self._writing.write(paragraph.line, prefix=prefix, level=level)
        self._hanging([paragraph])

    def _read(self, block: Element) -> tuple[Paragraph, str]:
        """Read a paragraph; give it and its automatic number."""
        paragraph = Paragraph(self.dropped, rendered_breaks=bool(self._rendered_breaks))
        paragraph.read(block)
        number = clean_text(self._number(block))  # Word counts empty paragraphs too
        return paragraph, number if paragraph.line.text.strip() else ""

    def _number(self, block: Element) -> str:
        style = setting(block, "pPr", "pStyle") or self._styles.default
        number, level, told_by = self._styles.number(style)
        if number and not level:
            level = str(self._numbering.level_of_style(number, told_by))
        own = child(block, "pPr", "numPr")
        if own is not None:
            number = setting(own, "numId") or number
            level = setting(own, "ilvl") or level or "0"
        return self._numbering.label(number, level) if number and number != "0" else ""

    def _hanging(self, paragraphs: list[Paragraph]) -> None:
        """Write what hangs on paragraphs after them: text boxes, then notes."""
        for paragraph in paragraphs:
            for box in paragraph.boxes:
                self.blocks(box)
        for paragraph in paragraphs:
            for kind, note_id in paragraph.notes:
                self._note(kind, note_id)

    def _note(self, kind: str, note_id: str) -> None:
        note = self._notes[kind].pop(note_id, None)  # a note that refers to itself is written once
        if note is None:
            return
        self._n_notes += 1
        read = [self._read(block) for block in _paragraphs(note)]
        line = joined(paragraph.line for paragraph, _ in read)
        self._writing.write(line, prefix=f"（注{self._n_notes}）")
        self._hanging([paragraph for paragraph, _ in read])

    def _table(self, table: Element) -> None:
        rows = [(_cells(row), row) for row in _within(table, "tr")]
        cells = [cell for row, _ in rows for cell in row]
        lays_out = max((len(row) for row, _ in rows), default=0) < 2
        if lays_out or any(cell.find(".//tbl") is not None for cell in cells):
            for cell in cells:
                self.blocks(cell)
            return
        above: dict[int, Line] = {}
        for row, element in rows:
            if is_on(element, "trPr", "del"):
                self.dropped["deletions"] += 1
                continue
            self._row(row, element, above)

    def _row(self, row: list[Element], element: Element, above: dict[int, Line]) -> None:
        """Write a row. ``above``: by column of the grid, the cell merged downwards from there."""
        lines: list[Line] = []
        hanging: list[Paragraph] = []
        column = _count(setting(element, "trPr", "gridBefore"), 0)
        for cell in row:
            merge = child(cell, "tcPr", "vMerge")
            if merge is not None and attribute(merge, "val", "continue") == "continue":
                line = above.get(column, Line())
            else:
                paragraphs = [self._read(block) for block in _paragraphs(cell)]
                hanging += [paragraph for paragraph, _ in paragraphs]
                line = joined(_with_prefix(paragraph, prefix) for paragraph, prefix in paragraphs)
                above.pop(column, None)
                if merge is not None:
                    above[column] = line if line.n_chars <= _REPEATED_CHARS else Line()
            lines.append(line)
            column += _count(setting(cell, "tcPr", "gridSpan"), 1)
        self._writing.put_row(lines)
        self._hanging(hanging)

    def metadata(self) -> dict[str, str]:
        """Give headers and footers: each different one once."""
        found: dict[str, str] = {}
        for kind in ("header", "footer"):
            texts: dict[str, None] = {}
            for part in [known.target for known in self._related if known.kind == kind]:
                tree = self._package.optional_tree(part)
                if tree is not None:
                    lines = [self._read(block)[0].line for block in _paragraphs(tree)]
                    texts[clean_title(joined(lines).text)] = None
            if any(texts):
                found[kind] = " / ".join(filter(None, texts))[:_LONGEST_HEADER]
        return found


def _within(parent: Element, tag: str) -> list[Element]:
    """Give the rows of a table, or the cells of a row, also inside content controls and tracked insertions."""
    found: list[Element] = []
    for element in parent:
        if element.tag == tag:
            found.append(element)
        elif element.tag in ("sdt", "sdtContent", "customXml", "ins", "moveTo"):
            found += _within(element, tag)
    return found


def _paragraphs(parent: Element) -> list[Element]:
    """Give the paragraphs of a cell or a note, but not those of text boxes anchored in them."""
    found: list[Element] = []
    for element in parent:
        if element.tag == "p":
            found.append(element)
        elif element.tag not in ("tcPr", "sdtPr", "del", "moveFrom"):
            found += _paragraphs(element)
    return found


def _cells(row: Element) -> list[Element]:
    return _within(row, "tc")


def _with_prefix(paragraph: Paragraph, prefix: str) -> Line:
    if not prefix:
        return paragraph.line
    line = Line()
    line.add(prefix)
    return joined([line, paragraph.line])


def _count(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else otherwise
