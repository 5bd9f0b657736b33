"""ZIP archives: every name right, every member read by its own reader, everything hostile refused for itself."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import stat
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ragjp.config import Limits
from ragjp.documents import Contents, DocumentReader, belongs_to, walk
from ragjp.documents.archive import parts
from ragjp.documents.walk import Room
from ragjp.errors import DocumentError

Write = Callable[[str, bytes], Path]
TEXT = "経費の精算は、月末までに行うこと。"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


zips = _load("zip_bytes")
File, make_zip = zips.File, zips.make_zip


@pytest.fixture(scope="module")
def reader() -> DocumentReader:
    return DocumentReader(Limits(seconds=10, memory_mib=512))


@pytest.fixture(autouse=True, scope="module")
def _closed(reader: DocumentReader) -> object:
    yield
    reader.close()


def read(reader: DocumentReader, write: Write, raw: bytes) -> Contents:
    got = reader.read_all(write("a.zip", raw), "a.zip")
    ids = [document.doc_id for document in got.documents]
    assert len(set(ids)) == len(ids)
    assert all(belongs_to(doc_id, "a.zip") for doc_id in ids)
    assert {finding.doc_id for finding in got.findings if finding.status != "refused"} == set(ids)
    return got


def codes(got: Contents) -> dict[str, str]:
    return {finding.doc_id.removeprefix("a.zip/"): finding.code for finding in got.findings}


NAMES = [
    "規程/経費規程.txt",
    "表とソと能/予定表.txt",
    "㈱髙島①.txt",
    "ﾒｲﾎﾞ.txt",
    "議事録 10:30.txt",
    "がぎぐ.txt",
]


@pytest.mark.parametrize(
    "encoding", ["cp932", "utf-8", "nfd", "flag", "field", "euc_jp", "iso2022_jp_ext"]
)
def test_names_in_every_encoding(reader: DocumentReader, write: Write, encoding: str) -> None:
    """Guards against garbled names: the loudest complaint about ZIP files from Windows and from macOS."""
    names = (
        NAMES if encoding not in ("euc_jp", "iso2022_jp_ext") else [NAMES[0], NAMES[1], NAMES[5]]
    )
    files = []
    for name in names:
        match encoding:
            case "flag":
                files.append(File(name.encode(), TEXT.encode(), flags=0x800))
            case "nfd":
                raw = unicodedata.normalize("NFD", name).encode()
                files.append(File(raw, TEXT.encode(), made_by=3))
            case "field":
                raw = name.encode("cp932").replace(b"\x8b", b"?")
                field = zips.unicode_field(raw, name)
                files.append(File(raw, TEXT.encode(), extra=b"\x99\x99\x02\x00ab" + field))
            case _:
                files.append(File(name.encode(encoding), TEXT.encode()))
    got = read(reader, write, make_zip(*files))
    assert [document.doc_id for document in got.documents] == [f"a.zip/{name}" for name in names]
    assert {document.pages[0].text for document in got.documents} == {TEXT}
    assert got.status == "indexed"


@pytest.mark.parametrize(
    "name", ["規程.txt", "表.txt", "ソ.txt", "見積書(控え).txt", "コピー ～ 2024年度.txt", "№1.txt"]
)
def test_one_short_name_is_enough(reader: DocumentReader, write: Write, name: str) -> None:
    """Guards against encodings that are only told by many names."""
    for encoding in ("cp932", "utf-8"):
        got = read(reader, write, make_zip(File(name.encode(encoding), TEXT.encode())))
        assert [document.doc_id for document in got.documents] == [f"a.zip/{name}"]


def test_names_of_other_kinds(reader: DocumentReader, write: Write) -> None:
    """Guards against backslashes, fields of another name, marked names that are wrong, and DOS's own letters."""
    got = read(
        reader,
        write,
        make_zip(
            File("部\\表\\規程.txt".encode("cp932"), TEXT.encode()),
            File("甲.txt".encode("cp932"), b"a", extra=zips.unicode_field(b"x", "乙.txt")),
            File(b"\x8bK\x92\xf6\xff.txt", b"b", flags=0x800),
        ),
    )
    assert [document.doc_id for document in got.documents] == [
        "a.zip/部/表/規程.txt",
        "a.zip/甲.txt",
        "a.zip/%8bK%92%f6%ff.txt",
    ]
    got = read(reader, write, make_zip(File("Überblick für Köln.txt".encode("cp437"), b"text")))
    assert [document.doc_id for document in got.documents] == ["a.zip/Überblick für Köln.txt"]


