"""Tables as text: every encoding and dialect with known truth, exact places, and hostile ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.config import Chunking, Limits
from ragjp.documents import DocumentReader, delimited
from ragjp.errors import DocumentError
from ragjp.japanese.chunks import chunk_document
from ragjp.types import Document

Write = Callable[[str, bytes], Path]
ROWS = [
    ["社員番号", "氏名", "部署", "内線", "金額"],
    ["0012", "髙橋 花子", "総務部", "1200", "1,234,567"],
    ["0013", "山崎 太郎", "経理部", "03-1234-5678", "3.10"],
    ["0014", "ソ能 表", "第一営業部、大阪", "", "△500"],
]
#: Ten ways to write the same table; what has no mark is told by its bytes.
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le-mark", "utf-16-be-mark", "utf-32", "cp932", "euc_jp", "iso2022_jp_ext", "utf-16-le",
]  # fmt: skip


def written(
    rows: list[list[str]], delimiter: str = ",", end: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL
) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    return out.getvalue()


def encoded(text: str, encoding: str) -> bytes:
    if encoding.endswith("-mark"):
        return ("\ufeff" + text).encode(encoding.removesuffix("-mark"))
    return text.encode(encoding)


def read(text: str, encoding: str = "utf-8", name: str = "表.csv") -> Document:
    return delimited.read(encoded(text, encoding), name, 20_000_000)


def lines(document: Document) -> list[str]:
    return [line for page in document.pages for line in page.text.split("\n")]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_and_delimiter(encoding: str, delimiter: str) -> None:
    """Guards against cells lost, changed or moved: numbers stay as written, empty cells keep their place."""
    rows = ROWS
    if encoding in ("euc_jp", "iso2022_jp_ext"):  # without 髙, which Python's codecs do not write
        rows = [[cell.replace("髙", "高") for cell in row] for row in ROWS]
    document = read(written(rows, delimiter), encoding)
    assert lines(document) == [" | ".join(row).rstrip() for row in rows]
    assert document.pages[0].headings == ((0, 1, " | ".join(rows[0])),)
    assert document.title == "表"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_quotes_and_line_ends(end: str) -> None:
    """Guards against records cut at the line ends in their cells."""
    rows = [
        ["項目", "説明"],
        ["一", f'"引用"、改行{end}二行目'],
        ["二", "終わり"],
        ["", ""],
        ["三", "x"],
    ]
    document = read(written(rows, end=end, quoting=csv.QUOTE_ALL))
    assert lines(document) == ["項目 | 説明", '一 | "引用"、改行 二行目', "二 | 終わり", "三 | x"]
    assert [place for _, _, place in document.pages[0].places] == ["1 行", "2 行", "3 行", "5 行"]


def test_lines_above_the_header() -> None:
    """Guards against a title taken for the header, and a document called by its file's name that says its own."""
    document = read("2024年度 内線表\r\n\r\n" + written(ROWS))
    assert document.title == "2024年度 内線表"
    assert lines(document)[:2] == ["2024年度 内線表", " | ".join(ROWS[0])]
    assert document.pages[0].headings[0][2] == " | ".join(ROWS[0])


def test_tables_without_a_header() -> None:
    """Guards against the first postal code as the name of all: nothing is repeated."""
    rows = [[f"0{at}", f"06{at:05}", "北海道", f"{at}条"] for at in range(150)]
    document = read(written(rows))
    assert [page.headings for page in document.pages] == [(), ()]
    assert lines(document) == [" | ".join(row) for row in rows]


def test_ragged_rows() -> None:
    """Guards against records that are dropped, or shift others, for having too few or too many cells."""
    assert lines(read("甲,乙,丙\n1\n1,2,3,4\n,,3\n")) == [
        "甲 | 乙 | 丙",
        "1",
        "1 | 2 | 3 | 4",
        " |  | 3",
    ]


