"""The old Japanese encodings as they are really written: with the rows of NEC and IBM that Python's codecs refuse.

ISO-2022-JP, EUC-JP and Shift_JIS are three spellings of one table of 94 × 94 characters. Files call themselves by the standard's
name and hold the vendors' extensions (①, ㈱, Ⅳ, 髙), which Python knows in CP932 only; so each spelling is turned into CP932's.
The arithmetic is that of JIS X 0208:1997, appendix 1.
"""

from __future__ import annotations

import re
from contextlib import suppress

#: Designations that ISO-2022-JP text carries; ``ESC $ ( D`` is JIS X 0212, left to Python's own codec.
_ESCAPES = re.compile(rb"\x1b(\$[@B]|\([BJI])")
_EUC_PAIR, _EUC_KANA, _EUC_SUPPLEMENT = re.compile(rb"[\xa1-\xfe]{2}"), 0x8E, 0x8F
_KANA_SHIFT = 0x80


#: What Python's CP932 makes of the bytes 80, A0 and FD to FF, which no text holds.
_NO_CP932 = re.compile("[\x80\uf8f0-\uf8f3]")


def decode_cp932(raw: bytes) -> str:
    r"""Decode CP932: Shift_JIS with the vendors' rows.

    Raises
    ------
    UnicodeDecodeError
        At a byte or a pair that CP932 has not, single bytes that Python's codec lets pass included.
    """
    text = raw.decode("cp932")
    if _NO_CP932.search(text):
        raise UnicodeDecodeError("cp932", raw, 0, 1, "not a character")
    return text


def _cp932_pair(row: int, cell: int) -> bytes:
    """Spell the character of ``row`` and ``cell`` (each 0x21–0x7E) as CP932 does."""
    lead = ((row - 0x21) >> 1) + (0x81 if row < 0x5F else 0xC1)
    trail = cell + (0x1F if cell < 0x60 else 0x20) if row & 1 else cell + 0x7E
    return bytes((lead, trail))


def decode_iso2022jp(raw: bytes) -> str:
    r"""Decode ISO-2022-JP with half-width kana and vendor rows (CP50221).

    >>> decode_iso2022jp(b"\x1b$B-!7PHq\x1b(B1")
    '①経費1'

    Raises
    ------
    UnicodeDecodeError
        At an unknown designation, a byte with its high bit set, or a pair that CP932 has not.
    """
    if not raw.isascii():
        raise UnicodeDecodeError("iso2022_jp", raw, 0, 1, "8-bit byte")
    with suppress(UnicodeDecodeError):
        return raw.decode("iso2022_jp")
    parts = _ESCAPES.split(raw)
    spelled = [parts[0]]
    for designation, part in zip(parts[1::2], parts[2::2], strict=True):
        if b"\x1b" in part:
            raise UnicodeDecodeError("iso2022_jp", raw, 0, 1, "unknown designation")
        if designation.startswith(b"$"):
            spelled.append(_double_bytes(part, raw))
        elif designation == b"(I":
            spelled.append(bytes(b + _KANA_SHIFT if 0x21 <= b <= 0x5F else b for b in part))
        else:
            spelled.append(part)
    return b"".join(spelled).decode("cp932")


def _double_bytes(part: bytes, raw: bytes) -> bytes:
    """Spell a run of two-byte characters in CP932; control characters (a line end before the escape) stay single."""
    out = bytearray()
    at = 0
    while at < len(part):
        if part[at] <= 0x20:
            out.append(part[at])
            at += 1
        elif at + 1 < len(part) and 0x21 <= part[at] <= 0x7E and 0x21 <= part[at + 1] <= 0x7E:
            out += _cp932_pair(part[at], part[at + 1])
            at += 2
        else:
            raise UnicodeDecodeError("iso2022_jp", raw, 0, 1, "half a character")
    return bytes(out)


def decode_eucjp(raw: bytes) -> str:
    r"""Decode EUC-JP with vendor rows (CP51932) and JIS X 0212.

    >>> decode_eucjp(b"\xad\xa1\xb7\xd0\xc8\xf1")
    '①経費'

    Raises
    ------
    UnicodeDecodeError
        At a byte or a pair that EUC-JP has not.
    """
    with suppress(UnicodeDecodeError):
        return raw.decode("euc_jp")
    out: list[str] = []
    at = 0
    while at < len(raw):
        lead = raw[at]
        if lead < 0x80:
            end = at + 1
            while end < len(raw) and raw[end] < 0x80:
                end += 1
            out.append(raw[at:end].decode("ascii"))
        elif lead in (_EUC_KANA, _EUC_SUPPLEMENT):
            end = at + (2 if lead == _EUC_KANA else 3)
            out.append(raw[at:end].decode("euc_jp"))
        else:
            end = at + 2
            if not _EUC_PAIR.fullmatch(raw, at, end):
                raise UnicodeDecodeError("euc_jp", raw, at, at + 1, "not a character")
            out.append(_cp932_pair(lead & 0x7F, raw[at + 1] & 0x7F).decode("cp932"))
        at = end
    return "".join(out)
