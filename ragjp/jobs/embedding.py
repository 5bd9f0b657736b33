"""One batch of documents as arrays: terms for all chunks, vectors only for texts that no segment holds yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.tokens import PackedTokens, quantise
from ragjp.index.writer import Batch, IndexWriter, NewDocument
from ragjp.japanese.terms import Analyzer
from ragjp.types import Chunk, Encoder, FloatArray


def passage_text(chunk: Chunk) -> str:
    """What is embedded and analysed for a chunk: its title and headings on one line, then its text."""
    return f"{chunk.context}\n{chunk.text}" if chunk.context else chunk.text


def text_hash(text: str) -> str:
    """Name of a text: equal texts are embedded once."""
    return hashlib.sha256(text.encode()).hexdigest()


def embed_batch(
    documents: list[NewDocument],
    writer: IndexWriter,
    analyzer: Analyzer,
    encoder: Encoder,
    *,
    tokens: bool,
) -> tuple[Batch, int]:
    """Make the arrays of a batch.

    Returns
    -------
    The batch, and how many chunks had to be embedded (the others were already in a segment, or stand twice in the batch).
    """
    texts = [passage_text(chunk) for new in documents for chunk in new.chunks]
    hashes = [text_hash(text) for text in texts]
    stored = writer.embedded(set(hashes))
    fresh = {name: text for name, text in zip(hashes, texts, strict=True) if name not in stored}
    vectors = np.empty((len(texts), encoder.dim), dtype=np.float32)
    codes: list[NDArray[Any]] = [np.empty((0, encoder.token_dim), np.int8)] * len(texts)
    scales: list[NDArray[Any]] = [np.empty(0, np.float16)] * len(texts)

    encoded = encoder.encode_passages(list(fresh.values()), tokens=tokens)
    packed = quantise(encoded.tokens, encoded.offsets) if tokens else None
    place = {name: number for number, name in enumerate(fresh)}
    segments = {number: writer.segment_arrays(number) for number, _ in stored.values()}
    for slot, name in enumerate(hashes):
        if name in stored:
            number, row = stored[name]
            vectors[slot] = segments[number]["vectors"][row]
            if tokens:
                codes[slot], scales[slot] = _rows(segments[number], row)
        else:
            vectors[slot] = encoded.vectors[place[name]]
            if packed is not None:
                span = slice(int(packed.offsets[place[name]]), int(packed.offsets[place[name] + 1]))
                codes[slot], scales[slot] = packed.codes[span], packed.scales[span]
    return (
        Batch(
            documents,
            hashes,
            vectors,
            _pack(codes, scales) if tokens else None,
            _by_field(analyzer, texts),
        ),
        len(fresh),
    )


def _rows(segment: dict[str, NDArray[Any]], row: int) -> tuple[NDArray[Any], NDArray[Any]]:
    offsets = segment["token_offsets"]
    span = slice(int(offsets[row]), int(offsets[row + 1]))
    return segment["tokens"][span], segment["token_scales"][span]


def _pack(codes: Sequence[NDArray[Any]], scales: Sequence[NDArray[Any]]) -> PackedTokens:
    offsets = np.cumsum([0, *(len(part) for part in scales)], dtype=np.int64)
    return PackedTokens(np.concatenate(codes), np.concatenate(scales), offsets)


def _by_field(analyzer: Analyzer, texts: Sequence[str]) -> dict[str, list[list[str]]]:
    analysed = [analyzer.terms(text) for text in texts]
    return (
        {field: [terms[field] for terms in analysed] for field in analysed[0]} if analysed else {}
    )


def no_vectors(dim: int) -> FloatArray:
    """The vectors of a batch without chunks, (0, dim)."""
    return np.empty((0, dim), dtype=np.float32)
