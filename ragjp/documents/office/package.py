"""The ZIP of parts that an Office file is, opened inside limits, and its XML without document types.

python-docx, python-pptx and openpyxl open every part before one can look at it, keep neither ruby nor text boxes nor hidden rows apart, and
set no limit; what is left to do with them is what is done here. Elements lose their namespaces on the way, so that the strict and the
transitional writing of the standard read alike.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from ragjp.documents.reasons import reason
from ragjp.errors import DocumentError

#: Parts in a file; a report with ten thousand pictures is still below it.
MOST_PARTS = 50_000
#: Of one part, and of all parts read from one file.
MOST_PART_BYTES = 512 << 20
MOST_BYTES = 1 << 30
#: Deflate reaches 1032; sheets full of the same row reach 100.
MOST_RATIO = 300
RATIO_FROM_BYTES = 8 << 20
#: Levels of elements: Word nests tables and text boxes, five levels each.
MOST_DEPTH = 200
#: The XML declaration and comments; then the first element has to come.
_PROLOG_BYTES = 64 << 10
_PIECE_BYTES = 64 << 10

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)
_XML_ERRORS = (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError)


class _RootFound(Exception):
    """The first element begins: there was no document type before it."""


class Relation(NamedTuple):
    """What a part points at inside the package: the last word of the relationship's type, and the part's name."""

    kind: str
    target: str


@lru_cache(maxsize=4096)
def local(tag: str) -> str:
    """Give a name without its namespace.

    >>> local("{http://schemas.openxmlformats.org/wordprocessingml/2006/main}p")
    'p'
    """
    return tag.rpartition("}")[2]


def attribute(element: Element, name: str, default: str = "") -> str:
    """Give an attribute by its name without namespace."""
    value = element.attrib.get(name)
    if value is not None:
        return value
    ending = "}" + name
    return next((value for key, value in element.attrib.items() if key.endswith(ending)), default)


def child(element: Element | None, *path: str) -> Element | None:
    """Give the first child, its first child, and so on, by name."""
    for name in path:
        element = None if element is None else element.find(name)
    return element


def setting(element: Element | None, *path: str, of: str = "val", default: str = "") -> str:
    """Give the ``val`` of a child's child; what most settings of Word and DrawingML are."""
    found = child(element, *path)
    return default if found is None else attribute(found, of, default)


def is_on(element: Element | None, *path: str) -> bool:
    """Tell whether a switch (``<w:vanish/>``, ``<w:b w:val="0"/>``) is there and on."""
    found = child(element, *path)
    return found is not None and attribute(found, "val", "1") not in ("0", "false", "off", "none")


class _Counted(io.RawIOBase):
    """A part that is read, refused once it grows beyond what is believable."""

    def __init__(self, package: Package, part: IO[bytes], packed_bytes: int) -> None:
        self._package = package
        self._part = part
        self._packed_bytes = packed_bytes
        self._n_bytes = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._part.read(_PIECE_BYTES if size is None or size < 0 else size)
        self._n_bytes += len(piece)
        self._package.count(len(piece), self._n_bytes, self._packed_bytes)
        return piece


