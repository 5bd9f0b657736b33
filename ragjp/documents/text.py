"""Plain text: the characters as they are, in whichever encoding they came."""

from __future__ import annotations

from ragjp.documents.cleaning import clean_text, one_page
from ragjp.documents.encoding import decode
from ragjp.types import Document


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read plain text as one page.

    Raises
    ------
    DocumentError
        ``encoding_unknown``, ``not_text`` or ``empty``.
    """
    text, encoding = decode(raw, name=name)
    return one_page(name, clean_text(text), format="text", metadata={"encoding": encoding})
