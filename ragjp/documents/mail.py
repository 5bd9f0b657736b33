"""Mail as a file (``.eml``, RFC 5322 and MIME): the mail itself, and its attachments as documents of their own.

``Subject`` and the other headers stand above the body. Pictures that the body shows, signatures (S/MIME, PGP) and visiting cards are
left alone. A mail sent on as an attachment is a container in this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from email import policy
from email.message import Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ragjp.documents.formats import CONTAINERS, check_content, reader_for
from ragjp.documents.mail_text import Mail, mail_document, shown_time
from ragjp.documents.mail_words import body_text, header_text, parameter_text
from ragjp.documents.reasons import reason
from ragjp.documents.walk import Part, Room
from ragjp.documents.zip_names import safe_name
from ragjp.types import Document

_HEADERS = ("subject", "from", "to", "cc", "date", "message-id")
#: A file without any of these is no mail.
_EXPECTED = (*_HEADERS, "received", "mime-version", "content-type", "return-path")
_IGNORED_TYPES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
        "text/x-vcard",
        "text/vcard",
        "text/x-amp-html",
    }
)
_IGNORED_SUFFIXES = frozenset({".p7s", ".vcf", ".asc"})
#: What an attachment without a usable name is called by its type.
_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
    "application/json": ".json",
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.ms-outlook": ".msg",
    "message/rfc822": ".eml",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/plain": ".txt",
}
#: Multiparts in one another; ``email`` itself goes down by recursion.
_MAX_NESTED = 50
if TYPE_CHECKING:
    _Message = Message[str, str]


class _Raw(policy.Compat32):
    """Headers as the file has them."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


def parts(raw: bytes, doc_id: str, room: Room) -> Iterator[Part]:
    """Yield the mail's own text, then its attachments.

    Raises
    ------
    DocumentError
        ``mail_damaged``, ``wrong_extension``.
    """
    check_content(raw, ".eml", doc_id)
    try:
        message: _Message = BytesParser(policy=_Raw()).parsebytes(raw.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError as error:
        raise reason("mail_damaged", doc_id, detail="入れ子が深すぎます") from error
    if not any(name in message for name in _EXPECTED):
        raise reason("mail_damaged", doc_id, detail="見出しがありません")
    mail = Mail(_headers(message))
    attached = _sorted_out(message, mail, doc_id)
    named = [(_name(part, number), part) for number, part in enumerate(attached, 1)]
    mail.attached = [name for name, _ in named]

    def own() -> Document:
        return mail_document(mail, doc_id, "mail", room.limits_left(doc_id).max_chars)

    yield Part("", own)
    for name, part in named:
        suffix = PurePosixPath(name).suffix.lower()
        yield Part(name, _loader(part, suffix, f"{doc_id}/{name}", room), suffix)


def _headers(message: _Message) -> dict[str, str]:
    found = {name.replace("-", "_"): header_text(message.get(name, "")) for name in _HEADERS}
    with suppress(ValueError, TypeError, OverflowError, IndexError):
        found["date"] = shown_time(parsedate_to_datetime(found["date"]))
    return found


def _sorted_out(message: _Message, mail: Mail, doc_id: str) -> list[_Message]:
    """Put the texts of the body into ``mail``; give the attachments, in order."""
    attached: list[_Message] = []
    left: list[tuple[_Message, int, bool]] = [(message, 0, True)]
    while left:
        part, depth, is_body = left.pop()
        if depth > _MAX_NESTED:
            raise reason("mail_damaged", doc_id, detail="入れ子が深すぎます")
        inner = part.get_payload()
        kind = part.get_content_type()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            entries = [entry for entry in inner if isinstance(entry, Message)]
            left.extend(
                (entry, depth + 1, is_body and not (kind == "multipart/related" and at))
                for at, entry in reversed(list(enumerate(entries)))
            )
        elif is_body and kind in ("text/plain", "text/html") and not _is_attached(part):
            _take_text(part, kind, mail)
        elif not _is_ignored(part, kind):
            attached.append(part)
    return attached


def _is_attached(part: _Message) -> bool:
    return _disposition(part) == "attachment" or bool(_raw_name(part))


def _disposition(part: _Message) -> str:
    return str(part.get("content-disposition", "")).partition(";")[0].strip().lower()


def _is_ignored(part: _Message, kind: str) -> bool:
    """Tell what is no document: pictures that the body shows, signatures, cards, the other forms of an alternative."""
    if kind in _IGNORED_TYPES or PurePosixPath(_raw_name(part)).suffix.lower() in _IGNORED_SUFFIXES:
        return True
    if part.get_content_maintype() == "image":
        return _disposition(part) != "attachment" or "content-id" in part
    return kind == "text/calendar" and not _is_attached(part)


def _take_text(part: _Message, kind: str, mail: Mail) -> None:
    text, n_lost = body_text(_payload(part), parameter_text(part.get_param("charset")))
    mail.lost_lines += n_lost
    if kind == "text/html":
        mail.html += text
        return
    if str(part.get_param("format", "")).lower() == "flowed":
        text = _unflowed(text, joined=str(part.get_param("delsp", "")).lower() == "yes")
    mail.plain += ("\n" if mail.plain else "") + text


def _unflowed(text: str, *, joined: bool) -> str:
    """Put the lines of a paragraph together (RFC 3676): a line that ends with a blank goes on in the next."""
    out: list[str] = []
    goes_on = False
    for line in text.replace("\r\n", "\n").split("\n"):
        line = line[1:] if line.startswith(" ") else line
        soft = line.endswith(" ") and line != "-- "
        shown = line[:-1] if soft and joined else line
        if goes_on and not line.startswith(">"):
            out[-1] += shown
        else:
            out.append(shown)
        goes_on = soft and not line.startswith(">")
    return "\n".join(out)


def _payload(part: _Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _forwarded(part: _Message) -> _Message | None:
    """Give the mail that a part holds."""
    inner = part.get_payload()
    if part.get_content_type() != "message/rfc822" or not isinstance(inner, list):
        return None
    return next((entry for entry in inner if isinstance(entry, Message)), None)


def _raw_name(part: _Message) -> str:
    named = part.get_param("filename", "", "content-disposition") or part.get_param("name", "")
    return parameter_text(named)


def _name(part: _Message, number: int) -> str:
    """Give an attachment's name, without folders and with a suffix that says what it is."""
    named = safe_name(_raw_name(part)).rpartition("/")[2].strip("_ ")
    kind = part.get_content_type()
    if kind == "message/rfc822":
        inner = _forwarded(part)
        subject = "" if inner is None else header_text(inner.get("subject", ""))
        stem = named.removesuffix(".eml") or safe_name(subject.replace("/", "／"))[:100].strip("_ ")
        return f"{stem or f'転送メール{number}'}.eml"
    suffix = PurePosixPath(named).suffix.lower()
    if suffix in CONTAINERS or suffix:
        return named
    return (named or f"添付{number}") + _SUFFIXES.get(kind, "")


def _loader(part: _Message, suffix: str, shown: str, room: Room) -> Callable[[], bytes]:
    def load() -> bytes:
        if suffix not in CONTAINERS:
            reader_for(suffix, shown)  # what is of no known format is not even decoded
        inner = _forwarded(part)
        raw = _payload(part) if inner is None else inner.as_bytes(policy=policy.compat32)
        room.take_bytes(len(raw), shown)
        return raw

    return load
