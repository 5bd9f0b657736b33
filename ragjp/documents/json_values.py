"""JSON and JSON Lines as text: each value on a line behind the keys that lead to it, each record apart from the next.

``{"部署": {"名称": "総務", "内線": [1200, 1201]}}`` becomes ``部署.名称: 総務`` and ``部署.内線: 1200 | 1201``. Numbers stay as written.
The records of JSON Lines, and of an array of objects, are put in pages of so many; ``Page.places`` says which line (record) each is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError

from ragjp.documents.cleaning import clean_text, clean_title, title_from_name
from ragjp.documents.contents import remark
from ragjp.documents.encoding import decode
from ragjp.documents.lines import CELL_SEPARATOR
from ragjp.documents.reasons import reason
from ragjp.types import Document, Page, Remark

#: A page is closed when it holds so many records or characters.
PAGE_RECORDS = 100
PAGE_CHARS = 10_000
#: What a record costs of the characters allowed, beside its own: the lines between, and its place.
_PLACE_CHARS = 4
#: Deeper values are refused: nobody reads them, and the path of each would fill a line.
MAX_DEPTH = 100
#: Of the lines that are no JSON, so many are named.
_NAMED_LINES = 10
#: Above this share of wrong lines the file is something else.
_MOST_WRONG_SHARE = 0.5
_TITLE_KEYS = ("title", "タイトル", "題名", "件名", "名称", "name")
_BLANK_LINES = re.compile(r"\n\s*\n+")


class _Literal(str):
    """A number as it is written."""

    __slots__ = ()


class _Pairs(list[tuple[str, object]]):
    """An object's keys and values in their order; a key given twice stays twice."""

    __slots__ = ()


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=_Literal,
    parse_float=_Literal,
    parse_constant=_Literal,
    strict=False,
)


def read(raw: bytes, name: str, max_chars: int) -> Document:
    """Read a JSON file; one that holds a value a line is read as JSON Lines.

    Raises
    ------
    DocumentError
        ``json_damaged``, ``json_too_deep``, ``encoding_unknown``, ``not_text``, ``empty`` or ``too_large``.
    """
    source, encoding = decode(raw, name=name)
    try:
        value = _parsed(source, name)
    except JSONDecodeError as error:
        if not _looks_like_lines(source):
            raise reason("json_damaged", name, detail=f"{error.lineno} 行目") from error
        return read_lines(raw, name, max_chars)
    if not isinstance(value, list) or isinstance(value, _Pairs) or not _are_records(value):
        pages = _RecordPages(name, max_chars, "")
        pages.put(value_text(value, name, max_chars), 1)
        return pages.document(_title(value), encoding, "json")
    pages = _RecordPages(name, max_chars, "件目")
    for number, record in enumerate(value, 1):
        pages.put(value_text(record, name, max_chars), number)
    return pages.document("", encoding, "json")


def read_lines(raw: bytes, name: str, max_chars: int) -> Document:
    """Read JSON Lines: one record after the other. Lines that are no JSON are left out and named.

    Raises
    ------
    DocumentError
        As :func:`read`; ``json_damaged`` when most lines are no JSON.
    """
    source, encoding = decode(raw, name=name)
    pages = _RecordPages(name, max_chars, "行")
    wrong: list[int] = []
    n_lines = n_wrong = 0
    for number, line in _lines(source):
        n_lines += 1
        try:
            value = _parsed(line, name)
        except JSONDecodeError:
            n_wrong += 1
            if len(wrong) < _NAMED_LINES:
                wrong.append(number)
            continue
        pages.put(value_text(value, name, max_chars), number)
    named = "・".join(map(str, wrong)) + (" など" if n_wrong > len(wrong) else "") + " 行目"
    if n_wrong > _MOST_WRONG_SHARE * n_lines:
        raise reason("json_damaged", name, detail=named)
    remarks = (remark("json_lines_damaged", name, detail=named),) if n_wrong else ()
    return pages.document("", encoding, "jsonl", remarks)