def test_each_member_by_its_own_reader(reader: DocumentReader, write: Write) -> None:
    """Guards against one reader for all, litter among the documents, and one bad member that costs the others."""
    inner = make_zip(File("中.md".encode(), "# 見出し\n本文。".encode()))
    raw = make_zip(
        File("規程.txt".encode("cp932"), TEXT.encode("euc_jp")),
        File(b"a/", made_by=3, attributes=stat.S_IFDIR << 16),
        File("a/表.csv".encode("cp932"), "部署,内線\n総務,1200\n".encode("cp932")),
        File(b"bad.json", b"{"),
        File(b"page.html", "<h1>題</h1>本文".encode("cp932")),
        File(b"mail.eml", b"Subject: x\r\n\r\nbody"),
        File(b"in.zip", inner, method=0),
        File(b"x.7z", b"7z\xbc\xaf\x27\x1c"),
        File(b"empty.txt"),
        File(b"__MACOSX/._a.txt", b"x"),
        File(b"a/.DS_Store", b"x"),
        File(b"Thumbs.db", b"x"),
        File(b"lie.pdf", b"\x89PNG\r\n" + b"x" * 50),
    )
    got = read(reader, write, raw)
    assert {document.doc_id: document.pages[0].text for document in got.documents} == {
        "a.zip/規程.txt": TEXT,
        "a.zip/a/表.csv": "部署 | 内線\n総務 | 1200",
        "a.zip/page.html": "題\n\n本文",
        "a.zip/mail.eml": "件名: x\n\nbody",
        "a.zip/in.zip/中.md": "見出し\n本文。",
    }
    assert {name: code for name, code in codes(got).items() if code} == {
        "bad.json": "json_damaged",
        "x.7z": "format_unsupported",
        "empty.txt": "empty",
        "lie.pdf": "wrong_extension",
    }
    assert got.status == "partly"


