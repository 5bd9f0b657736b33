"""The receipt of a forgotten document: what was removed, without a word of it, so that anybody can look whether it is gone.

A receipt holds ids, counts and hashes. :func:`verify_receipt` looks for them in the catalog and in the bytes of every file of the index's
folder. It says nothing about what lies elsewhere: backups, the source files, reports written to other places; the receipt names those.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragjp.errors import RequestError
from ragjp.index.storage.catalog import meta_value, open_catalog
from ragjp.index.storage.disk import on_disk, write_json_file
from ragjp.index.storage.lock import changing
from ragjp.jobs.probes import Probe, found_in_folder
from ragjp.jobs.seen import SEEN_NAME
from ragjp.jobs.sources import REPORT_NAME

KIND = "ragjp-forget-receipt"
_FORMAT = 1
#: What is remembered in the catalog while a document is being forgotten.
PENDING_KEY = "forgetting"
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was forgotten. All hashes are hexadecimal; ``doc_numbers`` are those that the documents had in the catalog.

    text_hashes : SHA-256 of what was indexed of each chunk whose text stands in no other document. probes : windows of bytes of its
    pages that stand in no other document, see :mod:`ragjp.jobs.probes`; n_probes : how many were looked for when it was forgotten, the
    ones that stand in other documents too among them. source_files : files that still exist and would be indexed again.
    """

    doc_id: str
    documents: tuple[str, ...]
    doc_numbers: tuple[int, ...]
    content_hashes: tuple[str, ...]
    text_hashes: tuple[str, ...]
    n_shared_texts: int
    n_pages: int
    n_chunks: int
    n_segments: int
    generation: int
    forgotten_at: str
    salt: str
    probes: tuple[tuple[int, str], ...] = ()
    n_probes: int = 0
    source_files: tuple[str, ...] = ()


def receipt_values(receipt: Receipt, index: str) -> dict[str, Any]:
    """The receipt as it is written: with its kind, what it does not cover, and a checksum over all of it."""
    values: dict[str, Any] = {
        "kind": KIND,
        "format": _FORMAT,
        "index": index,
        **json.loads(json.dumps(asdict(receipt))),
        "not_covered": [
            "ragjp backup で作った控え",
            "もとのファイルとその写し",
            "--report と --html で書いた報告",
        ],
    }
    return {**values, "sha256": _checksum(values)}


def write_receipt(path: Path, values: dict[str, Any]) -> None:
    """Write a receipt; whole or not at all, and on the disk when this returns.

    Raises
    ------
    StorageFailed
        When it cannot be written.
    """
    with on_disk(path):
        write_json_file(path, values)


def read_receipt(path: Path) -> Receipt:
    """Read a receipt.

    Raises
    ------
    RequestError
        ``receipt_missing`` or ``receipt_damaged``.
    """
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(_MOST_BYTES))
    except OSError as error:
        raise RequestError(
            f"受領書 {path} を開けません（{error.strerror}）。ファイル名を確かめてください。",
            code="receipt_missing",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise _damaged(path)
    if values.pop("sha256", None) != _checksum(values):
        raise _damaged(path)
    try:
        return receipt_of(values)
    except TypeError as error:
        raise _damaged(path) from error


def receipt_of(values: dict[str, Any]) -> Receipt:
    """Make a receipt of its values as JSON has them; others are passed over.

    Raises
    ------
    TypeError
        When values are missing.
    """
    fields: dict[str, Any] = {
        name: tuple(map(_tupled, value)) if isinstance(value, list) else value
        for name, value in values.items()
        if name in Receipt.__slots__
    }
    return Receipt(**fields)


def _tupled(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    return tuple(value) if isinstance(value, list) else value


def _damaged(path: Path) -> RequestError:
    return RequestError(
        f"{path} は ragjp forget の受領書ではないか、書き換えられています。受け取ったままのファイルを指定してください。",
        code="receipt_damaged",
    )


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(values, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()


def verify_receipt(index: Path, receipt: Receipt) -> list[str]:
    """Look for what was forgotten; returns a sentence for each trace that is left. Empty: it is gone.

    Raises
    ------
    IndexMissing, IndexCorrupt, IndexUnreadable, StorageFailed
        When the index cannot be read.
    """
    with changing(index):
        with closing(open_catalog(index)) as connection:
            traces = [*_in_catalog(connection, receipt)]
        traces += _in_lists(index, receipt)
        salt = bytes.fromhex(receipt.salt)
        probes = [Probe(quick, sha256) for quick, sha256 in receipt.probes]
        files: dict[str, int] = {}
        for path, _, _ in found_in_folder(index, probes, salt):
            name = str(path.relative_to(index))
            files[name] = files.get(name, 0) + 1
        traces += [
            f"{name} に、忘れた文書の本文が {count} か所残っています。"
            for name, count in files.items()
        ]
    return traces


def _in_catalog(connection: sqlite3.Connection, receipt: Receipt) -> Iterator[str]:
    looked = {
        "同じ名前の文書": ("SELECT count(*) FROM document WHERE doc_id = ?", receipt.documents),
        "文書の番号": ("SELECT count(*) FROM document WHERE doc_no = ?", receipt.doc_numbers),
        "断片": ("SELECT count(*) FROM chunk WHERE doc_no = ?", receipt.doc_numbers),
        "ページ": ("SELECT count(*) FROM page WHERE doc_no = ?", receipt.doc_numbers),
        "権限": ("SELECT count(*) FROM access WHERE doc_no = ?", receipt.doc_numbers),
        "同じ中身の文書": (
            "SELECT count(*) FROM document WHERE content_hash = ?",
            receipt.content_hashes,
        ),
        "同じ本文の断片": ("SELECT count(*) FROM chunk WHERE text_hash = ?", receipt.text_hashes),
    }
    for name, (query, values) in looked.items():
        n = sum(int(connection.execute(query, (value,)).fetchone()[0]) for value in values)
        if n:
            yield f"目録に{name}が {n} 件残っています。"
    if meta_value(connection, PENDING_KEY):
        yield "途中で止まった ragjp forget があります。もう一度実行して終わらせてください。"


def _in_lists(index: Path, receipt: Receipt) -> Iterator[str]:
    names = set(receipt.documents) | {receipt.doc_id}
    report = index / REPORT_NAME
    if report.is_file():
        for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
            if json.loads(line).get("doc_id") in names:
                yield f"{REPORT_NAME} に文書の名前が残っています。"
                break
    seen = index / SEEN_NAME
    if seen.is_file() and names & set(json.loads(seen.read_bytes()).get("files", ())):
        yield f"{SEEN_NAME} に文書の名前が残っています。"
