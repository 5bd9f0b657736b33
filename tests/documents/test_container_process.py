"""Containers and the reading process: a member that ends or hangs it costs itself, and what comes back is not believed."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ragjp.config import Limits
from ragjp.documents import DocumentReader, child, gathering
from ragjp.documents.framing import document_to_json
from ragjp.documents.gathering import Gathering
from ragjp.types import Document, Page

Write = Callable[[str, bytes], Path]
LIMITS = Limits(seconds=2, memory_mib=256)
#: A reading process whose texts do what they say.
BOOT = """
import json, os, sys, time, ctypes
sys.path[:] = json.loads(sys.argv[1])
from ragjp.documents import walk
from ragjp.documents.worker import serve
honest = walk.read_raw
def read_raw(raw, suffix, doc_id, limits):
    word = raw.split()[0]
    if word == b"sleep": time.sleep(60)
    if word == b"segfault": ctypes.string_at(0)
    if word == b"exit": os._exit(3)
    if word == b"raise": 1 / 0
    if word == b"grow":
        held = []
        while True: held.append(bytearray(8 << 20))
    return honest(raw, suffix, doc_id, limits)
walk.read_raw = read_raw
serve()
"""


def faulty_reader() -> DocumentReader:
    command = [sys.executable, "-I", "-X", "utf8", "-c", BOOT, child.worker_command()[-1]]
    return DocumentReader(LIMITS, command=command)


def make_zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_a_member_costs_itself(write: Write) -> None:
    """Guards against one crashing, hanging or swelling member that takes its archive, or the archives around it, with it."""
    inner = make_zip({"x.txt": b"deep one", "y.txt": b"segfault", "z.txt": b"deep two"})
    raw = make_zip(
        {
            "1.txt": b"one",
            "2.txt": b"exit",
            "3.txt": b"three",
            "4.zip": inner,
            "5.txt": b"sleep",
            "6.txt": b"grow",
            "7.txt": b"raise",
            "8.txt": b"eight",
        }
    )
    with faulty_reader() as reader:
        got = reader.read_all(write("a.zip", raw), "a.zip")
        assert [(d.doc_id, d.pages[0].text) for d in got.documents] == [
            ("a.zip/1.txt", "one"),
            ("a.zip/3.txt", "three"),
            ("a.zip/4.zip/x.txt", "deep one"),
            ("a.zip/4.zip/z.txt", "deep two"),
            ("a.zip/8.txt", "eight"),
        ]
        assert {f.doc_id: f.code for f in got.findings if f.code} == {
            "a.zip/2.txt": "reader_crashed",
            "a.zip/4.zip/y.txt": "reader_crashed",
            "a.zip/5.txt": "timed_out",
            "a.zip/6.txt": "out_of_memory",
            "a.zip/7.txt": "reader_failed",
        }
        assert got.status == "partly"
        assert len(got.findings) == 10
        assert (
            reader.read_all(write("b.txt", b"next"), "b.txt").documents[0].pages[0].text == "next"
        )


def test_too_many_faults_end_it(write: Write) -> None:
    """Guards against an archive of a thousand members that each take all their seconds."""
    raw = make_zip({f"{at}.txt": b"exit" for at in range(100)} | {"last.txt": b"last"})
    with faulty_reader() as reader:
        got = reader.read_all(write("a.zip", raw), "a.zip")
    assert not got.documents
    found = [finding.code for finding in got.findings]
    assert found == ["reader_crashed"] * (gathering.MAX_STRIKES + 1) + ["gave_up"]


def test_one_document_comes_the_same_way(write: Write) -> None:
    """Guards against two ways that differ: a file of one document gives it, or the reason why not."""
    with DocumentReader(LIMITS) as reader:
        path = write("a.txt", "経費".encode())
        assert reader.read_all(path, "部/a.txt").documents == (reader.read(path, "部/a.txt"),)
        got = reader.read_all(write("b.json", b"{"), "部/b.json")
        assert (got.status, got.findings[0].code) == ("refused", "json_damaged")
        got = reader.read_all(path.with_name("nowhere.zip"), "nowhere.zip")
        assert (got.status, got.findings[0].code) == ("refused", "file_missing")


def document(doc_id: str, text: str = "x") -> dict[str, object]:
    return document_to_json(Document(doc_id, "", (Page(1, text),), "text"))


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"start": 0, "doc_id": "a.zip/x"},
        {"start": "1", "doc_id": "a.zip/x"},
        {"start": 1, "doc_id": "b.zip/x"},
        {"start": 1, "doc_id": "a.zip/\udcff"},
        {"document": document("x"), "doc_id": "a.zipper"},
        {"document": {"title": 1}, "doc_id": "a.zip/x"},
        {"document": document("x", "y" * 101), "doc_id": "a.zip/x"},
        {"code": 1, "sentence": "", "doc_id": "a.zip/x"},
    ],
)
def test_frames_are_not_trusted(frame: dict[str, object]) -> None:
    """Guards against a taken-over process that overwrites other documents, or fills this one."""
    got = Gathering("a.zip", Limits(max_chars=100))
    with pytest.raises(ValueError, match=r"."):
        got.take(frame)


def test_the_same_id_twice_is_refused() -> None:
    """Guards against a document that replaces another of its own archive."""
    got = Gathering("a.zip", Limits())
    got.take({"start": 1, "doc_id": "a.zip/x"})
    got.take({"document": document("x"), "doc_id": "a.zip/x"})
    with pytest.raises(ValueError, match="one id"):
        got.take({"document": document("x"), "doc_id": "a.zip/x"})