def test_pages_and_places() -> None:
    """Guards against places that are not those of the file, and chunks that nobody understands."""
    rows = [["番号", "氏名"], *[[str(at), f"社員{at}"] for at in range(1, 251)]]
    document = read(written(rows))
    assert [page.label for page in document.pages] == ["1–101 行", "102–201 行", "202–251 行"]
    for page in document.pages:
        assert page.text.startswith("番号 | 氏名\n")
        for start, end, place in page.places:
            number = int(place.removesuffix(" 行"))
            assert page.text[start:end] == " | ".join(rows[number - 1])
    chunks = chunk_document(document, Chunking())
    assert len(chunks) > 3
    assert {chunk.heading_path for chunk in chunks} == {("番号 | 氏名",)}


def test_wide_tables() -> None:
    """Guards against rows that no chunk holds: each value says what it is."""
    header = [f"設問{at}" for at in range(1, 31)]
    rows = [header, [f"答{at}" for at in range(1, 31)], ["只今", "", *["x"] * 28]]
    page = read(written(rows)).pages[0]
    records = page.text.split("\n\n")
    assert records[0].split("\n") == [f"設問{at}: 答{at}" for at in range(1, 31)]
    assert records[1].startswith("設問1: 只今\n設問3: x\n")
    assert [title for _, _, title in page.headings] == ["設問1: 答1", "設問1: 只今"]
    for start, _, title in page.headings:
        assert page.text[start:].startswith(title)


def test_a_quote_that_nobody_closes() -> None:
    """Guards against half a file as one cell."""
    text = '番号,寸法\n1,"19"" ラック"\n2,"24 インチ\n' + "3,x\n" * 3000
    document = read(text)
    assert [remark.code for remark in document.remarks] == ["csv_unclosed_quote"]
    assert lines(document)[:4] == ["番号 | 寸法", '1 | 19" ラック', '2 | "24 インチ', "3 | x"]
    assert sum(line == "3 | x" for line in lines(document)) == 3000


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.text("あ漢aB1,;\t\"' 　\n|", max_size=6), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",\t;"),
)
def test_no_cell_is_lost(rows: list[list[str]], delimiter: str) -> None:
    """Guards against text that a page does not hold, whatever stands in the cells."""
    rows = [["見出し甲", "見出し乙", "見出し丙"], *rows]
    records = delimited.Records(written(rows, delimiter, "\n"), delimiter)
    wanted = [
        [" ".join(part.strip() for part in cell.split("\n") if part.strip()) for cell in row]
        for row in rows
    ]
    squeezed = [["".join(cell.split()) for cell in cells] for _, cells in records]
    assert squeezed == [["".join(cell.split()) for cell in row] for row in wanted if any(row)]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\n" * 300_000, "empty"),
        (b",\n" * 300_000, "empty"),
        (b"1\n" * 1_000_000, "too_large"),
        (b"," * 3_000_000, "empty"),
        (b"a,b\n" + b'"' * 3_000_000, "too_large"),
        (b'a,b\n"' + b"x\n" * 1_500_000, "too_large"),
        (b"a,b\n" + b"x" * 3_000_000, "too_large"),
        (b"a," * 1_500_000, "too_large"),
        (b"\x00\x01\x02" * 1000, "not_text"),
    ],
)
def test_hostile_tables(write: Write, raw: bytes, code: str) -> None:
    """Guards against rows and columns without end: a reason, in bounded time and memory."""
    with DocumentReader(Limits(seconds=20, memory_mib=512, max_chars=1_000_000)) as reader:
        got = reader.read_all(write("a.csv", raw), "a.csv")
    assert [finding.code for finding in got.findings] == [code]


def test_too_many_characters_are_noticed_early() -> None:
    """Guards against all of a huge file in memory before it is refused."""
    with pytest.raises(DocumentError) as caught:
        delimited.read(b"a,b\n" + b"1,2\n" * 100_000, "a.csv", 1000)
    assert caught.value.code == "too_large"