class Package:
    """An Office file's parts.

    Raises
    ------
    DocumentError
        ``office_damaged``, ``office_encrypted``, ``office_bomb``.
    """

    def __init__(self, raw: bytes, name: str) -> None:
        self._name = name
        self._n_bytes = 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(raw))
        except _ZIP_ERRORS as error:
            raise self.damaged("ZIP として開けません") from error
        infos = self._zip.infolist()
        if len(infos) > MOST_PARTS:
            raise self.bomb(f"部品が {len(infos):,} 個")
        # Names are only ever compared: none leads to a file. Some programs write backslashes.
        self._parts = {_part_name(info.filename): info for info in infos}

    def damaged(self, detail: str) -> DocumentError:
        """Make the error for a file that breaks the format's own rules."""
        return reason("office_damaged", self._name, detail=detail)

    def bomb(self, detail: str) -> DocumentError:
        """Make the error for a file that unpacks to more than it should."""
        return reason("office_bomb", self._name, detail=detail)

    def count(self, n_bytes: int, part_bytes: int, packed_bytes: int) -> None:
        """Add to what has been unpacked.

        Raises
        ------
        DocumentError
            ``office_bomb``.
        """
        self._n_bytes += n_bytes
        if part_bytes > MOST_PART_BYTES or self._n_bytes > MOST_BYTES:
            raise self.bomb(f"展開後 {max(part_bytes, self._n_bytes) >> 20:,} MiB 以上")
        if part_bytes > RATIO_FROM_BYTES and part_bytes > MOST_RATIO * max(packed_bytes, 1):
            raise self.bomb(f"展開すると {part_bytes // max(packed_bytes, 1):,} 倍以上")

    def names(self, folder: str = "") -> list[str]:
        """List the parts of a folder, as they are called here (lower case)."""
        return [name for name in self._parts if name.startswith(folder.lower())]

    def has(self, part: str) -> bool:
        """Tell whether there is such a part."""
        return _part_name(part) in self._parts

    def open(self, part: str) -> _Counted:
        """Open a part for reading, from the beginning, with its size watched.

        Raises
        ------
        DocumentError
            ``office_damaged`` when it is not there, ``office_encrypted``.
        """
        info = self._parts.get(_part_name(part))
        if info is None:
            raise self.damaged(f"{part} がありません")
        if info.flag_bits & 0x1:
            raise reason("office_encrypted", self._name)
        try:
            return _Counted(self, self._zip.open(info), info.compress_size)
        except _ZIP_ERRORS as error:
            raise self.damaged(part) from error

    def events(self, part: str, *, starts: bool = False) -> Iterator[tuple[str, Element]]:
        """Parse a part piece by piece, yielding (``start`` or ``end``, element); names carry no namespace at the end of an element.

        Raises
        ------
        DocumentError
            ``office_damaged``, ``office_dtd``, ``office_bomb``, ``office_encrypted``.
        """
        self._check_prolog(part)
        depth = 0
        try:
            source = self.open(part)
            for event, element in ElementTree.iterparse(
                source, ("start", "end") if starts else ("end",)
            ):
                if event == "start":
                    depth += 1
                    element.tag = local(element.tag)
                    if depth > MOST_DEPTH:
                        raise self.damaged(f"{part} の入れ子が深すぎます")
                else:
                    depth -= 1
                    element.tag = element.tag if starts else local(element.tag)
                yield event, element
        except DocumentError:
            raise
        except (*_XML_ERRORS, *_ZIP_ERRORS) as error:
            raise self.damaged(part) from error

    def tree(self, part: str) -> Element:
        """Parse a whole part.

        Raises
        ------
        DocumentError
            As :meth:`events`.
        """
        root: Element | None = None
        for event, element in self.events(part, starts=True):
            if event == "start" and root is None:
                root = element
        if root is None:
            raise self.damaged(part)
        return root

    def optional_tree(self, part: str) -> Element | None:
        """Parse a part, or give nothing where it is not there."""
        return self.tree(part) if part and self.has(part) else None

    def _check_prolog(self, part: str) -> None:
        """Refuse a document type: before the first element is the only place where one can stand, and entities with it."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = _stop
        n_bytes = 0
        try:
            with self.open(part) as source:
                while n_bytes < _PROLOG_BYTES and (piece := source.read(4096)):
                    n_bytes += len(piece)
                    parser.Parse(piece, False)
        except _RootFound:
            return
        except DocumentError:
            raise
        except (*_XML_ERRORS, *_ZIP_ERRORS) as error:
            raise self.damaged(part) from error
        raise self.damaged(part)

    def _refuse_doctype(self, *_: object) -> None:
        raise reason("office_dtd", self._name)

    def relations(self, part: str) -> dict[str, Relation]:
        """Give what a part points at inside the package, by relationship id. What points outside is left out, and never followed."""
        folder, _, name = part.rpartition("/")
        tree = self.optional_tree(f"{folder}/_rels/{name}.rels")
        found: dict[str, Relation] = {}
        for element in tree if tree is not None else ():
            if element.get("TargetMode") == "External":
                continue
            target = unquote(element.get("Target", ""))
            whole = target if target.startswith("/") else posixpath.join("/", folder, target)
            kind = element.get("Type", "").rpartition("/")[2]
            found[element.get("Id", "")] = Relation(kind, posixpath.normpath(whole).lstrip("/"))
        return found

    def related(self, part: str, kind: str) -> str:
        """Give the first part of a kind that a part points at; empty when there is none."""
        return next(
            (known.target for known in self.relations(part).values() if known.kind == kind), ""
        )

    def main_part(self, usual: str) -> str:
        """Give the part that the package is about."""
        found = self.related("", "officeDocument")
        return found if found and self.has(found) else usual

    def title(self) -> str:
        """Give the title of the properties, if there is one; a damaged part of them is no reason to refuse the document."""
        try:
            tree = self.optional_tree(self.related("", "core-properties") or "docProps/core.xml")
        except DocumentError as error:
            if error.code != "office_damaged":
                raise
            return ""
        found = None if tree is None else tree.find("title")
        return "" if found is None else found.text or ""


def _stop(*_: object) -> None:
    raise _RootFound


def _part_name(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
