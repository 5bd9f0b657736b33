"""From per-text hidden states to :class:`~ragjp.types.Encoded`: pooling, unit length, packed rows. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.types import Encoded, FloatArray, IntArray, Span

#: What SentencePiece puts before a word; a piece by itself before a word that no piece begins.
_WORD_BEGINS = "▁"
_TINY = np.float32(1e-12)


def unit_rows(rows: FloatArray) -> FloatArray:
    """Scale each row of (..., D) to length 1; a zero row stays zero."""
    lengths = np.sqrt(np.einsum("...d,...d->...", rows, rows))[..., None]
    scaled: FloatArray = (rows / np.maximum(lengths, _TINY)).astype(np.float32, copy=False)
    return scaled


def offsets_of(parts: Sequence[FloatArray]) -> IntArray:
    """Return (N + 1,) int64: where each of N (T_i, D) parts starts once packed, and the end."""
    offsets = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return offsets


def pack(vectors: FloatArray, parts: Sequence[FloatArray] | None, token_dim: int) -> Encoded:
    """Put N vectors and N token matrices (or None) together.

    Parameters
    ----------
    vectors
        (N, D) float32, rows of length 1.
    parts
        N arrays (T_i, token_dim), or None when tokens were not asked for.
    token_dim
        Width of the token rows, also when there are none.
    """
    if not parts:
        return Encoded(
            vectors, np.zeros((0, token_dim), np.float32), np.zeros(len(vectors) + 1, np.int64)
        )
    return Encoded(vectors, np.concatenate(parts, dtype=np.float32), offsets_of(parts))


def readable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer accepts, by U+FFFD."""
    return text.encode("utf-8", "replace").decode("utf-8") if _has_surrogate(text) else text


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def spans_of(
    pieces: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    kept: NDArray[np.integer[Any] | np.bool_],
    shift: int,
) -> list[Span]:
    """Return which characters of a text the kept pieces of ``prefix + text`` stand for.

    Parameters
    ----------
    pieces, offsets
        As a tokenizer of Hugging Face gives them. A piece that only marks where a word begins stands for no character.
    kept
        The pieces to return, as a mask or as places.
    shift
        Length of the prefix.
    """
    places = np.arange(len(pieces))[kept].tolist()
    spans = [(max(start - shift, 0), max(end - shift, 0)) for start, end in offsets]
    return [
        Span(spans[at][0], spans[at][0] if pieces[at] == _WORD_BEGINS else spans[at][1])
        for at in places
    ]


def fingerprint_of(**facts: object) -> str:
    """Return a short SHA-256 over named facts, independent of their order."""
    import hashlib

    lines = "\n".join(f"{key}={facts[key]!r}" for key in sorted(facts))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]
