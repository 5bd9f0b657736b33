"""The body that Outlook keeps as compressed RTF, when a message has no other: unpacked ([MS-OXRTFCP]), and its text or HTML taken out ([MS-OXRTFEX])."""

from __future__ import annotations

import re
import struct

_HEADER = struct.Struct("<LLLL")
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_DICTIONARY_BYTES = 4096
#: What the dictionary holds at first ([MS-OXRTFCP] 2.1.2.1): the beginnings of RTF.
_FIRST = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes"
    rb" New RomanCourier{\colortbl\red0\green0\blue0"
    + b"\r\n"
    + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_MOST_BYTES = 64 << 20
_TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-z'])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
#: Groups whose content is no text.
_UNSEEN = frozenset(
    b"fonttbl colortbl stylesheet info pict object themedata listtable listoverridetable generator xmlnstbl datastore".split()
)
_BREAKS = {b"par": "\n", b"line": "\n", b"tab": "\t", b"cell": " | ", b"row": "\n"}


def rtf_bodies(packed: bytes) -> tuple[str, str]:
    """Give the plain text and the HTML in a compressed RTF body; at most one of them is not empty."""
    rtf = unpack_rtf(packed)
    is_html = b"\\fromhtml" in rtf[:2000]
    text = rtf_text(rtf, is_html=is_html)
    return ("", text) if is_html else (text, "")


def unpack_rtf(packed: bytes) -> bytes:
    """Unpack a body ([MS-OXRTFCP] 3.1.3.1); empty when it is none."""
    if len(packed) < _HEADER.size:
        return b""
    _, size, kind, _ = _HEADER.unpack_from(packed)
    body = packed[_HEADER.size :]
    if kind == _PLAIN:
        return body[:size]
    if kind != _COMPRESSED:
        return b""
    return _Unpacking(body, min(size, _MOST_BYTES)).run()


class _Unpacking:
    """LZ77 over a ring of 4,096 bytes: eight items a control byte, each a byte or a place in the ring and a length."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size
        self._ring = bytearray(_FIRST.ljust(_DICTIONARY_BYTES, b"\0"))
        self._write = len(_FIRST)
        self._out = bytearray()

    def run(self) -> bytes:
        at = 0
        while at < len(self._body) and len(self._out) < self._size:
            control = self._body[at]
            at += 1
            for bit in range(8):
                step = 2 if control >> bit & 1 else 1
                item = self._body[at : at + step]
                at += step
                if len(item) < step or not self._take(item):
                    return bytes(self._out[: self._size])
        return bytes(self._out[: self._size])

    def _take(self, item: bytes) -> bool:
        """Take one item; false at the mark of the end."""
        if len(item) == 1:
            self._put(item[0])
            return True
        pair = int.from_bytes(item, "big")
        place, length = pair >> 4, (pair & 15) + 2
        if place == self._write:
            return False
        for _ in range(length):
            self._put(self._ring[place])
            place = (place + 1) % _DICTIONARY_BYTES
        return True

    def _put(self, value: int) -> None:
        self._out.append(value)
        self._ring[self._write] = value
        self._write = (self._write + 1) % _DICTIONARY_BYTES


class _Text:
    """Text put together from characters and from bytes of the code page."""

    def __init__(self, codepage: str) -> None:
        self._codepage = codepage
        self._out: list[str] = []
        self._bytes = bytearray()

    def byte(self, value: int) -> None:
        self._bytes.append(value)

    def text(self, text: str) -> None:
        if self._bytes:
            self._out.append(self._bytes.decode(self._codepage, "ignore"))
            self._bytes.clear()
        self._out.append(text)

    def finish(self) -> str:
        self.text("")
        return "".join(self._out)


def rtf_text(rtf: bytes, *, is_html: bool) -> str:
    """Take out the text; of RTF made from HTML, the HTML."""
    return _Reading(rtf, is_html=is_html).text()


class _Reading:
    """One pass over RTF. A group inherits from the one around it whether it is seen."""

    def __init__(self, rtf: bytes, *, is_html: bool) -> None:
        self._rtf = rtf
        found = re.search(rb"\\ansicpg(\d{3,5})", rtf[:4000])
        codepage = f"cp{int(found[1])}" if found else "cp932"
        self._out = _Text(
            codepage if codepage in ("cp932", "cp1252", "cp936", "cp949", "cp950") else "cp932"
        )
        self._is_html = is_html
        self._seen, self._is_tag = True, False
        self._groups: list[tuple[bool, bool, int]] = []
        self._skip_after_unicode, self._left_to_skip = 1, 0
        self._in_rtf = False  # between \htmlrtf and \htmlrtf0: only for programs that read RTF

    def text(self) -> str:
        for found in _TOKEN.finditer(self._rtf):
            word, number, code, sign, brace, run = found.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word, int(number) if number else None)
            elif code:
                self._byte(int(code, 16))
            elif sign:
                self._sign(sign)
            elif run:
                for value in run:
                    self._byte(value)
        return self._out.finish()

    @property
    def _is_shown(self) -> bool:
        return self._seen and not self._in_rtf

    def _brace(self, brace: bytes) -> None:
        self._left_to_skip = 0
        if brace == b"{":
            self._groups.append((self._seen, self._is_tag, self._skip_after_unicode))
        elif self._groups:
            self._seen, self._is_tag, self._skip_after_unicode = self._groups.pop()

    def _byte(self, value: int) -> None:
        if self._left_to_skip:
            self._left_to_skip -= 1
        elif self._is_shown:
            self._out.byte(value)

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._seen = self._is_tag = False  # unless the word that follows is known
        elif sign in b"\\{}":
            self._byte(sign[0])
        elif sign == b"~" and self._is_shown:
            self._out.text(" ")

    def _word(self, word: bytes, number: int | None) -> None:
        if word == b"u" and number is not None:
            if self._is_shown:
                self._out.text(chr(number % 0x10000))
            self._left_to_skip = self._skip_after_unicode
        elif word == b"uc":
            self._skip_after_unicode = min(number or 0, 8)
        elif word == b"htmltag" and self._is_html:
            self._seen = self._is_tag = True
        elif word == b"htmlrtf":
            self._in_rtf = number != 0
        elif word in _UNSEEN:
            self._seen = False
        elif word in _BREAKS and self._is_shown and not self._is_tag:
            self._out.text(_BREAKS[word])
