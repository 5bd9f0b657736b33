"""Reading an index: a snapshot is one generation, pinned; nothing that is committed later changes it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import AccessDenied, IndexCorrupt
from ragjp.index.catalog import (
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    catalog_path,
    chunk_of_row,
    current_generation,
    open_catalog,
    transaction,
    unusable,
)
from ragjp.index.dense_cpu import DenseSearch, make_dense_search
from ragjp.index.lexical_cpu import FieldStatistics, field_statistics
from ragjp.index.postings import Postings, postings_from_arrays
from ragjp.index.segments import open_segment
from ragjp.index.tokens import PackedTokens, TokenStore
from ragjp.index.view import ALIVE, allowed_rows
from ragjp.types import BoolArray, Chunk, IntArray, View

_CACHED_VIEWS = 64


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A line of the list of documents."""

    doc_id: str
    title: str
    format: str
    n_pages: int
    n_chunks: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """A view resolved for one snapshot: the rows it may see, and the field statistics over just those."""

    rows: BoolArray
    n_rows: int
    fields: dict[str, FieldStatistics]


class Snapshot:
    """One pinned generation of an index. Safe to read from many threads.

    Rows are numbered over all segments in order; ``row_documents`` (N,) and ``row_chunks`` (N,) give the catalog's numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._views: dict[View, Allowed] = {}
        # Taken before opening: a catalog put in its place meanwhile shows at the next look.
        self._identity = _identity(path)
        self._connection = open_catalog(path)
        try:
            self._load()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise unusable(path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def _load(self) -> None:
        for attempt in range(3):
            try:
                self._load_once()
            except FileNotFoundError as error:
                # The writer may have merged segments between our reading the catalog and opening the files: look again.
                if attempt == 2:
                    raise IndexCorrupt(
                        f"索引のファイル {error.filename} がありません。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
                        code="segment_missing",
                    ) from error
            else:
                return

    def _load_once(self) -> None:
        connection = self._connection
        with transaction(connection, "DEFERRED"):
            self.generation = current_generation(connection)
            self.meta = dict(connection.execute("SELECT key, value FROM meta"))
            segments = connection.execute(
                "SELECT segment_no, name, n_rows FROM segment ORDER BY segment_no"
            ).fetchall()
            files: dict[int, dict[str, int]] = {number: {} for number, _, _ in segments}
            for number, name, n_bytes in connection.execute(
                "SELECT segment_no, name, n_bytes FROM segment_file"
            ):
                files[number][name] = n_bytes
            chunks = connection.execute(
                "SELECT segment_no, row, chunk_no, doc_no FROM chunk JOIN document USING (doc_no) "
                f"WHERE {ALIVE}",
                {"g": self.generation},
            ).fetchall()
        self._arrays = [
            open_segment(self.path, name, files[number]) for number, name, _ in segments
        ]
        bases = dict(
            zip((s[0] for s in segments), np.cumsum([0, *(s[2] for s in segments)]), strict=False)
        )
        n_rows = sum(s[2] for s in segments)
        self.row_chunks: IntArray = np.full(n_rows, -1, dtype=np.int64)
        self.row_documents: IntArray = np.full(n_rows, -1, dtype=np.int64)
        if chunks:
            table = np.array(chunks, dtype=np.int64)
            place = (
                np.array([bases[number] for number in table[:, 0]], dtype=np.int64) + table[:, 1]
            )
            self.row_chunks[place] = table[:, 2]
            self.row_documents[place] = table[:, 3]
        self._alive: BoolArray = self.row_chunks >= 0

    @property
    def n_rows(self) -> int:
        """Rows of all segments, those of removed documents included."""
        return len(self.row_chunks)

    def is_current(self) -> bool:
        """Whether no newer generation has been committed, and the catalog at this path is still the one that was opened."""
        if _identity(self.path) != self._identity:
            return False
        with self._lock:
            return current_generation(self._connection) == self.generation

    def fields(self) -> dict[str, list[Postings]]:
        """Postings by field, segment after segment."""
        return self._fields

    @cached_property
    def _fields(self) -> dict[str, list[Postings]]:
        names = json.loads(self.meta["fields"])
        return {
            name: [postings_from_arrays(arrays, name) for arrays in self._arrays] for name in names
        }

    @cached_property
    def vectors(self) -> NDArray[np.float16]:
        """(N, D) float16, one row per chunk."""
        if len(self._arrays) == 1:
            return self._arrays[0]["vectors"]
        width = int(self.meta["dim"])
        parts = [arrays["vectors"] for arrays in self._arrays]
        return np.concatenate(parts) if parts else np.empty((0, width), np.float16)

    @cached_property
    def tokens(self) -> TokenStore | None:
        """The late-interaction store over all rows; None when the index was built without."""
        if not int(self.meta["token_dim"]) or not self._arrays:
            return None
        return TokenStore(
            [
                PackedTokens(arrays["tokens"], arrays["token_scales"], arrays["token_offsets"])
                for arrays in self._arrays
            ]
        )

    @cached_property
    def _dense(self) -> tuple[DenseSearch, str]:
        return make_dense_search(self.vectors)

    @property
    def dense(self) -> DenseSearch:
        """Exact nearest neighbours over ``vectors``."""
        with self._lock:
            return self._dense[0]

    def allowed(self, view: View) -> Allowed:
        """Resolve a view; the last few are kept."""
        with self._lock:
            known = self._views.get(view)
            if known is not None:
                return known
            rows = allowed_rows(
                self._connection, view, self.generation, self.row_documents, self._alive
            )
            statistics = {
                name: field_statistics(parts, rows) for name, parts in self._fields.items() if parts
            }
            resolved = Allowed(rows, int(np.count_nonzero(rows)), statistics)
            if len(self._views) >= _CACHED_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._views[view] = resolved
            return resolved

    def chunks(self, rows: Sequence[int]) -> list[Chunk]:
        """Load the chunks of some rows, in the order given. The caller has applied the view to the rows."""
        numbers = [int(self.row_chunks[row]) for row in rows]
        marks = ",".join("?" * len(numbers))
        with self._lock:
            loaded = {
                row[0]: chunk_of_row(row[1:])
                for row in self._connection.execute(
                    f"SELECT chunk_no, {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE chunk_no IN ({marks})",
                    numbers,
                )
            }
        try:
            return [loaded[number] for number in numbers]
        except KeyError as error:
            raise IndexCorrupt(
                f"索引 {self.path} の目録に断片 {error} がありません。ragjp check で調べてください。",
                code="chunk_missing",
            ) from error

    def page_text(self, doc_id: str, page: int, view: View) -> str:
        """The text of one page, for those who may see it.

        Raises
        ------
        AccessDenied
            When the view does not allow the document, or there is no such page: the two are not told apart.
        """
        with self._lock:
            found = self._connection.execute(
                f"SELECT doc_no, text FROM document JOIN page USING (doc_no) WHERE doc_id = :d AND number = :n AND {ALIVE}",
                {"d": doc_id, "n": page, "g": self.generation},
            ).fetchone()
            if found and (view.unrestricted or self._may_read(found[0], view)):
                return str(found[1])
        raise AccessDenied(
            "その文書はないか、見る権限がありません。文書名を確かめ、必要なら管理者に相談してください。"
        )

    def documents(self, view: View) -> tuple[DocumentInfo, ...]:
        """The documents that a view may read, by id."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT doc_no, doc_id, title, format, (SELECT count(*) FROM page WHERE page.doc_no = document.doc_no), "
                f"(SELECT count(*) FROM chunk WHERE chunk.doc_no = document.doc_no) FROM document WHERE {ALIVE} ORDER BY doc_id",
                {"g": self.generation},
            ).fetchall()
            return tuple(
                DocumentInfo(*row[1:])
                for row in rows
                if view.unrestricted or self._may_read(row[0], view)
            )

    def _may_read(self, doc_no: int, view: View) -> bool:
        rows = self._connection.execute(
            f"SELECT principal FROM access WHERE doc_no = :d AND {ALIVE}",
            {"d": doc_no, "g": self.generation},
        )
        return any(principal in view.principals for (principal,) in rows)

    def close(self) -> None:
        """Let go of the catalog; mapped arrays go when nobody holds them."""
        self._connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the catalog is: an index that was deleted and built anew counts its generations from 0 again."""
    try:
        found = catalog_path(path).stat()
    except OSError:  # open_catalog says what is wrong
        return None
    return found.st_dev, found.st_ino
