"""What LibreOffice reads for us, with a scripted LibreOffice: how it is started, confined, believed and ended."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docx
import pytest

from ragjp.config import Limits
from ragjp.documents import DocumentReader, read_document_here
from ragjp.documents.office import converter
from ragjp.errors import DocumentError

Write = Callable[[str, bytes], Path]
RTF = rb"{\rtf1\ansi x}"
SECTOR = 512


def ole2(*streams: tuple[str, bytes]) -> bytes:
    """Write an OLE2 file: a header, one sector of allocation, one of directory, then the streams, each of at least 4,096 bytes."""
    table = [0xFFFFFFFD, 0xFFFFFFFE]
    entries = [_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1 if streams else -1)]
    body = b""
    for at, (name, content) in enumerate(streams):
        content = content.ljust(4096, b"\0")
        start, n_sectors = len(table), -(-len(content) // SECTOR)
        table += [*range(start + 1, start + n_sectors), 0xFFFFFFFE]
        right = at + 2 if at + 1 < len(streams) else -1
        entries.append(_entry(name, 2, start, len(content), right=right))
        body += content.ljust(n_sectors * SECTOR, b"\0")
    assert len(table) <= SECTOR // 4
    assert len(entries) <= 4
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(24, b"\0")
        + b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0".ljust(20, b"\0")
        + _numbers(1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)
    )
    sectors = _numbers(*table).ljust(SECTOR, b"\xff") + b"".join(entries).ljust(SECTOR, b"\0")
    return header.ljust(SECTOR, b"\xff") + sectors + body


def _numbers(*values: int) -> bytes:
    return b"".join((value & 0xFFFFFFFF).to_bytes(4, "little") for value in values)


def _entry(name: str, kind: int, start: int, size: int, *, child: int = -1, right: int = -1) -> bytes:  # fmt: skip
    written = name.encode("utf-16-le")
    return (
        written.ljust(64, b"\0")
        + (len(written) + 2).to_bytes(2, "little")
        + bytes([kind, 1])
        + _numbers(-1, right, child)
        + bytes(36)
        + _numbers(start, size, 0)
    )


DOC = ole2(("WordDocument", b"\xec\xa5".ljust(64, b"\0")))
XLS = ole2(("Workbook", b"\x09\x08\x10\0".ljust(20, b"\0") + b"\x0a\0\0\0"))
PPT = ole2(("PowerPoint Document", b"x"), ("Current User", b"\0" * 12 + b"\x5f\xc0\x91\xe3"))

#: Does, by the words in the document, what converters do; writes down how it was started.
SCRIPT = """#!{python} -I
import json, os, resource, shutil, socket, sys, time
from pathlib import Path
source, out = Path(sys.argv[-1]), Path(sys.argv[sys.argv.index("--outdir") + 1])
wanted = sys.argv[sys.argv.index("--convert-to") + 1]
raw = source.read_bytes()
here = Path(__file__).parent
profile = sys.argv[1].removeprefix("-env:UserInstallation=file://")
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2).close()
    reached = True
except OSError:
    reached = False
here.joinpath("log.json").write_text(json.dumps({{
    "arguments": sys.argv, "environment": dict(os.environ), "folder": os.getcwd(), "reached": reached, "group": os.getpgrp(), "pid": os.getpid(),
    "profile": Path(profile, "user", "registrymodifications.xcu").read_text(encoding="utf-8"),
    "limits": [resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("FSIZE", "NOFILE", "AS", "CORE")],
}}), encoding="utf-8")
if b"sleep" in raw: time.sleep(600)
if b"fail" in raw: sys.exit(77)
if b"nothing" in raw: sys.exit(0)
target = out / ("document." + wanted)
if b"link" in raw: target.symlink_to("/etc/passwd")
elif b"wrong" in raw: target.write_bytes(b"no office")
else: shutil.copy(here / "result", target)
"""


@pytest.fixture
def listener() -> Iterator[int]:
    """Listen on this machine; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def may_isolate() -> bool:
    """Tell whether this kernel lets anybody have a network of their own."""
    tool = shutil.which("unshare", path="/usr/bin:/bin")
    return tool is not None and not subprocess.run([tool, "-rn", "true"], check=False).returncode


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: int) -> Path:
    """Put a scripted LibreOffice first in the path; its folder has its log and what it gives."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "soffice"
    script.write_text(SCRIPT.format(python=sys.executable, port=listener), encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    writer = docx.Document()
    writer.add_heading("経費規程", 1)
    writer.add_paragraph("十年前の文書である。")
    out = io.BytesIO()
    writer.save(out)
    (folder / "result").write_bytes(out.getvalue())
    return folder


def code_of(reader: DocumentReader, path: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        reader.read(path, "規程/x")
    assert caught.value.sentence.startswith("規程/x ")
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "raw", "kind"),
    [("a.doc", DOC, "doc"), ("名前.xls", XLS, "xls"), ("a.ppt", PPT, "ppt"), ("a.docx", DOC, "doc"), ("a.rtf", RTF, "rtf"), ("a.txt", RTF, "rtf")],
)  # fmt: skip
def test_without_libreoffice(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, raw: bytes, kind: str
) -> None:
    """Guards against old documents that vanish in silence, and against a sentence that does not say what to do."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(converter, "_PLACES", ())
    with pytest.raises(DocumentError) as caught:
        read_document_here(write(name, raw), "規程/x", Limits())
    assert caught.value.code == "office_converter_missing"
    assert f"（{kind}）" in caught.value.sentence
    assert "LibreOffice を入れるか" in caught.value.sentence


