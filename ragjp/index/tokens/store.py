"""The late-interaction store: the token embeddings of every chunk as packed int8 rows with one scale each.

A row x of float32 becomes ``codes = round(x / scale)`` with ``scale = max|x| / 127``; ``codes * scale`` gives it back to within
half a step. No padding: the tokens of row i are ``[offsets[i], offsets[i + 1])``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.errors import IndexCorrupt
from ragjp.types import FloatArray, IntArray

KERNELS = "ragjp.index.tokens.kernels"
#: Rows quantised at a time: their float32 numbers and what is made of them stay in the second-level cache.
_QUANTISED_ROWS = 256


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Token embeddings of N chunks: codes (T, D) int8, scales (T,) float16, offsets (N + 1,) int64."""

    codes: NDArray[np.int8]
    scales: NDArray[np.float16]
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def width(self) -> int:
        """D, numbers of a token."""
        return int(self.codes.shape[1])

    def fill(
        self, rows: IntArray, places: IntArray, codes: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> None:
        """Copy the tokens of ``rows`` to where they begin in ``codes`` and ``scales``; see :class:`TokenRows`."""
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
            if start == stop:
                continue
            codes[place : place + stop - start] = self.codes[start:stop]
            scales[place : place + stop - start] = self.scales[start:stop]

    def close(self) -> None:
        """Nothing to let go of: held in memory."""


def quantise(tokens: FloatArray, offsets: IntArray) -> PackedTokens:
    """Turn packed float32 token rows (T, D) into int8 codes and scales, a few hundred rows at a time."""
    codes = np.empty(tokens.shape, dtype=np.int8)
    scales = np.empty(len(tokens), dtype=np.float16)
    room = np.empty((min(_QUANTISED_ROWS, len(tokens)), tokens.shape[1]), dtype=np.float32)
    for first in range(0, len(tokens) if tokens.size else 0, _QUANTISED_ROWS):
        rows = tokens[first : first + _QUANTISED_ROWS]
        part = scales[first : first + len(rows)]
        steps = room[: len(rows)]
        part[:] = np.abs(rows, out=steps).max(axis=1) / np.float32(127)
        # Divide by the scale as stored, so that what is read back is as near as the code allows; never by zero.
        np.divide(rows, np.maximum(part.astype(np.float32), np.float32(6e-8))[:, None], out=steps)
        np.clip(np.rint(steps, out=steps), -127, 127, out=steps)
        codes[first : first + len(rows)] = steps
    if not tokens.size:
        scales[:] = 0
    return PackedTokens(codes, scales, offsets.astype(np.int64))


def dequantise(packed: PackedTokens) -> FloatArray:
    """Turn codes and scales back into float32 rows (T, D)."""
    return packed.codes.astype(np.float32) * packed.scales.astype(np.float32)[:, None]


def token_checks(packed: PackedTokens) -> NDArray[np.uint32]:
    """CRC-32 of each row's codes and then its scales, (N,) uint32: what ``token_checks.npy`` holds."""
    return row_checks(
        np.ascontiguousarray(packed.codes),
        np.ascontiguousarray(packed.scales),
        packed.offsets[:-1],
        np.diff(packed.offsets),
    )


def row_checks(
    codes: NDArray[np.int8], scales: NDArray[np.float16], places: IntArray, lengths: IntArray
) -> NDArray[np.uint32]:
    """CRC-32 of rows that begin at ``places`` (n,) of codes (T, D) and scales (T,) and have ``lengths`` (n,) tokens.

    zlib takes 0.4 ms a MB; once the kernels are loaded it takes only what they leave, 0.1 ms a MB in all.
    """
    data, factors = bytes_of(codes), bytes_of(scales)
    starts, sizes = places * codes.shape[1], lengths * codes.shape[1]
    kernels = compiled.ready(KERNELS)
    folded = memoryview(b"")
    n_blocks = np.zeros(len(places), dtype=np.int64)
    if kernels is not None and kernels.FOLDS:
        n_blocks = sizes // kernels.BLOCK
        room = np.empty(len(places) * kernels.BLOCK, dtype=np.uint8)
        kernels.fold(codes.reshape(-1).view(np.uint8), starts, n_blocks, room)
        folded = bytes_of(room)
    checks = np.empty(len(places), dtype=np.uint32)
    rows = zip(
        starts.tolist(),
        (starts + sizes).tolist(),
        n_blocks.tolist(),
        (2 * places).tolist(),
        (2 * (places + lengths)).tolist(),
        strict=True,
    )
    for row, (start, stop, blocks, first, last) in enumerate(rows):
        # What was folded began from 32 ones already; zlib inverts what it is told to begin from.
        done = zlib.crc32(folded[64 * row : 64 * row + 64], 0xFFFFFFFF) if blocks else 0
        done = zlib.crc32(data[start + 64 * blocks : stop], done)
        checks[row] = zlib.crc32(factors[first:last], done)
    return checks


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array whose numbers lie side by side, without a copy."""
    return array.reshape(-1).view(np.uint8).data


class TokenRows(Protocol):
    """Rows of tokens, held or on the disk: what a :class:`TokenStore` is made of."""

    @property
    def offsets(self) -> IntArray:
        """(N + 1,) int64."""

    @property
    def width(self) -> int:
        """D, numbers of a token."""

    def __len__(self) -> int: ...

    def fill(
        self, rows: IntArray, places: IntArray, codes: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> None:
        """Put the tokens of ``rows`` (n,) where ``places`` (n,) says they begin in ``codes`` (T, D) and ``scales`` (T,)."""

    def close(self) -> None:
        """Let go of files."""


class TokenStore:
    """The packed tokens of several segments, addressed by global row (segment after segment)."""

    def __init__(self, parts: Sequence[TokenRows]) -> None:
        self._parts = tuple(parts)
        self._bases: IntArray = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
        # A part without tokens is of any width.
        widths = {part.width for part in self._parts if part.offsets[-1]}
        if len(widths) > 1:
            raise IndexCorrupt(
                f"索引の語ベクトルの幅がセグメントごとに違います（{sorted(widths)}）。ragjp index で作り直してください。",
                code="tokens_damaged",
            )
        self._width = max(widths or (part.width for part in self._parts), default=0)

    def __len__(self) -> int:
        return int(self._bases[-1])

    def take(self, rows: IntArray) -> PackedTokens:
        """Gather the tokens of some rows, in the order given, as one packed store.

        Raises
        ------
        IndexError
            When a row is not in [0, N).
        IndexCorrupt, StorageFailed, IndexUnreadable
            See :meth:`TokenPart.fill`.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a store of {len(self)}")
        owners = np.searchsorted(self._bases, rows, side="right") - 1
        local = rows - self._bases[owners]
        # Not np.unique: its first call imports numpy.ma, 50 ms of a process's first answer.
        present = sorted(set(owners.tolist()))
        slots = [(owner, np.flatnonzero(owners == owner)) for owner in present]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        for owner, those in slots:
            bounds = self._parts[owner].offsets
            offsets[1 + those] = bounds[local[those] + 1] - bounds[local[those]]
        np.cumsum(offsets, out=offsets)
        codes = np.empty((int(offsets[-1]), self._width), dtype=np.int8)
        scales = np.empty(int(offsets[-1]), dtype=np.float16)
        for owner, those in slots:
            self._parts[owner].fill(local[those], offsets[those], codes, scales)
        return PackedTokens(codes, scales, offsets)

    def close(self) -> None:
        """Let go of the files; a read under way finishes first."""
        for part in self._parts:
            part.close()
