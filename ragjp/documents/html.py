"""HTML: the text that a browser shows, block by block, with lexbor (through selectolax).

Left out are what is not content (``script``, ``style``, ``nav``, ``footer``, forms' controls) and what is not shown (``hidden``,
``display: none``, ``template``); of ruby the base text stays and the reading goes. Each block starts a line; a table row is one line,
its cells separated by ``" | "``; tables that hold tables only lay out the page, and their cells are blocks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ragjp.documents.cleaning import clean_text, one_page
from ragjp.documents.encoding import decode
from ragjp.documents.lines import Lines
from ragjp.documents.reasons import reason
from ragjp.types import Document

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

#: A page names its encoding within its first kilobyte; long comments before it are common.
_DECLARATION_BYTES = 4096
_DECLARED = re.compile(
    rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([\w-]{1,40})|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w-]{1,40})",
    re.IGNORECASE,
)
_DROPPED = frozenset(
    "head script style nav footer template noscript iframe object embed canvas svg audio video map dialog button input select"
    " textarea datalist rt rp rtc noframes frameset".split()
)
#: Blocks with an empty line around them, and blocks that only start a line.
_SPACED = frozenset(
    "p h1 h2 h3 h4 h5 h6 table ul ol dl pre blockquote section article figure details fieldset hr".split()
)
_BLOCKS = frozenset(
    "address aside body caption center dd div dt fieldset figcaption form header hgroup legend li main menu search summary"
    " tbody tfoot thead tr td th html".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_MAX_INDENTS = 8
_NOT_SHOWN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a web page as one page with its headings. The title is ``<title>``, else the first ``<h1>``, else the file's stem.

    Raises
    ------
    DocumentError
        ``encoding_unknown``, ``not_text``, ``empty``, ``too_large`` or ``html_damaged``.
    """
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    source, encoding = decode(raw, declared=declared_encoding(raw), name=name)
    try:
        tree = LexborHTMLParser(clean_text(source))
    except (SelectolaxError, ValueError) as error:
        raise reason("html_damaged", name, detail=type(error).__name__) from error
    lines = Lines(max_chars)
    if tree.root is not None:
        _Walk(lines, _layout_tables(tree)).walk(tree.root)
    text, headings = lines.finish()
    if lines.overflowed:
        raise reason("too_large", name, detail=f"上限 {max_chars:,} 文字")
    first = next((heading for _, level, heading in headings if level == 1), "")
    title = _title(tree) or first
    return one_page(
        name, text, format="html", title=title, headings=headings, metadata={"encoding": encoding}
    )


def declared_encoding(raw: bytes) -> str:
    """Give the encoding that ``<meta>`` or the XML declaration names; empty when none does.

    >>> declared_encoding(b'<meta charset="Shift_JIS">')
    'Shift_JIS'
    """
    found = _DECLARED.search(raw[:_DECLARATION_BYTES])
    return (found[1] or found[2]).decode("ascii", "ignore") if found else ""


def _title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("head title")
    return "" if node is None else node.text()


def _layout_tables(tree: LexborHTMLParser) -> frozenset[int]:
    """Find the tables that hold another table, by node id."""
    found: set[int] = set()
    for table in tree.css("table"):
        above = table.parent
        while above is not None and above.tag != "table":
            above = above.parent
        if above is not None:
            found.add(above.mem_id)
    return frozenset(found)


class _Walk:
    """Visit the shown nodes in order, without recursion: pages nest deeper than Python's stack."""

    def __init__(self, lines: Lines, layout_tables: frozenset[int]) -> None:
        self._lines = lines
        self._layout_tables = layout_tables
        self._lists: list[int | None] = []  # per open list: the next number, or none for bullets
        self._tables: list[bool] = []  # per open table: does it hold data

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None and not self._lines.overflowed:
            entered = self._enter(node)
            if entered and node.first_child is not None:
                node = node.first_child
                continue
            if entered:
                self._leave(node)
            while node is not None and node.next is None:
                node = node.parent
                if node is not None:
                    self._leave(node)
                    if node.mem_id == root.mem_id:
                        return
            node = node.next if node is not None else None

    def _enter(self, node: LexborNode) -> bool:
        """Write what starts with ``node``; tell whether it is an element whose content is shown."""
        if node.is_text_node:
            self._lines.write(node.text(deep=False))
            return False
        if not node.is_element_node or _is_dropped(node):
            return False
        tag = node.tag or ""
        if tag == "br":
            self._lines.end_line()
        elif tag == "img":
            self._lines.write(node.attributes.get("alt") or "")
        elif tag == "table":
            self._tables.append(node.mem_id not in self._layout_tables)
            self._lines.end_block(spaced=True)
        elif tag in ("td", "th") and self._in_data_table:
            self._lines.start_cell()
        elif tag == "tr" and self._in_data_table:
            self._lines.start_row()
        else:
            self._start_block(node, tag)
        return True

    @property
    def _in_data_table(self) -> bool:
        return bool(self._tables) and self._tables[-1]

    def _start_block(self, node: LexborNode, tag: str) -> None:
        if tag in _SPACED or tag in _BLOCKS:
            nested = tag in ("ul", "ol") and bool(self._lists)
            self._lines.end_block(spaced=tag in _SPACED and not nested)
        if tag in _HEADINGS:
            self._lines.start_heading(_HEADINGS[tag])
        elif tag == "pre":
            self._lines.keep_blanks(True)
        elif tag in ("ul", "menu"):
            self._lists.append(None)
        elif tag == "ol":
            start = node.attributes.get("start") or ""
            self._lists.append(int(start) if start.isdecimal() and len(start) < 6 else 1)
        elif tag == "li":
            self._lines.write_mark(self._list_mark())

    def _list_mark(self) -> str:
        indent = "  " * min(len(self._lists) - 1, _MAX_INDENTS)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return indent + "- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _leave(self, node: LexborNode) -> None:
        """Write what ends with ``node``."""
        tag = node.tag or ""
        if tag in ("td", "th") and self._in_data_table:
            return
        if tag == "tr" and self._in_data_table:
            self._lines.end_row()
            return
        if tag == "table" and self._tables:
            self._tables.pop()
        elif tag == "pre":
            self._lines.keep_blanks(False)
        elif tag in _HEADINGS:
            self._lines.end_heading()
        elif tag == "li":
            self._lines.drop_mark()
        elif tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
        if tag in _SPACED or tag in _BLOCKS:
            nested = tag in ("ul", "ol") and bool(self._lists)
            self._lines.end_block(spaced=tag in _SPACED and not nested)


def _is_dropped(node: LexborNode) -> bool:
    """Tell whether a node, with all in it, is no content or not shown."""
    if node.tag in _DROPPED:
        return not (node.tag == "dialog" and "open" in node.attributes)
    attributes = node.attributes
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("role") == "navigation"
        or _NOT_SHOWN.search(attributes.get("style") or "") is not None
    )
