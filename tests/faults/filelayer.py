"""Driving ``shim.c``: compile it, put it under a process, arm it."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


class Op(IntEnum):
    """Kinds of calls, as numbered in ``shim.c``; the last three are only ever recorded."""

    ANY = -1
    OPEN = 0
    WRITE = 1
    SYNC = 2
    RENAME = 3
    TRUNCATE = 4
    MKDIR = 5
    UNLINK = 6
    MMAP = 7
    READ = 8
    LOCK = 9
    CLOSE = 11
    LINK = 12
    MARK = 13


class Mode(IntEnum):
    """What happens to the armed call."""

    FAIL = 0
    SHORT = 1
    KILL_BEFORE = 2
    KILL_AFTER = 3
    KILL_HALFWAY = 4


def compiler() -> str | None:
    """A C compiler on this machine."""
    return shutil.which("gcc") or shutil.which("cc")


def compile_shim(folder: Path) -> Path:
    """Compile the shim into ``folder``; returns the library."""
    library = folder / "shim.so"
    command = [str(compiler()), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@functools.cache
def _shim() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.shim_count.restype = ctypes.c_long
    library.shim_arm.argtypes = [ctypes.c_int, ctypes.c_long, *[ctypes.c_int] * 3]
    return library


def watch(folder: Path) -> None:
    """Count the calls under this folder from now on. Only in a process that has the shim under it."""
    _shim().shim_watch(os.fsencode(folder.resolve()))


def arm(op: Op, n: int, error: int = 0, mode: Mode = Mode.FAIL, *, sticky: bool = False) -> None:
    """Let the n-th call of this kind from now on (the first is 1) meet its fate; ``sticky``: and all after it.

    ``n`` = -1 disarms and counts from 0.
    """
    _shim().shim_arm(op, n, error, mode, int(sticky))


def count(op: Op = Op.ANY) -> int:
    """Calls since arming."""
    return int(_shim().shim_count(op))


def fired() -> bool:
    """Whether the armed call came."""
    return bool(_shim().shim_fired())


def record(log: Path) -> None:
    """Write every change under the watched folder to a log from now on (see ``power_cuts.py``)."""
    _shim().shim_record(os.fsencode(log))


def mark(number: int) -> None:
    """Leave a mark in the log: this much has been acknowledged."""
    _shim().shim_mark(number)
