"""LangChain's own contract for retrievers, over a real index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnablePassthrough
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from ragjp.chain.retriever import RagjpRetriever
from ragjp.engine import Engine
from ragjp.types import View

EVERYONE = View.of("everyone")


@pytest.fixture(scope="module")
def engine(tiny_index: Path) -> Iterator[Engine]:
    with Engine.open(tiny_index) as opened:
        yield opened


class TestRagjpRetriever(RetrieversIntegrationTests):
    """Fails when k, asynchronous calls or the documents returned are not what any LangChain program expects."""

    @pytest.fixture(autouse=True)
    def _opened(self, engine: Engine) -> None:
        type(self)._engine = engine  # type: ignore[attr-defined]

    @property
    def retriever_constructor(self) -> type[RagjpRetriever]:
        return RagjpRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"searcher": type(self)._engine, "view": EVERYONE}  # type: ignore[attr-defined]

    @property
    def retriever_query_example(self) -> str:
        return "社用車の予約と日当と会議と休業"


def test_a_document_says_where_it_stands(engine: Engine) -> None:
    """Guards against metadata from which no page can be opened."""
    retriever = RagjpRetriever(searcher=engine, view=EVERYONE, k=2)
    first = retriever.invoke("国内出張の日当はいくらですか")[0]
    place = first.metadata
    assert place["doc_id"] == "規程/旅費規程.md"
    page = engine.page_text(place["doc_id"], place["page"], view=EVERYONE)
    assert page[place["start"] : place["end"]] == first.page_content
    assert first.id == place["chunk_id"]
    assert place["scores"]


def test_the_view_is_required_and_is_a_view(engine: Engine) -> None:
    """Guards against a retriever that shows everything because nobody said who asks."""
    with pytest.raises(ValidationError):
        RagjpRetriever(searcher=engine)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        RagjpRetriever(searcher=engine, view={"principals": ["everyone"]})  # type: ignore[arg-type]
    assert RagjpRetriever(searcher=engine, view=View.of("guest")).invoke("日当") == []


def test_it_composes(engine: Engine) -> None:
    """Guards against a retriever that only works by itself."""
    retriever = RagjpRetriever(searcher=engine, view=EVERYONE, k=1)
    chain = RunnablePassthrough.assign(documents=lambda asked: retriever.invoke(asked["question"]))
    assert len(chain.invoke({"question": "社用車の予約"})["documents"]) == 1
