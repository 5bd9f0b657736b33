"""The directory of a ZIP file, read without trusting it: names as bytes, sizes and places checked against the file.

Our own reading (APPNOTE 6.3.10, sections 4.3 to 4.6) because ``zipfile`` decodes names before anybody can choose an encoding, refuses
a whole archive for one name, builds a million entries before the first can be looked at, and lets entries overlap.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from ragjp.documents.reasons import reason

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_MAGIC, _END_64_MAGIC, _LOCATOR_64_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_CENTRAL_MAGIC, _LOCAL_MAGIC = b"PK\x01\x02", b"PK\x03\x04"
#: The end of the directory stands before a comment of at most this many bytes.
_MOST_COMMENT = 0xFFFF
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_EXTRA_64, _EXTRA_UNICODE_PATH = 0x0001, 0x7075
_ENCRYPTED, _STRONG, _HIDDEN, _UTF8 = 1 << 0, 1 << 6, 1 << 13, 1 << 11
_UNIX, _MAC = 3, 19
_STORED, _DEFLATED, _AES = 0, 8, 99
_METHOD_NAMES = {9: "Deflate64", 12: "BZip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
#: Below this size a text may be compressed as much as it likes; above, no document is compressed more than so many times.
_FREE_BYTES = 1 << 20
MAX_RATIO = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the directory, as the file has it."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    made_by: int
    attributes: int
    extra: bytes = field(repr=False)

    @property
    def is_utf8(self) -> bool:
        """Whether the name says of itself that it is UTF-8."""
        return bool(self.flags & _UTF8)

    @property
    def is_encrypted(self) -> bool:
        """Whether its bytes need a password."""
        return bool(self.flags & (_ENCRYPTED | _STRONG | _HIDDEN)) or self.method == _AES

    @property
    def unix_type(self) -> int:
        """The kind of file, as :func:`stat.S_IFMT` gives it; 0 when not known."""
        return stat.S_IFMT(self.attributes >> 16) if self.made_by in (_UNIX, _MAC) else 0

    @property
    def unicode_name(self) -> str:
        """The name in Info-ZIP's extra field, when that belongs to this name (its checksum says so); else empty."""
        for kind, body in _fields(self.extra):
            if kind == _EXTRA_UNICODE_PATH and len(body) > 5 and body[0] == 1:
                if int.from_bytes(body[1:5], "little") != zlib.crc32(self.raw_name):
                    return ""
                return body[5:].decode("utf-8", "ignore")
        return ""


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


