"""A reading process whose reader does, by the name of the file, what hostile files make readers do. Started by the tests only."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from ragjp.config import Limits
from ragjp.documents.framing import LENGTH, pack, write_all
from ragjp.documents.reading import read_document_here
from ragjp.documents.worker import serve
from ragjp.types import Document, Page


def _grow() -> None:
    held = []
    while True:
        held.append(bytearray(8 << 20))


def _grow_natively() -> None:
    """Take memory as a C library does that gives up when there is none."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while block := libc.malloc(1 << 22):
        ctypes.memset(block, 1, 1 << 22)
        time.sleep(0.004)
    os.abort()


def _with_grandchild() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(600)


def _noise() -> None:
    sys.stdout.write("noise" * 10_000)
    sys.stdout.flush()
    os.write(1, b"\x00" * 100_000)
    os.write(2, b"\xff" * 100_000)
    assert sys.stdin.read() == ""


def _spin() -> None:
    while True:
        pass


FAULTS = {
    "sleep": lambda: time.sleep(600),
    "spin": _spin,
    "grow": _grow,
    "grow-natively": _grow_natively,
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "raise": lambda: 1 // 0,
    "recurse": lambda: json.dumps((lambda f: f(f))(lambda f: f(f))),
    "grandchild": _with_grandchild,
    "noise": _noise,
}


def read(path: Path, doc_id: str, limits: Limits) -> Document:
    if path.stem in FAULTS:
        FAULTS[path.stem]()
    if path.stem == "write":
        path.with_suffix(".out").write_bytes(b"x" * 100)
    if path.stem == "inventory":
        open_files = [
            str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
        ]
        known = {
            "files": open_files,
            "environment": dict(os.environ),
            "folder": str(Path.cwd()),
            "family": socket.AF_INET,
        }
        return Document(doc_id, "", (Page(1, json.dumps(known)),), "text")
    if path.stem == "lie":
        return Document(doc_id, "", (Page("one", 1, ("x",)),), "text")  # type: ignore[arg-type]
    return read_document_here(path, doc_id, limits)


def main(behaviour: str) -> None:
    if behaviour == "garbage":
        write_all(1, pack({"ready": True}) + LENGTH.pack(8) + b"no json!")
        time.sleep(600)
    elif behaviour == "huge":
        write_all(1, pack({"ready": True}) + LENGTH.pack(1 << 60))
        time.sleep(600)
    elif behaviour != "mute":
        serve(read)


if __name__ == "__main__":
    main(sys.argv[2])
