"""PowerPoint: every slide is a page; its title, then its shapes in reading order, tables row by row, SmartArt, and the speaker's notes.

Dates, footers and slide numbers are left out; comments too, and remarked. Hidden slides are read and remarked: whoever opens the file
sees them. A merged cell is repeated as in Word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ragjp.documents.cleaning import clean_title, title_from_name
from ragjp.documents.office.drawings import body_lines, diagram_lines
from ragjp.documents.office.package import Package, Relation, attribute, child
from ragjp.documents.office.remarks import remark, remarks_on
from ragjp.documents.office.slide_order import Frame, reading_order
from ragjp.documents.office.writing import Line, Writing
from ragjp.documents.pdf import sensible_title
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page, Remark

_MOST_SLIDES = 10_000
_TITLES = ("title", "ctrTitle")
_LEFT_OUT = ("dt", "ftr", "sldNum", "hdr", "sldImg")
_REPEATED_CHARS = 40
_TITLE_LEVEL, _NOTES_LEVEL = 1, 2
_NOTES = "ノート"


class _Shape(NamedTuple):
    """A shape with text: the text as lines, or a table's rows; its place on the slide; whether it is the title."""

    lines: list[str]
    rows: list[list[str]]
    frame: tuple[int, int, int, int] | None
    is_title: bool = False


class _Plane(NamedTuple):
    """How the coordinates of a group become those of the slide: scale, then shift."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def frame(self, left: int, top: int, width: int, height: int) -> tuple[int, int, int, int]:
        """Carry a frame over."""
        return (
            round(left * self.scale_x + self.shift_x),
            round(top * self.scale_y + self.shift_y),
            round(width * self.scale_x),
            round(height * self.scale_y),
        )


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a presentation. Its title is that of the properties if a person wrote it, else the first slide's.

    Raises
    ------
    DocumentError
        ``office_damaged``, ``office_encrypted``, ``office_bomb``, ``office_dtd``, ``office_no_text``, ``empty`` or ``too_large``.
    """
    package = Package(raw, name)
    main = package.main_part("ppt/presentation.xml")
    relations = package.relations(main)
    slides = [_target(slide, relations) for slide in package.tree(main).iter("sldId")]
    if len(slides) > _MOST_SLIDES:
        raise reason("too_large", name, detail=f"スライド {len(slides):,} 枚")
    pages: list[Page] = []
    remarks: list[Remark] = []
    for number, slide in enumerate(slides, start=1):
        if slide is None or not package.has(slide.target):
            raise package.damaged(f"スライド {number}")
        page, said = _page(package, slide.target, number, name, max_chars)
        pages.append(page)
        remarks += said
        max_chars -= len(page.text)
    if not any(page.text for page in pages):
        raise reason("office_no_text" if package.names("ppt/media/") else "empty", name)
    title = sensible_title(package.title()) or pages[0].label or title_from_name(name)
    return Document(name, title, tuple(pages), "pptx", {}, tuple(remarks))


def _target(slide: Element, relations: dict[str, Relation]) -> Relation | None:
    """Give what a slide's ``r:id`` points at; ``id`` without namespace is only its number."""
    return next(
        (
            relations[value]
            for key, value in slide.attrib.items()
            if key != "id" and value in relations
        ),
        None,
    )


def _page(
    package: Package, part: str, number: int, name: str, max_chars: int
) -> tuple[Page, list[Remark]]:
    tree = package.tree(part)
    relations = package.relations(part)
    writing = Writing(name, max_chars)
    shapes = _Shapes(package, part, relations).of(tree)
    title = _write(shapes, writing)
    if not title:  # or the heading of the slide before would go on
        writing.headings.insert(0, (0, _TITLE_LEVEL, f"スライド {number}"))
    counts: Counter[str] = Counter()
    for known in relations.values():
        if known.kind == "notesSlide" and package.has(known.target):
            _write_notes(package.tree(known.target), writing)
        elif known.kind == "comments" and package.has(known.target):
            counts["comments"] += sum(1 for _ in package.tree(known.target).iter("cm"))
        elif known.kind == "package":
            counts["embedded"] += 1
    page = writing.page(number, title)
    said = [*remarks_on(counts, page=number)]
    if tree.get("show") in ("0", "false"):
        said.append(remark("hidden_slide", number))
    if not page.text:
        said.append(remark("no_text", number))
    return page, said


def _write(shapes: list[_Shape], writing: Writing) -> str:
    """Write a slide's shapes and give its title."""
    title = ""
    for shape in shapes:
        if shape.is_title and shape.lines:
            text = "\n".join(shape.lines)
            title = title or clean_title(text)
            writing.put(text, level=_TITLE_LEVEL)
    rest = [shape for shape in shapes if not shape.is_title]
    # What has no place of its own, nor one of the layout's, comes where it was drawn: after the shape before it.
    frames: list[Frame] = []
    last = (0, 0, 0, 0)
    for at, shape in enumerate(rest):
        last = shape.frame or last
        frames.append(Frame(*last, at))
    for at in reading_order(frames):
        for text in rest[at].lines:
            writing.put(text)
        for row in rest[at].rows:
            writing.put_row([_line(cell) for cell in row])
    return title


def _line(text: str) -> Line:
    line = Line()
    line.add(text)
    return line


def _write_notes(tree: Element, writing: Writing) -> None:
    lines = [
        text
        for shape in tree.iter("sp")
        if _placeholder(shape)[0] not in _LEFT_OUT
        for body in shape.findall("txBody")
        for text in body_lines(body)
    ]
    if lines:
        writing.headings.append((writing.n_chars, _NOTES_LEVEL, _NOTES))
    for text in lines:
        writing.put(text, place=_NOTES)


