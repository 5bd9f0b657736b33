"""The reading process: reads the documents it is asked for, one after the other, inside limits that the kernel keeps.

Started by :mod:`ragjp.documents.child`; talks over what were its standard input and output. It cannot put a byte into a file (but
for LibreOffice, where that is installed: see :mod:`ragjp.documents.office.converter`), leaves no core, holds few descriptors, and ends itself when a document takes much longer than allowed and nobody is left to end it.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragjp.config import Limits
from ragjp.documents.framing import LENGTH, document_to_json, pack, read_exactly, unpack, write_all
from ragjp.documents.office.converter import MOST_FILE_BYTES, MOST_FILES, find_converter
from ragjp.documents.reading import read_document_here
from ragjp.documents.reasons import reason
from ragjp.documents.walk import frames
from ragjp.errors import DocumentError
from ragjp.types import Document

_OPEN_FILES = 64
#: Seconds after the parent's limit at which this process ends itself.
_GRACE_S = 10
_MIB = 1024 * 1024

ReadHere = Callable[[Path, str, Limits], Document]


def address_space_bytes(pid: int | str = "self") -> int:
    """Give the size of a process's address space."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def serve(read: ReadHere = read_document_here) -> None:
    """Answer requests until the parent closes the pipe, or one document has used up the memory.

    Parameters
    ----------
    read
        What reads one document.
    """
    requests, replies = _private_pipes()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Only where there is a converter may this process give rights to a program that it does not use itself.
    converts = bool(find_converter())
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, MOST_FILE_BYTES if converts else 0))
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (_OPEN_FILES, MOST_FILES if converts else _OPEN_FILES)
    )
    own_bytes = address_space_bytes()
    write_all(replies, pack({"ready": True}))
    while True:
        try:
            (size,) = LENGTH.unpack(read_exactly(requests, LENGTH.size))
            request = unpack(read_exactly(requests, size))
        except EOFError:
            return
        limits = Limits.model_validate(request["limits"])
        _limit(limits, own_bytes)
        if "parts" in request:
            if not _answer_parts(replies, request, limits, own_bytes):
                return
            continue
        reply = _answer(read, Path(request["path"]), request["doc_id"], limits)
        signal.alarm(0)
        write_all(replies, pack(reply))
        if reply.get("code") == "out_of_memory":
            return


def _answer_parts(replies: int, request: dict[str, Any], limits: Limits, own_bytes: int) -> bool:
    """Answer with a frame for each step through a container, each part with the whole limits; false when the memory is used up."""
    for frame in frames(Path(request["path"]), request["doc_id"], limits, request["parts"]):
        if "start" in frame:
            _limit(limits, own_bytes)
        write_all(replies, pack(frame))
        if frame.get("code") == "out_of_memory":
            return False
    signal.alarm(0)
    return True


def _private_pipes() -> tuple[int, int]:
    """Move the pipes away from descriptors 0 and 1, so that no library's printing gets between the frames."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return requests, replies


def _limit(limits: Limits, own_bytes: int) -> None:
    """Set what the next document may use, beside what the interpreter itself does."""
    for which, amount in (
        (resource.RLIMIT_AS, own_bytes + limits.memory_mib * _MIB),
        (resource.RLIMIT_CPU, math.ceil(_cpu_s() + limits.seconds) + _GRACE_S),
    ):
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(
            which, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard)
        )
    signal.alarm(math.ceil(limits.seconds) + _GRACE_S)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _answer(read: ReadHere, path: Path, doc_id: str, limits: Limits) -> dict[str, Any]:
    try:
        return {"document": document_to_json(read(path, doc_id, limits))}
    except MemoryError:
        error = reason("out_of_memory", doc_id, detail=str(limits.memory_mib))
    except DocumentError as known:
        error = known
    except Exception as unknown:  # a reader's mistake costs one document, never the batch
        error = reason("reader_failed", doc_id, detail=type(unknown).__name__)
    return {"code": error.code, "sentence": error.sentence}


if __name__ == "__main__":
    serve()
