"""The words of mail: headers and bodies in the encodings that they claim, or really have.

Headers come as RFC 2047 and RFC 2231 want them, as raw ISO-2022-JP or CP932, and as encoded words that were cut in the middle of a
character: words in one encoding that stand side by side are joined as bytes before they are decoded. ``email``'s own newer parser does
not do this, and fails on headers that are wrong; so headers are taken raw.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from ragjp.documents.cleaning import clean_text
from ragjp.documents.encoding import decode, decode_as
from ragjp.errors import DocumentError

_ENCODED = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]{0,10000})\?=")
_FOLDED = re.compile(r"\r?\n[ \t]*")
_BLANKS = re.compile(r"[ \t]+")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_ESCAPE = "\x1b"
#: A longer header is cut: an attacker's, or a list of all the staff.
_LONGEST_HEADER = 100_000
_MOST_CUT = 3
_JIS = re.compile(rb"\x1b\$[@B]")
_USUAL = ("utf-8", "cp932", "iso-2022-jp", "euc-jp")
#: Charsets that senders name who do not know.
_KNOWS_NOTHING = frozenset(
    {"", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252", "cp1252", "unknown-8bit"}
)


def header_text(value: str) -> str:
    """Decode a header: ``value`` as the file has it, bytes beyond ASCII as surrogates.

    >>> header_text("=?ISO-2022-JP?B?GyRCN1BIcRsoQg==?= =?ISO-2022-JP?B?GyRCNSxEeBsoQg==?= (v2)")
    '経費規程 (v2)'
    """
    value = _FOLDED.sub(" ", value[:_LONGEST_HEADER])
    if not value.isascii() or _ESCAPE in value:
        raw = value.encode("utf-8", "surrogateescape")
        text = _guessed(raw)
        if text is None:
            text = raw.decode("ascii", "backslashreplace")
        value = text
    return _BLANKS.sub(" ", clean_text("".join(_words(value)))).strip()


def _guessed(raw: bytes) -> str | None:
    try:
        return decode(raw)[0]
    except DocumentError:
        return None


def _words(value: str) -> Iterator[str]:
    """Yield the pieces of a header, its encoded words decoded."""
    at = 0
    charset, waiting, source = "", b"", ""
    for found in _ENCODED.finditer(value):
        between = value[at : found.start()]
        at = found.end()
        name = found[1].partition("*")[0].lower()
        raw = _unquoted(found[3]) if found[2] in "qQ" else unbase64(found[3])
        if waiting and not between.strip() and name == charset:
            waiting += raw
            source += found[0]
            continue
        yield _decoded_word(waiting, charset, source)
        # Blanks between two encoded words are no part of the text.
        yield between if between.strip() or not source else ""
        charset, waiting, source = name, raw, found[0]
    yield _decoded_word(waiting, charset, source)
    yield value[at:]


def _decoded_word(raw: bytes, charset: str, source: str) -> str:
    text = decode_as(raw, charset)
    if text is None:
        text = _guessed(raw) if raw else ""
    return source if text is None else text


def _unquoted(text: str) -> bytes:
    raw = text.replace("_", " ").encode("utf-8", "surrogateescape")
    return _HEX.sub(lambda found: bytes((int(found[1], 16),)), raw)


def unbase64(text: str) -> bytes:
    """Decode base64, whatever stands between, and whatever is missing at the end."""
    kept = _NOT_BASE64.sub("", text)
    kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
    return binascii.a2b_base64(kept + "=" * (-len(kept) % 4))


def parameter_text(value: object) -> str:
    """Decode a parameter as ``Message.get_param`` gives it: a header, or (RFC 2231) charset, language and bytes as Latin-1."""
    match value:
        case (charset, _, str(text)):
            raw = text.encode("latin-1", "ignore")
            decoded = decode_as(raw, str(charset or "")) or _guessed(raw)
            return clean_text(text if decoded is None else decoded).strip()
        case str():
            return header_text(value)
    return ""


def body_text(raw: bytes, charset: str) -> tuple[str, int]:
    """Decode a text body: as it says, as it looks, without its cut end, else line by line. Returns the text and how many lines are lost.

    Every encoding used in mail has its line ends to itself, and ISO-2022-JP begins each line anew, so one wrong byte costs a line.
    """
    known = charset.partition("*")[0].strip().lower()
    is_jis = _JIS.search(raw) is not None  # whatever it says: no other encoding has these
    if is_jis and (text := decode_as(raw, "iso-2022-jp")) is not None:
        return text, 0
    if known not in _KNOWS_NOTHING and (text := decode_as(raw, known)) is not None:
        return text, 0
    try:
        return decode(raw, declared=known)[0], 0
    except DocumentError:
        pass
    for n_cut in range(1, _MOST_CUT + 1):  # a body that ends in the middle of a character
        if (text := decode_as(raw[:-n_cut], known or "utf-8")) is not None:
            return text, 1
    lines = raw.split(b"\n")
    tries = [[decode_as(line, name) for line in lines] for name in dict.fromkeys((known, *_USUAL))]
    best = min(tries, key=lambda found: found.count(None))
    return "\n".join(line for line in best if line is not None), best.count(None)