class Unseekable(io.RawIOBase):
    """Makes zipfile write sizes after the bytes."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: object) -> int:
        self.written += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]

    def writable(self) -> bool:
        return True


def test_archives_that_zipfile_makes(reader: DocumentReader, write: Write) -> None:
    """Guards against a reader that only knows our own hand-made archives: ZIP64, streamed entries, a program before, a comment."""
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = Unseekable()
        with zipfile.ZipFile(out, "w", compression=how) as archive:
            with archive.open("規程.txt", "w", force_zip64=True) as member:
                member.write(TEXT.encode() * 100)
            archive.writestr("b.txt", TEXT)
            archive.comment = b"PK\x05" * 50
        got = read(reader, write, b"MZ" + b"\0" * 100 + bytes(out.written))
        assert [document.doc_id for document in got.documents] == ["a.zip/規程.txt", "a.zip/b.txt"]
        assert got.documents[0].pages[0].text == TEXT * 100


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (File(b"../../etc/a.txt", b"x"), "zip_name_unsafe"),
        (File(b"a/../../a.txt", b"x"), "zip_name_unsafe"),
        (File(b"..\\a.txt", b"x"), "zip_name_unsafe"),
        (File(b"/etc/a.txt", b"x"), "zip_name_unsafe"),
        (File(b"\\\\server\\share\\a.txt", b"x"), "zip_name_unsafe"),
        (File(b"C:\\a.txt", b"x"), "zip_name_unsafe"),
        (File(b"C:a.txt", b"x"), "zip_name_unsafe"),
        (File(b"a.txt:evil.txt", b"x"), "zip_name_unsafe"),
        (File(b"a.txt::$DATA", b"x"), "zip_name_unsafe"),
        (File(b"a\x00.txt", b"x"), "zip_name_unsafe"),
        (File(b"a\x1b[31m.txt", b"x"), "zip_name_unsafe"),
        (File("a\u202etxt.txt".encode(), b"x", flags=0x800), "zip_name_unsafe"),
        (File(b"n" * 60_000 + b".txt", b"x"), "zip_name_unsafe"),
        (File(b"..", b"x"), "zip_name_unsafe"),
        (File(b"link.txt", b"/etc/passwd", made_by=3, attributes=0o120777 << 16), "zip_symlink"),
        (File(b"pipe.txt", b"", made_by=3, attributes=0o010644 << 16), "not_a_file"),
        (File(b"device.txt", b"", made_by=3, attributes=0o020644 << 16), "not_a_file"),
        (File(b"secret.txt", b"x" * 40, flags=1), "zip_encrypted"),
        (File(b"secret.txt", b"x" * 40, method=99, flags=1), "zip_encrypted"),
        (File(b"strong.txt", b"x" * 40, flags=0x41), "zip_encrypted"),
        (File(b"new.txt", b"x" * 40, method=93), "zip_method"),
        (File(b"old.txt", b"x" * 40, method=9), "zip_method"),
        (File(b"sum.txt", b"x" * 40, crc=1), "zip_entry_damaged"),
        (File(b"short.txt", b"x" * 40, size=41), "zip_entry_damaged"),
        (File(b"more.txt", b"x" * 4000, size=4), "zip_bomb"),
        (File(b"noise.txt", b"x" * 40, body=b"\xff" * 40), "zip_entry_damaged"),
        (File(b"far.txt", b"x" * 40, offset=0x7FFFFFFF), "zip_entry_damaged"),
        (File(b"long.txt", b"x" * 40, packed=0x7FFFFFFF), "zip_entry_damaged"),
        (File(b"bomb.txt", b"0" * (50 << 20)), "zip_bomb"),
        (File(b"claim.txt", b"x" * 40, size=0xFFFFFFFE), "zip_bomb"),
    ],
)
def test_hostile_members_cost_themselves(
    reader: DocumentReader, write: Write, file: object, code: str
) -> None:
    """Guards against reading outside, unpacking without end, and one member that takes the others with it."""
    raw = make_zip(File(b"before.txt", TEXT.encode()), file, File(b"after.txt", TEXT.encode()))
    got = read(reader, write, raw)
    found = [finding.code for finding in got.findings if finding.code]
    assert found == [code]
    assert [document.doc_id for document in got.documents] == [
        "a.zip/before.txt",
        "a.zip/after.txt",
    ]
    for finding in got.findings:
        finding.sentence.encode()
        assert finding.sentence.isprintable()


def test_overlapping_entries(reader: DocumentReader, write: Write) -> None:
    """Guards against bombs whose entries share their bytes (Fifield 2019)."""
    kernel = File(b"k.txt", TEXT.encode())
    same = [File(b"%d.txt" % at, TEXT.encode(), offset=0) for at in range(50)]
    got = read(reader, write, make_zip(kernel, *same))
    assert len(got.documents) == 1
    assert list(codes(got).values()).count("zip_overlap") == 50


def test_two_of_the_same_name(reader: DocumentReader, write: Write) -> None:
    """Guards against one document hiding another."""
    got = read(reader, write, make_zip(*[File(b"a/x.txt", b"%d" % at) for at in range(3)]))
    assert {document.doc_id: document.pages[0].text for document in got.documents} == {
        "a.zip/a/x.txt": "0",
        "a.zip/a/x (2).txt": "1",
        "a.zip/a/x (3).txt": "2",
    }


def test_archives_in_archives(reader: DocumentReader, write: Write) -> None:
    """Guards against nesting without end, by depth and by an archive that holds itself."""
    raw = make_zip(File(b"x.txt", b"deep"))
    for _ in range(3):
        raw = make_zip(File(b"n.zip", raw), File(b"x.txt", TEXT.encode()))
    got = read(reader, write, raw)
    assert [document.doc_id.count(".zip") for document in got.documents] == [4, 3, 2, 1]
    for _ in range(9):
        raw = make_zip(File(b"n.zip", raw), File(b"x.txt", TEXT.encode()))
    got = read(reader, write, raw)
    assert len(got.documents) == 5
    assert [code for code in codes(got).values() if code] == ["nested_too_deep"]


def test_an_archive_that_holds_itself(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against quines: what stands above is known by its bytes. A true quine is replaced by a reader that gives one."""
    raw = make_zip(File(b"x.txt", TEXT.encode()))

    def quine(raw: bytes, doc_id: str, room: Room) -> object:
        yield walk.Part("x.txt", TEXT.encode, ".txt")
        yield walk.Part("self.zip", lambda: raw, ".zip")

    monkeypatch.setattr("ragjp.documents.archive.parts", quine)
    frames = list(walk.frames(write("a.zip", raw), "a.zip", Limits(), {}))
    assert [frame.get("code") for frame in frames if "code" in frame] == ["nested_in_itself"]
    assert frames[-1] == {"end": True}


