"""One writer at a time: the lock that everything which changes an index holds."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ragjp.errors import IndexLocked
from ragjp.index.storage.catalog import unusable
from ragjp.index.storage.disk import on_disk

LOCK_NAME = "writer.lock"


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
        yield


def _take(file: IO[str], index: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise IndexLocked(
            f"索引 {index} は別の処理が更新中です。それが終わってからもう一度実行してください。"
        ) from error


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
