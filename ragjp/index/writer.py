"""Writing an index: one writer at a time, batches that are committed whole, merges that change no answer."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexLocked, IndexMismatch
from ragjp.index.catalog import (
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    catalog_path,
    chunk_of_row,
    create_catalog,
    current_generation,
    leave_wal,
    meta_value,
    open_catalog,
    transaction,
)
from ragjp.index.merging import Terms, count_tokens, merged_arrays
from ragjp.index.postings import build_postings
from ragjp.index.segments import Arrays, FileRecord, open_segment, sweep_segments, write_segment
from ragjp.index.tokens import PackedTokens
from ragjp.types import Chunk, Document, FloatArray

LOCK_NAME = "writer.lock"
#: A build ends with a merge when there are more segments than this, or when more than this share of the rows is dead.
MAX_SEGMENTS = 8
MAX_DEAD_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the vectors and terms of an index depend on; two builds with equal manifests can share an index."""

    analyzer: str
    encoder: str
    encoder_name: str
    dim: int
    token_dim: int
    fields: tuple[str, ...]

    def as_meta(self) -> dict[str, str]:
        """The rows of the catalog's ``meta`` table."""
        return {
            "analyzer": self.analyzer,
            "encoder": self.encoder,
            "encoder_name": self.encoder_name,
            "dim": str(self.dim),
            "token_dim": str(self.token_dim),
            "fields": json.dumps(self.fields),
        }


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to add, or to put in the place of the one with the same id."""

    document: Document
    content_hash: str
    access: tuple[str, ...]
    chunks: tuple[Chunk, ...]


@dataclass(slots=True)
class Batch:
    """What one commit makes durable. Arrays are over the chunks of ``documents`` in order, n in all.

    vectors : (n, D) float32. tokens : packed rows of the same chunks, or None. terms : field → n lists.
    """

    documents: list[NewDocument]
    text_hashes: list[str]
    vectors: FloatArray
    tokens: PackedTokens | None
    terms: Mapping[str, Sequence[Sequence[str]]]
    removed: Sequence[str] = ()
    access_changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class IndexWriter:
    """The only way to change an index. Holds ``writer.lock`` from opening to closing.

    Raises
    ------
    IndexLocked
        When another process is writing.
    IndexMismatch
        When the index was built with another encoder. Another dictionary or folding is no obstacle: see
        :meth:`is_analysis_stale`.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock_file = (path / LOCK_NAME).open("a")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock_file.close()
            raise IndexLocked(
                f"索引 {path} は別の処理が更新中です。それが終わってからもう一度実行してください。"
            ) from error
        try:
            self._open(manifest)
        except BaseException:
            self._lock_file.close()
            raise

    def _open(self, manifest: Manifest) -> None:
        if not catalog_path(self.path).exists():
            create_catalog(self.path, manifest.as_meta())
        self._connection = open_catalog(self.path, writable=True)
        self._analyzer = manifest.analyzer
        for key, value in manifest.as_meta().items():
            stored = meta_value(self._connection, key)
            if stored != value and key != "analyzer":
                leave_wal(self._connection)
                self._connection.close()
                raise IndexMismatch(
                    f"索引 {self.path} は別の設定で作られています（{key}: 索引は {stored}、今回は {value}）。"
                    "レシピの name を変えるか、古い索引の catalog.sqlite と segments を消してから作り直してください。"
                )
        named = {name for (name,) in self._connection.execute("SELECT name FROM segment")}
        self.swept = sweep_segments(self.path, named)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock. What was not committed is not there."""
        leave_wal(self._connection)
        self._connection.close()
        self._lock_file.close()

    @property
    def generation(self) -> int:
        """The newest committed generation."""
        return current_generation(self._connection)

    def set_meta(self, key: str, value: str) -> None:
        """Remember something with the index (the recipe, where its sources are)."""
        with transaction(self._connection):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def known_documents(self) -> dict[str, tuple[str, frozenset[str]]]:
        """doc_id → (content hash, principals) of every current document."""
        return {
            doc_id: (content_hash, frozenset(json.loads(principals)))
            for doc_id, content_hash, principals in self._connection.execute(
                "SELECT doc_id, content_hash, (SELECT json_group_array(principal) FROM access "
                "WHERE access.doc_no = document.doc_no AND access.died IS NULL) FROM document WHERE died IS NULL"
            )
        }

    def counts(self) -> tuple[int, int]:
        """Current documents and chunks."""
        row = self._connection.execute(
            "SELECT (SELECT count(*) FROM document WHERE died IS NULL), "
            "(SELECT count(*) FROM chunk JOIN document USING (doc_no) WHERE died IS NULL)"
        ).fetchone()
        return int(row[0]), int(row[1])

    def embedded(self, text_hashes: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Of these texts, those already embedded in some segment: hash → (segment number, row)."""
        found: dict[str, tuple[int, int]] = {}
        for text_hash in text_hashes:
            row = self._connection.execute(
                "SELECT segment_no, row FROM chunk WHERE text_hash = ? ORDER BY chunk_no DESC LIMIT 1",
                (text_hash,),
            ).fetchone()
            if row:
                found[text_hash] = (row[0], row[1])
        return found

    def segment_arrays(self, segment_no: int) -> dict[str, NDArray[Any]]:
        """Map the arrays of one committed segment."""
        (name,) = self._connection.execute(
            "SELECT name FROM segment WHERE segment_no = ?", (segment_no,)
        ).fetchone()
        files = dict(
            self._connection.execute(
                "SELECT name, n_bytes FROM segment_file WHERE segment_no = ?", (segment_no,)
            )
        )
        return open_segment(self.path, name, files)

    def commit(self, batch: Batch) -> int:
        """Make one batch durable and visible; returns the new generation. All of it happens, or none."""
        generation = self.generation + 1
        n_rows = len(batch.text_hashes)
        segment_name = f"{generation:08d}"
        records: tuple[FileRecord, ...] = ()
        if n_rows:
            records = write_segment(self.path, segment_name, _segment_arrays(batch))
        with transaction(self._connection):
            segment_no = None
            if n_rows:
                n_tokens = len(batch.tokens.codes) if batch.tokens else 0
                segment_no = self._insert_segment(segment_name, n_rows, n_tokens, records)
            for doc_id in [*batch.removed, *(new.document.doc_id for new in batch.documents)]:
                self._connection.execute(
                    "UPDATE document SET died = ? WHERE doc_id = ? AND died IS NULL",
                    (generation, doc_id),
                )
            self._insert_documents(batch, segment_no, generation)
            self._change_access(batch.access_changes, generation)
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),)
            )
        return generation

    def _insert_segment(
        self, name: str, n_rows: int, n_tokens: int, records: Iterable[FileRecord]
    ) -> int:
        cursor = self._connection.execute(
            "INSERT INTO segment (name, n_rows, n_tokens) VALUES (?, ?, ?)",
            (name, n_rows, n_tokens),
        )
        segment_no = int(cursor.lastrowid or 0)
        self._connection.executemany(
            "INSERT INTO segment_file VALUES (?, ?, ?, ?)",
            [(segment_no, record.name, record.n_bytes, record.sha256) for record in records],
        )
        return segment_no

    def _insert_documents(self, batch: Batch, segment_no: int | None, generation: int) -> None:
        row = 0
        for new in batch.documents:
            document = new.document
            cursor = self._connection.execute(
                "INSERT INTO document (doc_id, title, format, content_hash, metadata, born) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    document.doc_id,
                    document.title,
                    document.format,
                    new.content_hash,
                    json.dumps(dict(document.metadata), ensure_ascii=False),
                    generation,
                ),
            )
            doc_no = cursor.lastrowid
            self._connection.executemany(
                "INSERT INTO page VALUES (?, ?, ?)",
                [(doc_no, page.number, page.text) for page in document.pages],
            )
            self._connection.executemany(
                "INSERT INTO access VALUES (?, ?, ?, NULL)",
                [(doc_no, principal, generation) for principal in sorted(set(new.access))],
            )
            for chunk in new.chunks:
                self._connection.execute(
                    "INSERT INTO chunk (doc_no, page, start, end, heading_path, text_hash, segment_no, row) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        doc_no,
                        chunk.page,
                        chunk.start,
                        chunk.end,
                        json.dumps(chunk.heading_path, ensure_ascii=False),
                        batch.text_hashes[row],
                        segment_no,
                        row,
                    ),
                )
                row += 1

    def _change_access(self, changes: Mapping[str, tuple[str, ...]], generation: int) -> None:
        for doc_id, principals in changes.items():
            (doc_no,) = self._connection.execute(
                "SELECT doc_no FROM document WHERE doc_id = ? AND died IS NULL", (doc_id,)
            ).fetchone()
            self._connection.execute(
                "UPDATE access SET died = ? WHERE doc_no = ? AND died IS NULL", (generation, doc_no)
            )
            self._connection.executemany(
                "INSERT INTO access VALUES (?, ?, ?, NULL)",
                [(doc_no, principal, generation) for principal in sorted(set(principals))],
            )

    def needs_merge(self) -> bool:
        """Whether the index has become many small segments, or holds many dead rows."""
        (n_segments, n_rows) = self._connection.execute(
            "SELECT count(*), total(n_rows) FROM segment"
        ).fetchone()
        return bool(
            n_segments > MAX_SEGMENTS
            or (n_rows and n_rows - self.counts()[1] > MAX_DEAD_SHARE * n_rows)
        )

    def is_analysis_stale(self) -> bool:
        """Whether the terms were made with another dictionary or folding: :meth:`merge` must be given new ones first."""
        return meta_value(self._connection, "analyzer") != self._analyzer

    def current_chunks(self) -> Iterator[Chunk]:
        """Read the current chunks, in the order in which :meth:`merge` writes their rows."""
        for row in self._connection.execute(
            f"SELECT {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE died IS NULL ORDER BY segment_no, row"
        ):
            yield chunk_of_row(row)

    def merge(self, terms: Terms | None = None) -> int:
        """Write all current rows as one segment and forget what has died. Returns the new generation.

        Parameters
        ----------
        terms
            Field → the terms of each of :meth:`current_chunks`, made with the analyzer of the manifest. None keeps the
            terms there are; rankings then stay the same.
        """
        generation = self.generation + 1
        segments = self._connection.execute(
            "SELECT segment_no, name FROM segment ORDER BY segment_no"
        ).fetchall()
        kept: dict[int, list[tuple[int, int]]] = {number: [] for number, _ in segments}
        for number, row, chunk_no in self._connection.execute(
            "SELECT segment_no, row, chunk_no FROM chunk JOIN document USING (doc_no) WHERE died IS NULL "
            "ORDER BY segment_no, row"
        ):
            kept[number].append((row, chunk_no))
        parts = [
            (self.segment_arrays(number), np.array([row for row, _ in rows], dtype=np.int64))
            for number, rows in kept.items()
            if rows
        ]
        chunk_numbers = [chunk_no for rows in kept.values() for _, chunk_no in rows]
        records: tuple[FileRecord, ...] = ()
        name = f"{generation:08d}"
        if parts:
            known = json.loads(meta_value(self._connection, "fields"))
            fields = known if terms is None else list(terms)
            records = write_segment(self.path, name, merged_arrays(parts, fields, terms))
        with transaction(self._connection):
            self._connection.execute("DELETE FROM document WHERE died IS NOT NULL")
            self._connection.execute("DELETE FROM access WHERE died IS NOT NULL")
            if parts:
                segment_no = self._insert_segment(
                    name, len(chunk_numbers), count_tokens(parts), records
                )
                self._connection.executemany(
                    "UPDATE chunk SET segment_no = ?, row = ? WHERE chunk_no = ?",
                    [(segment_no, row, chunk_no) for row, chunk_no in enumerate(chunk_numbers)],
                )
            self._connection.executemany(
                "DELETE FROM segment WHERE segment_no = ?", [(n,) for n, _ in segments]
            )
            if terms is not None:
                self._connection.executemany(
                    "UPDATE meta SET value = ? WHERE key = ?",
                    [(self._analyzer, "analyzer"), (json.dumps(list(terms)), "fields")],
                )
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),)
            )
        sweep_segments(self.path, {name})
        return generation


def _segment_arrays(batch: Batch) -> Arrays:
    arrays: dict[str, NDArray[Any]] = {"vectors": batch.vectors.astype(np.float16)}
    for name, rows_terms in batch.terms.items():
        arrays.update(build_postings(rows_terms).arrays(name))
    if batch.tokens is not None:
        arrays["tokens"] = batch.tokens.codes
        arrays["token_scales"] = batch.tokens.scales
        arrays["token_offsets"] = batch.tokens.offsets
    return arrays
