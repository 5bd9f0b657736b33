"""Examine the catalog: its bytes, its tables, and every row against every other."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ragjp.index.storage.catalog import (
    CATALOG_NAME,
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    SCHEMA,
    chunk_of_row,
    current_generation,
    transaction,
)
from ragjp.index.storage.digests import document_digests, stored_digests, table_digests
from ragjp.index.storage.seal import SEAL_NAME, read_seal, seal_state
from ragjp.index.upkeep.problems import Problem, guarded

_T = TypeVar("_T")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Documents or chunks that are read in one transaction.
_BATCH = 2000
#: Rows of one kind of fault that are named one by one.
_NAMED = 20
#: Table of the catalog → its name in a sentence.
_TABLES = {
    "document": "文書の一覧",
    "access": "権限の表",
    "segments": "セグメントの一覧",
    "meta": "索引の設定",
}


@dataclass(slots=True)
class CatalogFindings:
    """What was found, and what can be made of it."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    #: Numbers of the documents whose own rows are not those that were written.
    damaged_documents: list[int] = field(default_factory=list)
    #: Whether the tables that say what there is (all but documents' own rows) are sound.
    tables_are_sound: bool = True
    is_sealed: bool = False


_Step = Callable[[sqlite3.Connection, CatalogFindings], Iterable[Problem]]
_Batch = Callable[[sqlite3.Connection, int, int, CatalogFindings], Iterable[Problem]]


def examine_catalog(connection: sqlite3.Connection, index: Path) -> CatalogFindings:
    """Examine the catalog, some thousand rows in a transaction: a writer waits for none of them long.

    What a commit between two of them makes look wrong is gone at the next look (:func:`ragjp.index.upkeep.check.examine`).
    """
    findings = CatalogFindings()
    findings.problems += guarded(SEAL_NAME, lambda: _seal(index, findings), code="seal_damaged")
    for tables in (_schema, _digests, _integrity):
        found = list(
            guarded(CATALOG_NAME, lambda step=tables: _at_once(connection, step, findings))  # type: ignore[misc]
        )
        findings.problems += found
        findings.tables_are_sound &= not found
    for rows in (_references, _meta, _generations, _access, _numbers, _childless):
        findings.problems += guarded(
            CATALOG_NAME,
            lambda step=rows: _at_once(connection, step, findings),  # type: ignore[misc]
        )
    for table, key, batch in (("document", "doc_no", _documents), ("chunk", "chunk_no", _chunks)):
        found = list(
            guarded(
                CATALOG_NAME,
                lambda table=table, key=key, batch=batch: _in_batches(  # type: ignore[misc]
                    connection, table, key, batch, findings
                ),
            )
        )
        findings.problems += found[:_NAMED]
        if len(found) > _NAMED:
            findings.problems.append(_more(found[_NAMED].code, len(found) - _NAMED))
    return findings


def _at_once(
    connection: sqlite3.Connection, step: _Step, findings: CatalogFindings
) -> list[Problem]:
    """Take a step within one read transaction."""
    with transaction(connection, "DEFERRED"):
        return list(step(connection, findings))


def _in_batches(
    connection: sqlite3.Connection, table: str, key: str, batch: _Batch, findings: CatalogFindings
) -> Iterator[Problem]:
    """Go through a table by its numbers, each batch within a read transaction of its own."""
    last = -1
    while True:
        with transaction(connection, "DEFERRED"):
            (until,) = connection.execute(
                f"SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_BATCH})",
                (last,),
            ).fetchone()
            if until is None:
                return
            found = list(batch(connection, last + 1, until, findings))
        yield from found
        last = until


def _seal(index: Path, findings: CatalogFindings) -> Iterator[Problem]:
    state = seal_state(index)
    findings.is_sealed = state == "sealed"
    if state == "damaged":
        yield Problem(
            "catalog_checksum", CATALOG_NAME, f"{CATALOG_NAME} の中身が閉じたときと違います。"
        )
    elif state == "broken_seal":
        yield Problem("seal_damaged", SEAL_NAME, f"{SEAL_NAME} が壊れています。")
    elif state == "unsealed":
        what = "ありません" if read_seal(index) is None else "最後の更新より古いものです"
        findings.warnings.append(
            Problem(
                "catalog_unsealed",
                SEAL_NAME,
                f"{SEAL_NAME} が{what}（更新中か、更新の途中で止まりました）。目録は行の検査値だけで調べました。",
            )
        )


