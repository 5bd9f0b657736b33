"""What every reader does to its text last: only characters that SQLite, JSON and a screen can hold, and one kind of line end.

``Page.text`` is the source text from here on, so nothing is lost by dropping characters here: offsets are counted afterwards.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from ragjp.documents.reasons import reason
from ragjp.types import Document, Page

#: All that breaks a line for somebody: CRLF, CR, VT, FF, NEL, LINE and PARAGRAPH SEPARATOR.
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
#: C0 but TAB and LF, DEL, C1, lone surrogates, the byte order mark, the noncharacters of every plane; and the marks that turn the
#: direction of writing, which Japanese does not need and with which a quote can be made to show other words than it holds.
_UNSTORABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufdd0-\ufdef\u202a-\u202e\u2066-\u2069"
    + "".join(chr(plane * 0x10000 + 0xFFFE) + chr(plane * 0x10000 + 0xFFFF) for plane in range(17))
    + "]"
)
_BLANKS = re.compile(r"\s+")
_LONGEST_TITLE = 200


def clean_text(text: str) -> str:
    r"""Unify line ends to ``\n`` and drop what cannot be stored or shown.

    >>> clean_text("経費\r\n規程\x00\ud800")
    '経費\n規程'
    """
    return _UNSTORABLE.sub("", _LINE_ENDS.sub("\n", text))


def clean_title(title: str) -> str:
    """One line without blanks around it, at most 200 characters; may be empty."""
    return _BLANKS.sub(" ", clean_text(title)).strip()[:_LONGEST_TITLE]


def title_from_name(name: str) -> str:
    """Give the file's stem, composed (NFC), as the title of a document that has no better one.

    >>> title_from_name("規程/経費規程.第2版.pdf")
    '経費規程.第2版'
    """
    return clean_title(unicodedata.normalize("NFC", PurePath(name).stem))


def one_page(
    name: str,
    text: str,
    *,
    format: str,
    title: str = "",
    headings: tuple[tuple[int, int, str], ...] = (),
    metadata: dict[str, str] | None = None,
) -> Document:
    """Make a document of a format without pages. ``text`` is clean already.

    Raises
    ------
    DocumentError
        ``empty`` when there is nothing but blanks.
    """
    if not text.strip():
        raise reason("empty", name)
    page = Page(1, text, headings)
    known = clean_title(title) or title_from_name(name)
    return Document(name, known, (page,), format, metadata or {})
