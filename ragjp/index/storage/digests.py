"""Digests of the catalog's rows, kept in the catalog itself: any bit that could change an answer shows when they are made again.

Two kinds. What never changes is digested document by document (table ``document_digest``): SHA-256 over the document's row, its
pages and its chunks, so that damage can be laid to one document. What does change has one value for a whole table (table
``digest``)::

    document, access   sum of SHA-256 of each row modulo 2^256: adding, changing or dropping a row costs that row alone
    segments, meta     SHA-256 over the rows of a few small tables in order

Where a chunk's row stands (``segment_no``, ``row``) is not digested: each segment says it too (``row_chunks.npy``).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from ragjp.index.storage.catalog import transaction

_MODULUS = 1 << 256
#: The largest number that SQLite gives a row.
_LAST = (1 << 63) - 1
#: Table → the columns whose rows are summed; ``{}`` is the row's prefix inside a trigger.
_SUMMED = {
    "document": ("doc_no", "doc_id", "died"),
    "access": ("doc_no", "principal", "born", "died"),
}
#: Digest → the queries whose rows it covers, in order.
_WHOLE = {
    "meta": ("SELECT key, value FROM meta ORDER BY key",),
    "segments": (
        "SELECT segment_no, name, n_rows, n_tokens FROM segment ORDER BY segment_no",
        "SELECT segment_no, name, n_bytes, sha256 FROM segment_file ORDER BY segment_no, name",
        "SELECT name, seq FROM sqlite_sequence ORDER BY name",
    ),
}
_DOCUMENT = "SELECT doc_no, doc_id, title, format, content_hash, metadata, born FROM document"
_PAGE = "SELECT doc_no, number, text FROM page"
_CHUNK = "SELECT doc_no, chunk_no, page, start, end, heading_path, text_hash FROM chunk"

Row = tuple[Any, ...]


def _encoded(kind: str, row: Row) -> bytes:
    # A cell of a type that no table of ours has (bytes, from a damaged row) has a digest too: a wrong one.
    return json.dumps([kind, *row], ensure_ascii=False, default=repr).encode(
        "utf-8", "surrogatepass"
    )


def _number(table: str, row: Row) -> int:
    return int.from_bytes(hashlib.sha256(_encoded(table, row)).digest(), "big")


def document_digests(
    connection: sqlite3.Connection, *, since: int = 0, until: int = _LAST
) -> Iterator[tuple[int, str]]:
    """Make the digest of each document numbered ``since`` to ``until``: (doc_no, SHA-256 in hexadecimal), by number."""
    where = "WHERE doc_no BETWEEN ? AND ? ORDER BY doc_no"
    numbers = (since, until)
    documents = connection.execute(f"{_DOCUMENT} {where}", numbers)
    parts = [
        (kind, groupby(connection.execute(query, numbers), key=lambda row: row[0]))
        for kind, query in (
            ("page", f"{_PAGE} {where}, number"),
            ("chunk", f"{_CHUNK} {where}, chunk_no"),
        )
    ]
    waiting: list[tuple[Any, Any] | None] = [next(groups, None) for _, groups in parts]
    for document in documents:
        digest = hashlib.sha256(_encoded("document", document))
        for place, (kind, groups) in enumerate(parts):
            group = waiting[place]
            while group is not None and group[0] < document[0]:  # rows of no document
                group = next(groups, None)
            if group is not None and group[0] == document[0]:
                for row in group[1]:
                    digest.update(_encoded(kind, row))
                group = next(groups, None)
            waiting[place] = group
        yield document[0], digest.hexdigest()


def table_digests(connection: sqlite3.Connection) -> dict[str, str]:
    """Make all values of the table ``digest`` from the rows, reading every one of them."""
    values = whole_digests(connection)
    for table, columns in _SUMMED.items():
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
        values[table] = _spelled(sum(_number(table, row) for row in rows))
    return values


def whole_digests(connection: sqlite3.Connection) -> dict[str, str]:
    """Make the digests that cover a few small tables."""
    values = {}
    for name, queries in _WHOLE.items():
        digest = hashlib.sha256()
        for query in queries:
            for row in connection.execute(query):
                digest.update(_encoded(name, row))
        values[name] = digest.hexdigest()
    return values


def stored_digests(connection: sqlite3.Connection) -> dict[str, str]:
    """Read the table ``digest``."""
    return dict(connection.execute("SELECT name, value FROM digest").fetchall())


def _spelled(number: int) -> str:
    return f"{number % _MODULUS:064x}"


def store_document_digests(connection: sqlite3.Connection, *, since: int = 0) -> None:
    """Write the digest of each document numbered ``since`` or higher."""
    connection.executemany(
        "INSERT OR REPLACE INTO document_digest VALUES (?, ?)",
        list(document_digests(connection, since=since)),
    )


def store_table_digests(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Write values of the table ``digest``."""
    connection.executemany("INSERT OR REPLACE INTO digest VALUES (?, ?)", values.items())


class DigestKeeper:
    """The transactions of one connection that change the catalog: each writes the new digests before it commits.

    Temporary triggers tell of each row that comes, goes or changes, those of cascades too, so that no statement can be forgotten.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sums: dict[str, int] = {}
        connection.create_function("ragjp_digest", -1, self._add)
        for table, columns in _SUMMED.items():
            for event, signs in (("INSERT", "+"), ("DELETE", "-"), ("UPDATE", "-+")):
                calls = "".join(
                    f"SELECT ragjp_digest({sign}1, '{table}', {_columns(sign, columns)}); "
                    for sign in signs
                )
                connection.execute(
                    f"CREATE TEMP TRIGGER digest_{table}_{event} AFTER {event} ON {table} BEGIN {calls}END"
                )

    def _add(self, sign: int, table: str, *row: str | int | None) -> None:
        self._sums[table] += sign * _number(table, row)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All or nothing, the digests included."""
        with transaction(self._connection):
            stored = stored_digests(self._connection)
            self._sums = {table: int(stored.get(table, "0"), 16) for table in _SUMMED}
            yield
            sums = {table: _spelled(number) for table, number in self._sums.items()}
            store_table_digests(self._connection, whole_digests(self._connection) | sums)


def _columns(sign: str, columns: tuple[str, ...]) -> str:
    prefix = "NEW" if sign == "+" else "OLD"
    return ", ".join(f"{prefix}.{column}" for column in columns)
