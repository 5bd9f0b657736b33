"""The disk under an index: forcing bytes to it, writing a file whole or not at all, and saying in one sentence why it refused."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ragjp.errors import IndexLocked, RagjpError, StorageFailed

#: errno → reason code. Everything else is ``io_failed``.
_REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EFBIG: "disk_full",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}
_SENTENCES = {
    "disk_full": "ディスクの空きが足りないので {where} に書けません（{why}）。空きを作ってから、もう一度実行してください。",
    "too_many_files": "同時に開けるファイルの数の上限に達し、{where} を開けません（{why}）。ほかの処理を終えるか、ulimit -n で上限を上げてください。",
    "read_only": "{where} に書けません（{why}）。フォルダーの権限と、読み取り専用の接続でないかを確かめてください。",
    "io_failed": "{where} を読み書きできません（{why}）。ディスクと接続を確かめてから、もう一度実行してください。",
}
#: What SQLite calls it → reason code.
_SQLITE_REASONS = (
    ("SQLITE_FULL", "disk_full"),
    ("SQLITE_READONLY", "read_only"),
    ("SQLITE_PERM", "read_only"),
    ("SQLITE_IOERR", "io_failed"),
    ("SQLITE_NOMEM", "io_failed"),
)


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


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name when the block has ended, whole or not at all.

    Parameters
    ----------
    durable
        Whether it survives a power cut from then on. What is only a convenience need not wait for the disk.
    """
    draft = path.with_name(path.name + ".new")
    try:
        with draft.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def write_json_file(path: Path, values: dict[str, Any]) -> None:
    """Write a small JSON file that appears whole or not at all, and survives a power cut once this has returned."""
    with whole_file(path) as file:
        file.write(json.dumps(values, ensure_ascii=False).encode())


def reason_of(error: OSError | sqlite3.Error) -> str:
    """Name what the disk or SQLite complains of: disk_full, too_many_files, read_only, io_failed."""
    if isinstance(error, OSError):
        return _REASONS.get(error.errno or 0, "io_failed")
    name = getattr(error, "sqlite_errorname", "") or ""
    for start, reason in _SQLITE_REASONS:
        if name.startswith(start):
            return reason
    return _why_not_opened()


def _why_not_opened() -> str:
    """SQLite says no more than "cannot open": see whether any file can be opened at all."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return _REASONS.get(error.errno or 0, "io_failed")
    return "read_only"


def storage_failed(where: Path, error: OSError | sqlite3.Error) -> StorageFailed:
    """Say what the disk refused as one sentence with its reason code."""
    reason = reason_of(error)
    named = getattr(error, "filename", None)
    why = getattr(error, "strerror", None) or str(error)
    place = os.fsdecode(named) if isinstance(named, str | bytes) else str(where)
    return StorageFailed(_SENTENCES[reason].format(where=place, why=why), code=reason)


@contextmanager
def on_disk(where: Path) -> Iterator[None]:
    """Turn what the disk under ``where`` refuses into a :class:`~ragjp.errors.StorageFailed`.

    Raises
    ------
    StorageFailed
        For every ``OSError`` and every error of SQLite that is about the disk.
    IndexLocked
        When another process held the catalog for longer than SQLite waits.
    """
    try:
        yield
    except RagjpError:
        raise
    except OSError as error:
        raise storage_failed(where, error) from error
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise IndexLocked(
                f"索引 {where} の目録を別の処理が使っています（{error}）。それが終わってからもう一度実行してください。"
            ) from error
        if not name.startswith((*(start for start, _ in _SQLITE_REASONS), "SQLITE_CANTOPEN")):
            raise
        raise storage_failed(where, error) from error
