"""Indexes of any size, made of a real one: its own passages first, then passages put together from two of them.

A resampled passage has the terms and the text of the first half of one passage and of the second half of another, and the normalised
mixture of both vectors with a little noise; its tokens are those of the first. So lengths, document frequencies, hubs and ties are
those of real text, which random terms and vectors have not.

Segments are written by the product's own writer, in its own format. Only the tokens are not written again for each: 70 kB a passage
would be 70 GB for a million. A block of ``copies`` times the real tokens is written once and hard-linked into every segment of that
size. So all segments' tokens are the same bytes on the disk, and in the page cache: measured times of reading them are those of a
warm cache, unless the cache is dropped before (:func:`drop_from_cache`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.bench.source import Source, packed_tokens
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.index.storage.batch import Batch, Manifest, NewDocument
from ragjp.index.storage.catalog import SEGMENTS_NAME
from ragjp.index.storage.merging import joined_arrays
from ragjp.index.storage.records import insert_documents, insert_segment, next_numbers, set_values
from ragjp.index.storage.segments import Arrays, FileRecord, row_checks, write_array, write_segment
from ragjp.index.storage.writer import IndexWriter
from ragjp.jobs.embedding import no_vectors, passage_text, text_hash
from ragjp.types import Chunk, Document, FloatArray, IntArray, Page

#: Principals that may read everything, and a share of it drawn by chance.
SHARES = {"group:20": 0.20, "group:5": 0.05, "group:1": 0.01}
#: Standard deviation of each coordinate's noise, before the vector is brought to length 1.
_NOISE = 0.01
_VERSION = 1
_DONE = "resampled.json"
_VECTOR_ROWS = 16384

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``n_real`` real rows, then segments of ``copies`` times as many resampled ones as the source has."""

    n_real: int
    copies: tuple[int, ...] = ()

    def n_rows(self, n_source: int) -> int:
        """Rows of the whole.

        >>> Plan(13058, (11,) * 7).n_rows(13058)
        1018524
        """
        return self.n_real + sum(self.copies) * n_source


@dataclass(frozen=True, slots=True)
class Built:
    """An index, the seconds it took, and those of them that derived files took (what ends a build)."""

    path: Path
    seconds: float
    derived_s: float


class _BulkWriter(IndexWriter):
    """Commits documents of one chunk each, whose arrays are made already."""

    def commit_arrays(
        self,
        documents: list[NewDocument],
        arrays: Callable[[IntArray, IntArray], Arrays],
        n_tokens: int,
        links: dict[Path, FileRecord],
    ) -> None:
        """As :meth:`IndexWriter.commit`; ``arrays`` is given the numbers of chunks and documents, (n,) each."""
        generation = self.generation + 1
        first_document, first_chunk = next_numbers(self._connection)
        places = np.arange(len(documents), dtype=np.int64)
        made = arrays(first_chunk + places, first_document + places)
        name = self._free_name(generation)
        records = write_segment(self.path, name, made, links=links)
        hashes = [text_hash(passage_text(new.chunks[0])) for new in documents]
        batch = Batch(documents, hashes, no_vectors(0), None, {})
        with self._committing(name):
            number = insert_segment(self._connection, name, len(documents), n_tokens, records)
            insert_documents(
                self._connection,
                batch,
                segment_no=number,
                generation=generation,
                first_document=first_document,
                first_chunk=first_chunk,
            )
            set_values(self._connection, {"generation": str(generation)})


def build_resampled(
    source: Source, plan: Plan, into: Path, *, blocks: Path, tell: Tell = lambda line: None
) -> Built:
    """Build an index, or take the one that is there when it is of this source, plan and program.

    Parameters
    ----------
    blocks
        Folder in which the blocks of tokens are kept, on the same file system as ``into``.
    """
    wanted = {"source": source.digest, "plan": asdict(plan) | {"copies": list(plan.copies)}, "version": _VERSION}  # fmt: skip
    done = into / _DONE
    if done.exists():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept["wanted"] == wanted:
            return Built(into, kept["seconds"], kept["derived_s"])
    started = time.perf_counter()
    shutil.rmtree(into, ignore_errors=True)
    meta = source.meta
    numbers = int(meta["dim"]), int(meta["token_dim"])
    fields = tuple(json.loads(meta["fields"]))
    manifest = Manifest(meta["analyzer"], meta["encoder"], meta["encoder_name"], *numbers, fields)
    with _BulkWriter(into, manifest) as writer:
        writer.set_meta("recipe", meta.get("recipe", ""))
        tell(f"{into.name}: {plan.n_real:,} real rows")
        real = list(_documents("real", source.chunks[: plan.n_real], ()))
        parts = source.first_rows(plan.n_real)
        writer.commit_arrays(
            real,
            lambda chunks, documents: joined_arrays(parts, fields, (chunks, documents)),
            sum(
                int(arrays["token_offsets"][row + 1] - arrays["token_offsets"][row])
                for arrays, rows in parts
                if "token_offsets" in arrays
                for row in rows.tolist()
            ),
            {},
        )
        for number, copies in enumerate(plan.copies):
            tell(f"{into.name}: block {number + 1} of {len(plan.copies)}, {copies * len(source):,} rows")  # fmt: skip
            _commit_block(writer, source, number, copies, blocks)
        before = time.perf_counter()
        writer.tidy()
        derived = time.perf_counter() - before
    built = Built(into, time.perf_counter() - started, derived)
    done.write_text(
        json.dumps({"wanted": wanted, "seconds": built.seconds, "derived_s": derived}),
        encoding="utf-8",
    )
    return built


