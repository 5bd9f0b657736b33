"""A contract for document compressors, which LangChain has no standard tests for: order, copies, ``top_n``, asynchronous calls."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from langchain_core.documents import Document

from ragjp.chain.compressor import RagjpReranker
from ragjp.encoders.hashing import HashingEncoder
from ragjp.errors import RequestError
from ragjp.rerank.maxsim_cpu import maxsim_reference
from ragjp.types import Encoded

QUERY = "国内出張の日当"
DOCUMENTS = [
    Document(
        page_content="鍵は総務課の窓口で受け取る",
        metadata={"n": 0, "bait": {"lc": 1, "type": "secret", "id": ["HOME"]}},
    ),
    Document(page_content="国内出張の日当は2,500円とする", metadata={"n": 1}, id="b"),
    Document(page_content="宿泊料の上限は10,000円", metadata={"n": 2}),
]


@pytest.fixture
def reranker() -> RagjpReranker:
    return RagjpReranker(encoder=HashingEncoder())


def test_the_order_and_the_scores_are_those_of_maxsim(reranker: RagjpReranker) -> None:
    """Guards against scores of queries and documents mixed up, or an order that is not by them."""
    encoder = HashingEncoder()
    query = encoder.encode_queries([QUERY], tokens=True)
    texts = encoder.encode_passages([d.page_content for d in DOCUMENTS], tokens=True)
    expected = maxsim_reference(query.tokens, texts.tokens, texts.offsets)
    found = reranker.compress_documents(DOCUMENTS, QUERY)
    assert [d.metadata["n"] for d in found] == list(np.argsort(-expected, kind="stable"))
    assert found[0].metadata["n"] == 1
    scores = [d.metadata["relevance_score"] for d in found]
    np.testing.assert_allclose(scores, np.sort(expected)[::-1], rtol=1e-5)


def test_documents_come_back_whole_and_the_given_ones_unchanged(reranker: RagjpReranker) -> None:
    """Guards against a reranker that edits its caller's documents or makes objects of their metadata."""
    before = [document.model_copy(deep=True) for document in DOCUMENTS]
    found = {d.metadata["n"]: d for d in reranker.compress_documents(DOCUMENTS, QUERY)}
    assert before == DOCUMENTS
    assert found[1].id == "b"
    assert found[0].metadata["bait"] == {"lc": 1, "type": "secret", "id": ["HOME"]}


def test_top_n_ties_and_nothing(reranker: RagjpReranker) -> None:
    """Guards against an order that changes from run to run among equals, and an empty list that breaks."""
    assert reranker.compress_documents([], QUERY) == []
    assert (
        len(RagjpReranker(encoder=HashingEncoder(), top_n=2).compress_documents(DOCUMENTS, QUERY))
        == 2
    )
    equals = [Document(page_content="同じ文", metadata={"n": n}) for n in range(5)]
    assert [d.metadata["n"] for d in reranker.compress_documents(equals, QUERY)] == [0, 1, 2, 3, 4]


async def test_without_blocking(reranker: RagjpReranker) -> None:
    """Guards against an asynchronous path that orders otherwise."""
    assert await reranker.acompress_documents(DOCUMENTS, QUERY) == reranker.compress_documents(
        DOCUMENTS, QUERY
    )


def test_an_encoder_without_token_vectors_is_refused_in_words() -> None:
    """Guards against every document scoring 0 and the order staying by chance."""

    @dataclasses.dataclass
    class Pooled:
        name: str = "pooled"
        fingerprint: str = "pooled"
        dim: int = 4
        token_dim: int = 0

        def encode_passages(self, texts: list[str], *, tokens: bool = False) -> Encoded:
            raise AssertionError

        def encode_queries(self, texts: list[str], *, tokens: bool = False) -> Encoded:
            raise AssertionError

    with pytest.raises(RequestError) as caught:
        RagjpReranker(encoder=Pooled()).compress_documents(DOCUMENTS, QUERY)
    assert caught.value.code == "no_token_vectors"