def _lines(source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold anything, numbered. Only LF ends a line of JSON: others may stand in a string."""
    at = number = 0
    while at < len(source):
        end = source.find("\n", at)
        end = len(source) if end < 0 else end
        number += 1
        line = source[at:end].strip()
        if line:
            yield number, line
        at = end + 1


def _looks_like_lines(source: str) -> bool:
    """Tell whether the first two lines are each a JSON value, or the first is and the second is damaged."""
    first = next(_lines(source), (0, ""))[1]
    if not first.startswith(("{", "[")):
        return False
    try:
        _DECODER.decode(first)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(text: str, name: str) -> object:
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise reason("json_too_deep", name, detail=str(MAX_DEPTH)) from error


def _are_records(value: list[object]) -> bool:
    return len(value) > 1 and all(isinstance(entry, _Pairs | list) for entry in value)


def _title(value: object) -> str:
    """Give the value of a key that says what the file is called."""
    if not isinstance(value, _Pairs):
        return ""
    known = {key.lower(): entry for key, entry in value if isinstance(entry, str)}
    return next((clean_title(known[key]) for key in _TITLE_KEYS if known.get(key)), "")


def value_text(value: object, name: str, max_chars: int) -> str:
    """Write a value's leaves, each behind its key path, without recursion.

    Raises
    ------
    DocumentError
        ``json_too_deep`` or ``too_large``.
    """
    out: list[str] = []
    n_chars = 0
    left: list[tuple[str, object, int]] = [("", value, 0)]
    while left:
        path, here, depth = left.pop()
        if depth > MAX_DEPTH:
            raise reason("json_too_deep", name, detail=str(MAX_DEPTH))
        leaf = _leaf(here)
        if leaf is None:
            left.extend(reversed([(p, v, depth + 1) for p, v in _below(path, here)]))
            continue
        if not leaf:
            continue
        line = _line(path, leaf)
        out.append(line)
        n_chars += len(line) + 1
        if n_chars > max_chars + 1:
            raise reason("too_large", name, detail=f"上限 {max_chars:,} 文字")
    return "\n".join(out)


def _line(path: str, leaf: str) -> str:
    if not path:
        return leaf
    return f"{path}:\n{leaf}" if "\n" in leaf else f"{path}: {leaf}"


def _leaf(value: object) -> str | None:
    """Give a value's text; none when it has parts of its own. An array of short single values is one line."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _Literal():
            return str(value)
        case str():
            return _BLANK_LINES.sub("\n", clean_text(value)).strip()
        case list() if not isinstance(value, _Pairs):
            leaves = [_leaf(entry) if not isinstance(entry, list) else None for entry in value]
            texts = [leaf for leaf in leaves if leaf is not None]
            if len(texts) == len(leaves) and not any("\n" in text for text in texts):
                return CELL_SEPARATOR.join(texts).rstrip()
    return None


def _below(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, _Pairs):
        for key, entry in value:
            shown = clean_title(key)
            yield (f"{path}.{shown}" if path else shown), entry
    elif isinstance(value, list):
        for number, entry in enumerate(value, 1):
            yield f"{path}[{number}]", entry


class _RecordPages:
    """Collects records, with an empty line between two, into pages. ``unit`` is what a record is counted in; none: it has no place."""

    def __init__(self, name: str, max_chars: int, unit: str) -> None:
        self._name = name
        self._max_chars = max_chars
        self._unit = unit
        self._pages: list[Page] = []
        self._places: list[tuple[int, int, str]] = []
        self._records: list[str] = []
        self._n_chars = self._total = self._first = self._last = 0

    def put(self, record: str, number: int) -> None:
        if not record:
            return
        if len(self._records) >= PAGE_RECORDS or self._n_chars >= PAGE_CHARS:
            self._close()
        self._first = self._first or number
        self._last = number
        self._records.append(record)
        end = self._n_chars + len(record)
        if self._unit:
            self._places.append((self._n_chars, end, f"{number} {self._unit}"))
        self._n_chars = end + 2
        self._total += len(record) + _PLACE_CHARS
        if self._total > self._max_chars + _PLACE_CHARS:
            raise reason("too_large", self._name, detail=f"上限 {self._max_chars:,} 文字")

    def _close(self) -> None:
        text = "\n\n".join(self._records)
        if text:
            label = f"{self._first}–{self._last} {self._unit}" if self._unit else ""
            number = len(self._pages) + 1
            self._pages.append(Page(number, text, (), label, tuple(self._places)))
        self._records, self._places = [], []
        self._n_chars = self._first = self._last = 0

    def document(
        self, title: str, encoding: str, format: str, remarks: tuple[Remark, ...] = ()
    ) -> Document:
        self._close()
        if not self._pages:
            raise reason("empty", self._name)
        known = title or title_from_name(self._name)
        metadata = {"encoding": encoding}
        return Document(self._name, known, tuple(self._pages), format, metadata, remarks)