def _schema(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
    expected = sqlite3.connect(":memory:")
    try:
        expected.executescript(SCHEMA)
        if set(expected.execute(query)) != set(connection.execute(query)):
            yield Problem("catalog_schema", CATALOG_NAME, "目録の表の形が違います。")
    finally:
        expected.close()


def _digests(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    stored, made = stored_digests(connection), table_digests(connection)
    for name, value in made.items():
        if stored.get(name) != value:
            yield Problem(
                "catalog_digest",
                f"{CATALOG_NAME}/{name}",
                f"目録の{_TABLES[name]}が書いたときと違います。",
            )
    if stored.keys() - made.keys():
        yield Problem(
            "catalog_digest", f"{CATALOG_NAME}/digest", "目録に知らない検査値があります。"
        )


def _integrity(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    if findings.is_sealed:
        return  # every byte is as SQLite wrote it
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield Problem("catalog_damaged", CATALOG_NAME, f"目録が壊れています: {message}")


def _documents(
    connection: sqlite3.Connection, since: int, until: int, findings: CatalogFindings
) -> Iterator[Problem]:
    stored = dict(
        connection.execute(
            "SELECT doc_no, sha256 FROM document_digest WHERE doc_no BETWEEN ? AND ?",
            (since, until),
        ).fetchall()
    )
    for doc_no, digest in document_digests(connection, since=since, until=until):
        if stored.get(doc_no) != digest:
            findings.damaged_documents.append(doc_no)
            (name,) = connection.execute(
                "SELECT doc_id FROM document WHERE doc_no = ?", (doc_no,)
            ).fetchone()
            yield Problem(
                "document_digest", str(name), f"{name} の本文か断片が書いたときと違います。"
            )


def _references(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    found = connection.execute("PRAGMA foreign_key_check").fetchall()
    yield from _some(
        [(str(row[0]), row[1], str(row[2])) for row in found],
        lambda row: Problem(
            "dangling_reference",
            f"{row[0]} {row[1]}",
            f"{row[0]} の {row[1]} 行目が、ない {row[2]} を指しています。",
        ),
    )


def _meta(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    for key in ("generation", "dim", "token_dim", "format_version"):
        if not str(meta.get(key, "")).isdecimal():
            yield Problem("meta_invalid", f"meta {key}", f"索引の設定 {key} が数ではありません。")
    try:
        fields = json.loads(meta.get("fields", ""))
    except ValueError:
        fields = None
    if not (isinstance(fields, list) and all(isinstance(one, str) for one in fields)):
        yield Problem("meta_invalid", "meta fields", "索引の設定 fields が読めません。")


def _generations(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    generation = current_generation(connection)
    for table, key in (("document", "doc_no"), ("access", "doc_no")):
        rows = connection.execute(
            f"SELECT {key} FROM {table} WHERE born < 1 OR born > :g OR died <= born OR died > :g",
            {"g": generation},
        ).fetchall()
        yield from _some(
            [str(row[0]) for row in rows],
            lambda number, table=table: Problem(  # type: ignore[misc]
                "generation_out_of_range",
                f"{table} {number}",
                f"{table} の {number} の世代が、索引の世代 {generation} と合いません。",
            ),
        )


def _access(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    rows = connection.execute(
        "SELECT DISTINCT doc_id FROM access JOIN document USING (doc_no) WHERE access.born < document.born"
    ).fetchall()
    yield from _some(
        [str(row[0]) for row in rows],
        lambda name: Problem(
            "access_before_document", name, f"{name} の権限が文書より古いものです。"
        ),
    )


def _numbers(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    used = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    for table, key in (("document", "doc_no"), ("chunk", "chunk_no")):
        (largest,) = connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()
        if used.get(table, 0) < largest:
            yield Problem(
                "number_reused",
                table,
                f"{table} の番号 {largest} が、最後に使った番号を超えています。",
            )


def _childless(connection: sqlite3.Connection, findings: CatalogFindings) -> Iterator[Problem]:
    rows = connection.execute(
        "SELECT doc_id FROM document WHERE died IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM chunk WHERE chunk.doc_no = document.doc_no)"
    ).fetchall()
    yield from _some(
        [str(row[0]) for row in rows],
        lambda name: Problem(
            "document_without_chunks", name, f"{name} に検索できる断片がありません。"
        ),
    )


def _chunks(
    connection: sqlite3.Connection, since: int, until: int, findings: CatalogFindings
) -> Iterator[Problem]:
    """Chunks must lie in their pages, and have the text that was embedded."""
    numbers = (since, until)
    for chunk_no, doc_id in connection.execute(
        "SELECT chunk_no, doc_id FROM chunk JOIN document USING (doc_no) LEFT JOIN page "
        "ON page.doc_no = chunk.doc_no AND page.number = chunk.page "
        "WHERE chunk_no BETWEEN ? AND ? "
        "AND (page.text IS NULL OR chunk.start < 0 OR chunk.end > length(page.text))",
        numbers,
    ).fetchall():
        yield Problem(
            "chunk_outside_page",
            str(doc_id),
            f"{doc_id} の断片 {chunk_no} がページの外を指しています。",
        )
    for number, text_hash, *row in connection.execute(
        f"SELECT chunk_no, text_hash, {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE chunk_no BETWEEN ? AND ?",
        numbers,
    ):
        chunk = chunk_of_row(row)
        # Only a hash can be made again: whoever fills an index may name texts otherwise.
        if _SHA256.fullmatch(text_hash):
            made = hashlib.sha256(chunk.indexed_text.encode("utf-8", "surrogatepass")).hexdigest()
            if made != text_hash:
                yield Problem(
                    "text_hash_mismatch",
                    chunk.doc_id,
                    f"{chunk.doc_id} の断片 {number} の文が、埋め込んだときと違います。",
                )


def _more(code: str, number: int) -> Problem:
    return Problem(code, CATALOG_NAME, f"同じ種類の誤りがほかに {number} 件あります。")


def _some(found: list[_T], describe: Callable[[_T], Problem]) -> Iterator[Problem]:
    """Describe the first few of many alike, and count the rest."""
    yield from map(describe, found[:_NAMED])
    if len(found) > _NAMED:
        yield _more(describe(found[_NAMED]).code, len(found) - _NAMED)
