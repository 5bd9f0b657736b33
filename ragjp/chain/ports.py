"""What the chain asks of whoever composes it (the engine): a search, the text of a page, and counts of terms.

Each takes a :class:`~ragjp.types.View`: the chain has no way to read without saying who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from ragjp.types import Confidence, Ranking, View


@runtime_checkable
class Searcher(Protocol):
    """Retrieval and reranking, as one call."""

    def search(self, query: str, *, view: View, k: int) -> Ranking:
        """Return the ``k`` best passages that ``view`` may read, best first."""
        ...


@runtime_checkable
class PageSource(Protocol):
    """The source text that citations are cut from."""

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        """Return the text of one page exactly as it was indexed.

        Raises
        ------
        ragjp.errors.AccessDenied
            When ``view`` may not read the document, or there is none such (the two are not told apart).
        """
        ...


@runtime_checkable
class TermStatistics(Protocol):
    """How common terms are among the chunks that a view may read; what tells a telling word from a common one."""

    def document_frequency(self, terms: Sequence[str], *, view: View) -> Mapping[str, int]:
        """Return, for each lemma of ``terms``, the number of visible chunks that hold it (0 when none)."""
        ...

    def document_count(self, *, view: View) -> int:
        """Return the number of chunks that ``view`` may read."""
        ...


@runtime_checkable
class ConfidenceSource(Protocol):
    """How sure it is that the passages answer a question."""

    def confidence(self, question: str, *, view: View) -> Confidence | None:
        """Judge from what ``view`` may read; None when that is too little to tell."""
        ...
