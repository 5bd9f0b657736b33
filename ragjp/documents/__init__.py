"""Documents: from the bytes of a file to pages of text in which every character has its place.

>>> from pathlib import Path
>>> from ragjp.config import Limits
>>> from ragjp.documents import DocumentReader, FORMATS
>>> with DocumentReader(Limits()) as reader:  # doctest: +SKIP
...     document = reader.read(Path("規程/経費規程.pdf"), "規程/経費規程.pdf")

``formats`` knows which module reads which suffix; ``markdown``, ``text``, ``html`` and ``pdf`` read; ``encoding`` decodes;
``reasons`` has every code and sentence with which a document is refused. ``reader`` (here), ``child`` and ``worker`` (there) keep a
hostile file away from this process.
"""

from __future__ import annotations

from ragjp.documents.contents import Contents, Finding, belongs_to
from ragjp.documents.encoding import decode
from ragjp.documents.formats import CONTAINERS, FORMATS
from ragjp.documents.reader import DocumentReader
from ragjp.documents.reading import read_document_here

__all__ = [
    "CONTAINERS",
    "FORMATS",
    "Contents",
    "DocumentReader",
    "Finding",
    "belongs_to",
    "decode",
    "read_document_here",
]
