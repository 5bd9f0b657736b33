"""The late-interaction store: the token embeddings of every chunk as packed int8 rows with one scale each.

A row x of float32 becomes ``codes = round(x / scale)`` with ``scale = max|x| / 127``; ``codes * scale`` gives it back to within
half a step. No padding: the tokens of row i are ``[offsets[i], offsets[i + 1])``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragjp.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Token embeddings of N chunks: codes (T, D) int8, scales (T,) float16, offsets (N + 1,) int64."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float16]
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1


def quantise(tokens: FloatArray, offsets: IntArray) -> PackedTokens:
    """Turn packed float32 token rows (T, D) into int8 codes and scales."""
    peaks = (
        np.abs(tokens).max(axis=1, initial=0.0)
        if tokens.size
        else np.zeros(len(tokens), np.float32)
    )
    scales = (peaks / 127.0).astype(np.float16)
    # Divide by the scale as stored, so that what is read back is as near as the code allows; never by zero.
    divisors = np.maximum(scales.astype(np.float32), np.float32(6e-8))[:, None]
    codes = np.clip(np.rint(tokens / divisors), -127, 127).astype(np.int8)
    return PackedTokens(codes, scales, offsets.astype(np.int64))


def dequantise(packed: PackedTokens) -> FloatArray:
    """Turn codes and scales back into float32 rows (T, D)."""
    return packed.codes.astype(np.float32) * packed.scales.astype(np.float32)[:, None]


class TokenStore:
    """The packed tokens of several segments, addressed by global row (segment after segment)."""

    def __init__(self, parts: Sequence[PackedTokens]) -> None:
        self._parts = parts
        self._bases = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._bases[-1])

    def take(self, rows: IntArray) -> PackedTokens:
        """Gather the tokens of some rows, in the order given, as one packed store."""
        owners = np.searchsorted(self._bases, rows, side="right") - 1
        places = [
            (self._parts[owner], int(row - self._bases[owner]))
            for owner, row in zip(owners, rows, strict=True)
        ]
        spans = [slice(int(part.offsets[row]), int(part.offsets[row + 1])) for part, row in places]
        if not spans:
            width = self._parts[0].codes.shape[1]
            return PackedTokens(
                np.empty((0, width), np.int8), np.empty(0, np.float16), np.zeros(1, np.int64)
            )
        return PackedTokens(
            np.concatenate(
                [part.codes[span] for (part, _), span in zip(places, spans, strict=True)]
            ),
            np.concatenate(
                [part.scales[span] for (part, _), span in zip(places, spans, strict=True)]
            ),
            np.cumsum([0, *(span.stop - span.start for span in spans)], dtype=np.int64),
        )