def _placeholder(shape: Element) -> tuple[str, str]:
    """Give a placeholder's kind and index; empty for any other shape."""
    for properties in shape:
        if properties.tag.startswith("nv"):
            found = child(properties, "nvPr", "ph")
            if found is not None:
                return found.get("type", "obj"), found.get("idx", "0")
    return "", ""


def _frame(shape: Element) -> tuple[int, int, int, int] | None:
    """Give the place that a shape itself tells."""
    transform = child(shape, "spPr", "xfrm")
    if transform is None:
        transform = child(shape, "xfrm")
    if transform is None:
        transform = child(shape, "grpSpPr", "xfrm")
    return None if transform is None else _off_and_ext(transform, "off", "ext")


def _off_and_ext(transform: Element, off: str, ext: str) -> tuple[int, int, int, int] | None:
    place, size = transform.find(off), transform.find(ext)
    if place is None or size is None:
        return None
    try:
        left, top = int(place.get("x", "0")), int(place.get("y", "0"))
        width, height = int(size.get("cx", "0")), int(size.get("cy", "0"))
    except ValueError:
        return None
    return left, top, max(width, 0), max(height, 0)


class _Shapes:
    """Reads the shapes of one slide."""

    def __init__(self, package: Package, part: str, relations: dict[str, Relation]) -> None:
        self._package = package
        self._relations = relations
        layout = next((r.target for r in relations.values() if r.kind == "slideLayout"), "")
        master = package.related(layout, "slideMaster") if layout else ""
        self._inherited = [self._places(known) for known in (layout, master)]

    def _places(self, part: str) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        tree = self._package.optional_tree(part)
        found: dict[tuple[str, str], tuple[int, int, int, int]] = {}
        for shape in tree.iter("sp") if tree is not None else ():
            kind, index = _placeholder(shape)
            frame = _frame(shape)
            if kind and frame:
                found[("", index)] = frame
                found.setdefault((kind, ""), frame)
        return found

    def of(self, slide: Element) -> list[_Shape]:
        """Give the shapes with text in the order drawn."""
        tree = child(slide, "cSld", "spTree")
        return [] if tree is None else list(self._within(tree, _Plane()))

    def _within(self, parent: Element, plane: _Plane) -> Iterator[_Shape]:
        for shape in parent:
            if shape.tag == "sp":
                yield from self._text(shape, plane)
            elif shape.tag == "grpSp":
                yield from self._within(shape, _inner(shape, plane))
            elif shape.tag == "graphicFrame":
                yield from self._graphic(shape, plane)
            elif shape.tag == "AlternateContent":
                chosen = shape.find("Choice")
                yield from self._within(shape if chosen is None else chosen, plane)
            elif shape.tag == "Fallback":
                yield from self._within(shape, plane)

    def _text(self, shape: Element, plane: _Plane) -> Iterator[_Shape]:
        kind, index = _placeholder(shape)
        body = shape.find("txBody")
        if kind in _LEFT_OUT or body is None:
            return
        lines = body_lines(body)
        if lines:
            yield _Shape(lines, [], self._place(shape, kind, index, plane), kind in _TITLES)

    def _place(
        self, shape: Element, kind: str, index: str, plane: _Plane
    ) -> tuple[int, int, int, int] | None:
        own = _frame(shape)
        if own is not None:
            return plane.frame(*own)
        if not kind:
            return None
        for key in (("", index), (kind, ""), ("body", "")):
            for places in self._inherited:
                if key in places:
                    return places[key]
        return None

    def _graphic(self, shape: Element, plane: _Plane) -> Iterator[_Shape]:
        own = _frame(shape)
        frame = None if own is None else plane.frame(*own)
        for table in shape.iter("tbl"):
            yield _Shape([], _rows(table), frame)
        for found in shape.iter("relIds"):
            target = self._relations.get(attribute(found, "dm"))
            if target is not None:
                yield _Shape(diagram_lines(self._package, target.target), [], frame)


def _inner(group: Element, plane: _Plane) -> _Plane:
    """Give the plane of a group's shapes: its inner coordinates are stretched over its frame."""
    transform = child(group, "grpSpPr", "xfrm")
    outer = _frame(group)
    inner = None if transform is None else _off_and_ext(transform, "chOff", "chExt")
    if outer is None or inner is None:
        return plane
    scale_x = outer[2] / inner[2] if inner[2] else 1.0
    scale_y = outer[3] / inner[3] if inner[3] else 1.0
    return _Plane(
        plane.scale_x * scale_x,
        plane.scale_y * scale_y,
        plane.scale_x * (outer[0] - inner[0] * scale_x) + plane.shift_x,
        plane.scale_y * (outer[1] - inner[1] * scale_y) + plane.shift_y,
    )


def _rows(table: Element) -> list[list[str]]:
    rows: list[list[str]] = []
    above: dict[int, str] = {}
    for row in table.findall("tr"):
        cells: list[str] = []
        for column, cell in enumerate(row.findall("tc")):
            if cell.get("hMerge") in ("1", "true"):
                continue
            if cell.get("vMerge") in ("1", "true"):
                cells.append(above.get(column, ""))
                continue
            body = cell.find("txBody")
            text = " ".join(body_lines(body)) if body is not None else ""
            spans = cell.get("rowSpan", "1") != "1"
            above[column] = text if spans and len(text) <= _REPEATED_CHARS else ""
            cells.append(text)
        rows.append(cells)
    return rows
