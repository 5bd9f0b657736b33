"""Office files made to hurt: one reason each, nothing opened outside of them, and the rest of the batch read."""

from __future__ import annotations

import io
import random
import resource
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import docx
import openpyxl
import pptx
import pytest

from ragjp.config import Limits
from ragjp.documents import DocumentReader, read_document_here
from ragjp.documents.office.package import Package
from ragjp.documents.reasons import SENTENCES
from ragjp.errors import DocumentError

Write = Callable[[str, bytes], Path]
Parts = dict[str, str | bytes]
LAUGHS = (
    "<!DOCTYPE l [<!ENTITY a '笑い'>"
    + "".join(f"<!ENTITY {name} '{f'&{before};' * 20}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)  # fmt: skip
FILE = "<!DOCTYPE l [<!ENTITY i SYSTEM 'file:///etc/passwd'>]>"
PARAMETER = (
    "<!DOCTYPE l SYSTEM 'http://127.0.0.1:9/a.dtd' [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]>"
)


def word_parts(parts: ModuleType) -> Parts:
    style = "<w:style w:type='paragraph' w:styleId='A'><w:name w:val='a'/><w:basedOn w:val='B'/></w:style><w:style w:styleId='B'><w:basedOn w:val='A'/></w:style>"
    made: Parts = parts.word_parts(parts.paragraph("本文&amp;続き", "<w:pStyle w:val='A'/>"), styles=style, footnotes="", numbering="")  # fmt: skip
    return made


def sheet_parts(parts: ModuleType) -> Parts:
    made: Parts = parts.sheet_parts('<row r="1"><c r="A1" t="s"><v>0</v></c></row>', strings="<si><t>本文</t></si>")  # fmt: skip
    return made


def with_dtd(part: str | bytes, declaration: str, *, encoding: str = "utf-8") -> bytes:
    text = part if isinstance(part, str) else part.decode()
    head, _, rest = text.partition("?>\n")
    return f"{head.replace('UTF-8', encoding)}?>{declaration}{rest}".encode(encoding)


@pytest.mark.parametrize("declaration", [LAUGHS, FILE, PARAMETER, "<!DOCTYPE x>"])
@pytest.mark.parametrize("part", ["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels", "_rels/.rels", "xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "xl/workbook.xml"])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_forbidden(
    parts: ModuleType, declaration: str, part: str, encoding: str
) -> None:
    """Guards against entities that read files or grow without end, in any part and any encoding."""
    made = sheet_parts(parts) if part.startswith("xl") else word_parts(parts)
    made[part] = with_dtd(made[part], declaration, encoding=encoding)
    assert code_of(parts.zipped(made), "a.docx") == "office_dtd"


def code_of(raw: bytes, name: str) -> str:
    with pytest.raises(DocumentError) as caught:
        read_raw(raw, name)
    assert caught.value.code in SENTENCES
    assert caught.value.sentence.endswith("ください。")
    return caught.value.code


def read_raw(raw: bytes, name: str) -> str:
    from ragjp.documents.reading import read_raw as read

    return "\n".join(page.text for page in read(raw, Path(name).suffix, name, Limits()).pages)


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.pptx", "a.txt", "a.pdf", "a.md", "a.DOC"])
def test_chosen_by_content(parts: ModuleType, write: Write, name: str) -> None:
    """Guards against believing the name of a file."""
    raw = parts.zipped(word_parts(parts))
    assert read_document_here(write(name, raw), name, Limits()).pages[0].text == "本文&続き"
    raw = parts.zipped(sheet_parts(parts))
    assert read_document_here(write(name, raw), name, Limits()).format == "xlsx"


def bomb(parts: ModuleType, part: str, n_bytes: int) -> bytes:
    made = word_parts(parts)
    text = made.pop(part)
    assert isinstance(text, str)
    out = io.BytesIO(parts.zipped(made))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open(part, "w", force_zip64=True) as target:
            head, _, rest = text.partition("<w:body>")
            target.write(f"{head}<w:body>".encode())
            for _ in range(n_bytes >> 20):
                target.write(b" " * (1 << 20))
            target.write(rest.encode())
    return out.getvalue()


def encrypted(parts: ModuleType) -> bytes:
    """Set the flag that says that the entries are encrypted."""
    raw = bytearray(parts.zipped(word_parts(parts), stored=True))
    at = 0
    while (at := raw.find(b"PK\x01\x02", at)) >= 0:
        raw[at + 8] |= 1
        at += 4
    return bytes(raw)


def lying_size(parts: ModuleType) -> bytes:
    """Say in the directory that the entry is small."""
    raw = bytearray(parts.zipped(word_parts(parts)))
    at = raw.find(b"PK\x01\x02")
    while at >= 0:
        raw[at + 24 : at + 28] = struct.pack("<I", 3)
        at = raw.find(b"PK\x01\x02", at + 4)
    return bytes(raw)


def changed(parts: ModuleType, **changes: str | bytes | None) -> bytes:
    """Change parts of a Word document; nothing takes one away. ``__`` is a slash, ``_x`` the suffix ``.xml``."""
    made = word_parts(parts)
    for key, value in changes.items():
        name = key.replace("__", "/").replace("_x", ".xml")
        if value is None:
            del made[name]
        else:
            made[name] = value
    return bytes(parts.zipped(made))


CASES: dict[str, tuple[Callable[[ModuleType], bytes], str]] = {
    "bomb": (lambda p: bomb(p, "word/document.xml", 64 << 20), "office_bomb"),
    "encrypted entries": (encrypted, "office_encrypted"),
    "lying sizes": (lying_size, "office_damaged"),
    "cut": (lambda p: p.zipped(word_parts(p))[:-40], "office_damaged"),
    "no document": (lambda p: changed(p, word__document_x=None), "office_damaged"),
    "no XML": (lambda p: changed(p, word__document_x="本文"), "office_damaged"),
    "an empty part": (lambda p: changed(p, word__document_x=b""), "office_damaged"),
    "another root": (lambda p: changed(p, word__document_x="<a/>"), "office_damaged"),
    "no end": (lambda p: changed(p, word__document_x="<?xml version='1.0'?>" + " " * 100_000), "office_damaged"),
    "lone surrogates": (lambda p: changed(p, word__document_x="<w:d xmlns:w='x'><w:body>&#xD800;</w:body></w:d>"), "office_damaged"),
    "an unknown encoding": (lambda p: changed(p, word__document_x="<?xml version='1.0' encoding='x-what'?><a/>"), "office_damaged"),
    "deep": (lambda p: p.word("<w:sdt>" * 100_000), "office_damaged"),
    "deep tables": (lambda p: p.word("<w:tbl><w:tr><w:tc>" * 90 + "</w:tc></w:tr></w:tbl>" * 90), "office_damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_reason_each(parts: ModuleType, case: str) -> None:
    """Guards against damage without its own reason."""
    make, code = CASES[case]
    assert code_of(make(parts), "a.docx") == code


@pytest.mark.parametrize(
    ("rows", "more", "text"),
    [
        ('<row r="1"><c r="ZZZZ99"><v>1</v></c><c r="A1"><v>2</v></c></row>', "", "2"),
        ('<row r="9999999999"><c><v>1</v></c></row><row><c><v>2</v></c></row>', "", "1\n2"),
        ('<row r="1"><c r="A1" s="99999"><v>nan</v></c><c r="B1"><v>1e999</v></c><c r="C1"><v>1e308</v></c></row>', "", "nan | 1e999 | 1E+308"),
        ('<row r="1"><c r="A1" t="s"><v>-1</v></c><c r="B1" t="s"><v>１</v></c><c r="C1"><v>3</v></c></row>', "", "3"),
        ('<row r="1"><c r="A1"><v>1</v></c></row>', "<mergeCells>" + '<mergeCell ref="A1:XFD1048576"/>' * 1000 + "</mergeCells>", "1"),
    ],
)  # fmt: skip
def test_sheets_with_impossible_cells(parts: ModuleType, rows: str, more: str, text: str) -> None:
    """Guards against places outside of a sheet, numbers that are none, and a sheet that is one merged cell a thousand times."""
    assert read_raw(parts.workbook(rows, more=more), "a.xlsx") == text


def test_limits_on_parts(parts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against limits that are written down and not kept."""
    from ragjp.documents.office import package

    raw = parts.zipped(word_parts(parts))
    for name, value in (("MOST_PARTS", 3), ("MOST_PART_BYTES", 100), ("MOST_BYTES", 100)):
        with monkeypatch.context() as patched:
            patched.setattr(package, name, value)
            assert code_of(raw, "a.docx") == "office_bomb"


#: Damaged files of each kind.
N_MUTATED = 60
OPENED: list[str] = []
LISTENS = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if LISTENS and event.split(".")[0] in ("open", "socket", "subprocess", "os", "urllib"):
        OPENED.append(f"{event} {arguments[:1]}")


@contextmanager
def nothing_opened() -> Iterator[None]:
    """Assert that no file, socket or process is opened meanwhile."""
    global LISTENS
    if not OPENED:
        sys.addaudithook(_hook)
        OPENED.append("installed")
    before = len(OPENED)
    LISTENS = True
    try:
        yield
    finally:
        LISTENS = False
    assert OPENED[before:] == []


def test_nothing_outside_is_opened(parts: ModuleType, tmp_path: Path) -> None:
    """Guards against templates, pictures, linked cells and parts that lead to files and servers."""
    targets = (
        ("t1", "attachedTemplate", "http://127.0.0.1:9/a.dotm"),
        ("t2", "styles", "file:///etc/passwd"),
        ("t3", "numbering", "../../../../../../etc/passwd"),
        ("t4", "footnotes", "/etc/passwd"),
        ("t5", "header", "%2e%2e/%2e%2e/etc/passwd"),
        ("t6", "footer", "\\\\127.0.0.1\\share\\a.xml"),
    )
    made = word_parts(parts)
    made["word/_rels/document.xml.rels"] = parts.relationships(*targets)
    made |= {"../../../tmp/x.xml": "<a/>", "/etc/passwd": "<footnotes/>", "C:\\x.xml": "<a/>"}
    raw = parts.zipped(made)
    read_raw(raw, "a.docx")  # modules are imported
    with nothing_opened():
        assert read_raw(raw, "a.docx") == "本文&続き"
    assert Package(raw, "a").relations("word/document.xml").keys() == {"t3", "t4", "t5", "t6"}
    assert list(tmp_path.iterdir()) == []


def made_by_libraries() -> dict[str, bytes]:
    """Give a real file of each kind."""
    found: dict[str, bytes] = {}
    for suffix in (".docx", ".xlsx", ".pptx"):
        out = io.BytesIO()
        if suffix == ".docx":
            word = docx.Document()
            word.add_heading("見出し", 1)
            word.add_paragraph("項目", style="List Number")
            word.add_table(2, 2).cell(0, 0).text = "表"
            word.save(out)
        elif suffix == ".xlsx":
            book = openpyxl.Workbook()
            assert book.active is not None
            book.active.append(["品名", 1.5, "=1+1"])
            book.active.merge_cells("A2:B3")
            book.save(out)
        else:
            show = pptx.Presentation()
            slide = show.slides.add_slide(show.slide_layouts[3])
            slide.placeholders[1].text = "左"
            slide.notes_slide.notes_text_frame.text = "ノート"
            show.save(out)
        found[suffix] = out.getvalue()
    return found


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Damage one part inside the ZIP, so that the reader gets to see it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(out, "w") as target:
        names = [name for name in source.namelist() if name.endswith((".xml", ".rels"))]
        chosen = rng.choice(names)
        for name in source.namelist():
            part = source.read(name)
            if name == chosen:
                kind, a = rng.randrange(4), rng.randrange(len(part))
                b = min(len(part), a + rng.choice((1, 10, 300)))
                middle = (b"", part[a:b] * 3, rng.randbytes(b - a), b"9" * (b - a))[kind]
                part = part[:a] + middle + part[b:]
            target.writestr(name, part)
    return out.getvalue()


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".pptx"])
def test_damaged_parts_have_a_reason(suffix: str) -> None:
    """Guards against damage that ends in something else than a document or its reason."""
    raw = made_by_libraries()[suffix]
    codes: list[str] = []
    for seed in range(N_MUTATED):
        try:
            read_raw(mutated(raw, random.Random(seed)), f"a{suffix}")
        except DocumentError as error:
            codes.append(error.code)
    assert set(codes) <= set(SENTENCES)
    assert N_MUTATED / 8 < len(codes) < N_MUTATED


def test_the_rest_of_the_batch_is_read(parts: ModuleType, write: Write) -> None:
    """Guards against a hostile file that ends, hangs or bloats the batch."""
    good = write("good.docx", parts.zipped(word_parts(parts)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with DocumentReader(Limits(seconds=20, memory_mib=512)) as reader:
        for at, (make, code) in enumerate(CASES.values()):
            path = write(f"{at}.docx", make(parts))
            with pytest.raises(DocumentError) as caught:
                reader.read(path, "悪い.docx")
            assert caught.value.code == code
            assert reader.read(good, "good.docx").pages[0].text == "本文&続き"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10
