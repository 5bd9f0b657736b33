"""Outlook's messages (``.msg``): the mail, its attachments, and mails within it. Read here from the properties of [MS-OXMSG].

The file is a small file system (OLE2), which ``olefile`` (BSD) reads. The well-known reader of these messages, extract-msg, is under the GPL,
which does not go with this project's licence; what is needed of the format is a page of tables.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ragjp.documents.formats import CONTAINERS, reader_for
from ragjp.documents.html import declared_encoding
from ragjp.documents.mail_text import Mail, mail_document, shown_time
from ragjp.documents.mail_words import body_text, header_text
from ragjp.documents.outlook_rtf import rtf_bodies
from ragjp.documents.reasons import reason
from ragjp.documents.walk import MAX_DEPTH, Part, Room
from ragjp.documents.zip_names import safe_name
from ragjp.types import Document

if TYPE_CHECKING:
    import olefile

#: Property ids ([MS-OXPROPS]).
_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_TO, _CC, _MESSAGE_ID, _SENT, _RECEIVED = 0x0E04, 0x0E03, 0x1035, 0x0039, 0x0E06
_HTML_CODEPAGE, _CODEPAGE = 0x3FDE, 0x3FFD
_NAME_LONG, _NAME_SHORT, _NAME_SHOWN, _DATA, _CONTENT_ID, _HIDDEN = (
    0x3707,
    0x3704,
    0x3001,
    0x3701,
    0x3712,
    0x7FFE,
)
#: Property types.
_LONG, _BOOLEAN, _EMBEDDED, _STRING_8, _STRING, _TIME, _BINARY = (
    0x0003,
    0x000B,
    0x000D,
    0x001E,
    0x001F,
    0x0040,
    0x0102,
)
#: Bytes before the properties in the stream of a message, a message in a message, and an attachment.
_TOP_HEAD, _INNER_HEAD, _ATTACHMENT_HEAD = 32, 24, 8
_ENTRY = struct.Struct("<HHL8s")
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_CODEPAGES = {
    932: "cp932",
    50220: "iso-2022-jp",
    50221: "iso-2022-jp",
    50222: "iso-2022-jp",
    51932: "euc-jp",
    20932: "euc-jp",
    65001: "utf-8",
    1200: "utf-16-le",
    20127: "us-ascii",
}
_ATTACHMENT = "__attach_version1.0_#"
_INNER = f"__substg1.0_{_DATA:04X}{_EMBEDDED:04X}"
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emz", ".wmz", ".tif", ".tiff"})
_MOST_ATTACHMENTS = 1000

_Path = tuple[str, ...]


def parts(raw: bytes, doc_id: str, room: Room) -> Iterator[Part]:
    """Yield the message's own text, then its attachments and the messages in it.

    Raises
    ------
    DocumentError
        ``mail_damaged``.
    """
    import olefile

    try:
        ole = olefile.OleFileIO(io.BytesIO(raw))
        found = list(_message(ole, (), "", doc_id, room))
    except MemoryError:
        raise
    except Exception as error:  # olefile raises what a damaged file makes it run into
        raise reason("mail_damaged", doc_id, detail="OLE2 として読めません") from error
    if not ole.exists("__properties_version1.0"):
        raise reason("mail_damaged", doc_id, detail="Outlook のメールではありません")
    yield from found


class _Store:
    """The properties of one message or attachment."""

    def __init__(self, ole: olefile.OleFileIO, path: _Path, head: int) -> None:
        self._ole, self._path = ole, path
        self._fixed: dict[tuple[int, int], bytes] = {}
        stream = self._stream("__properties_version1.0")
        #: How many attachments a message says that it has.
        self.n_attached = int.from_bytes(stream[20:24], "little") if head > _ATTACHMENT_HEAD else 0
        table = stream[head:]
        for kind, number, _, value in _ENTRY.iter_unpack(table[: len(table) // 16 * 16]):
            self._fixed[number, kind] = value
        self.codepage = _CODEPAGES.get(self.number(_CODEPAGE), "")

    def _stream(self, name: str) -> bytes:
        where = [*self._path, name]
        if not self._ole.exists(where):
            return b""
        with self._ole.openstream(where) as stream:
            return bytes(stream.read())

    def number(self, tag: int) -> int:
        """Give a whole number; 0 when there is none."""
        return int.from_bytes(self._fixed.get((tag, _LONG), b"\0" * 8)[:4], "little")

    def is_set(self, tag: int) -> bool:
        """Tell whether a truth value is there and true."""
        return self._fixed.get((tag, _BOOLEAN), b"\0")[0] != 0

    def time(self, tag: int) -> str:
        """Give a time as text; empty when there is none."""
        ticks = int.from_bytes(self._fixed.get((tag, _TIME), b"\0" * 8), "little")
        try:
            return shown_time(_EPOCH + timedelta(microseconds=ticks // 10)) if ticks else ""
        except OverflowError:
            return ""

    def bytes(self, tag: int) -> bytes:
        """Give a binary value; empty when there is none."""
        return self._stream(f"__substg1.0_{tag:04X}{_BINARY:04X}")

    def text(self, *tags: int) -> str:
        """Give the first of some texts that is there."""
        for tag in tags:
            if wide := self._stream(f"__substg1.0_{tag:04X}{_STRING:04X}"):
                return wide.decode("utf-16-le", "ignore").rstrip("\0")
            if narrow := self._stream(f"__substg1.0_{tag:04X}{_STRING_8:04X}"):
                return body_text(narrow.rstrip(b"\0"), self.codepage)[0]
        return ""


def _message(
    ole: olefile.OleFileIO, path: _Path, prefix: str, doc_id: str, room: Room
) -> Iterator[Part]:
    """Yield the parts of the message in storage ``path``; ``prefix`` is its name in the file, empty for the file's own."""
    store = _Store(ole, path, _INNER_HEAD if path else _TOP_HEAD)
    attached = list(_attachments(ole, path))
    mail = _mail(store)
    mail.lost_attachments = max(0, min(store.n_attached, _MOST_ATTACHMENTS) - len(attached))
    named: list[tuple[str, _Path, _Store, bool]] = []
    for number, where in enumerate(attached, 1):
        own = _Store(ole, where, _ATTACHMENT_HEAD)
        is_message = ole.exists([*where, _INNER])
        name = _name(own, number, is_message=is_message)
        if not _is_shown_in_body(own, name):
            named.append((name, where, own, is_message))
    mail.attached = [name for name, _, _, _ in named]
    shown = f"{doc_id}/{prefix}" if prefix else doc_id

    def own_text() -> Document:
        return mail_document(mail, shown, "mail", room.limits_left(shown).max_chars)

    yield Part(prefix, own_text)
    for name, where, own, is_message in named:
        inner = f"{prefix}/{name}" if prefix else name
        if not is_message:
            suffix = PurePosixPath(name).suffix.lower()
            yield Part(inner, _loader(own, suffix, f"{doc_id}/{inner}", room), suffix)
        elif len(path) < 2 * MAX_DEPTH:
            yield from _message(ole, (*where, _INNER), inner, doc_id, room)
        else:
            yield Part(inner, _too_deep(f"{doc_id}/{inner}"))


