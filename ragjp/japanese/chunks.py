"""Chunks: runs of whole sentences inside one page, cut where the document itself has a border.

A page is read as units (sentences; an over-long one is cut), the units as sections (a heading and
what stands below it, an article), the sections as chunks. A section that fits stays whole and starts
a chunk of its own, unless what stands before it is too short to be one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragjp.config import Chunking
from ragjp.japanese.headings import Heading, enter, find_heading
from ragjp.japanese.layout import is_page_number
from ragjp.japanese.sentences import split_sentences
from ragjp.types import Chunk, Document, Page, Span

#: A chunk shorter than this joins a neighbour under the same chapter.
_TINY_CHARS = 80
#: Where an over-long sentence is cut, best first.
_CUTS = tuple(map(re.compile, (r"[。．！？!?；;]", r"[、，]", r"[\s　]", r"[」』）)】〉》]")))

_Path = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or a part of one. ``opens``: a section begins here; ``alone``: only a heading."""

    start: int
    end: int
    path: _Path
    opens: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """Units that stay together, so far."""

    units: tuple[_Unit, ...]
    path: _Path

    @property
    def start(self) -> int:
        return self.units[0].start

    @property
    def end(self) -> int:
        return self.units[-1].end

    @property
    def size(self) -> int:
        return self.end - self.start


def chunk_document(document: Document, chunking: Chunking) -> list[Chunk]:
    """Cut a document into chunks.

    Every character that is not a blank stands in at least one chunk, except on a page that holds
    only its own number. ``chunk.text`` is ``page.text[chunk.start:chunk.end]``. The heading path
    goes on from page to page.
    """
    given = any(page.headings for page in document.pages)
    chunks: list[Chunk] = []
    path: _Path = ()
    for page in document.pages:
        units = list(_units(page, path, chunking.max_chars, given=given))
        if not units:
            continue
        path = units[-1].path
        whole = len(document.pages) == 1 and not given and _size(units) <= chunking.max_chars
        blocks = [_Block(tuple(units), units[0].path)] if whole else _arranged(units, chunking)
        chunks.extend(_chunk(document, page, block) for block in _overlapped(blocks, chunking))
    return chunks


def _chunk(document: Document, page: Page, block: _Block) -> Chunk:
    return Chunk(
        doc_id=document.doc_id,
        page=page.number,
        start=block.start,
        end=block.end,
        text=page.text[block.start : block.end],
        title=document.title,
        heading_path=tuple(title for _, title in block.path),
    )


def _size(units: Sequence[_Unit]) -> int:
    return units[-1].end - units[0].start


def _units(page: Page, path: _Path, max_chars: int, *, given: bool) -> Iterator[_Unit]:
    """Yield the units of a page with the heading path each stands under."""
    spans = split_sentences(page.text)
    if all(is_page_number(page.text[a:b]) for a, b in spans):
        return
    headings = _given(page, spans) if given else _found(page, spans)
    for i, span in enumerate(spans):
        here = headings.get(i, [])
        for heading in here:
            path = enter(path, heading)
        alone = bool(here) and here[-1].alone
        for j, part in enumerate(_cut(page.text, span, max_chars)):
            yield _Unit(part.start, part.end, path, opens=bool(here) and j == 0, alone=alone)


def _given(page: Page, spans: Sequence[Span]) -> dict[int, list[Heading]]:
    """Put each heading that the format told on the sentence it begins in."""
    headings: dict[int, list[Heading]] = {}
    i = 0
    for offset, level, title in page.headings:
        while i < len(spans) and spans[i].end <= offset:
            i += 1
        if i == len(spans):
            break
        alone = len(page.text[spans[i].start : spans[i].end]) <= len(title) + 8
        headings.setdefault(i, []).append(Heading(level, title, alone=alone))
    return headings


def _found(page: Page, spans: Sequence[Span]) -> dict[int, list[Heading]]:
    texts = [page.text[a:b] for a, b in spans]
    found = (find_heading(text, after) for text, after in zip(texts, [*texts[1:], ""], strict=True))
    return {i: [heading] for i, heading in enumerate(found) if heading is not None}


