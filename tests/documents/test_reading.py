"""Files that are not what they should be, read in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from ragjp.config import Limits
from ragjp.documents import FORMATS, read_document_here
from ragjp.documents.formats import CONTAINERS, READERS
from ragjp.documents.reasons import SENTENCES, shown
from ragjp.errors import DocumentError

Write = Callable[[str, bytes], Path]
PROSE = "経費の精算は、月末までに行うこと。\n"


def code_of(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document_here(path, "規程/x", limits or Limits())
    assert caught.value.sentence == str(caught.value)
    assert caught.value.sentence.startswith("規程/x ")
    assert caught.value.sentence.endswith("ください。")
    assert caught.value.code in SENTENCES
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "raw", "code"),
    [
        ("a.txt", b"", "empty"),
        ("a.pdf", b"", "empty"),
        ("a.txt", b" \r\n\t\n", "empty"),
        ("a.txt", b"\xef\xbb\xbf", "empty"),
        ("a.docx", b"PK\x03\x04", "office_damaged"),
        ("README", PROSE.encode(), "format_unsupported"),
        ("a.txt", b"%PDF-1.7\n1 0 obj", "wrong_extension"),
        ("a.html", b"%PDF-1.7\n1 0 obj", "wrong_extension"),
        ("a.md", b"PK\x03\x04\x14\x00\x06\x00", "wrong_extension"),
        ("a.txt", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 99, "wrong_extension"),
        ("a.html", b"\x89PNG\r\n\x1a\n", "wrong_extension"),
        ("a.pdf", b"<!DOCTYPE html><html><body>login</body></html>", "wrong_extension"),
        ("a.pdf", PROSE.encode(), "pdf_damaged"),
        ("a.txt", b"\x00\x01\x02\x03" * 99, "not_text"),
        ("a.md", b"\x82\xff\xff\xa0\xff" * 20, "encoding_unknown"),
    ],
)
def test_reasons(write: Write, name: str, raw: bytes, code: str) -> None:
    """Guards against a wrong or missing reason code; reports and scripts count them."""
    assert code_of(write(name, raw)) == code


def test_limits_on_size(write: Write) -> None:
    """Guards against files that are read before they are measured."""
    path = write("a.txt", PROSE.encode() * 100)
    assert code_of(path, Limits(max_bytes=1000)) == "too_large"
    assert code_of(path, Limits(max_chars=100)) == "too_large"
    assert (
        len(read_document_here(path, "a", Limits(max_chars=len(PROSE) * 100)).pages[0].text)
        == len(PROSE) * 100
    )


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """Guards against waiting for ever on a pipe, and against reading a device."""
    (tmp_path / "folder.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere")
    assert code_of(tmp_path / "folder.txt") == "not_a_file"
    assert code_of(tmp_path / "pipe.txt") == "not_a_file"
    assert code_of(tmp_path / "device.txt") == "not_a_file"
    assert code_of(tmp_path / "broken.txt") == "file_missing"
    assert code_of(tmp_path / "missing.txt") == "file_missing"
    assert code_of(tmp_path / "nul\x00.txt") == "file_unreadable"
    assert code_of(tmp_path / ("長" * 200 + ".txt")) == "file_unreadable"


def test_a_file_one_may_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against calling a missing permission a missing file. Root may read everything, so the refusal is acted."""
    path = write("a.txt", PROSE.encode())
    path.chmod(0)

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    if os.geteuid() == 0:
        monkeypatch.setattr(os, "open", refuse)
    assert code_of(path) == "permission"


def test_suffixes_in_capitals_and_every_format(write: Write, pdfs: ModuleType) -> None:
    """Guards against a suffix in the table without a reader behind it."""
    samples = {
        ".pdf": pdfs.make_pdf([["経費の精算"]]),
        ".json": json.dumps(PROSE).encode(),
        ".jsonl": json.dumps(PROSE).encode(),
        ".ndjson": json.dumps(PROSE).encode(),
    }
    for suffix, module in READERS.items():
        assert callable(import_module(module).read)
        if "office" in module:  # made-up documents of theirs are in their own tests
            continue
        raw = samples.get(suffix, PROSE.encode())
        document = read_document_here(
            write(f"規程{suffix.upper()}", raw), f"部/規程{suffix}", Limits()
        )
        assert document.title == "規程"
        assert document.pages[0].text.startswith("経費の精算")
        assert document.doc_id == f"部/規程{suffix}"
    assert {".md", ".txt", ".html", ".pdf"} <= set(FORMATS) == {*READERS, *CONTAINERS}


def test_line_ends_of_plain_text(write: Write) -> None:
    """Guards against offsets that count carriage returns in one place and not in another."""
    page = read_document_here(
        write("a.txt", "一\r\n二\r三\u2028四\x00".encode("utf-16")), "a", Limits()
    ).pages[0]
    assert page.text == "一\n二\n三\n四"


def test_names_in_sentences_are_safe_to_print() -> None:
    """Guards against file names that write to the terminal, or fill it."""
    assert shown("a\x1b[31m\n\udcff規程") == "a?[31m??規程"
    assert len(shown("長" * 5000)) == 200
