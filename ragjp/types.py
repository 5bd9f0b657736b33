"""The values that travel between the stages: small, frozen, named as in the field.

Offsets are always counted in Python characters (code points) of the *source* text of one page, half-open ``[start, end)``.
Pages are numbered from 1; formats without pages have one page. Scores: higher is better, always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Span(NamedTuple):
    """A half-open range of characters."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a document: its number (from 1), the text exactly as it is shown and cited, and its headings.

    ``headings`` lists (start offset in ``text``, level from 1, heading text) in reading order; empty where the format tells
    none (the chunker then looks for 第n章, 第n条, numbered and marked lines itself).

    ``label`` is what the source calls the page where it calls it something: a sheet's name, a slide's title. ``places`` tells where
    runs of ``text`` stand in the source, as (start, end, place), in order: ``A3:D3`` of a sheet, a box of a page. ``aliases`` are
    readings that the source prints above its words (ruby), as (start, end, reading): never part of ``text``.
    """

    number: int
    text: str
    headings: tuple[tuple[int, int, str], ...] = ()
    label: str = ""
    places: tuple[tuple[int, int, str], ...] = ()
    aliases: tuple[tuple[int, int, str], ...] = ()


class Remark(NamedTuple):
    """What a reader has to say about a document that it did read: something skipped, doubtful or changed.

    ``code`` is stable, in lower snake case, for scripts and counts; ``page`` is 0 when it is about the whole document; ``sentence`` is
    one sentence in Japanese.
    """

    code: str
    page: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Document:
    """One source item: ``doc_id`` is its path relative to the source root, with forward slashes, NFC."""

    doc_id: str
    title: str
    pages: tuple[Page, ...]
    format: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: What was left out of it, and what is doubtful about it.
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is indexed and retrieved: a run of whole sentences inside one page.

    ``text`` equals ``page.text[start:end]``. ``title`` and ``heading_path`` tell where it stands; they are indexed and embedded
    with the text and never shown as if they were part of it.
    """

    doc_id: str
    page: int
    start: int
    end: int
    text: str
    title: str = ""
    heading_path: tuple[str, ...] = ()

    @property
    def chunk_id(self) -> str:
        """The public name of a chunk, stable as long as the document's text is: ``規程/経費.md#p1:120-480``."""
        return f"{self.doc_id}#p{self.page}:{self.start}-{self.end}"

    @property
    def context(self) -> str:
        """Title and headings, as one line put before the text when it is embedded and indexed."""
        parts = [self.title, *self.heading_path]
        return " ".join(dict.fromkeys(part for part in parts if part))

    @property
    def indexed_text(self) -> str:
        """What is embedded and analysed: title and headings on one line, then the text."""
        return in_context(self.context, self.text)


def in_context(context: str, text: str) -> str:
    """What is embedded and analysed for a text: title and headings on one line, or "", then the text."""
    return f"{context}\n{text}" if context else text


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder returns for N texts.

    vectors : (N, D) float32, each row of length 1.
    tokens : (sum of T_i, D_token) float32, all texts packed one after the other; (0, D_token) when not asked for. Rows of passages
        have length 1; those of queries too, or the weight that a trained encoder gives the token.
    offsets : (N + 1,) int64, tokens of text i are ``tokens[offsets[i]:offsets[i + 1]]``.
    """

    vectors: FloatArray
    tokens: FloatArray
    offsets: IntArray


@runtime_checkable
class Encoder(Protocol):
    """Text to vectors. One list in, one :class:`Encoded` out, in the order given; one text is a list of one."""

    @property
    def name(self) -> str:
        """The name used in recipes, such as ``multilingual-e5-small``."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would: weights, prefixes, pooling, precision, maximum length."""
        ...

    @property
    def dim(self) -> int:
        """D, the width of a pooled vector."""
        ...

    @property
    def token_dim(self) -> int:
        """D_token, the width of a token vector; 0 when the encoder has none."""
        ...

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed passages (with the model's passage prefix)."""
        ...

    def encode_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed queries (with the model's query prefix)."""
        ...


@runtime_checkable
class SpellsTokens(Protocol):
    """An encoder that can say which characters each of its token rows stands for. Slow; for explanations."""

    def token_spans(self, text: str, *, query: bool) -> list[Span]:
        """Return the span of ``text`` behind each token row that it gets as a query or as a passage, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class View:
    """Who is asking: every read takes one, there is no default, and what no principal of it may read does not exist for it.

    A principal is a string such as ``everyone``, ``user:tanaka`` or ``group:人事部``; a document is visible to a view when one
    of the document's principals is among the view's. A document without principals is visible to nobody.
    """

    principals: frozenset[str]
    unrestricted: bool = False

    @classmethod
    def of(cls, *principals: str) -> View:
        """The view of somebody holding these principals, and no others (``everyone`` is not added by itself)."""
        return cls(frozenset(principals))

    @classmethod
    def unrestricted_by_operator(cls) -> View:
        """Everything, for the operator who owns the index's files. Named so that a reviewer finds each use."""
        return cls(frozenset(), unrestricted=True)


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved chunk. ``scores`` holds each ranking's own score (``bm25``, ``dense``, ``maxsim``) where it had one."""

    doc_id: str
    chunk_id: str
    page: int
    start: int
    end: int
    text: str
    title: str
    heading_path: tuple[str, ...]
    score: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hits, best first, ties by chunk id; from one generation of the index; with the time of each stage."""

    query: str
    hits: tuple[Hit, ...]
    generation: int
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that stands, character for character, at ``[start, end)`` of the text of ``page`` of ``doc_id``."""

    doc_id: str
    page: int
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure it is that the passages found answer the question, and what acting on that costs.

    probability : that they do, if as many questions have an answer as have none. threshold : below it the answer is ``no_answer``.
    floor : what takes its place where sentences are cut from the passages by rules, which refuse by themselves.
    kept, refused : shares of the questions with and without an answer for which that is right: ``kept`` as measured where the model
    was fitted, ``refused`` on this index with drafted questions (basis ``index``) or where it was fitted (``shipped``). signals : what
    the probability is made of, for the passage that speaks most for an answer.
    """

    probability: float
    threshold: float
    floor: float
    kept: float
    refused: float
    basis: Literal["index", "shipped"]
    signals: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_enough(self) -> bool:
        """Whether an answer may be given."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question. ``no_answer`` has no citations and a text that says nothing was found."""

    question: str
    text: str
    status: Literal["answered", "no_answer"]
    citations: tuple[Citation, ...]
    ranking: Ranking
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    #: ``extractive`` or the name of the LLM that wrote ``text``.
    written_by: str = "extractive"
    #: None where it was not asked for, or cannot be told (too few passages).
    confidence: Confidence | None = None
