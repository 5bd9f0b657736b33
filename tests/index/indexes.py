"""Small indexes made from plain words, for the tests of the index (no model, no dictionary)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ragjp.index.reader import Snapshot
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest, NewDocument
from ragjp.index.tokens.store import quantise
from ragjp.types import Chunk, Document, FloatArray, Page, View

DIM = 16
MANIFEST = Manifest("analyzer-1", "encoder-1", "toy", DIM, DIM, ("lemma", "surface", "bigram"))


EVERYONE = View.of("everyone")


def unit(rows: FloatArray) -> FloatArray:
    return (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)).astype(
        np.float32
    )


def batch_of(
    texts: Mapping[str, str],
    *,
    access: Mapping[str, tuple[str, ...]] | None = None,
    removed: Sequence[str] = (),
    seed: int = 0,
) -> Batch:
    """One chunk a document; terms are the words between blanks; vectors and tokens are random but fixed by the text."""
    documents, hashes, vectors, tokens, lengths = [], [], [], [], [0]
    for doc_id, text in texts.items():
        rng = np.random.default_rng([seed, *text.encode()])
        chunk = Chunk(doc_id, 1, 0, len(text), text, title=doc_id)
        principals = (access or {}).get(doc_id, ("everyone",))
        documents.append(
            NewDocument(
                Document(doc_id, doc_id, (Page(1, text),), "txt"),
                f"hash of {text}",
                principals,
                (chunk,),
            )
        )
        hashes.append(f"hash of {text}")
        vectors.append(unit(rng.standard_normal(DIM)))
        tokens.append(unit(rng.standard_normal((len(text.split()), DIM))))
        lengths.append(len(text.split()))
    words = [text.split() for text in texts.values()]
    offsets = np.cumsum(lengths).astype(np.int64)
    packed = np.concatenate(tokens) if tokens else np.empty((0, DIM), np.float32)
    return Batch(
        documents,
        hashes,
        np.array(vectors, dtype=np.float32).reshape(-1, DIM),
        quantise(packed.astype(np.float32), offsets),
        {"lemma": words, "surface": words, "bigram": words},
        removed=removed,
    )


def build_toy(path: Path, *batches: Batch) -> Path:
    with IndexWriter(path, MANIFEST) as writer:
        for batch in batches:
            writer.commit(batch)
    return path


def contents(path: Path) -> dict[str, tuple[str, bytes, bytes, list[str]]]:
    """Everything that a search could see of each document: text, vector, tokens, and the words that find it."""
    snapshot = Snapshot(path)
    rows = [int(row) for row in np.flatnonzero(snapshot.allowed(EVERYONE).rows)]
    found = {}
    for row, chunk in zip(rows, snapshot.chunks(rows), strict=True):
        assert snapshot.tokens is not None
        tokens = snapshot.tokens.take(np.array([row]))
        words = [word for word in chunk.text.split() if row in rows_of(snapshot, word)]
        found[chunk.doc_id] = (
            chunk.text,
            snapshot.vectors(np.array([row])).tobytes(),
            tokens.codes.tobytes() + tokens.scales.tobytes(),
            words,
        )
    snapshot.close()
    return found


def rows_of(snapshot: Snapshot, word: str) -> list[int]:
    found, base = [], 0
    for postings in snapshot.postings("lemma"):
        (number,) = postings.find([word])
        if number >= 0:
            span = slice(int(postings.offsets[number]), int(postings.offsets[number + 1]))
            found += (postings.rows[span] + base).tolist()
        base += len(postings.lengths)
    return found


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
