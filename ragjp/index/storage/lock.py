"""One writer at a time: the lock that everything which changes an index holds."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from ragjp.errors import IndexLocked
from ragjp.index.storage.catalog import unusable
from ragjp.index.storage.disk import on_disk

LOCK_NAME = "writer.lock"
_MOST_BYTES = 4096


@contextmanager
def writer_lock(index: Path, *, create: bool = False) -> Iterator[None]:
    """Hold ``writer.lock`` of an index folder. Released by the system too when the process ends in any way.

    Parameters
    ----------
    create
        Make the folder when it is not there.

    Raises
    ------
    IndexLocked
        When another process is writing.
    StorageFailed
        When the lock's file cannot be opened or locked.
    """
    with on_disk(index):
        if create:
            index.mkdir(parents=True, exist_ok=True)
        # O_NONBLOCK: a FIFO in its place is an error, not a wait.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.fdopen(os.open(index / LOCK_NAME, flags, 0o666), "a")
    with file:
        with on_disk(index):
            _take(file, index)
        _sign(file)
        try:
            yield
        finally:
            # An index that nobody writes has no byte that no checksum covers.
            with suppress(OSError):
                file.truncate(0)


def _take(file: IO[str], index: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise IndexLocked(
            f"索引 {index} は別の処理{_holder(index)}が更新中です。それが終わってからもう一度実行してください。"
        ) from error


def _sign(file: IO[str]) -> None:
    """Leave in the lock's file who holds it. Only for people: where the disk refuses, nobody is named."""
    with suppress(OSError):
        file.truncate(0)
        values = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        os.write(file.fileno(), (json.dumps(values, ensure_ascii=False) + "\n").encode())


def _holder(index: Path) -> str:
    """Name who holds the lock, as far as that can be told; empty otherwise."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads((index / LOCK_NAME).read_bytes()[:_MOST_BYTES])
        started = datetime.fromisoformat(str(values["since"]))
        host = "".join(char for char in str(values["host"]) if char.isprintable())[:80]
        return f"（{host} のプロセス {int(values['pid'])}、{started:%m月%d日 %H:%M} から）"
    return ""


@contextmanager
def changing(index: Path) -> Iterator[None]:
    """Say in one sentence why the index could not be changed: what the disk refused, or what is damaged.

    Raises
    ------
    StorageFailed, IndexLocked, IndexCorrupt
        See :func:`ragjp.index.storage.disk.on_disk` and :func:`ragjp.index.storage.catalog.unusable`.
    """
    with on_disk(index):
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise unusable(index, error) from error