class Directory:
    """A ZIP file's entries and their bytes.

    Parameters
    ----------
    raw
        The file.
    name
        The archive, for errors.
    most_entries
        Reading the directory stops after so many.

    Raises
    ------
    DocumentError
        ``zip_damaged``.
    """

    def __init__(self, raw: bytes, name: str, most_entries: int) -> None:
        self._raw = raw
        start, size, self._shift = self._place(name)
        self.entries = list(self._entries(start, start + size, most_entries, name))
        self._overlapping = self._overlaps()

    def _place(self, name: str) -> tuple[int, int, int]:
        """Find the directory: its start, its size, and how many bytes were put before the archive (a program that unpacks itself)."""
        end = self._raw.rfind(_END_MAGIC, max(0, len(self._raw) - _MOST_COMMENT - _END.size))
        if end < 0 or end + _END.size > len(self._raw):
            raise reason("zip_damaged", name, detail="終わりの印がありません")
        _, disk, _, _, n_entries, size, offset, _ = _END.unpack_from(self._raw, end)
        locator = end - _LOCATOR_64.size
        is_64 = _FULL_16 in (disk, n_entries) or _FULL_32 in (size, offset)
        if is_64 and locator >= 0 and self._raw.startswith(_LOCATOR_64_MAGIC, locator):
            end_64 = self._raw.rfind(_END_64_MAGIC, 0, locator)
            if end_64 >= 0 and end_64 + _END_64.size <= locator:
                *_, size, offset = _END_64.unpack_from(self._raw, end_64)
                end = end_64
        elif disk:
            raise reason("zip_damaged", name, detail="分割された ZIP の一部です")
        start = end - size
        if start < 0 or offset > start:
            raise reason("zip_damaged", name, detail="目次の位置が合いません")
        return start, size, start - offset

    def _entries(self, at: int, end: int, most: int, name: str) -> Iterator[Entry]:
        while at + _CENTRAL.size <= end and most > 0:
            head = _CENTRAL.unpack_from(self._raw, at)
            if head[0] != _CENTRAL_MAGIC:
                raise reason("zip_damaged", name, detail="目次が途切れています")
            _, made, _, flags, method, _, _, crc, packed, size = head[:10]
            n_name, n_extra, n_comment, _, _, attributes, offset = head[10:]
            start = at + _CENTRAL.size
            raw_name = self._raw[start : start + n_name]
            extra = self._raw[start + n_name : start + n_name + n_extra]
            size, packed, offset = _sizes_64(extra, size, packed, offset)
            yield Entry(
                raw_name, flags, method, crc, packed, size, offset, made >> 8, attributes, extra
            )
            at = start + n_name + n_extra + n_comment
            most -= 1

    def _span(self, entry: Entry) -> tuple[int, int, int] | None:
        """Give where an entry's header, its bytes and their end are; none where the file has no such place."""
        at = entry.offset + self._shift
        if not 0 <= at <= len(self._raw) - _LOCAL.size:
            return None
        head = _LOCAL.unpack_from(self._raw, at)
        start = at + _LOCAL.size + head[-2] + head[-1]
        end = start + entry.packed
        return (at, start, end) if head[0] == _LOCAL_MAGIC and end <= len(self._raw) else None

    def _overlaps(self) -> frozenset[int]:
        """Find the entries, by their place in the list, that share bytes with one before them in the file."""
        spans = sorted(
            (span[0], span[2], place)
            for place, entry in enumerate(self.entries)
            if (span := self._span(entry)) is not None
        )
        found, reached = set(), 0
        for at, end, place in spans:
            if at < reached:
                found.add(place)
            reached = max(reached, end)
        return frozenset(found)

    def check(self, place: int, name: str) -> None:
        """Refuse an entry that cannot be read, by what the directory says of it.

        Raises
        ------
        DocumentError
            ``zip_encrypted``, ``zip_method``, ``zip_overlap``, ``zip_bomb``, ``zip_entry_damaged``.
        """
        entry = self.entries[place]
        if entry.is_encrypted:
            raise reason("zip_encrypted", name)
        if entry.method not in (_STORED, _DEFLATED):
            known = _METHOD_NAMES.get(entry.method, str(entry.method))
            raise reason("zip_method", name, detail=known)
        if place in self._overlapping:
            raise reason("zip_overlap", name)
        if entry.size > max(_FREE_BYTES, MAX_RATIO * entry.packed):
            raise reason("zip_bomb", name, detail=f"{entry.size / max(entry.packed, 1):,.0f} 倍")
        if self._span(entry) is None:
            raise reason("zip_entry_damaged", name, detail="位置が合いません")

    def read(self, place: int, name: str) -> bytes:
        """Unpack an entry that was checked: never more bytes than the directory says.

        Raises
        ------
        DocumentError
            ``zip_entry_damaged``; ``zip_bomb`` when there are more bytes.
        """
        entry = self.entries[place]
        span = self._span(entry)
        if span is None:
            raise reason("zip_entry_damaged", name, detail="位置が合いません")
        data = self._raw[span[1] : span[2]]
        if entry.method == _DEFLATED:
            data = _inflated(data, entry.size, name)
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise reason("zip_entry_damaged", name, detail="検査値が合いません")
        return data


def _sizes_64(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Replace size, packed size and offset, where they are full, by those of the ZIP64 field, which has them in this order."""
    found = list(values)
    for kind, body in _fields(extra):
        if kind == _EXTRA_64:
            at = 0
            for place, value in enumerate(found):
                if value == _FULL_32 and at + 8 <= len(body):
                    found[place] = int.from_bytes(body[at : at + 8], "little")
                    at += 8
            break
    return found[0], found[1], found[2]


def _inflated(packed: bytes, size: int, name: str) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise reason("zip_entry_damaged", name, detail="展開できません") from error
    if len(data) > size:
        raise reason("zip_bomb", name, detail=f"目次の {size:,} バイトより大きい")
    return data