def _commit_block(
    writer: _BulkWriter, source: Source, number: int, copies: int, blocks: Path
) -> None:
    rng = np.random.default_rng([20261, number])
    n_source = len(source)
    first = np.tile(np.arange(n_source, dtype=np.int64), copies)
    # Another passage, never the same one.
    second = (first + rng.integers(1, max(n_source, 2), len(first))) % n_source
    documents = list(
        _documents(
            f"resampled/{number:03d}",
            [_chunk(source, a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)],
            tuple(rng.random(len(first)) < share for share in SHARES.values()),
        )
    )
    made: dict[str, NDArray[Any]] = {}
    for field, halves in source.halves.items():
        made.update(halves.joined(first, second).arrays(field))
    vectors = mixture(source.vectors, first, second, rng)
    made |= {"vectors": vectors, "vector_checks": row_checks(vectors)}
    links: dict[Path, FileRecord] = {}
    n_tokens = 0
    if any("tokens" in arrays for arrays, _ in source.parts):
        links, n_tokens = token_block(source, copies, blocks)
    writer.commit_arrays(
        documents,
        lambda chunks, numbers: {**made, "row_chunks": chunks, "row_documents": numbers},
        n_tokens,
        links,
    )


def mixture(
    vectors: FloatArray, first: IntArray, second: IntArray, rng: np.random.Generator
) -> NDArray[np.float16]:
    """Normalised sums of two rows and a little noise, (m, D) float16."""
    made = np.empty((len(first), vectors.shape[1]), dtype=np.float16)
    for start in range(0, len(first), _VECTOR_ROWS):
        span = slice(start, start + _VECTOR_ROWS)
        mixed = vectors[first[span]] + vectors[second[span]]
        mixed += _NOISE * rng.standard_normal(mixed.shape, dtype=np.float32)
        made[span] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return made


def token_block(source: Source, copies: int, blocks: Path) -> tuple[dict[Path, FileRecord], int]:
    """Write the token files of a block once: path → record, and the number of tokens."""
    folder = blocks / f"tokens-{source.digest}-x{copies}"
    listed = folder / "records.json"
    if not listed.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        packed = packed_tokens(source)
        lengths = [len(part) for part in packed["token_scales"]] * copies
        checks = np.concatenate([arrays["token_checks"][rows] for arrays, rows in source.parts])
        arrays: dict[str, NDArray[Any] | Sequence[NDArray[Any]]] = {
            "tokens": packed["tokens"] * copies,
            "token_scales": packed["token_scales"] * copies,
            "token_offsets": np.cumsum([0, *lengths], dtype=np.int64),
            "token_checks": np.tile(checks, copies),
        }
        records = [asdict(write_array(folder, stem, array)) for stem, array in arrays.items()]
        listed.write_text(json.dumps([sum(lengths), records]), encoding="utf-8")
    n_tokens, records = json.loads(listed.read_text(encoding="utf-8"))
    return {folder / each["name"]: FileRecord(**each) for each in records}, n_tokens


def _chunk(source: Source, first: int, second: int) -> Chunk:
    """The text of a resampled passage, with the title and headings of its first half."""
    one, other = source.chunks[first], source.chunks[second]
    text = one.text[: max(1, len(one.text) // 2)] + (
        other.text[max(1, len(other.text) // 2) :] or other.text
    )
    return Chunk("", 1, 0, len(text), text, one.title, one.heading_path)


def _documents(
    prefix: str, chunks: Sequence[Chunk], shares: Sequence[NDArray[np.bool_]]
) -> Iterator[NewDocument]:
    """One document a chunk, which is its only page."""
    for number, chunk in enumerate(chunks):
        doc_id = f"{prefix}/{number:07d}"
        access = ["everyone"]
        access += [name for name, drawn in zip(SHARES, shares, strict=False) if drawn[number]]
        page = Page(1, chunk.text)
        yield NewDocument(
            Document(doc_id, chunk.title, (page,), "text"),
            hashlib.sha256(chunk.text.encode()).hexdigest(),
            tuple(access),
            (Chunk(doc_id, 1, 0, len(chunk.text), chunk.text, chunk.title, chunk.heading_path),),
        )


def drop_from_cache(index: Path, stem: str) -> None:
    """Ask the system to forget the cached pages of an array of every segment (clean pages only; needs no rights)."""
    for path in (index / SEGMENTS_NAME).glob(f"*/{stem}.npy"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def warm(index: Path) -> None:
    """Read every file of an index once; files that are one on the disk, once."""
    seen: set[int] = set()
    for path in sorted(index.rglob("*")):
        if path.is_file() and path.stat().st_ino not in seen:
            seen.add(path.stat().st_ino)
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass


def sizes(index: Path) -> dict[str, int]:
    """Bytes by kind of file, links counted as if they were copies: what the index would take without the trick."""
    found = {"vectors": 0, "postings": 0, "tokens": 0, "derived": 0, "catalog": 0, "other": 0}
    for path in index.rglob("*"):
        if path.is_file():
            found[_kind(path)] += path.stat().st_size
    return found


def _kind(path: Path) -> str:
    stem = path.name.removesuffix(".npy")
    if path.parent.name == DERIVED_NAME:
        return "derived"
    if path.name.startswith("catalog."):
        return "catalog"
    if stem in {"vectors", "vector_checks"}:
        return "vectors"
    if stem.startswith("token"):
        return "tokens"
    return "postings" if path.name.endswith(".npy") and "." in stem else "other"
