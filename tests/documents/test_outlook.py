"""Outlook messages: what was put in comes out, in every code page; damaged ones are refused by name."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from ragjp.config import Limits
from ragjp.documents import Contents, DocumentReader
from ragjp.documents.outlook_rtf import rtf_bodies, unpack_rtf

Write = Callable[[str, bytes], Path]
BODY = "経費の精算は、①月末までに㈱髙島へ送ること。\r\n以上"


def _ole2() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "ole2_bytes", Path(__file__).with_name("ole2_bytes.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


ole2 = _ole2()


def read(write: Write, raw: bytes) -> Contents:
    with DocumentReader(Limits()) as reader:
        return reader.read_all(write("規程.msg", raw), "部/規程.msg")


def ticks(time: datetime) -> int:
    return int((time - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000


def test_a_message_and_what_is_attached(write: Write) -> None:
    """Guards against lost headers, attachments and inner messages, and against pictures of signatures as documents."""
    inner = ole2.make_message({0x37: "元の依頼", 0x1000: "よろしく"}, head=24)
    message = ole2.make_message(
        {0x37: "経費規程の改定", 0x1000: BODY, 0xC1A: "佐藤 花子", 0x5D01: "sato@example.co.jp", 0xE04: "総務部"},
        numbers={(0x39, 0x40): ticks(datetime(2024, 5, 1, 0, 30, tzinfo=UTC))},
        attachments=[
            ole2.make_attachment("内線表.csv", "部署,内線\n総務,1200\n".encode("cp932")),
            ole2.make_attachment("logo.png", b"\x89PNG", content_id="a@b"),
            ole2.make_attachment("地図.bmp", b"BM", hidden=True),
            ole2.make_attachment("元の依頼", inner),
            ole2.make_attachment("大.txt", ("長い本文。" * 2000).encode()),
        ],
    )  # fmt: skip
    got = read(write, ole2.make_ole2(message))
    texts = {document.doc_id: document.pages[0].text for document in got.documents}
    assert list(texts) == [
        "部/規程.msg",
        "部/規程.msg/内線表.csv",
        "部/規程.msg/元の依頼.msg",
        "部/規程.msg/大.txt",
    ]
    mail = got.documents[0]
    assert mail.title == "経費規程の改定"
    assert texts["部/規程.msg"] == (
        "件名: 経費規程の改定\n差出人: 佐藤 花子 <sato@example.co.jp>\n宛先: 総務部\n日時: 2024-05-01 00:30 +0000\n"
        "添付: 内線表.csv、元の依頼.msg、大.txt\n\n" + BODY.replace("\r", "")
    )
    assert texts["部/規程.msg/内線表.csv"] == "部署 | 内線\n総務 | 1200"
    assert texts["部/規程.msg/元の依頼.msg"] == "件名: 元の依頼\n\nよろしく"
    assert texts["部/規程.msg/大.txt"] == "長い本文。" * 2000
    assert got.status == "indexed"


@pytest.mark.parametrize(
    ("codepage", "encoding"),
    [(932, "cp932"), (50220, "iso2022_jp_ext"), (51932, "euc_jp"), (65001, "utf-8"), (0, "cp932")],
)
def test_texts_in_a_code_page(write: Write, codepage: int, encoding: str) -> None:
    """Guards against mojibake in messages that older versions of Outlook wrote."""
    body = "経費の精算は、月末までに送ること。"
    message = ole2.make_message(
        narrow={0x37: "経費規程について".encode(encoding), 0x1000: body.encode(encoding)},
        numbers={(0x3FFD, 3): codepage},
    )
    document = read(write, ole2.make_ole2(message)).documents[0]
    assert document.title == "経費規程について"
    assert document.pages[0].text.endswith(body)


def test_a_body_in_html_only(write: Write) -> None:
    """Guards against tags in the text, and against the encoding of bytes that only a property tells."""
    message = ole2.make_message(
        {0x37: "表"},
        binary={0x1013: "<table><tr><td>部署<td>内線<tr><td>総務<td>1200</table>".encode("euc_jp")},
        numbers={(0x3FDE, 3): 51932},
    )
    assert read(write, ole2.make_ole2(message)).documents[0].pages[0].text == (
        "件名: 表\n\n部署 | 内線\n総務 | 1200"
    )


def plain_rtf(rtf: bytes) -> bytes:
    return struct.pack("<LLLL", len(rtf) + 12, len(rtf), 0x414C454D, 0) + rtf


def test_compressed_rtf() -> None:
    """Guards against a wrong dictionary: the sample is that of [MS-OXRTFCP] 4.1.1 and its text."""
    sample = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232"
        "0af32068656c090020627705b06c647d0a800fa0"
    )
    assert unpack_rtf(sample) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert rtf_bodies(sample) == ("hello world", "")
    again = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert unpack_rtf(again) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"


def test_text_and_html_in_rtf(write: Write) -> None:
    """Guards against characters lost between code page, Unicode and the copies for old programs."""
    rtf = rb"{\rtf1\ansi\ansicpg932{\fonttbl{\f0 \'82\'6c;}}\pard \'8c\'6f\'94\'ef\u9670?\uc0\u36027\par \\{x\}}"
    assert rtf_bodies(plain_rtf(rtf)) == ("経費" + chr(9670) + chr(36027) + "\n\\x}", "")
    html = (
        rb"{\rtf1\ansi\ansicpg932\fromhtml1 {\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 \'8c\'6f\'94\'ef"
        rb"{\*\htmltag84 <b>}\htmlrtf \b\htmlrtf0 x{\*\htmltag92 </b>}}{\*\generator Riched20;}}"
    )
    assert rtf_bodies(plain_rtf(html)) == ("", "<p>経費<b>x</b>")
    message = ole2.make_message({0x37: "題"}, binary={0x1009: plain_rtf(html)})
    assert read(write, ole2.make_ole2(message)).documents[0].pages[0].text == "件名: 題\n\n経費x"


def test_damaged_messages(write: Write) -> None:
    """Guards against a crash, a hang, or an empty document from files that are cut, changed, or something else."""
    whole = ole2.make_ole2(
        ole2.make_message(
            {0x37: "題", 0x1000: BODY}, attachments=[ole2.make_attachment("a.txt", b"x" * 9000)]
        )
    )
    assert read(write, whole).status == "indexed"
    other = ole2.make_ole2({"Workbook": b"x" * 5000})
    cut = [whole[:size] for size in (8, 100, 512, 1024, len(whole) // 2)]
    loop = bytearray(whole)
    loop[-512:] = struct.pack("<L", 0) * 128  # every sector is followed by the first
    changed = []
    for at in range(512, len(whole), 211):
        one = bytearray(whole)
        one[at : at + 4] = b"\xff\xff\xff\x7f"
        changed.append(bytes(one))
    with DocumentReader(Limits(seconds=10)) as reader:
        for raw in (other, *cut):
            got = reader.read_all(write("a.msg", raw), "a.msg")
            assert {finding.code for finding in got.findings} == {"mail_damaged"}
        got = reader.read_all(write("a.msg", bytes(loop)), "a.msg")
        assert [finding.code for finding in got.findings] == ["mail_attachments_lost"]
        assert got.status == "partly"
        for raw in changed:
            got = reader.read_all(write("a.msg", raw), "a.msg")
            assert got.findings
            assert all(
                finding.code not in ("timed_out", "reader_crashed") for finding in got.findings
            )


def test_messages_nested_too_deep(write: Write) -> None:
    """Guards against messages in messages without end."""
    tree = ole2.make_message({0x37: "最後"}, head=24)
    for level in range(12):
        tree = ole2.make_message(
            {0x37: f"段{level}"},
            attachments=[ole2.make_attachment("次", tree)],
            head=32 if level == 11 else 24,
        )
    got = read(write, ole2.make_ole2(tree))
    assert [finding.code for finding in got.findings if finding.code] == ["nested_too_deep"]
    assert len(got.documents) == 5
