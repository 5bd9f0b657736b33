"""Going through a file that holds others, in the reading process: one part after the other, each read by its own reader.

A container's module has ``parts(raw, doc_id, room)``, which yields a :class:`Part` for everything in it, in a fixed order, without
reading any. :func:`frames` numbers them all, containers in containers included, and says which one it is about to read before it
does: so a part that ends this process costs itself alone, and the parent goes on after it in a new one. Nothing is written to disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ragjp.config import Limits
from ragjp.documents.formats import CONTAINERS
from ragjp.documents.framing import document_to_json
from ragjp.documents.reading import read_bytes, read_raw
from ragjp.documents.reasons import reason
from ragjp.errors import DocumentError
from ragjp.types import Document

#: How deep containers may stand in one another; how many parts one source file may have; how much they may be, unpacked.
MAX_DEPTH = 4
MAX_PARTS = 10_000
UNPACKED_FACTOR = 5
_MIB = 1024 * 1024

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing in a container.

    Attributes
    ----------
    name
        Its name there: NFC, slashes between folders, safe to show. Empty for the container's own text.
    load
        Gives its bytes, or the document when the container has read it already. Raises DocumentError.
    suffix
        What it is read as: lower case, with its dot.
    """

    name: str
    load: Callable[[], bytes | Document]
    suffix: str = ""


class Room:
    """What the parts of one source file may still take together.

    Parameters
    ----------
    limits
        Those of one document. All parts have ``max_chars`` together, and ``max_bytes`` five times.
    """

    def __init__(self, limits: Limits, *, n_chars: int = 0) -> None:
        self.limits = limits
        self.max_bytes = limits.max_bytes
        self._chars_left = limits.max_chars - n_chars
        self._bytes_left = UNPACKED_FACTOR * limits.max_bytes

    def take_bytes(self, n_bytes: int, name: str) -> None:
        """Count bytes before they are unpacked.

        Raises
        ------
        DocumentError
            ``too_large`` for one part, ``unpacked_too_large`` for all.
        """
        if n_bytes > self.max_bytes:
            raise reason("too_large", name, detail=f"上限 {self.max_bytes / _MIB:.1f} MiB")
        if n_bytes > self._bytes_left:
            limit = UNPACKED_FACTOR * self.max_bytes / _MIB
            raise reason("unpacked_too_large", name, detail=f"{limit:,.0f} MiB")
        self._bytes_left -= n_bytes

    def limits_left(self, name: str) -> Limits:
        """Give the limits of the next part. Raises DocumentError when no character is left."""
        if self._chars_left <= 0:
            raise self._too_many_chars(name)
        return self.limits.model_copy(update={"max_chars": self._chars_left})

    def take_document(self, document: Document) -> None:
        """Count a document's characters. Raises DocumentError when there are more than are left."""
        n_chars = sum(len(page.text) for page in document.pages)
        if n_chars > self._chars_left:
            raise self._too_many_chars(document.doc_id)
        self._chars_left -= n_chars

    def _too_many_chars(self, name: str) -> DocumentError:
        return reason("unpacked_too_large", name, detail=f"{self.limits.max_chars:,} 文字")


Parts = Callable[[bytes, str, Room], Iterator[Part]]


def frames(path: Path, doc_id: str, limits: Limits, resume: Frame) -> Iterator[Frame]:
    """Read a container, part by part.

    Parameters
    ----------
    path, doc_id, limits
        As for one document; ``limits.seconds`` and ``limits.memory_mib`` are for each part, and the caller's to enforce.
    resume
        ``after``: the number of the last part done with; ``broken``: numbers of the containers that could not be opened; ``n_chars``:
        characters read so far. All are of earlier processes.

    Yields
    ------
    Frame
        ``{"start": number, "doc_id": …}`` before each part; then ``{"document": …}``, or ``{"code": …, "sentence": …}``, or nothing
        when the part is a container that gives others; ``{"end": True}`` last.
    """

    def going() -> Iterator[Frame]:
        raw = read_bytes(path, doc_id, limits.max_bytes)
        yield from _Walk(limits, resume).container(raw, doc_id, path.suffix.lower(), ())

    with suppress(_Full):
        yield from safely(going(), doc_id, limits)
    yield {"end": True}


