"""Passages of an index to ask questions about: a few of every document, and nothing that every document says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from ragjp.config import Recipe
from ragjp.errors import AccessDenied
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.layout import is_page_number
from ragjp.japanese.normalize import fold
from ragjp.japanese.sentences import split_sentences
from ragjp.types import Chunk, Document, Page, View

#: A passage says too little below, in folded characters without blanks.
FEWEST_CHARS: Final = 60
#: Share of a passage that must be Japanese letters: below, it is a table of figures, a form or a list of addresses.
_LEAST_JAPANESE: Final = 0.5
#: Share of lines that may look like a table of contents.
_MOST_CONTENTS: Final = 0.3
_JAPANESE = re.compile("[\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff々]")
_CONTENTS = re.compile(r"(?:[.．…‥・]{3,}|\s{3,}|\t)\s*[-‐－]?\s*[0-9０-９]{1,4}\s*$")
_LEGAL = re.compile(
    r"(?:all rights reserved|copyright|©|無断(?:転載|複製)|複製を禁|目\s*次\s*$|この(?:頁|ページ)は(?:空白|白紙))",
    re.IGNORECASE | re.MULTILINE,
)


class DocumentInfo(Protocol):
    """What an index says of one of its documents, as far as drafting needs it."""

    @property
    def doc_id(self) -> str:
        """Its public name."""
        ...

    @property
    def title(self) -> str:
        """Its title; may be empty."""
        ...

    @property
    def format(self) -> str:
        """How it was read."""
        ...

    @property
    def n_pages(self) -> int:
        """Number of pages."""
        ...


class Library(Protocol):
    """The part of :class:`ragjp.engine.Engine` that drafting asks."""

    @property
    def recipe(self) -> Recipe:
        """What the index was built from."""
        ...

    def documents(self, *, view: View) -> Sequence[DocumentInfo]:
        """List what ``view`` may see."""
        ...

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        """Give the source text of a page."""
        ...


def passages(library: Library, *, view: View, seed: int) -> Iterator[Chunk]:
    """Yield passages of what ``view`` may read, one of each document in turn, each from another page while there are any.

    The same index, view and seed give the same passages in the same order. Passages that say nothing of their own
    (:func:`is_boilerplate`), and those whose text has been yielded before, are passed over.
    """
    infos = sorted(library.documents(view=view), key=lambda info: info.doc_id)
    random.Random(seed).shuffle(infos)
    waiting = [_of_document(library, info, view, seed) for info in infos]
    seen: set[str] = set()
    while waiting:
        left = []
        for one in waiting:
            for chunk in one:
                text = _compact(chunk.text)
                if text not in seen:
                    seen.add(text)
                    left.append(one)
                    yield chunk
                    break
        waiting = left


def is_boilerplate(text: str) -> bool:
    r"""Whether a passage says nothing that one could ask about.

    Too short, hardly Japanese, a table of contents, a copyright note, a blank page that says so, or no whole sentence.

    >>> is_boilerplate("目次\n第1章 総則 ……… 3\n第2章 休暇 ……… 8\n" * 5)
    True
    """
    compact = _compact(text)
    if len(compact) < FEWEST_CHARS or _LEGAL.search(text):
        return True
    if len(_JAPANESE.findall(compact)) < _LEAST_JAPANESE * len(compact):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    listed = sum(bool(_CONTENTS.search(line)) or is_page_number(line) for line in lines)
    return listed > _MOST_CONTENTS * len(lines) or not any(
        text[start:end].rstrip("」』）)").endswith(("。", "．"))
        for start, end in split_sentences(text)
    )


def _of_document(library: Library, info: DocumentInfo, view: View, seed: int) -> Iterator[Chunk]:
    """The passages of one document: the first of each page, then the second, and so on."""
    rng = random.Random(f"{seed}:{info.doc_id}")
    pages = list(range(1, info.n_pages + 1))
    rng.shuffle(pages)
    waiting: list[list[Chunk]] = []
    for page in pages:
        chunks = _of_page(library, info, page, view)
        rng.shuffle(chunks)
        if chunks:
            yield chunks.pop()
            waiting.append(chunks)
    while waiting := [chunks for chunks in waiting if chunks]:
        for chunks in waiting:
            yield chunks.pop()


def _of_page(library: Library, info: DocumentInfo, page: int, view: View) -> list[Chunk]:
    try:
        text = library.page_text(info.doc_id, page, view=view)
    except AccessDenied:  # a page without text is not in the index
        return []
    document = Document(info.doc_id, info.title, (Page(page, text),), info.format)
    chunks = chunk_document(document, library.recipe.chunks)
    return [chunk for chunk in chunks if not is_boilerplate(chunk.text)]


def _compact(text: str) -> str:
    return "".join(fold(text).split())
