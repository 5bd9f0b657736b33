"""What a writer is given: what an index depends on, documents, and the arrays of their chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ragjp.index.tokens.store import PackedTokens
from ragjp.types import Chunk, Document, FloatArray

#: What :meth:`~ragjp.index.storage.writer.IndexWriter.analyse_again` can bring up to date; a difference in anything else is refused.
RENEWABLE = ("analyzer", "fields", "words")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the vectors and terms of an index depend on; two builds with equal manifests can share an index."""

    analyzer: str
    encoder: str
    encoder_name: str
    dim: int
    token_dim: int
    fields: tuple[str, ...]
    #: The company's own words, as :class:`ragjp.japanese.words.WordList` writes them.
    words: str = ""

    def as_meta(self) -> dict[str, str]:
        """The rows of the catalog's ``meta`` table."""
        return {
            "analyzer": self.analyzer,
            "encoder": self.encoder,
            "encoder_name": self.encoder_name,
            "dim": str(self.dim),
            "token_dim": str(self.token_dim),
            "fields": json.dumps(self.fields),
            "words": self.words,
        }


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to add, or to put in the place of the one with the same id."""

    document: Document
    content_hash: str
    access: tuple[str, ...]
    chunks: tuple[Chunk, ...]


@dataclass(slots=True)
class Batch:
    """What one commit makes durable. Arrays are over the chunks of ``documents`` in order, n in all.

    vectors : (n, D) float32. tokens : packed rows of the same chunks, or None. terms : field → n lists.
    """

    documents: list[NewDocument]
    text_hashes: list[str]
    vectors: FloatArray
    tokens: PackedTokens | None
    terms: Mapping[str, Sequence[Sequence[str]]]
    removed: Sequence[str] = ()
    access_changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