def safely(going: Iterator[Frame], doc_id: str, limits: Limits) -> Iterator[Frame]:
    """Yield what is yielded, and a refusal of ``doc_id`` for what is raised: a reader's mistake costs one part, never the rest."""
    try:
        yield from going
        return
    except _Full:
        raise
    except MemoryError:
        error = reason("out_of_memory", doc_id, detail=str(limits.memory_mib))
    except DocumentError as known:
        error = known
    except Exception as unknown:
        error = reason("reader_failed", doc_id, detail=type(unknown).__name__)
    yield _refusal(error, doc_id)


def _refusal(error: DocumentError, doc_id: str) -> Frame:
    return {"code": error.code, "sentence": error.sentence, "doc_id": doc_id}


class _Full(Exception):
    """No more parts are taken."""


class _Walk:
    def __init__(self, limits: Limits, resume: Frame) -> None:
        self._limits = limits
        self._after: int = resume.get("after", 0)
        self._broken = frozenset(resume.get("broken", ()))
        self._room = Room(limits, n_chars=resume.get("n_chars", 0))
        self._number = 0
        self._ids: set[str] = set()
        #: Name → how many parts have it, where more than one has: a name given ten thousand times costs no more than others.
        self._n_same: dict[str, int] = {}

    def container(
        self, raw: bytes, doc_id: str, suffix: str, above: tuple[bytes, ...]
    ) -> Iterator[Frame]:
        """Yield the frames of everything in a container; ``above`` are the digests of those that it stands in."""
        digest = hashlib.sha256(raw).digest()
        if digest in above:
            raise reason("nested_in_itself", doc_id)
        if len(above) > MAX_DEPTH:
            raise reason("nested_too_deep", doc_id, detail=str(MAX_DEPTH))
        before = self._number
        parts = cast("Parts", import_module(CONTAINERS[suffix]).parts)
        for part in parts(raw, doc_id, self._room):
            self._number += 1
            yield from self._part(part, self._free_id(doc_id, part.name), (*above, digest))
        if self._number == before:
            raise reason("empty", doc_id)

    def _part(self, part: Part, part_id: str, above: tuple[bytes, ...]) -> Iterator[Frame]:
        number, is_new = self._number, self._number > self._after
        is_container = part.suffix in CONTAINERS
        if number in self._broken or not (is_new or is_container):
            return
        if is_new:
            yield {"start": number, "doc_id": part_id}
        if number > MAX_PARTS:
            yield _refusal(reason("too_many_parts", part_id, detail=f"{MAX_PARTS:,}"), part_id)
            raise _Full
        going = self._inner(part, part_id, above) if is_container else self._own(part, part_id)
        for frame in safely(going, part_id, self._limits):
            # What went wrong with a container before the last part done with was said then.
            if "code" not in frame or self._number > self._after:
                yield frame

    def _inner(self, part: Part, part_id: str, above: tuple[bytes, ...]) -> Iterator[Frame]:
        loaded = part.load()
        assert isinstance(loaded, bytes)  # a Part of a container's suffix gives bytes
        yield from self.container(loaded, part_id, part.suffix, above)

    def _own(self, part: Part, part_id: str) -> Iterator[Frame]:
        yield self._document(part, part_id)

    def _document(self, part: Part, part_id: str) -> Frame:
        loaded = part.load()
        if isinstance(loaded, Document):
            document = replace(loaded, doc_id=part_id)
        elif loaded:
            document = read_raw(loaded, part.suffix, part_id, self._room.limits_left(part_id))
        else:
            raise reason("empty", part_id)
        self._room.take_document(document)
        return {"document": document_to_json(document), "doc_id": part_id}

    def _free_id(self, doc_id: str, name: str) -> str:
        """Give a part's id; of two with the same name, the second is called ``name (2)``."""
        if not name:
            return doc_id
        wanted = f"{doc_id}/{name}"
        part_id = wanted
        while part_id in self._ids:
            n_same = self._n_same[wanted] = self._n_same.get(wanted, 1) + 1
            pure = PurePosixPath(wanted)
            part_id = str(pure.with_name(f"{pure.stem} ({n_same}){pure.suffix}"))
        self._ids.add(part_id)
        return part_id
