"""Codes: a segment's vectors in a byte per coordinate, with a proven bound on what that costs.

A scan of codes reads half the bytes of a scan of halves. It does not decide the result: the rows that the bound cannot rule out
(some hundreds of a million) are scored exactly. So a search through codes returns what a search without them returns.

With the segment's mean μ, the scale s of a row, its codes c (int8) and what they leave over, r = v − μ − s·c::

    q·v = q·μ + s·(q̂·c) + s·(δ·c) + q·r          q = q̂ + δ, q̂ of 15 bits a coordinate
    |q·v − (q·μ + s·(q̂·c))| ≤ ‖δ‖·max ‖s·c‖ + ‖q‖·‖r‖     (Cauchy–Schwarz)

and ‖r‖ is stored with each row, rounded up. The mean is taken away because the vectors of a text encoder share most of their length
(0.89 for e5): what remains is shorter, and so is what its codes leave over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragjp.index.dense.lists import Lists

Line = tuple[float, float, float, float]

_BLOCK_ROWS = 2048
#: Bytes after the codes of a record: scale and error, float32 each.
_TAIL_BYTES = 8
#: float32 scores are compared with bounds: half a unit in the last place of a score, generously.
_ROUNDING = 2.0**-20
# A half shifted into a double has its exponent 1023 − 15 too low.
_HALF_TO_DOUBLE_SHIFT = np.int64(42)
_HALF_TO_DOUBLE_MASK = np.int64(
    -0x7E00000000000001
)  # the sign, five bits of exponent, the fraction
HALF_TO_DOUBLE = 2.0**1008


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of one segment's n vectors.

    records : (n, W) int8: D codes, blanks up to a multiple of 4, scale and error as float32. mean : (D,) float64.
    reach : the greatest ‖s·c‖ of a row. lists : when there are any, record i is that of row ``lists.order[i]``, otherwise of row i.
    """

    records: NDArray[np.int8]
    mean: NDArray[np.float64]
    reach: float
    lists: Lists | None = None

    @property
    def order(self) -> NDArray[np.int32]:
        """(n,) int32, the row of each record; (0,) when record i is that of row i."""
        return self.lists.order if self.lists is not None else np.empty(0, np.int32)

    @property
    def tails(self) -> NDArray[np.float32]:
        """(n, W / 4) float32 over the bytes of ``records``; scale and error are the last two columns."""
        return self.records.view(np.float32)

    def draft(self, query: NDArray[np.float64]) -> tuple[NDArray[np.int16], Line]:
        """Prepare a query (D,): its 16-bit form, and (step, offset, length, slack).

        The score of a row is within error · length + slack of dot · scale · step + offset.
        """
        width = len(query)
        # 127 · limit · D stays within an int32.
        limit = min(32767, (2**31 - 1) // (127 * max(width, 1)))
        greatest = float(np.abs(query).max(initial=0.0))
        step = greatest / limit if greatest else 1.0
        coarse = np.rint(query / step).astype(np.int16)
        length = float(np.linalg.norm(query))
        left = float(np.linalg.norm(query - coarse * step))
        longest = self.reach + float(np.linalg.norm(self.mean))
        slack = left * self.reach + _ROUNDING * length * longest
        return coarse, (step, float(query @ self.mean), length * (1 + _ROUNDING), slack)


def record_bytes(width: int) -> int:
    """Bytes of a record of vectors of ``width`` coordinates."""
    return -(-width // 4) * 4 + _TAIL_BYTES


def widened(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """(n, D) halves as doubles divided by :data:`HALF_TO_DOUBLE`: exact, and three times as fast as ``astype``.

    >>> float(widened(np.array([[-1.5]], np.float16))[0, 0] * HALF_TO_DOUBLE)
    -1.5
    """
    shifted = np.ascontiguousarray(vectors).view(np.int16).astype(np.int64)
    shifted <<= _HALF_TO_DOUBLE_SHIFT
    shifted &= _HALF_TO_DOUBLE_MASK
    return shifted.view(np.float64)


def mean_vector(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """(D,) float64, the mean of (n, D) rows."""
    total = np.zeros(vectors.shape[1])
    for begin in range(0, len(vectors), _BLOCK_ROWS):
        total += widened(vectors[begin : begin + _BLOCK_ROWS]).sum(axis=0)
    return total * (HALF_TO_DOUBLE / max(len(vectors), 1))


def record_blocks(
    vectors: NDArray[np.float16], mean: NDArray[np.float64], lists: Lists | None = None
) -> Iterator[tuple[NDArray[np.int8], float]]:
    """Encode (n, D) rows block after block, in the order of the lists if any: records (b, W) int8, and the reach of these rows."""
    width = vectors.shape[1]
    for begin in range(0, len(vectors), _BLOCK_ROWS):
        taken = slice(begin, begin + _BLOCK_ROWS)
        rest = widened(vectors[taken if lists is None else lists.order[taken]]) * HALF_TO_DOUBLE
        rest -= mean
        scales = (np.abs(rest).max(axis=1, initial=0.0) / 127).astype(np.float32)
        # Rounded down, a scale could ask for a code of 128.
        divisors = np.where(scales > 0, scales.astype(np.float64), 1.0)[:, None]
        codes = np.clip(np.rint(rest / divisors), -127, 127)
        records = np.zeros((len(rest), record_bytes(width)), np.int8)
        records[:, :width] = codes
        codes *= scales[:, None].astype(np.float64)
        rest -= codes
        tails = records.view(np.float32)
        tails[:, -2] = scales
        errors = np.sqrt(np.einsum("ij,ij->i", rest, rest))
        tails[:, -1] = np.nextafter(errors.astype(np.float32), np.float32(np.inf))
        longest = float(np.sqrt(np.einsum("ij,ij->i", codes, codes)).max(initial=0.0))
        yield records, longest


def encode(vectors: NDArray[np.float16], lists: Lists | None = None) -> Codes:
    """Make the codes of (n, D) rows in memory."""
    mean = mean_vector(vectors)
    blocks = list(record_blocks(vectors, mean, lists))
    width = record_bytes(vectors.shape[1])
    records = np.concatenate([np.empty((0, width), np.int8), *(block for block, _ in blocks)])
    return Codes(records, mean, max((reach for _, reach in blocks), default=0.0), lists)
