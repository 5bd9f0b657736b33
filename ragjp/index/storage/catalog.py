"""The catalog: one SQLite file that says which generation of the index is the current one, and everything that is in it.

Rows are versioned: ``born`` is the generation that first shows a row, ``died`` the first that no longer does (NULL while alive).
A reader pinned to generation g sees the rows with ``born <= g < died``, whatever is committed meanwhile.

The journal is a rollback journal, never a write-ahead log: between two commits the catalog is one file, which those who may not
write beside it can read, and which can be sealed (:mod:`ragjp.index.storage.seal`). A reader holds a lock for one statement at a time; a
writer waits for those, and they for its commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ragjp.errors import (
    IndexCorrupt,
    IndexLocked,
    IndexMismatch,
    IndexMissing,
    IndexUnreadable,
    RagjpError,
)
from ragjp.index.storage.disk import reason_of, storage_failed
from ragjp.types import Chunk

CATALOG_NAME = "catalog.sqlite"
SEGMENTS_NAME = "segments"
#: What a restore leaves while it is at work: the catalog that it replaces, and a folder for the one that it brings.
OLD_NAME = f"{CATALOG_NAME}.old"
RESTORING_NAME = f"{CATALOG_NAME}.restoring"
#: Raised when the tables or the files of a segment change their meaning; see :mod:`ragjp.index.storage.migrations`.
FORMAT_VERSION = 2
#: How long a statement waits for another process, in seconds: readers wait for a commit, a commit for readers.
BUSY_S = 60.0

#: What version 2 added: see :mod:`ragjp.index.storage.digests`.
DIGEST_SCHEMA = """
CREATE TABLE document_digest (
    doc_no INTEGER PRIMARY KEY REFERENCES document ON DELETE CASCADE,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TABLE digest (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
SCHEMA = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE segment (
    segment_no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    n_rows INTEGER NOT NULL CHECK (n_rows > 0),
    n_tokens INTEGER NOT NULL CHECK (n_tokens >= 0)
) STRICT;
CREATE TABLE segment_file (
    segment_no INTEGER NOT NULL REFERENCES segment ON DELETE CASCADE,
    name TEXT NOT NULL,
    n_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (segment_no, name)
) STRICT;
CREATE TABLE document (
    doc_no INTEGER PRIMARY KEY AUTOINCREMENT,
    doc_id TEXT NOT NULL,
    title TEXT NOT NULL,
    format TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    metadata TEXT NOT NULL,
    born INTEGER NOT NULL,
    died INTEGER
) STRICT;
CREATE UNIQUE INDEX document_alive ON document (doc_id) WHERE died IS NULL;
CREATE INDEX document_by_id ON document (doc_id);
CREATE TABLE access (
    doc_no INTEGER NOT NULL REFERENCES document ON DELETE CASCADE,
    principal TEXT NOT NULL,
    born INTEGER NOT NULL,
    died INTEGER,
    PRIMARY KEY (doc_no, principal, born)
) STRICT;
CREATE INDEX access_by_principal ON access (principal);
CREATE TABLE page (
    doc_no INTEGER NOT NULL REFERENCES document ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    text TEXT NOT NULL,
    PRIMARY KEY (doc_no, number)
) STRICT;
CREATE TABLE chunk (
    chunk_no INTEGER PRIMARY KEY AUTOINCREMENT,
    doc_no INTEGER NOT NULL REFERENCES document ON DELETE CASCADE,
    page INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL CHECK (end > start),
    heading_path TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    segment_no INTEGER NOT NULL REFERENCES segment,
    row INTEGER NOT NULL CHECK (row >= 0),
    UNIQUE (segment_no, row)
) STRICT;
CREATE INDEX chunk_by_document ON chunk (doc_no);
CREATE INDEX chunk_by_text ON chunk (text_hash);
"""
    + DIGEST_SCHEMA
)


def catalog_path(index: Path) -> Path:
    """Path of the catalog inside an index folder."""
    return index / CATALOG_NAME


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Open a SQLite file; ``mode`` is SQLite's: ro, rw, rwc."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _keep_in_one_file(connection: sqlite3.Connection, index: Path) -> None:
    """Leave the write-ahead log that version 1 used while it was written to; impossible while a reader of that time is open."""
    connection.execute("PRAGMA busy_timeout = 2000")
    mode = ""
    with suppress(sqlite3.OperationalError):
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise IndexLocked(
            f"索引 {index} を古い版の ragjp が読んでいます。それを閉じてから、もう一度実行してください。"
        )
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


#: What SQLite says when the file may be sound but cannot be used now.
_NOT_NOW = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "CANTOPEN", "READONLY", "PERM", "FULL")
)
#: Errors of reading that are damage, not a failing disk.
_TRUNCATED = ("SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS", "SQLITE_IOERR_DATA")


def unusable(index: Path, error: sqlite3.DatabaseError | UnicodeDecodeError) -> RagjpError:
    """Say what an error of SQLite means: the catalog cannot be read now, or it is damaged (its message may be no text then)."""
    path = catalog_path(index)
    name = getattr(error, "sqlite_errorname", "") or ""
    if isinstance(error, sqlite3.Error) and (
        (name.startswith("SQLITE_CANTOPEN") and reason_of(error) == "too_many_files")
        or (name.startswith("SQLITE_IOERR") and name not in _TRUNCATED)
    ):
        return storage_failed(path, error)
    if name.startswith(_NOT_NOW):
        return IndexUnreadable(
            f"索引の目録 {path} を開けません（{error}）。フォルダーの権限、更新中の処理、ディスクの空きを確かめてください。"
        )
    return IndexCorrupt(
        f"索引の目録 {path} が壊れていて読めません（{error}）。控えから戻すか、ragjp index で作り直してください。",
        code="catalog_unreadable",
    )


def open_catalog(
    index: Path, *, writable: bool = False, any_version: bool = False
) -> sqlite3.Connection:
    """Connect to the catalog of an index.

    Parameters
    ----------
    any_version
        Open an older format too: for the migrations alone.

    Raises
    ------
    IndexMissing
        When there is no catalog at this path.
    IndexCorrupt, IndexUnreadable
        When the file is not a database, or cannot be opened now.
    IndexMismatch
        When it is of another format version.
    """
    path = catalog_path(index)
    try:
        exists = path.is_file()
    except PermissionError as error:
        raise IndexUnreadable(
            f"索引 {index} を見る権限がありません。フォルダーの権限を確かめてください。"
        ) from error
    if not exists:
        raise IndexMissing(
            f"{index} に索引がありません。フォルダー名を確かめるか、ragjp index レシピ.toml で作ってください。"
        )
    connection = None
    try:
        connection = connect(path, mode="rw") if writable or any_version else _reader(path)
        if writable:
            _keep_in_one_file(connection, index)
            # EXTRA: a commit that has returned survives a power cut that comes at once after it.
            connection.execute("PRAGMA synchronous = EXTRA")
            # Nothing of a transaction is written into the catalog before its commit: readers wait for that alone.
            connection.execute("PRAGMA cache_spill = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
            # What has been deleted is not left in the file for others to find.
            connection.execute("PRAGMA secure_delete = ON")
        else:
            connection.execute("PRAGMA query_only = ON")
        version = meta_value(connection, "format_version")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if connection is not None:
            connection.close()
        raise unusable(index, error) from error
    except IndexLocked:
        if connection is not None:
            connection.close()
        raise
    if version != str(FORMAT_VERSION) and not any_version:
        connection.close()
        raise wrong_version(index, version)
    return connection


def _reader(path: Path) -> sqlite3.Connection:
    """Open a catalog so that nothing is ever written through this connection, not even to undo what a killed writer began.

    A connection that outlives its file (the index was replaced) would else take the journal of the new catalog for its own, and
    remove it. What a killed writer began is undone by a connection that is opened and closed for just that.
    """
    connection = connect(path, mode="ro")
    try:
        meta_value(connection, "format_version")
    except sqlite3.OperationalError as error:
        connection.close()
        if not (error.sqlite_errorname or "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise
        undoing = connect(path, mode="rw")
        try:
            meta_value(undoing, "format_version")
        finally:
            undoing.close()
        return connect(path, mode="ro")
    except BaseException:
        connection.close()
        raise
    return connection


def wrong_version(index: Path, version: str) -> IndexMismatch:
    """Say that an index has another format than this program reads, and what to do."""
    older = version.isdecimal() and int(version) < FORMAT_VERSION
    what = (
        f"ragjp migrate {index} か ragjp index で新しい形式に移してください（埋め込みは作り直しません）。"
        if older
        else "新しい版の ragjp で開くか、ragjp index で作り直してください。"
    )
    return IndexMismatch(
        f"索引 {index} の形式は版 {version} ですが、このプログラムは版 {FORMAT_VERSION} を読みます。{what}",
        code="format_mismatch",
    )


#: What :func:`chunk_of_row` reads, from :data:`CHUNK_TABLES`.
CHUNK_COLUMNS = (
    "doc_id, chunk.page, start, end, substr(text, start + 1, end - start), title, heading_path"
)
CHUNK_TABLES = (
    "chunk JOIN document USING (doc_no) "
    "JOIN page ON page.doc_no = chunk.doc_no AND page.number = chunk.page"
)


def chunk_of_row(row: Sequence[Any]) -> Chunk:
    """Make a chunk of the :data:`CHUNK_COLUMNS`."""
    doc_id, page, start, end, text, title, heading_path = row
    return Chunk(doc_id, page, start, end, text, title, tuple(json.loads(heading_path)))


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing: commit when the block ends, roll back when it or the commit raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.commit()
    except BaseException:
        # Where even that fails, the journal stays behind and the next who opens the catalog rolls it back.
        with suppress(sqlite3.Error):
            connection.rollback()
        raise


def meta_value(connection: sqlite3.Connection, key: str) -> str:
    """Read one value of the manifest; empty when it is not there."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else ""


def current_generation(connection: sqlite3.Connection) -> int:
    """The number of the newest committed generation."""
    return int(meta_value(connection, "generation"))