def test_converted_in_the_reading_process(office: Path, write: Write) -> None:
    """Guards against macros, the network, a shared profile, the parent's keys, and files that stay behind."""
    with DocumentReader(Limits()) as reader:
        document = reader.read(write("規程.doc", DOC), "部/規程.doc")
        assert document.pages[0].text == "経費規程\n十年前の文書である。"
        assert document.pages[0].headings == ((0, 1, "経費規程"),)
        assert document.format == "doc"
        assert [remark.code for remark in document.remarks] == ["converted"]
        log = json.loads((office / "log.json").read_text(encoding="utf-8"))
        assert log["group"] == reader.pid
        folder = Path(log["folder"])
        assert folder.parent.parent == office.parent  # the private folder is the child's own
        assert not folder.exists()
        assert folder.parent.exists()
    assert not folder.parent.exists()
    assert {"--headless", "--norestore", "docx"} <= set(log["arguments"])
    assert log["arguments"][-1].endswith("document.doc")
    assert '"DisableMacrosExecution" oor:op="fuse"><value>true<' in log["profile"]
    assert log["reached"] != may_isolate()
    assert set(log["environment"]) <= {"PATH", "HOME", "TMPDIR", "LANG", "SAL_USE_VCLPLUGIN", "http_proxy", "https_proxy", "ftp_proxy", "LC_CTYPE"}  # fmt: skip
    assert log["limits"][0] == [converter.MOST_FILE_BYTES] * 2
    assert log["limits"][1] == [converter.MOST_FILES] * 2
    assert log["limits"][2][0] > 0
    assert log["limits"][3] == [0, 0]


@pytest.mark.parametrize(
    ("word", "code"),
    [("fail", "office_not_converted"), ("nothing", "office_not_converted"), ("link", "office_not_converted"), ("wrong", "office_not_converted"), ("sleep", "timed_out")],
)  # fmt: skip
def test_a_conversion_that_fails_costs_one_document(
    office: Path, write: Write, word: str, code: str
) -> None:
    """Guards against a converter that hangs the batch, leaves a process, or has this one read another file."""
    bad = ole2(("WordDocument", b"\xec\xa5".ljust(64, b"\0") + word.encode()))
    with DocumentReader(Limits(seconds=6)) as reader:
        assert code_of(reader, write("bad.doc", bad)) == code
        pid = json.loads((office / "log.json").read_text(encoding="utf-8"))["pid"]
        assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]  # fmt: skip
        assert reader.read(write("good.doc", DOC), "good").pages[0].text.startswith("経費規程")
    assert not list(office.parent.glob("ragjp-*"))


@pytest.mark.parametrize(
    "raw",
    [
        ole2(("EncryptedPackage", b"x"), ("EncryptionInfo", b"x")),
        ole2(("WordDocument", b"\xec\xa5".ljust(11, b"\0") + b"\x01".ljust(64, b"\0"))),
        ole2(("Workbook", b"\x09\x08\x10\0".ljust(20, b"\0") + b"\x2f\0\x02\0\0\0\x0a\0\0\0")),
        ole2(("PowerPoint Document", b"x"), ("Current User", b"\0" * 12 + b"\xdf\xc4\xd1\xf3")),
    ],
)
def test_protected_documents(write: Write, raw: bytes) -> None:
    """Guards against asking for LibreOffice, or calling a document damaged, that only needs its password."""
    for name in ("a.docx", "a.xls"):
        with pytest.raises(DocumentError) as caught:
            read_document_here(write(name, raw), "規程/x", Limits())
        assert caught.value.code == "office_encrypted"


def test_the_reading_process_may_write_nothing_without_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against giving up the strict limits where there is no converter to give them up for."""
    monkeypatch.setenv("PATH", "/nowhere")
    with DocumentReader(Limits()) as reader:
        reader.read(write("a.txt", "経費の精算。".encode()), "a")
        limits = Path(f"/proc/{reader.pid}/limits").read_text(encoding="ascii").split("\n")
    size, files = (next(line.split() for line in limits if line.startswith(name)) for name in ("Max file size", "Max open files"))  # fmt: skip
    assert size[3:5] == ["0", "0"]
    assert files[3:5] == ["64", "64"]


def test_a_damaged_old_file(write: Write) -> None:
    """Guards against an old file cut short being handed on."""
    for raw in (DOC[:600], DOC[:1500]):
        with pytest.raises(DocumentError) as caught:
            read_document_here(write("a.doc", raw), "規程/x", Limits())
        assert caught.value.code in ("office_damaged", "office_converter_missing")


@pytest.mark.parametrize(
    ("raw", "code_format"),
    [
        ("品名,単価\n机,100\n椅子,200\n".encode("cp932"), "csv"),
        (b"<html><body><table><tr><td>\xe6\x9c\xba<td>100</table>", "html"),
    ],
)
def test_tables_that_programs_call_xls(write: Write, raw: bytes, code_format: str) -> None:
    """Guards against refusing what Excel opens: text and web pages under its name."""
    document = read_document_here(write("a.xls", raw), "a.xls", Limits())
    assert document.format == code_format
    assert "机" in document.pages[0].text
