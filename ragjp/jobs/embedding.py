"""One batch of documents as arrays: terms for all chunks, vectors only for texts that no segment holds yet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.storage.writer import Batch, IndexWriter, NewDocument
from ragjp.index.tokens.store import PackedTokens, quantise, token_checks
from ragjp.japanese.columns import TermColumn
from ragjp.japanese.terms import Analyzer
from ragjp.types import Chunk, Encoder, FloatArray

#: Threads that analyse.
_WORKERS = 8
#: Texts between two calls of the progress callback.
_SLICE = 64
_NO_CODES: NDArray[Any] = np.empty((0, 0), np.int8)
_NO_SCALES: NDArray[Any] = np.empty(0, np.float16)
#: One chunk's vector (D,), token codes (T, D_token) int8 and token scales (T,) float16.
_Row = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def passage_text(chunk: Chunk) -> str:
    """What is embedded and analysed for a chunk: its title and headings on one line, then its text."""
    return chunk.indexed_text


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
    embedded: Callable[[int, int], None],
    terms: Mapping[str, TermColumn] | None = None,
    together: Sequence[int] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Batch, int]:
    """Make the arrays of a batch.

    Parameters
    ----------
    tokens
        Whether to keep token embeddings for late interaction.
    embedded
        Called with (texts embedded so far, texts to embed) of this batch.
    terms
        The terms of all chunks, where they have been made already.
    together
        How many documents, one after the other, stand and fall together (those of one file); each by itself when not given.
    stop
        Asked between slices of texts. The batch is then of the first documents alone, those that are embedded already.

    Returns
    -------
    The batch, and how many chunks had to be embedded (the others were already in a segment, or stand twice in the batch).
    """
    chunks = [chunk for new in documents for chunk in new.chunks]
    texts = [passage_text(chunk) for chunk in chunks]
    hashes = [text_hash(text) for text in texts]
    stored = _stored_rows(writer, set(hashes), tokens)
    fresh = {name: text for name, text in zip(hashes, texts, strict=True) if name not in stored}
    arrays: dict[str, _Row] = dict(stored)
    names = list(fresh)
    # Texts go to the encoder in the order of the files: where it stops, the first documents are whole.
    for start in range(0, len(names), _SLICE):
        if stop():
            n_documents = _whole(documents, hashes, arrays, together)
            documents, terms = documents[:n_documents], None
            chunks = [chunk for new in documents for chunk in new.chunks]
            hashes = hashes[: len(chunks)]
            break
        part = names[start : start + _SLICE]
        arrays.update(
            zip(part, _encode(encoder, [fresh[name] for name in part], tokens), strict=True)
        )
        embedded(start + len(part), len(names))
    if not hashes:
        return Batch([], [], no_vectors(encoder.dim), None, {}), 0
    vectors = np.empty((len(hashes), encoder.dim), dtype=np.float32)
    codes: list[NDArray[Any]] = [_NO_CODES] * len(hashes)
    scales: list[NDArray[Any]] = [_NO_SCALES] * len(hashes)
    for slot, name in enumerate(hashes):
        vectors[slot], codes[slot], scales[slot] = arrays[name]
    return (
        Batch(
            documents,
            hashes,
            vectors,
            _pack(codes, scales) if tokens else None,
            analyse(chunks, analyzer) if terms is None else terms,
        ),
        len(fresh.keys() & set(hashes)),
    )


def _whole(
    documents: Sequence[NewDocument],
    hashes: Sequence[str],
    arrays: Mapping[str, _Row],
    together: Sequence[int] | None,
) -> int:
    """How many of the first documents have all their texts embedded, counted in groups that stand and fall together."""
    done_documents = done_chunks = 0
    for size in together if together is not None else [1] * len(documents):
        group = documents[done_documents : done_documents + size]
        n_chunks = sum(len(new.chunks) for new in group)
        if any(name not in arrays for name in hashes[done_chunks : done_chunks + n_chunks]):
            break
        done_documents += size
        done_chunks += n_chunks
    return done_documents


def _stored_rows(writer: IndexWriter, names: set[str], tokens: bool) -> dict[str, _Row]:
    """What is embedded already of some texts. Tokens that are not what was written are left out: they are embedded again."""
    places = writer.embedded(names)
    segments = {number: writer.segment_arrays(number) for number, _ in places.values()}
    rows = {
        name: _stored_row(segments[number], row, tokens) for name, (number, row) in places.items()
    }
    if not tokens:
        return rows
    return {
        name: row
        for name, row in rows.items()
        if token_checks(_pack([row[1]], [row[2]]))[0]
        == segments[places[name][0]]["token_checks"][places[name][1]]
    }


def _stored_row(segment: dict[str, NDArray[Any]], row: int, tokens: bool) -> _Row:
    if not tokens:
        return segment["vectors"][row], _NO_CODES, _NO_SCALES
    offsets = segment["token_offsets"]
    span = slice(int(offsets[row]), int(offsets[row + 1]))
    return segment["vectors"][row], segment["tokens"][span], segment["token_scales"][span]


def _encode(encoder: Encoder, texts: Sequence[str], tokens: bool) -> list[_Row]:
    encoded = encoder.encode_passages(texts, tokens=tokens)
    if not tokens:
        return [(vector, _NO_CODES, _NO_SCALES) for vector in encoded.vectors]
    packed = quantise(encoded.tokens, encoded.offsets)
    spans = [slice(int(a), int(b)) for a, b in pairwise(packed.offsets)]
    return [
        (vector, packed.codes[span], packed.scales[span])
        for vector, span in zip(encoded.vectors, spans, strict=True)
    ]


def _pack(codes: Sequence[NDArray[Any]], scales: Sequence[NDArray[Any]]) -> PackedTokens:
    offsets = np.cumsum([0, *(len(part) for part in scales)], dtype=np.int64)
    return PackedTokens(np.concatenate(codes), np.concatenate(scales), offsets)


def analyse(chunks: Sequence[Chunk], analyzer: Analyzer) -> dict[str, TermColumn]:
    """Field → the terms of each chunk, as they are indexed; many chunks at a time keep every core busy."""
    return analyzer.passages_terms(
        [(chunk.context, chunk.text) for chunk in chunks],
        workers=min(os.cpu_count() or 1, _WORKERS),
    )


def no_vectors(dim: int) -> FloatArray:
    """The vectors of a batch without chunks, (0, dim)."""
    return np.empty((0, dim), dtype=np.float32)
