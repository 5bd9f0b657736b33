"""The oracle of the encoders: BERT's forward pass in NumPy, written to be read, on the packed file's exact values, or those of trained layers.

Devlin et al. 2019, as transformers' ``BertModel`` has it (post-norm, erf GELU, absolute positions from 0). Slow; for tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ragjp.encoders.e5_file import Blocks
from ragjp.encoders.model_source import ModelSource
from ragjp.types import FloatArray

_erf = np.vectorize(math.erf, otypes=[np.float32])


def last_hidden_state(source: ModelSource, ids: Sequence[int]) -> FloatArray:
    """Return (T, H) float32, the hidden state after the last layer of one unpadded text of T token ids."""
    shape = source.shape
    words = source.blocks("emb.word", shape.vocabulary, shape.hidden)
    rows = np.asarray(ids)
    positions = source.floats("emb.pos").reshape(-1, shape.hidden)[: len(rows)]
    types = source.floats("emb.type").reshape(-1, shape.hidden)
    hidden = Blocks(words.nibbles[rows], words.scales[rows]).dense() + positions + types[0]
    hidden = _layer_norm(source, "emb.ln", hidden)
    for layer in range(shape.layers):
        hidden = _layer(source, f"l{layer}.", hidden)
    return hidden


def token_rows(source: ModelSource, hidden: FloatArray, *, query: bool) -> FloatArray:
    """Return (T, K) float32, the token vectors of (T, H) hidden states: projected, of length 1, a query's times their salience."""
    head = source.head
    if head is None:
        plain: FloatArray = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        return plain
    projection, salience, shift = head.rows[:-1], head.rows[-1], head.shifts[-1]
    rows: FloatArray = hidden @ projection.T
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if query:
        rows = rows * np.log1p(np.exp(hidden @ salience + shift))[:, None]
    return rows


def _layer(source: ModelSource, at: str, hidden: FloatArray) -> FloatArray:
    width, wide, heads = source.shape.hidden, source.shape.feed_forward, source.shape.heads
    # (T, H) to (heads, T, H / heads)
    query, key, value = (
        _linear(source, at + name, hidden, width).reshape(len(hidden), heads, -1).swapaxes(0, 1)
        for name in "qkv"
    )
    scores = query @ key.swapaxes(1, 2) / np.float32(math.sqrt(width // heads))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    context = (weights @ value).swapaxes(0, 1).reshape(len(hidden), width)
    middle = _layer_norm(source, at + "aln", hidden + _linear(source, at + "ao", context, width))
    inner = _linear(source, at + "fi", middle, wide)
    inner = inner * np.float32(0.5) * (1 + _erf(inner / math.sqrt(2)))
    return _layer_norm(source, at + "oln", middle + _linear(source, at + "fo", inner, width))


def _linear(source: ModelSource, name: str, values: FloatArray, rows: int) -> FloatArray:
    weight = source.dense(name, rows, values.shape[1])
    product: FloatArray = values @ weight.T + source.floats(f"{name}.b")
    return product


def _layer_norm(source: ModelSource, name: str, values: FloatArray) -> FloatArray:
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(variance + source.shape.epsilon)
    result: FloatArray = scaled * source.floats(f"{name}.w") + source.floats(f"{name}.b")
    return result
