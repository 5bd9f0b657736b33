"""The values of a model, wherever they lie: what the ONNX graph, the folder for transformers and the oracle are written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ragjp.encoders.e5_file import Blocks, E5File, Pieces, Shape
from ragjp.encoders.int8_rows import Int8Rows
from ragjp.encoders.token_head import TokenHead
from ragjp.encoders.trained_file import TrainedWeights
from ragjp.types import FloatArray


class ModelSource(Protocol):
    """A BERT by the names of :mod:`~ragjp.encoders.e5_file`, with or without a token head."""

    @property
    def shape(self) -> Shape:
        """The sizes."""
        ...

    @property
    def pieces(self) -> Pieces:
        """The vocabulary."""
        ...

    @property
    def head(self) -> TokenHead | None:
        """The token head; None: token vectors are hidden states."""
        ...

    def floats(self, name: str) -> FloatArray:
        """Return a float32 tensor, flat."""
        ...

    def blocks(self, name: str, rows: int, columns: int) -> Blocks:
        """Return a matrix at 4 bits: the embedding table."""
        ...

    def dense(self, name: str, rows: int, columns: int) -> FloatArray:
        """Return the weight of the linear map ``name`` (``l0.q``), (rows, columns) float32."""
        ...

    def int8(self, name: str, rows: int, columns: int) -> Int8Rows:
        """Return the same at 8 bits."""
        ...


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A packed file whose upper layers are replaced by trained ones, with a token head; a :class:`ModelSource`.

    The trained weights are exactly the codes they were shipped as, in every precision.
    """

    base: E5File
    weights: TrainedWeights

    @property
    def shape(self) -> Shape:
        """The base model's."""
        return self.base.shape

    @property
    def pieces(self) -> Pieces:
        """The base model's."""
        return self.base.pieces

    @property
    def head(self) -> TokenHead:
        """The trained head."""
        vectors = self.weights.vectors
        rows = np.concatenate([vectors["head.w"], vectors["salience.w"][None]])
        shifts = np.zeros(len(rows), np.float32)
        shifts[-1:] = vectors["salience.b"]
        return TokenHead(rows, shifts)

    def floats(self, name: str) -> FloatArray:
        """Return the trained tensor, or the base model's where it was not trained; flat."""
        found = self.weights.vectors.get(name)
        return self.base.floats(name) if found is None else found

    def blocks(self, name: str, rows: int, columns: int) -> Blocks:
        """Return a matrix of the base model at 4 bits; only the embedding table is asked for so."""
        return self.base.blocks(name, rows, columns)

    def dense(self, name: str, rows: int, columns: int) -> FloatArray:
        """Return the weight of a linear map, trained or not, (rows, columns) float32."""
        found = self.weights.matrices.get(name)
        return self.base.dense(name, rows, columns) if found is None else found.dense()

    def int8(self, name: str, rows: int, columns: int) -> Int8Rows:
        """Return the same at 8 bits; trained codes are not rounded a second time."""
        found = self.weights.matrices.get(name)
        return self.base.int8(name, rows, columns) if found is None else found