def _attachments(ole: olefile.OleFileIO, path: _Path) -> Iterator[_Path]:
    """List the storages of a message's attachments by number."""
    depth = len(path)
    names = {
        entry[depth]
        for entry in ole.listdir(streams=True, storages=True)
        if len(entry) > depth
        and tuple(entry[:depth]) == path
        and entry[depth].startswith(_ATTACHMENT)
    }
    for name in sorted(names)[:_MOST_ATTACHMENTS]:
        yield (*path, name)


def _mail(store: _Store) -> Mail:
    address = store.text(_SENDER_SMTP, _SENDER_ADDRESS)
    sender = store.text(_SENDER)
    headers = {
        "subject": store.text(_SUBJECT),
        "from": f"{sender} <{address}>"
        if "@" in address and address != sender
        else sender or address,
        "to": store.text(_TO),
        "cc": store.text(_CC),
        "date": store.time(_SENT) or store.time(_RECEIVED),
        "message_id": store.text(_MESSAGE_ID),
    }
    mail = Mail({name: header_text(text.replace("\0", "")) for name, text in headers.items()})
    mail.plain = store.text(_BODY)
    if raw := store.bytes(_HTML):
        charset = declared_encoding(raw) or _CODEPAGES.get(store.number(_HTML_CODEPAGE), "")
        mail.html, mail.lost_lines = body_text(raw, charset)
    else:
        mail.html = store.text(_HTML)
    if not mail.plain.strip() and not mail.html.strip() and (packed := store.bytes(_RTF)):
        mail.plain, mail.html = rtf_bodies(packed)
    return mail


def _name(store: _Store, number: int, *, is_message: bool) -> str:
    named = safe_name(header_text(store.text(_NAME_LONG, _NAME_SHORT, _NAME_SHOWN)))
    if is_message:
        return (
            named.replace("/", "／").removesuffix(".msg")[:100].strip("_ ") or f"転送メール{number}"
        ) + ".msg"
    return named.rpartition("/")[2].strip("_ ") or f"添付{number}"


def _is_shown_in_body(store: _Store, name: str) -> bool:
    """Tell a picture of the body, or of a signature, from an attachment."""
    is_image = PurePosixPath(name).suffix.lower() in _IMAGES
    return store.is_set(_HIDDEN) or (is_image and bool(store.text(_CONTENT_ID)))


def _loader(store: _Store, suffix: str, shown: str, room: Room) -> Callable[[], bytes]:
    def load() -> bytes:
        if suffix not in CONTAINERS:
            reader_for(suffix, shown)
        raw = store.bytes(_DATA)
        room.take_bytes(len(raw), shown)
        return raw

    return load


def _too_deep(shown: str) -> Callable[[], Any]:
    def load() -> bytes:
        raise reason("nested_too_deep", shown, detail=str(MAX_DEPTH))

    return load
