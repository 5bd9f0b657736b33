"""A ragjp encoder as LangChain embeddings."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from ragjp.types import Encoder


class RagjpEmbeddings(Embeddings):
    """Embed with the encoder that ragjp indexes with: queries and passages each with the model's own prefix.

    Vectors have length 1, so an inner product is a cosine.

    Parameters
    ----------
    encoder
        Any :class:`ragjp.types.Encoder`, such as ``load_encoder(EncoderChoice())``.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed passages: N texts give N lists of D floats."""
        if not texts:
            return []
        rows: list[list[float]] = self.encoder.encode_passages(texts).vectors.tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Embed one query as D floats."""
        row: list[float] = self.encoder.encode_queries([text]).vectors[0].tolist()
        return row
