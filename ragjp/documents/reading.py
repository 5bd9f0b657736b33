"""Reading one document in this process: the file's bytes, checked and handed to the reader of its format.

Meant for the child process and for tests: a hostile document can take this process's memory and time.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ragjp.config import Limits
from ragjp.documents.formats import check_content, reader_for, settled_suffix
from ragjp.documents.reasons import reason
from ragjp.types import Document

_MIB = 1024 * 1024


def read_bytes(path: Path, name: str, max_bytes: int) -> bytes:
    """Read a regular file, and no more of it than allowed.

    The checks are made on the opened file, not on its name, so that nothing changes between them and the reading; a pipe or a
    device is refused without waiting for it.

    Raises
    ------
    DocumentError
        ``file_missing``, ``permission``, ``not_a_file``, ``file_unreadable``, ``too_large`` or ``empty``.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(opened, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise reason("not_a_file", name)
            if state.st_size > max_bytes:
                raise reason("too_large", name, detail=f"上限 {max_bytes / _MIB:.1f} MiB")
            raw = file.read(state.st_size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise reason("file_missing", name) from error
    except PermissionError as error:
        raise reason("permission", name) from error
    except IsADirectoryError as error:
        raise reason("not_a_file", name) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise reason("file_unreadable", name, detail=_words(error)) from error
    if not raw:
        raise reason("empty", name)
    return raw


def _words(error: Exception) -> str:
    with suppress(AttributeError, TypeError):
        return os.strerror(error.errno)  # type: ignore[attr-defined]
    return type(error).__name__


def read_document_here(path: Path, doc_id: str, limits: Limits) -> Document:
    """Read one document in this process. ``limits.seconds`` and ``limits.memory_mib`` are the caller's to enforce.

    The format is that which the content settles, else that of ``path``'s suffix; ``doc_id`` is only the document's name.

    Raises
    ------
    DocumentError
        With a code of :data:`ragjp.documents.reasons.SENTENCES`.
    """
    suffix = path.suffix.lower()
    reader_for(suffix, doc_id)  # what is of no known format is not even opened
    return read_raw(read_bytes(path, doc_id, limits.max_bytes), suffix, doc_id, limits)


def read_raw(raw: bytes, suffix: str, doc_id: str, limits: Limits) -> Document:
    """Read the bytes of one document. ``suffix`` (lower case, with its dot) is that of its name.

    Raises
    ------
    DocumentError
        With a code of :data:`ragjp.documents.reasons.SENTENCES`.
    """
    reader_for(suffix, doc_id)
    suffix = settled_suffix(raw, suffix)
    check_content(raw, suffix, doc_id)
    document = reader_for(suffix, doc_id)(raw, doc_id, limits.max_chars)
    if sum(len(page.text) for page in document.pages) > limits.max_chars:
        raise reason("too_large", doc_id, detail=f"上限 {limits.max_chars:,} 文字")
    return document
