"""Rows of the catalog: numbering, adding and ending them. All of these run inside the writer's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from ragjp.index.storage.batch import Batch
from ragjp.index.storage.digests import store_document_digests
from ragjp.index.storage.segments import FileRecord


def next_numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    """The numbers that the next document and the next chunk will have; no number is ever used twice."""
    used = dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))
    return int(used.get("document", 0)) + 1, int(used.get("chunk", 0)) + 1


def current_documents(connection: sqlite3.Connection) -> dict[str, tuple[str, frozenset[str]]]:
    """doc_id → (content hash, principals) of every current document."""
    return {
        doc_id: (content_hash, frozenset(json.loads(principals)))
        for doc_id, content_hash, principals in connection.execute(
            "SELECT doc_id, content_hash, (SELECT json_group_array(principal) FROM access "
            "WHERE access.doc_no = document.doc_no AND access.died IS NULL) FROM document WHERE died IS NULL"
        )
    }


def set_values(connection: sqlite3.Connection, values: Mapping[str, str]) -> None:
    """Write values of the manifest."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def insert_segment(
    connection: sqlite3.Connection,
    name: str,
    n_rows: int,
    n_tokens: int,
    records: Iterable[FileRecord],
) -> int:
    """Name a segment and its files; returns its number."""
    cursor = connection.execute(
        "INSERT INTO segment (name, n_rows, n_tokens) VALUES (?, ?, ?)", (name, n_rows, n_tokens)
    )
    segment_no = int(cursor.lastrowid or 0)
    insert_files(connection, segment_no, records)
    return segment_no


def insert_files(
    connection: sqlite3.Connection, segment_no: int, records: Iterable[FileRecord]
) -> None:
    """Name files of a segment; one named before is replaced."""
    connection.executemany(
        "INSERT OR REPLACE INTO segment_file VALUES (?, ?, ?, ?)",
        [(segment_no, record.name, record.n_bytes, record.sha256) for record in records],
    )


def kill_documents(connection: sqlite3.Connection, doc_ids: Iterable[str], generation: int) -> None:
    """End the current documents of these ids: this generation is the first that does not show them."""
    connection.executemany(
        "UPDATE document SET died = ? WHERE doc_id = ? AND died IS NULL",
        [(generation, doc_id) for doc_id in doc_ids],
    )


def insert_documents(
    connection: sqlite3.Connection,
    batch: Batch,
    *,
    segment_no: int | None,
    generation: int,
    first_document: int,
    first_chunk: int,
) -> None:
    """Add the documents of a batch with their pages, chunks, access and digests, numbered on from the numbers given."""
    row = 0
    for doc_no, new in enumerate(batch.documents, first_document):
        document = new.document
        connection.execute(
            "INSERT INTO document (doc_no, doc_id, title, format, content_hash, metadata, born) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                doc_no,
                document.doc_id,
                document.title,
                document.format,
                new.content_hash,
                json.dumps(dict(document.metadata), ensure_ascii=False),
                generation,
            ),
        )
        connection.executemany(
            "INSERT INTO page VALUES (?, ?, ?)",
            [(doc_no, page.number, page.text) for page in document.pages],
        )
        _insert_access(connection, doc_no, new.access, generation)
        chunks = [
            (
                first_chunk + row + place,
                doc_no,
                chunk.page,
                chunk.start,
                chunk.end,
                json.dumps(chunk.heading_path, ensure_ascii=False),
                batch.text_hashes[row + place],
                segment_no,
                row + place,
            )
            for place, chunk in enumerate(new.chunks)
        ]
        connection.executemany(
            "INSERT INTO chunk (chunk_no, doc_no, page, start, end, heading_path, text_hash, segment_no, row) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            chunks,
        )
        row += len(chunks)
    store_document_digests(connection, since=first_document)


def change_access(
    connection: sqlite3.Connection, changes: Mapping[str, tuple[str, ...]], generation: int
) -> None:
    """Give current documents other principals; what one may read no more ends with this generation."""
    for doc_id, principals in changes.items():
        (doc_no,) = connection.execute(
            "SELECT doc_no FROM document WHERE doc_id = ? AND died IS NULL", (doc_id,)
        ).fetchone()
        connection.execute(
            "UPDATE access SET died = ? WHERE doc_no = ? AND died IS NULL", (generation, doc_no)
        )
        _insert_access(connection, doc_no, principals, generation)


def _insert_access(
    connection: sqlite3.Connection, doc_no: int, principals: Iterable[str], generation: int
) -> None:
    connection.executemany(
        "INSERT INTO access VALUES (?, ?, ?, NULL)",
        [(doc_no, principal, generation) for principal in sorted(set(principals))],
    )
