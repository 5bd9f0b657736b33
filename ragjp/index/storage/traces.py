"""What the catalog holds of some documents, current or not: for those who have to prove later that nothing of it is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

#: A document, and with it what stands inside it where it is a mail or an archive: (id, prefix, prefix, prefix).
_MATCH = "(doc_id = ? OR (? <> '' AND substr(doc_id, 1, length(?)) = ?))"


@dataclass(frozen=True, slots=True)
class Traces:
    """Everything of the documents of one id, in all the editions that have not been merged away.

    own_texts : hashes of the chunks' texts that stand in no other document; the others stay, with those documents.
    """

    doc_ids: tuple[str, ...]
    current_ids: tuple[str, ...]
    doc_numbers: tuple[int, ...]
    content_hashes: tuple[str, ...]
    own_texts: tuple[str, ...]
    segments: tuple[int, ...]
    n_shared_texts: int
    n_pages: int
    n_chunks: int


def find_traces(connection: sqlite3.Connection, doc_id: str, *, inside: bool) -> Traces:
    """Find the documents of an id; with ``inside`` those too whose id begins with it and a slash."""
    prefix = f"{doc_id}/" if inside else ""
    found = connection.execute(
        f"SELECT doc_no, doc_id, content_hash, died IS NULL FROM document WHERE {_MATCH} ORDER BY doc_no",
        (doc_id, prefix, prefix, prefix),
    ).fetchall()
    numbers = [row[0] for row in found]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS traced (doc_no INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM traced")
    connection.executemany("INSERT INTO traced VALUES (?)", [(number,) for number in numbers])
    mine = "FROM chunk WHERE doc_no IN (SELECT doc_no FROM traced)"
    texts = {text for (text,) in connection.execute(f"SELECT text_hash {mine}")}
    shared = {
        text
        for (text,) in connection.execute(
            f"SELECT DISTINCT text_hash {mine} AND EXISTS (SELECT 1 FROM chunk AS other "
            "WHERE other.text_hash = chunk.text_hash AND other.doc_no NOT IN (SELECT doc_no FROM traced))"
        )
    }
    (n_pages,) = connection.execute(
        "SELECT count(*) FROM page WHERE doc_no IN (SELECT doc_no FROM traced)"
    ).fetchone()
    (n_chunks,) = connection.execute(f"SELECT count(*) {mine}").fetchone()
    segments = [number for (number,) in connection.execute(f"SELECT DISTINCT segment_no {mine}")]
    connection.execute("DROP TABLE traced")
    return Traces(
        tuple(sorted({row[1] for row in found})),
        tuple(sorted({row[1] for row in found if row[3]})),
        tuple(numbers),
        tuple(sorted({row[2] for row in found})),
        tuple(sorted(texts - shared)),
        tuple(sorted(segments)),
        len(shared),
        int(n_pages),
        int(n_chunks),
    )


def page_texts(connection: sqlite3.Connection, doc_numbers: tuple[int, ...]) -> Iterator[str]:
    """The text of every page of some documents."""
    for number in doc_numbers:
        for (text,) in connection.execute(
            "SELECT text FROM page WHERE doc_no = ? ORDER BY number", (number,)
        ):
            yield str(text)


def stands_in_a_page(connection: sqlite3.Connection, piece: bytes) -> bool:
    """Whether some bytes of UTF-8 stand in a page of any document."""
    found = connection.execute(
        "SELECT 1 FROM page WHERE instr(CAST(text AS BLOB), ?) > 0 LIMIT 1", (piece,)
    ).fetchone()
    return found is not None
