"""JSON and JSON Lines: every value behind its keys, places by line, and hostile nesting."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.config import Limits
from ragjp.documents import DocumentReader, json_lines, json_values
from ragjp.documents.contents import finding_for
from ragjp.errors import DocumentError

Write = Callable[[str, bytes], Path]
MOST = 20_000_000


def text_of(raw: str | bytes) -> str:
    raw = raw.encode() if isinstance(raw, str) else raw
    return "\n".join(page.text for page in json_values.read(raw, "a.json", MOST).pages)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp932", "euc_jp", "iso2022_jp_ext"],
)  # fmt: skip
def test_nested_values(encoding: str) -> None:
    """Guards against values without their keys, changed numbers, lost duplicates and lost encodings."""
    raw = (
        '{"title": "組織表", "部署": [{"名称": "総務", "内線": [1200, 1.50, 1e3], "長": null, "説明": "一行\\n二行"}, {"名称": "人事", "可": true}],'
        ' "番号": 12345678901234567890123, "番号": 2, "空": {}, "表": [[1, 2], [3]]}'
    )
    document = json_values.read(raw.encode(encoding), "a.json", MOST)
    assert document.title == "組織表"
    assert document.pages[0].text.split("\n") == [
        "title: 組織表",
        "部署[1].名称: 総務",
        "部署[1].内線: 1200 | 1.50 | 1e3",
        "部署[1].説明:",
        "一行",
        "二行",
        "部署[2].名称: 人事",
        "部署[2].可: true",
        "番号: 12345678901234567890123",
        "番号: 2",
        "表[1]: 1 | 2",
        "表[2]: 3",
    ]


def test_records_have_places() -> None:
    """Guards against a page that does not say which of a thousand records it holds."""
    records = [{"氏名": f"社員{at}"} for at in range(250)]
    pages = json_values.read(json.dumps(records).encode(), "a.json", MOST).pages
    assert [page.label for page in pages] == ["1–100 件目", "101–200 件目", "201–250 件目"]
    raw = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode("cp932")
    for read in (json_lines.read, json_values.read):
        pages = read(raw, "a.jsonl", MOST).pages
        assert [page.label for page in pages] == ["1–199 行", "201–399 行", "401–499 行"]
        for page in pages:
            for start, end, place in page.places:
                number = (int(place.removesuffix(" 行")) - 1) // 2
                assert page.text[start:end] == f"氏名: 社員{number}"


def test_lines_that_are_no_json() -> None:
    """Guards against a file lost for a line, and a line lost without a word."""
    document = json_lines.read(b'{"a": 1}\n{"a": \n{"a": 3}\n', "a.jsonl", MOST)
    assert document.pages[0].text == "a: 1\n\na: 3"
    found = finding_for(document)
    assert (found.status, found.code) == ("partly", "json_lines_damaged")
    assert "2 行目" in found.sentence
    with pytest.raises(DocumentError) as caught:
        json_lines.read(b"no\njson\nat all\n{}", "a.jsonl", MOST)
    assert caught.value.code == "json_damaged"


DEEP = 100_000


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with DocumentReader(Limits(seconds=20, memory_mib=768, max_chars=1_000_000)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[" * DEEP + b"]" * DEEP, "json_too_deep"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "json_too_deep"),
        (b"[" * DEEP, "json_too_deep"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "json_too_deep"),
        (b"[[],[]]" * 3, "json_damaged"),
        (b"{", "json_damaged"),
        (b"[]", "empty"),
        (b"{}", "empty"),
        (b'""', "empty"),
        (b'"' + b"x" * 2_000_000 + b'"', "too_large"),
        (b"9" * 2_000_000, "too_large"),
        (b"[" + b"1," * 500_000 + b"1]", "too_large"),
        (b"[" + b"{}," * 100_000 + b"{}]", "empty"),
        (b"\xff\xfe\x00", "not_text"),
    ],
)
def test_hostile_json(reader: DocumentReader, write: Write, raw: bytes, code: str) -> None:
    """Guards against a crash from nesting, and values without end."""
    for name in ("a.json", "a.jsonl"):
        got = reader.read_all(write(name, raw), name)
        found = [finding.code for finding in got.findings]
        assert found == [code] or (code == "not_text" and found[0] in ("encoding_unknown", code))


def test_lone_surrogates_and_other_unstorables() -> None:
    """Guards against half characters that SQLite and UTF-8 refuse later on."""
    text = text_of('{"a\\ud800": "x\\udfff\\u0000y", "b": "\\ud83d\\ude00"}')
    assert text == "a: xy\nb: 😀"
    text.encode()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("あaｱ1\n \u2028", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(_VALUES)
def test_no_value_is_lost(value: object) -> None:
    """Guards against values of some shape that no line shows."""
    leaves: list[str] = []

    def collect(here: object) -> None:
        if isinstance(here, dict):
            for entry in here.values():
                collect(entry)
        elif isinstance(here, list):
            for entry in here:
                collect(entry)
        elif isinstance(here, bool):
            leaves.append(str(here).lower())
        elif here is not None:
            leaves.extend(str(here).split())

    collect(value)
    try:
        text = text_of(json.dumps(value))
    except DocumentError as error:
        text = error.code
    if text == "empty" and "empty" not in leaves:
        assert not leaves
        return
    words = "".join(text.split())
    assert all("".join(leaf.split()) in words for leaf in leaves)
