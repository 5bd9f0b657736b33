"""ragjp's late-interaction reranking for documents of any LangChain retriever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from pydantic import ConfigDict, Field, InstanceOf

from ragjp.errors import RequestError
from ragjp.types import Encoder

if TYPE_CHECKING:
    from langchain_core.callbacks import Callbacks


class RagjpReranker(BaseDocumentCompressor):
    """Reorder documents by MaxSim between the tokens of the query and theirs, and keep the first ``top_n``.

    The documents are embedded on the way, so this is for documents that come from elsewhere; ragjp's own search reranks with
    the token vectors stored in its index. Each document returned is a copy with ``relevance_score`` among its metadata.
    Equal scores keep the order they came in.

    Parameters
    ----------
    encoder
        An encoder with token embeddings (``token_dim`` above 0).
    top_n
        How many to keep; ``None`` keeps all.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    encoder: InstanceOf[Encoder]
    top_n: int | None = Field(default=None, ge=1)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Return the best documents first.

        Raises
        ------
        RequestError
            ``no_token_vectors`` when the encoder has no token embeddings.
        """
        from ragjp.rerank.maxsim_cpu import maxsim

        if self.encoder.token_dim == 0:
            raise RequestError(
                f"エンコーダー「{self.encoder.name}」にはトークンベクトルがないため並べ替えに使えません。"
                "multilingual-e5-small などトークンベクトルのあるものを選んでください。",
                code="no_token_vectors",
            )
        if not documents:
            return []
        asked = self.encoder.encode_queries([query], tokens=True)
        texts = self.encoder.encode_passages([doc.page_content for doc in documents], tokens=True)
        scores = maxsim(asked.tokens, texts.tokens, texts.offsets)
        order = np.argsort(-scores, kind="stable")[: self.top_n]
        return [
            documents[i].model_copy(
                update={"metadata": {**documents[i].metadata, "relevance_score": float(scores[i])}}
            )
            for i in order
        ]
