"""A deterministic encoder without a model, for tests: signed hashing of character n-grams.

It knows nothing of meaning, but texts that share characters are close, and the same text always gives the same vector, on every
machine. Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning".
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ragjp.encoders.packing import fingerprint_of, pack, readable, unit_rows
from ragjp.types import Encoded, FloatArray, Span

_NGRAMS = (1, 2, 3)
_MAX_CHARS = 4096


class HashingEncoder:
    """An :class:`~ragjp.types.Encoder` from hashed character n-grams; a token is one character that is not blank.

    Queries carry a small constant component that passages do not, so that a mix-up of the two shows in a test.

    Parameters
    ----------
    dim
        D and D_token, at least 8.
    """

    name = "hashing"

    def __init__(self, dim: int = 64) -> None:
        if dim < 8:
            raise ValueError(f"dim must be at least 8, not {dim}")
        self.dim = self.token_dim = dim
        self.fingerprint = fingerprint_of(engine="hashing", dim=dim, ngrams=_NGRAMS, version=1)

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed passages."""
        return self._encode(texts, "p", tokens)

    def encode_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed queries."""
        return self._encode(texts, "q", tokens)

    def token_spans(self, text: str, *, query: bool) -> list[Span]:
        """Say where the characters of the token rows stand; queries and passages are cut alike."""
        places = [at for at, char in enumerate(readable(text)) if not char.isspace()]
        return [Span(at, at + 1) for at in places[:_MAX_CHARS]]

    def _encode(self, texts: Sequence[str], side: str, tokens: bool) -> Encoded:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        parts: list[FloatArray] = []
        for row, text in enumerate(texts):
            chars = "".join(readable(text).split())[:_MAX_CHARS]
            _add(vectors[row], f"side:{side}", 0.5)
            for size in _NGRAMS:
                for start in range(len(chars) - size + 1):
                    _add(vectors[row], chars[start : start + size], 1.0)
            if tokens:
                parts.append(self._token_rows(chars))
        return pack(unit_rows(vectors), parts if tokens else None, self.dim)

    def _token_rows(self, chars: str) -> FloatArray:
        """A character in its neighbourhood: itself twice, the bigrams at its sides once; (T, D)."""
        rows = np.zeros((len(chars), self.dim), np.float32)
        for at, char in enumerate(chars):
            _add(rows[at], char, 2.0)
            for gram in {chars[max(at - 1, 0) : at + 1], chars[at : at + 2]}:
                _add(rows[at], gram, 1.0)
        return unit_rows(rows)


def _add(row: FloatArray, gram: str, weight: float) -> None:
    for place, sign in _places(gram, len(row)):
        row[place] += sign * weight


@lru_cache(maxsize=65536)
def _places(gram: str, dim: int) -> tuple[tuple[int, float], ...]:
    """Two signed places, different ones, so that no n-gram and its opposite can leave a row of zeros."""
    number = zlib.crc32(gram.encode())
    first = number % dim
    second = (first + 1 + (number >> 8) % (dim - 1)) % dim
    return (first, 1.0 if number & 1 << 30 else -1.0), (second, 0.7 if number & 1 << 29 else -0.7)
