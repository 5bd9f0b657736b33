"""Markdown: the text as a reader sees it. Written by hand, line by line, because no line may be lost and offsets are ours.

Dropped is what only a renderer needs: front matter (kept as metadata), ``#`` of headings, emphasis marks, link targets, code
fences, comments, table rulers. Kept as written are list markers, numbers and code. A table row is one line, its cells separated by
``" | "``, as in every other format here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ragjp.documents.cleaning import clean_text, clean_title, one_page
from ragjp.documents.encoding import decode
from ragjp.documents.inline import plain_inline, without_comments
from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.types import Document

_FRONT_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
_FRONT_MATTER_KEY = re.compile(r"^([^\s:#-][^:]{0,60}):(?:[ \t]+(.*))?$")
_LINES_OF_FRONT_MATTER = 200
_FENCE = re.compile(r"^[ \t]*(?:>[ \t]?)*(`{3,}|~{3,})(.*)$")
#: ``##見出し`` without a blank is no heading to CommonMark, but it is what Japanese authors type and mean.
_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t\u3000]+(.*)|(?<=##)(?=[^\x00-\x7f])(.*)|)$")
_ATX_CLOSING = re.compile(r"(?:^|[ \t\u3000])#+[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-{2,})[ \t]*$")
_RULE = re.compile(r"^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_QUOTE = re.compile(r"^ {0,3}(?:>[ \t]?)+")
_DEFINITION = re.compile(
    r"^ {0,3}\[(?!\^)([^\[\]]{1,200})\]:[ \t]*(?:<[^<>]*>|\S+)(?:[ \t]+[\"'(].*[\"')])?[ \t]*$"
)
_TABLE_RULER = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_STARTS_BLOCK = re.compile(r"^ {0,3}(?:[-*+][ \t]|\d{1,9}[.)][ \t]|[|>])")


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read Markdown as one page with its headings.

    The title is that of the front matter, else the first heading of level 1, else the file's stem.

    Raises
    ------
    DocumentError
        ``encoding_unknown``, ``not_text`` or ``empty``.
    """
    source, encoding = decode(raw, name=name)
    values, body = split_front_matter(clean_text(source))
    text, headings = plain_markdown(body)
    first = next((heading for _, level, heading in headings if level == 1), "")
    return one_page(
        name,
        text,
        format="markdown",
        title=values.get("title") or first,
        headings=headings,
        metadata={**values, "encoding": encoding},
    )


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    r"""Take ``key: value`` lines between two ``---`` off the beginning.

    A rule at the beginning of a text is no front matter: every line between has to look like YAML, and one key be in ASCII.

    >>> split_front_matter("---\ntitle: '経費規程'\n---\n本文")
    ({'title': '経費規程'}, '本文')
    """
    if not re.match(r"---[ \t]*\n", text):
        return {}, text
    start = text.index("\n") + 1
    end = _FRONT_MATTER_END.search(text, start)
    if end is None:
        return {}, text
    lines = text[start : end.start()].split("\n")
    values: dict[str, str] = {}
    for line in lines[:_LINES_OF_FRONT_MATTER]:
        if found := _FRONT_MATTER_KEY.match(line):
            values[found[1].lower()] = (found[2] or "").strip().strip("\"'").strip()
        elif line.strip() and not line.startswith((" ", "\t", "-", "#")):
            return {}, text
    if not any(key.isascii() for key in values):
        return {}, text
    return {key: value for key, value in values.items() if value}, text[end.end() :].lstrip("\n")


def plain_markdown(source: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    """Turn Markdown into the text that is shown, and its headings as (offset, level, text)."""
    out: list[str] = []
    headings: list[tuple[int, int, str]] = []
    offset = 0
    for line, level in _shown_lines(source):
        if not line and (not out or not out[-1]):
            continue  # one blank line is enough between blocks
        if level and line:
            headings.append((offset, level, clean_title(line)))
        out.append(line)
        offset += len(line) + 1
    return "\n".join(out).rstrip("\n"), tuple(headings)


def _shown_lines(source: str) -> Iterator[tuple[str, int]]:
    """Yield (line as shown, heading level or 0)."""
    labels = {
        found[1].lower()
        for line in source.split("\n")
        if line.lstrip().startswith("[") and (found := _DEFINITION.match(line))
    }
    for block in _fenced(source):
        if isinstance(block, str):
            yield block, 0
        else:
            yield from _prose(block, labels)


def _fenced(source: str) -> Iterator[str | list[str]]:
    """Yield code lines as strings, and the runs of other lines between them as lists, their comments removed."""
    prose: list[str] = []
    fence = ""
    for line in source.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            else:
                yield line.rstrip()
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            yield without_comments("\n".join(prose)).split("\n")
            prose = []
            fence = mark[1]
        else:
            prose.append(line)
    yield without_comments("\n".join(prose)).split("\n")


def _prose(lines: list[str], labels: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield the shown lines of what stands outside of code fences."""
    in_table = False
    for at, line in enumerate(lines):
        below = lines[at + 1] if at + 1 < len(lines) else ""
        above = lines[at - 1] if at else ""
        if in_table or ("|" in line and "|" in below and _TABLE_RULER.match(below)):
            in_table = "|" in line
            if in_table:
                if not _TABLE_RULER.match(line):
                    yield _table_row(line, labels), 0
                continue
        if not line.strip():
            yield "", 0
        elif found := _ATX.match(line):
            heading = _ATX_CLOSING.sub("", found[2] or found[3] or "")
            yield plain_inline(heading.strip(), labels), len(found[1])
        elif _underlined(line, below, above):
            yield plain_inline(line.strip(), labels), 1 if below.lstrip().startswith("=") else 2
        elif (
            _SETEXT.match(line) and at and _underlined(above, line, lines[at - 2] if at > 1 else "")
        ):
            continue
        elif _RULE.match(line) or _DEFINITION.match(line):
            yield "", 0
        else:
            yield plain_inline(_QUOTE.sub("", line), labels).rstrip(), 0


def _underlined(line: str, below: str, above: str) -> bool:
    """Tell a heading underlined with ``===`` or ``---``: one line of plain text under a blank one."""
    if not _SETEXT.match(below) or not line.strip() or above.strip():
        return False
    return not (_ATX.match(line) or _RULE.match(line) or _STARTS_BLOCK.match(line))


def _table_row(line: str, labels: Collection[str]) -> str:
    """Give a row's cells on one line."""
    row = _QUOTE.sub("", line).strip().removeprefix("|")
    if row.endswith("|") and not row.endswith("\\|"):
        row = row[:-1]
    cells = (
        plain_inline(cell.strip(), labels).replace("\n", " ") for cell in _CELL_BORDER.split(row)
    )
    return CELL_SEPARATOR.join(cells).rstrip()
