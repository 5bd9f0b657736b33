"""Reading an index: a snapshot is one generation, pinned; nothing that is committed later changes it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragjp.errors import AccessDenied, IndexCorrupt, IndexUnreadable
from ragjp.index.dense.derived import open_derived
from ragjp.index.dense.search import DenseIndex
from ragjp.index.lexical.postings import Postings, postings_from_arrays
from ragjp.index.lexical.search import LexicalIndex
from ragjp.index.lexical.terms import LexicalView
from ragjp.index.storage.catalog import (
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    SEGMENTS_NAME,
    catalog_path,
    chunk_of_row,
    current_generation,
    open_catalog,
    transaction,
    unusable,
)
from ragjp.index.storage.disk import storage_failed
from ragjp.index.storage.seal import change_counter
from ragjp.index.storage.segments import open_segment, read_segments
from ragjp.index.storage.verify import CHECKED_BY_ROW, verify_catalog, verify_files
from ragjp.index.tokens.files import TokenPart
from ragjp.index.tokens.store import TokenStore
from ragjp.index.view import ALIVE, allowed_rows
from ragjp.types import BoolArray, Chunk, FloatArray, IntArray, View

_CACHED_VIEWS = 64
#: Rows asked of the catalog in one statement.
_SQL_SLICE = 500
#: How long opening runs after a writer that commits faster than an index is opened.
_PATIENCE_S = 60.0


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
    statistics: LexicalView


class Snapshot:
    """One pinned generation of an index, verified as it is opened. Safe to read from many threads.

    Rows are numbered over all segments in order; ``row_documents`` (N,) and ``row_chunks`` (N,) give the catalog's numbers.

    Parameters
    ----------
    path
        Folder of the index.
    thorough
        Whether the rows of a catalog that no seal covers are verified too, behind the first answers.
    """

    def __init__(self, path: Path, *, thorough: bool = True) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._views: dict[View, Allowed] = {}
        # Taken before opening: a catalog put in its place, or written to, meanwhile shows at the next look.
        self._identity = _identity(path)
        self._counter = _counter(path)
        self._connection = open_catalog(path)
        try:
            self._load(thorough)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise unusable(path, error) from error
        except PermissionError as error:
            self._connection.close()
            raise IndexUnreadable(
                f"索引のファイル {error.filename} を読む権限がありません。フォルダーの権限を確かめてください。"
            ) from error
        except OSError as error:
            self._connection.close()
            raise storage_failed(path, error) from error
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            # Every checksum fits, and yet the parts contradict each other.
            self._connection.close()
            raise IndexCorrupt(
                f"索引 {path} の中身が食い違っています（{type(error).__name__}）。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。"
            ) from error
        except BaseException:
            self._connection.close()
            raise

    def _load(self, thorough: bool) -> None:
        ends = time.monotonic() + _PATIENCE_S
        attempt = 0
        while True:
            generation = current_generation(self._connection)
            try:
                self._load_once(thorough)
            except FileNotFoundError as error:
                # A writer may have merged segments between our reading the catalog and opening the files: look again, for as
                # long as its commits come faster than we open.
                attempt += 1
                moved = current_generation(self._connection) != generation
                if (not moved and attempt > 2) or time.monotonic() > ends:
                    raise IndexCorrupt(
                        f"索引のファイル {error.filename} がありません。ragjp check --repair で直すか、控えから戻すか、ragjp index で作り直してください。",
                        code="segment_missing",
                    ) from error
            else:
                return

    def _load_once(self, thorough: bool) -> None:
        catalog = verify_catalog(self.path, thorough=thorough)
        connection = self._connection
        with transaction(connection, "DEFERRED"):
            self.generation = current_generation(connection)
            self.meta = dict(connection.execute("SELECT key, value FROM meta"))
            segments = read_segments(connection)
            documents = np.fromiter(
                (
                    doc_no
                    for (doc_no,) in connection.execute(
                        f"SELECT doc_no FROM document WHERE {ALIVE}", {"g": self.generation}
                    )
                ),
                dtype=np.int64,
            )
        self._verification = verify_files(self.path, segments, behind=catalog)
        self._segments = segments
        self._arrays = [
            open_segment(
                self.path,
                segment.name,
                {k: v for k, v in segment.sizes.items() if k not in CHECKED_BY_ROW},
            )
            for segment in segments
        ]
        #: The late-interaction store over all rows; None when the index was built without.
        self.tokens = self._open_tokens()
        parts = [arrays["vectors"] for arrays in self._arrays]
        derived = open_derived(self.path, segments, parts)
        #: Nearest neighbours by inner product.
        self.dense = DenseIndex(parts, derived.codes, derived.note)
        #: BM25 over every term field.
        self.lexical = LexicalIndex(
            {name: self.postings(name) for name in json.loads(self.meta["fields"])},
            sum(segment.n_rows for segment in segments),
        )
        self.row_chunks = self._joined("row_chunks")
        self.row_documents = self._joined("row_documents")
        known = np.zeros(
            max(int(documents.max(initial=0)), int(self.row_documents.max(initial=0))) + 1, np.bool_
        )
        known[documents] = True
        self._alive: BoolArray = known[self.row_documents]

    def _open_tokens(self) -> TokenStore | None:
        """Open the token files at once: a merge may sweep them tomorrow, and what is open stays."""
        if not int(self.meta["token_dim"]) or not self._arrays:
            return None
        return TokenStore(
            [
                TokenPart.open(
                    self.path / SEGMENTS_NAME / segment.name,
                    offsets=arrays["token_offsets"],
                    checks=arrays["token_checks"],
                )
                for segment, arrays in zip(self._segments, self._arrays, strict=True)
            ]
        )

    def _joined(self, name: str) -> IntArray:
        """One number for each row of all segments."""
        parts = [arrays[name] for arrays in self._arrays]
        return np.concatenate([np.empty(0, np.int64), *parts])

    @property
    def n_rows(self) -> int:
        """Rows of all segments, those of removed documents included."""
        return len(self.row_chunks)

    def is_current(self) -> bool:
        """Whether no newer generation has been committed, and the catalog at this path is still the one that was opened."""
        if _identity(self.path) != self._identity:
            return False
        counter = _counter(self.path)
        if counter is not None and counter == self._counter:
            return True
        with self._reading() as connection:
            is_current = current_generation(connection) == self.generation
        if is_current:
            self._counter = counter
        return is_current

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One thread at a time at the catalog; what goes wrong there is one sentence."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.DatabaseError as error:
                raise unusable(self.path, error) from error

    def _require_remembered(self, connection: sqlite3.Connection) -> None:
        """Refuse to read documents and access of a generation that a merge has forgotten: what had died since would be missing.

        Raises
        ------
        IndexCorrupt
            With the code ``generation_gone``; a newer snapshot has the documents.
        """
        names = [segment.name for segment in self._segments]
        marks = ",".join("?" * len(names))
        (n_left,) = connection.execute(
            f"SELECT count(*) FROM segment WHERE name IN ({marks})", names
        ).fetchone()
        if n_left < len(names):
            raise IndexCorrupt(
                f"索引 {self.path} の世代 {self.generation} は、もう残っていません。開き直してください。",
                code="generation_gone",
            )

    def require_sound(self) -> None:
        """Raise what the verification behind the first answers has found wrong so far.

        Raises
        ------
        IndexCorrupt
            When a file is not what was written.
        """
        self._verification.require_sound()

    def postings(self, field: str) -> list[Postings]:
        """One field's postings, segment after segment."""
        return [postings_from_arrays(arrays, field) for arrays in self._arrays]

    def vectors(self, rows: IntArray) -> FloatArray:
        """Gather the vectors of some rows, (n, D) float32."""
        out = np.empty((len(rows), int(self.meta["dim"])), np.float32)
        bases = np.cumsum([0, *(segment.n_rows for segment in self._segments)])
        owners = np.searchsorted(bases, rows, side="right") - 1
        for owner in np.unique(owners):
            mine = owners == owner
            out[mine] = self._arrays[owner]["vectors"][rows[mine] - bases[owner]]
        return out

    def allowed(self, view: View) -> Allowed:
        """Resolve a view; the last few are kept."""
        known = self._views.get(view)
        if known is not None:
            return known
        with self._reading() as connection, transaction(connection, "DEFERRED"):
            rows = allowed_rows(connection, view, self.generation, self.row_documents, self._alive)
            self._require_remembered(connection)
        resolved = Allowed(rows, int(np.count_nonzero(rows)), self.lexical.view(rows))
        with self._lock:
            if len(self._views) >= _CACHED_VIEWS:
                self._views.pop(next(iter(self._views)))
            self._views[view] = resolved
        return resolved

    def chunks(self, rows: Sequence[int]) -> list[Chunk]:
        """Load the chunks of some rows, in the order given. The caller has applied the view to the rows."""
        columns = f"SELECT chunk_no, {CHUNK_COLUMNS} FROM {CHUNK_TABLES}"
        return [chunk_of_row(row[1:]) for row in self._looked_up(columns, rows)]

    def _looked_up(self, columns: str, rows: Sequence[int]) -> list[tuple[Any, ...]]:
        """What the catalog says of the chunks of some rows, in the order given; ``columns`` begin with ``chunk_no``."""
        numbers = [int(self.row_chunks[row]) for row in rows]
        found: dict[int, tuple[Any, ...]] = {}
        with self._reading() as connection:
            for start in range(0, len(numbers), _SQL_SLICE):
                part = numbers[start : start + _SQL_SLICE]
                marks = ",".join("?" * len(part))
                for row in connection.execute(f"{columns} WHERE chunk_no IN ({marks})", part):
                    found[row[0]] = row
        try:
            return [found[number] for number in numbers]
        except KeyError as error:
            raise self._chunk_missing(error) from error

    def _chunk_missing(self, error: KeyError) -> IndexCorrupt:
        return IndexCorrupt(
            f"索引 {self.path} の目録に断片 {error} がありません。ragjp check で調べてください。",
            code="chunk_missing",
        )

    def chunk_ids(self, rows: Sequence[int]) -> list[str]:
        """The public names of the chunks of some rows, in the order given: what ties are ordered by."""
        columns = (
            "SELECT chunk_no, doc_id, page, start, end FROM chunk JOIN document USING (doc_no)"
        )
        return [
            Chunk(doc_id, page, first, last, "").chunk_id
            for _, doc_id, page, first, last in self._looked_up(columns, rows)
        ]

    def places(self, rows: IntArray) -> IntArray:
        """Where the chunks of some rows stand: document number, page, first character, (R, 3) int64."""
        found = self._looked_up("SELECT chunk_no, doc_no, page, start FROM chunk", rows.tolist())
        return np.array([row[1:] for row in found], np.int64).reshape(-1, 3)

    def document_names(self) -> dict[int, tuple[str, str]]:
        """The id and the title of each document by its number. The caller applies the view."""
        with self._reading() as connection:
            found = connection.execute("SELECT doc_no, doc_id, title FROM document")
            return {doc_no: (doc_id, title) for doc_no, doc_id, title in found}

    def page_text(self, doc_id: str, page: int, view: View) -> str:
        """The text of one page, for those who may see it.

        Raises
        ------
        AccessDenied
            When the view does not allow the document, or there is no such page: the two are not told apart.
        """
        with self._reading() as connection, transaction(connection, "DEFERRED"):
            found = connection.execute(
                f"SELECT doc_no, text FROM document JOIN page USING (doc_no) WHERE doc_id = :d AND number = :n AND {ALIVE}",
                {"d": doc_id, "n": page, "g": self.generation},
            ).fetchone()
            if found and (view.unrestricted or self._may_read(found[0], view)):
                return str(found[1])
            self._require_remembered(connection)
        raise AccessDenied(
            "その文書はないか、見る権限がありません。文書名を確かめ、必要なら管理者に相談してください。"
        )

    def documents(self, view: View) -> tuple[DocumentInfo, ...]:
        """The documents that a view may read, by id."""
        with self._reading() as connection, transaction(connection, "DEFERRED"):
            self._require_remembered(connection)
            rows = connection.execute(
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
        """Let go of the files; mapped arrays go when nobody holds them."""
        self._verification.stop()
        if self.tokens is not None:
            self.tokens.close()
        self._connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file the catalog is: an index that was deleted and built anew counts its generations from 0 again."""
    try:
        found = catalog_path(path).stat()
    except OSError:  # open_catalog says what is wrong
        return None
    return found.st_dev, found.st_ino


def _counter(path: Path) -> int | None:
    """How often the catalog has been written to; None while that cannot be told."""
    try:
        return change_counter(path)
    except (OSError, ValueError):
        return None
