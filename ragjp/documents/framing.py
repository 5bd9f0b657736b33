"""What travels between the reading process and its parent: JSON in frames of known length, and documents as JSON.

A frame is eight bytes of length, big-endian, then that many bytes of JSON in UTF-8. Nothing of it is executable, and the parent
checks what it receives as it would a stranger's: the child has handled hostile files.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from ragjp.types import Document, Page, Remark

LENGTH = struct.Struct(">Q")


def pack(value: dict[str, Any]) -> bytes:
    """Make a frame. Broken file names (lone surrogates) survive the way."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    return LENGTH.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """Give the value of a frame's body.

    Raises
    ------
    ValueError
        When it is not a JSON object.
    """
    try:
        value = json.loads(body.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("a frame nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("a frame that is no object")
    return value


def write_all(fd: int, data: bytes) -> None:
    """Write every byte to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_exactly(fd: int, size: int) -> bytes:
    """Read ``size`` bytes from a blocking descriptor.

    Raises
    ------
    EOFError
        When the other side is gone.
    """
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def document_to_json(document: Document) -> dict[str, Any]:
    """Write a document as plain values."""
    return {
        "title": document.title,
        "format": document.format,
        "metadata": dict(document.metadata),
        "pages": [
            [page.number, page.text, [list(heading) for heading in page.headings], _more(page)]
            for page in document.pages
        ],
        "remarks": [list(remark) for remark in document.remarks],
    }


def _more(page: Page) -> dict[str, Any]:
    """Give what only some formats tell about a page."""
    more: dict[str, Any] = {}
    if page.label:
        more["label"] = page.label
    for key, runs in (("places", page.places), ("aliases", page.aliases)):
        if runs:
            more[key] = [list(run) for run in runs]
    return more


def document_from_json(value: object, doc_id: str) -> Document:
    """Read a document back, checking the type of every value.

    Raises
    ------
    ValueError
        When something is not as :func:`document_to_json` writes it.
    """
    try:
        match value:
            case {
                "title": str(title),
                "format": str(format_),
                "metadata": dict(metadata),
                "pages": list(pages),
                "remarks": list(remarks),
            }:
                return Document(
                    doc_id,
                    title,
                    tuple(_page(page) for page in pages),
                    format_,
                    {str(key): str(entry) for key, entry in metadata.items()},
                    tuple(_remark(remark) for remark in remarks),
                )
    except (TypeError, ValueError) as error:
        raise ValueError("a document that is not as agreed") from error
    raise ValueError("a document that is not as agreed")


def _page(value: Any) -> Page:  # noqa: ANN401 - this is where it is checked
    match value:
        case [int(number), str(text), list(headings), dict(more)]:
            return Page(
                number,
                text,
                tuple(_heading(heading, len(text)) for heading in headings),
                str(more.get("label", "")),
                tuple(_run(run, len(text)) for run in more.get("places", ())),
                tuple(_run(run, len(text)) for run in more.get("aliases", ())),
            )
    raise ValueError("a page that is not as agreed")


def _remark(value: Any) -> Remark:  # noqa: ANN401 - this is where it is checked
    match value:
        case [str(code), int(page), str(sentence)]:
            return Remark(code, page, sentence)
    raise ValueError("a remark that is not as agreed")


def _run(value: Any, n_chars: int) -> tuple[int, int, str]:  # noqa: ANN401 - this is where it is checked
    match value:
        case [int(start), int(end), str(text)] if 0 <= start <= end <= n_chars:
            return start, end, text
    raise ValueError("a run of text that is not as agreed")


def _heading(value: Any, n_chars: int) -> tuple[int, int, str]:  # noqa: ANN401 - this is where it is checked
    match value:
        case [int(offset), int(level), str(text)] if 0 <= offset <= n_chars:
            return offset, level, text
    raise ValueError("a heading that is not as agreed")
