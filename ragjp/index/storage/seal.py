"""The seal of a closed catalog: size, SHA-256 and change counter of ``catalog.sqlite``, in ``catalog.seal`` beside it.

SQLite counts the transactions of a file in its header (bytes 24 to 27) and repeats the count at bytes 92 to 95. A seal with the
same count covers every byte of the file. With another count the catalog has been written to since (a writer is at work, or was
killed before it could seal): then the digests inside it are what there is to verify.

The catalog's bytes are read through one descriptor per file that this process keeps: closing any descriptor of a file drops every
POSIX lock that the process holds on it, those of SQLite in other threads too.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ragjp.index.storage.catalog import catalog_path, current_generation
from ragjp.index.storage.disk import write_json_file

SEAL_NAME = "catalog.seal"
_BLOCK_BYTES = 1 << 20
#: Descriptors kept; the oldest is closed when there are more catalogs than this.
_KEPT = 32
_descriptors: OrderedDict[tuple[int, int], int] = OrderedDict()
_descriptors_lock = threading.Lock()

SealState = Literal["sealed", "unsealed", "broken_seal", "damaged"]


@dataclass(frozen=True, slots=True)
class Seal:
    """What the catalog was when it was closed."""

    n_bytes: int
    sha256: str
    change_counter: int
    generation: int


def _descriptor(path: Path) -> int:
    found = path.stat()
    key = (found.st_dev, found.st_ino)
    with _descriptors_lock:
        kept = _descriptors.pop(key, None)
        if kept is None:
            kept = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # not to wait for a FIFO
        _descriptors[key] = kept
        if len(_descriptors) > _KEPT:
            os.close(_descriptors.popitem(last=False)[1])
    return kept


def change_counter(index: Path) -> int:
    """How often the catalog has been written to, without a lock and without SQLite; unchanged means: nothing was committed.

    Raises
    ------
    OSError
        When the file is gone or cannot be read.
    ValueError
        When it is too short to be a catalog, or its two counters disagree (or a commit is being written just now).
    """
    header = os.pread(_descriptor(catalog_path(index)), 100, 0)
    if len(header) < 100 or header[24:28] != header[92:96]:
        raise ValueError("the counters in the header of the catalog disagree")
    return int.from_bytes(header[24:28], "big")


def _hashed(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of the catalog."""
    descriptor = _descriptor(path)
    digest, place = hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK_BYTES, place):
        digest.update(block)
        place += len(block)
    return place, digest.hexdigest()


def read_seal(index: Path) -> Seal | None:
    """Read the seal; None when there is none.

    Raises
    ------
    ValueError
        When it is not what :func:`seal_catalog` writes.
    """
    path = index / SEAL_NAME
    if path.exists() and not path.is_file():  # a FIFO would keep us waiting
        raise ValueError("no file")
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(values, dict):
        raise ValueError("no object")
    numbers = [values.get(name) for name in ("n_bytes", "change_counter", "generation")]
    digest = values.get("sha256")
    if (
        len(values) != 4
        or not all(type(number) is int for number in numbers)
        or not isinstance(digest, str)
    ):
        raise ValueError("fields are missing")
    return Seal(values["n_bytes"], digest, values["change_counter"], values["generation"])


def seal_state(index: Path) -> SealState:
    """Compare the catalog with its seal, reading all of it when the counters agree.

    Returns
    -------
    ``sealed`` every byte is as it was when the catalog was closed; ``unsealed`` it has been written to since, or was never sealed;
    ``broken_seal`` the seal itself cannot be read; ``damaged`` the bytes are not those that were sealed.
    """
    try:
        counter = change_counter(index)
    except ValueError:
        return "unsealed" if _has_journal(index) else "damaged"
    try:
        seal = read_seal(index)
    except ValueError:
        return "broken_seal"
    if seal is None or seal.change_counter != counter:
        return "unsealed"
    if _hashed(catalog_path(index)) == (seal.n_bytes, seal.sha256):
        return "sealed"
    return "unsealed" if _is_being_written(index, counter) else "damaged"


def _is_being_written(index: Path, counter: int) -> bool:
    """Whether a commit came between: its journal lies there, or the counter has moved on."""
    try:
        return _has_journal(index) or change_counter(index) != counter
    except (OSError, ValueError):
        return True


def _has_journal(index: Path) -> bool:
    path = catalog_path(index)
    return path.with_name(path.name + "-journal").exists()


def is_sealed_now(index: Path) -> bool:
    """Whether the seal is that of the newest transaction, by the counters alone: damage is not looked for."""
    try:
        seal = read_seal(index)
        return seal is not None and seal.change_counter == change_counter(index)
    except (OSError, ValueError):
        return False


def close_and_seal(connection: sqlite3.Connection, index: Path) -> None:
    """Close the writer's connection to a catalog that it found sound, and seal the file.

    Never fails: an index without a seal is whole too, and on a full disk it stays so.
    """
    generation = None
    with suppress(sqlite3.Error, ValueError):
        generation = current_generation(connection)
    connection.close()
    with suppress(OSError, ValueError):
        if generation is not None and not is_sealed_now(index):
            seal_catalog(index, generation)


def seal_catalog(index: Path, generation: int) -> None:
    """Seal the catalog. Only the writer may call this, when its last transaction is over and what it read was sound."""
    # SQLite shortens a file (VACUUM) without forcing that to the disk: a seal of the new length must not be there before it.
    os.fsync(_descriptor(catalog_path(index)))
    counter = change_counter(index)
    n_bytes, sha256 = _hashed(catalog_path(index))
    write_json_file(index / SEAL_NAME, asdict(Seal(n_bytes, sha256, counter, generation)))
