"""ragjp's search as a LangChain retriever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, InstanceOf

from ragjp.chain.ports import Searcher
from ragjp.chain.privacy import disable_tracing
from ragjp.types import Hit, View

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )

disable_tracing()


def as_document(hit: Hit) -> Document:
    """Give a hit LangChain's form.

    ``page_content`` is the chunk's text, cut from its page and nothing added; the metadata hold where it stands (``doc_id``,
    ``page``, ``start``, ``end``) and how it scored, as plain values.
    """
    return Document(
        id=hit.chunk_id,
        page_content=hit.text,
        metadata={
            "doc_id": hit.doc_id,
            "page": hit.page,
            "chunk_id": hit.chunk_id,
            "start": hit.start,
            "end": hit.end,
            "title": hit.title,
            "heading_path": list(hit.heading_path),
            "score": hit.score,
            "scores": dict(hit.scores),
        },
    )


class RagjpRetriever(BaseRetriever):
    """Search an index for one view.

    Parameters
    ----------
    searcher
        What searches, normally an open ``ragjp.Engine``.
    view
        Who is asking. Required: a retriever is made for a person, or for ``View.unrestricted_by_operator()`` by name.
    k
        Number of documents returned; may be given for one call too: ``retriever.invoke(query, k=3)``.
    """

    searcher: InstanceOf[Searcher]
    view: InstanceOf[View]
    k: int = Field(default=10, ge=1)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        ranking = self.searcher.search(query, view=self.view, k=self.k if k is None else k)
        return [as_document(hit) for hit in ranking.hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        ranking = await asyncio.to_thread(
            self.searcher.search, query, view=self.view, k=self.k if k is None else k
        )
        return [as_document(hit) for hit in ranking.hits]
