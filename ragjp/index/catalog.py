"""The catalog: one SQLite file that says which generation of the index is the current one, and everything that is in it.

Rows are versioned: ``born`` is the generation that first shows a row, ``died`` the first that no longer does (NULL while alive).
A reader pinned to generation g sees the rows with ``born <= g < died``, whatever is committed meanwhile.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ragjp.errors import IndexCorrupt, IndexMismatch, IndexMissing, IndexUnreadable, RagjpError
from ragjp.types import Chunk

CATALOG_NAME = "catalog.sqlite"
SEGMENTS_NAME = "segments"
#: Raised when the tables or the files of a segment change their meaning.
FORMAT_VERSION = 1

_SCHEMA = """
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


def catalog_path(index: Path) -> Path:
    """Path of the catalog inside an index folder."""
    return index / CATALOG_NAME


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=30.0,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def leave_wal(connection: sqlite3.Connection) -> None:
    """Put the catalog into one file again, so that it can be read by those who may not write beside it.

    Readers of a catalog in WAL mode must be able to create its ``-shm`` file. Refused, without waiting, while somebody has the
    catalog open; then it stays as it is until the next writer leaves.
    """
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


#: What SQLite says when the file may be sound but cannot be used now.
_NOT_NOW = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "CANTOPEN", "READONLY", "PERM", "FULL")
)


def unusable(index: Path, error: sqlite3.DatabaseError) -> RagjpError:
    """Say what an error of SQLite means: the catalog cannot be read now, or it is damaged."""
    path = catalog_path(index)
    if getattr(error, "sqlite_errorname", "").startswith(_NOT_NOW):
        return IndexUnreadable(
            f"索引の目録 {path} を開けません（{error}）。フォルダーの権限、更新中の処理、ディスクの空きを確かめてください。"
        )
    return IndexCorrupt(
        f"索引の目録 {path} が壊れていて読めません（{error}）。控えから戻すか、ragjp index で作り直してください。",
        code="catalog_unreadable",
    )


def create_catalog(index: Path, meta: dict[str, str]) -> None:
    """Make an empty catalog of generation 0 that appears whole or not at all."""
    index.mkdir(parents=True, exist_ok=True)
    final = catalog_path(index)
    draft = final.with_suffix(".sqlite.new")
    draft.unlink(missing_ok=True)
    # A log left by a catalog that has been deleted would be played into the new one.
    for path in (draft, final):
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = _connect(draft, mode="rwc")
    try:
        connection.executescript(_SCHEMA)
        rows = {**meta, "format_version": str(FORMAT_VERSION), "generation": "0"}
        with transaction(connection):
            connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
    finally:
        connection.close()
    sync_file(draft)
    draft.rename(final)
    sync_folder(index)
    sync_folder(index.parent)


def open_catalog(index: Path, *, writable: bool = False) -> sqlite3.Connection:
    """Connect to the catalog of an index.

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
        connection = _connect(path, mode="rw")
        if writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.execute("PRAGMA query_only = ON")
        version = meta_value(connection, "format_version")
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        raise unusable(index, error) from error
    if version != str(FORMAT_VERSION):
        connection.close()
        raise IndexMismatch(
            f"索引 {index} の形式は版 {version} ですが、このプログラムは版 {FORMAT_VERSION} を読みます。"
            "ragjp index で作り直してください。",
            code="format_mismatch",
        )
    return connection


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
    """All or nothing: commit when the block ends, roll back when it raises."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def meta_value(connection: sqlite3.Connection, key: str) -> str:
    """Read one value of the manifest; empty when it is not there."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(found[0]) if found else ""


def current_generation(connection: sqlite3.Connection) -> int:
    """The number of the newest committed generation."""
    return int(meta_value(connection, "generation"))


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk, so that a rename in it survives a power cut."""
    sync_file(path)
