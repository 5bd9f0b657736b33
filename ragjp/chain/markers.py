"""Citation markers in an answer: ``[1]``, ``［１］``, ``【1】``, ``[1][2]``, ``[1, 2]``, ``[1、2]``, ``[1-3]``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_MARKER = re.compile(
    r"[\[［【〔]\s*(?:資料|出典|文書)?\s*"
    r"(?P<numbers>[0-9０-９]{1,3}(?:\s*[,、，・;\-–〜～]\s*(?:資料)?\s*[0-9０-９]{1,3})*)"
    r"\s*[\]］】〕]"
)
_NUMBER = re.compile(r"\d+")
_RANGE = re.compile(r"(\d+)\s*[-–〜～]\s*(?:資料)?\s*(\d+)")
#: A range wider than this is not a list of passages.
_WIDEST = 50


@dataclass(frozen=True, slots=True)
class MarkerGroup:
    """Markers that stand side by side: where in the answer's text, and the passage numbers in the order written."""

    start: int
    end: int
    numbers: tuple[int, ...]


def find_markers(text: str) -> list[MarkerGroup]:
    """Find groups of citation markers, in order. Blanks between two markers belong to the group."""
    groups: list[MarkerGroup] = []
    for match in _MARKER.finditer(text):
        numbers = _numbers(unicodedata.normalize("NFKC", match["numbers"]))
        if groups and not text[groups[-1].end : match.start()].strip():
            last = groups[-1]
            merged = tuple(dict.fromkeys(last.numbers + numbers))
            groups[-1] = MarkerGroup(last.start, match.end(), merged)
        else:
            groups.append(MarkerGroup(match.start(), match.end(), numbers))
    return groups


def strip_markers(text: str) -> str:
    """Remove every marker and the blanks before it."""
    return re.sub(r"[ \t　]*" + _MARKER.pattern, "", text)


def _numbers(written: str) -> tuple[int, ...]:
    written = written.replace("~", "〜")
    found: list[int] = []
    for part in re.split(r"[,、・;]", written):
        if (span := _RANGE.search(part)) and 0 <= int(span[2]) - int(span[1]) <= _WIDEST:
            found.extend(range(int(span[1]), int(span[2]) + 1))
        else:
            found.extend(int(number) for number in _NUMBER.findall(part))
    return tuple(dict.fromkeys(found))
