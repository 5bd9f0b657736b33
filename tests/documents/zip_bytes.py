"""ZIP files made by hand, also such as no program makes: every field can be given another value."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


@dataclass
class File:
    """One entry; what is not given is what an honest archive would have."""

    name: bytes
    data: bytes = b""
    flags: int = 0
    method: int = 8
    made_by: int = 0
    attributes: int = 0
    extra: bytes = b""
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    offset: int | None = None
    body: bytes | None = None


def make_zip(*files: File, before: bytes = b"", comment: bytes = b"") -> bytes:
    out = bytearray(before)
    central = bytearray()
    for file in files:
        body = file.body if file.body is not None else packed(file.data, file.method)
        crc = zlib.crc32(file.data) if file.crc is None else file.crc
        size = len(file.data) if file.size is None else file.size
        n_packed = len(body) if file.packed is None else file.packed
        offset = len(out) - len(before) if file.offset is None else file.offset
        numbers = (file.flags, file.method, 0, 0, crc, n_packed, size, len(file.name))
        out += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, *numbers, 0) + file.name + body
        made = file.made_by << 8 | 20
        central += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", made, 20, *numbers, len(file.extra), 0, 0, 0,
            file.attributes, offset,
        )  # fmt: skip
        central += file.name + file.extra
    start = len(out) - len(before)
    n = min(len(files), 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n, n, len(central), start, len(comment))
    return bytes(out + central + end + comment)


def packed(data: bytes, method: int = 8) -> bytes:
    if method != 8:
        return data
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(data) + deflater.flush()


def unicode_field(raw_name: bytes, name: str, *, crc: int | None = None) -> bytes:
    """Info-ZIP's Unicode path (0x7075)."""
    checksum = zlib.crc32(raw_name) if crc is None else crc
    body = b"\x01" + struct.pack("<L", checksum) + name.encode()
    return struct.pack("<HH", 0x7075, len(body)) + body