def test_limits_of_the_whole(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an archive whose members are each allowed and together without end."""
    raw = make_zip(*[File(b"%02d.txt" % at, b"x" * 1000) for at in range(20)])
    with DocumentReader(Limits(max_bytes=2000)) as small:
        got = small.read_all(write("a.zip", make_zip(File(b"a.txt", b"y" * 2001))), "a.zip")
        assert [finding.code for finding in got.findings] == ["too_large"]
        got = small.read_all(write("a.zip", raw), "a.zip")
        assert [finding.code for finding in got.findings] == ["too_large"]
    with DocumentReader(Limits(max_bytes=3000)) as small:
        got = small.read_all(write("a.zip", raw), "a.zip")
        assert [finding.code for finding in got.findings] == [""] * 15 + ["unpacked_too_large"] * 5
    with DocumentReader(Limits(max_chars=5500)) as small:
        got = small.read_all(write("a.zip", raw), "a.zip")
        assert sum(len(document.pages[0].text) for document in got.documents) <= 5500
        assert len(got.documents) == 5
        assert len(got.findings) == 20
    monkeypatch.setattr(walk, "MAX_PARTS", 7)
    frames = list(walk.frames(write("a.zip", raw), "a.zip", Limits(), {}))
    assert sum("document" in frame for frame in frames) == 7
    assert [frame["code"] for frame in frames if "code" in frame] == ["too_many_parts"]


def test_a_million_entries(reader: DocumentReader, write: Write) -> None:
    """Guards against a directory that takes minutes or gigabytes before the first member."""
    entry = make_zip(File(b"f", b"", method=0))
    central = entry[entry.index(b"PK\x01\x02") : entry.index(b"PK\x05\x06")]
    n = 1_000_000
    end = b"PK\x05\x06" + b"\0" * 4 + b"\xff\xff" * 2 + (n * len(central)).to_bytes(4, "little")
    raw = entry[: entry.index(b"PK\x01\x02")]
    raw += central * n + end + len(raw).to_bytes(4, "little") + b"\0\0"
    got = read(reader, write, raw)
    assert not got.documents
    assert "too_many_parts" in {finding.code for finding in got.findings}
    assert len(got.findings) <= walk.MAX_PARTS + 1


@pytest.mark.parametrize(
    "raw",
    [
        b"PK\x03\x04",
        b"PK\x05\x06" + b"\0" * 18,
        b"no zip at all",
        b"",
        b"PK\x05\x06" + b"\xff" * 18,
        b"PK\x06\x07" + b"\xff" * 16 + b"PK\x05\x06" + b"\xff" * 18,
        b"Rar!\x1a\x07" + b"x" * 40,
        make_zip(File(b"a/", b"")),
        make_zip(File(b"__MACOSX/a", b"x")),
    ],
)
def test_archives_of_nothing(reader: DocumentReader, write: Write, raw: bytes) -> None:
    """Guards against a file that ends without a word: nothing is silently empty."""
    got = read(reader, write, raw)
    assert got.status == "refused"
    assert len(got.findings) == 1
    assert got.findings[0].code in ("zip_damaged", "empty", "wrong_extension")


def test_damage_anywhere(write: Write) -> None:
    """Guards against a crash or a hang from any changed byte or any cut."""
    raw = make_zip(
        File("規程.txt".encode("cp932"), TEXT.encode()),
        File(b"in.zip", make_zip(File(b"x.txt", b"deep"))),
        File(b"a.csv", b"a,b\n1,2\n", extra=zips.unicode_field(b"a.csv", "表.csv")),
    )
    dice = random.Random(6)
    for _ in range(400):
        changed = bytearray(raw[: dice.choice((len(raw), dice.randrange(len(raw))))])
        for _ in range(dice.randrange(1, 4)):
            if changed:
                changed[dice.randrange(len(changed))] = dice.randrange(256)
        frames = list(walk.frames(write("a.zip", bytes(changed)), "a.zip", Limits(), {}))
        assert frames[-1] == {"end": True}
        assert "reader_failed" not in {frame.get("code") for frame in frames}
        json.dumps(frames).encode()


def test_nothing_is_written(write: Write, tmp_path: Path, reader: DocumentReader) -> None:
    """Guards against unpacking to disk: the reading process could not, and leaves nothing behind."""
    before = sorted(tmp_path.rglob("*"))
    read(reader, write, make_zip(File(b"../out.txt", b"x"), File(b"in.txt", TEXT.encode())))
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "a.zip"]


def test_parts_are_not_unpacked_before_their_turn() -> None:
    """Guards against all members in memory at once."""
    taken: list[int] = []

    class Counting(Room):
        def take_bytes(self, n_bytes: int, name: str) -> None:
            taken.append(n_bytes)
            super().take_bytes(n_bytes, name)

    files = [File(b"%d.txt" % at, b"x" * 100) for at in range(5)]
    going = parts(make_zip(*files), "a.zip", Counting(Limits()))
    assert taken == []
    first = next(going)
    assert first.load() == b"x" * 100
    assert taken == [100]
    with pytest.raises(DocumentError):
        list(parts(b"no zip", "a.zip", Counting(Limits())))