def _cut(text: str, span: Span, max_chars: int) -> Iterator[Span]:
    """Cut a sentence that is too long: after 、 or a blank if there is one in the second half."""
    start = span.start
    while span.end - start > max_chars:
        window = text[start : start + max_chars]
        end = start + max_chars
        for pattern in _CUTS:
            ends = [m.end() for m in pattern.finditer(window, max_chars // 2)]
            if ends:
                end = start + ends[-1]
                break
        piece = text[start:end]
        yield Span(start, start + len(piece.rstrip()))
        start = end + len(text[end : span.end]) - len(text[end : span.end].lstrip())
    yield Span(start, span.end)


def _arranged(units: Sequence[_Unit], chunking: Chunking) -> list[_Block]:
    """Turn the units of a page into blocks of the wanted sizes."""
    blocks: list[_Block] = []
    for section in _sections(units):
        blocks.extend(_split(section, chunking))
    return _merged(blocks, chunking)


def _sections(units: Iterable[_Unit]) -> Iterator[list[_Unit]]:
    """Cut before every heading, but not between headings that follow one another."""
    section: list[_Unit] = []
    for unit in units:
        if unit.opens and section and not section[-1].alone:
            yield section
            section = []
        section.append(unit)
    if section:
        yield section


def _split(section: list[_Unit], chunking: Chunking) -> Iterator[_Block]:
    """Keep a section whole if it fits; else cut it into parts of about the same size."""
    path = section[-1].path
    total = _size(section)
    if total <= chunking.max_chars:
        yield _Block(tuple(section), path)
        return
    wanted = total / -(-total // chunking.target_chars)
    part: list[_Unit] = []
    for unit in section:
        over = part and unit.end - part[0].start > chunking.max_chars
        # Cut where the part comes closest to the wanted size; a heading keeps its first sentence.
        full = part and abs(_size(part) - wanted) <= abs(unit.end - part[0].start - wanted)
        if over or (full and not part[-1].alone):
            yield _Block(tuple(part), path)
            part = []
        part.append(unit)
    yield _Block(tuple(part), path)


def _merged(blocks: Sequence[_Block], chunking: Chunking) -> list[_Block]:
    """Join blocks that are too short to stand alone with the neighbour they belong to."""
    merged: list[_Block] = []
    for block in blocks:
        last = merged[-1] if merged else None
        if last is not None and _belong(last, block, chunking):
            merged[-1] = _Block((*last.units, *block.units), _joint_path(last, block))
        else:
            merged.append(block)
    return merged


def _belong(a: _Block, b: _Block, chunking: Chunking) -> bool:
    """Tell whether one of two neighbours is too short to stand alone, and the other has room."""
    short = min(a.size, b.size)
    together = b.end - a.start
    if short < _TINY_CHARS:
        return together <= chunking.max_chars
    return (
        short < chunking.target_chars // 3
        and together <= chunking.target_chars
        and a.path[:1] == b.path[:1]
    )


def _joint_path(a: _Block, b: _Block) -> _Path:
    """Return what two blocks have in common, or the path of the long one when the other is tiny."""
    if min(a.size, b.size) < _TINY_CHARS and a.size != b.size:
        return max(a, b, key=lambda block: block.size).path
    common: list[tuple[int, str]] = []
    for x, y in zip(a.path, b.path, strict=False):
        if x != y:
            break
        common.append(x)
    return tuple(common)


def _overlapped(blocks: Sequence[_Block], chunking: Chunking) -> Iterator[_Block]:
    """Let each block that goes on with the section before it repeat that section's last sentences."""
    if not blocks:
        return
    yield blocks[0]
    for last, block in pairwise(blocks):
        units = block.units
        if chunking.overlap_sentences and not units[0].opens:
            for unit in reversed(last.units[-chunking.overlap_sentences :]):
                if block.end - unit.start > chunking.max_chars or unit.alone:
                    break
                units = (unit, *units)
        yield _Block(units, block.path)
