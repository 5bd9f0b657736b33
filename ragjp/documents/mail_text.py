"""What a mail becomes, whatever file it came in: its headers as lines of text, its body below them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ragjp.documents import html
from ragjp.documents.cleaning import clean_text, clean_title, title_from_name
from ragjp.documents.contents import remark
from ragjp.errors import DocumentError
from ragjp.types import Document, Page, Remark

#: Headers shown above the body, and what they are called there.
_SHOWN = {"subject": "件名", "from": "差出人", "to": "宛先", "cc": "CC", "date": "日時"}
#: A longer list of addresses is cut: everybody in the company got it.
_LONGEST_LINE = 2000
#: Plain text beside HTML is taken unless it says so much less: "your program cannot show this message".
_STUB_SHARE = 0.2
_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Mail:
    """A mail's parts, decoded.

    headers : lower-case name to text: ``subject``, ``from``, ``to``, ``cc``, ``date``, ``message_id``. html : as text. attached :
    names of the attachments. lost_lines : how many lines of the body no encoding decodes. lost_attachments : how many
    should be there and are not.
    """

    headers: Mapping[str, str]
    plain: str = ""
    html: str = ""
    attached: list[str] = field(default_factory=list)
    lost_lines: int = 0
    lost_attachments: int = 0


def mail_document(mail: Mail, name: str, format: str, max_chars: int) -> Document:
    """Make the document of a mail: one page, headers first. Title: the subject, else the file's stem."""
    remarks: list[Remark] = []
    lines = [
        f"{label}: {mail.headers[key][:_LONGEST_LINE]}"
        for key, label in _SHOWN.items()
        if mail.headers.get(key)
    ]
    if mail.attached:
        lines.append(f"添付: {'、'.join(mail.attached)[:_LONGEST_LINE]}")
    head = clean_text("\n".join(lines))
    body, headings = _body(mail, name, max_chars, remarks)
    if mail.lost_lines:
        remarks.append(remark("mail_lines_unreadable", name, detail=f"{mail.lost_lines:,}"))
    if mail.lost_attachments:
        remarks.append(remark("mail_attachments_lost", name, detail=str(mail.lost_attachments)))
    text = "\n\n".join(part for part in (head, body) if part)
    shift = len(text) - len(body)
    page = Page(1, text, tuple((at + shift, level, title) for at, level, title in headings))
    title = clean_title(mail.headers.get("subject", "")) or title_from_name(name)
    metadata = {key: value[:_LONGEST_LINE] for key, value in mail.headers.items() if value}
    return Document(name, title, (page,), format, metadata, tuple(remarks))


def _body(
    mail: Mail, name: str, max_chars: int, remarks: list[Remark]
) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    plain = clean_text(mail.plain).strip("\n")
    if mail.html.strip() and (not plain.strip() or len(plain) < _STUB_SHARE * len(mail.html)):
        try:
            raw = _UTF8_MARK + clean_text(mail.html).encode()
            page = html.read(raw, name, max_chars).pages[0]
        except DocumentError as error:
            if error.code != "empty" and not plain.strip():
                remarks.append(remark("mail_body_unreadable", name, detail="HTML"))
        else:
            if not plain.strip() or len(plain.strip()) < _STUB_SHARE * len(page.text):
                return page.text, page.headings
    return plain, ()


def shown_time(time: datetime) -> str:
    """Write a time for people and for search: ``2024-05-01 09:30 +0900``."""
    return time.strftime("%Y-%m-%d %H:%M %z").strip()
