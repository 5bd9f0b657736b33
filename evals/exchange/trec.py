"""Runs as ``trec_eval`` reads them: six columns, split at blanks, sorted again by whoever reads them.

Two things would change on the way, and do not:

- ``trec_eval`` holds scores in single precision, sorts by them, and breaks ties by the id, the last one first. What is written
  are scores that fall strictly in single precision, each as near to the real one as that allows.
- An id with a blank in it (a file name often has one, and U+3000 counts as well) would be two columns. It is written with
  ``%20`` and the like for the blank, and read back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from evals.dataset import DatasetError, read_lines, wrong_line
from evals.runner import Asked

#: Beyond it, single precision has no room for ties to be told apart.
_LARGEST: Final = 1e38

#: query id -> units, best first, with their scores.
ScoredRun = Mapping[str, Sequence[tuple[str, float]]]


def _escaping(characters: str) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Make a pair of functions: text to text without ``characters``, and back.

    A character becomes its UTF-8 bytes as ``%XX``. Where a text holds such a sequence of its own, ``25`` is put after its percent
    sign, and one more for each that is there already; so each text has its own writing, and a text that needs none is its own.
    """
    by_character = {char: "".join(f"%{byte:02X}" for byte in char.encode()) for char in characters}
    back = {written: char for char, written in by_character.items()}
    tails = "|".join(re.escape(written[1:]) for written in back)
    sequence = re.compile(f"%((?:25)*)({tails})")
    plain = re.compile("[" + re.escape(characters) + "]")

    def encode(text: str) -> str:
        doubled = sequence.sub(r"%25\1\2", text)
        return plain.sub(lambda match: by_character[match[0]], doubled)

    def decode(written: str) -> str:
        return sequence.sub(
            lambda match: f"%{match[1][2:]}{match[2]}" if match[1] else back[f"%{match[2]}"],
            written,
        )

    return encode, decode


_LINE_BREAKS: Final = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_BLANKS: Final = "".join(
    char for char in map(chr, [*range(0x3001), 0xFEFF]) if char.isspace() or char == "\ufeff"
)
#: Ids in columns that are split at blanks, and back.
encode_id, decode_id = _escaping(_BLANKS)
#: Texts in lines that are split at tabs, and back.
encode_text, decode_text = _escaping("\t" + _LINE_BREAKS + "\ufeff")


def falling(scores: Sequence[float]) -> list[float]:
    """Bring scores, best first, to single precision so that each is below the one before it.

    >>> falling([0.5, 0.5, 0.25])[2], falling([0.5, 0.5])[1] < 0.5
    (0.25, True)
    """
    found: list[float] = []
    before = np.float32(np.inf)
    for score in scores:
        here = min(np.float32(score), np.nextafter(before, np.float32(-np.inf)))
        found.append(float(here))
        before = here
    return found


def run_lines(run: ScoredRun, *, tag: str) -> Iterable[str]:
    """Write a run, a line for each unit: question, ``Q0``, unit, place from 1, score, tag.

    Raises
    ------
    DatasetError
        For a score that is no number, and for an id that is empty.
    """
    for query_id, units in run.items():
        if not all(abs(score) < _LARGEST for _, score in units):  # false for NaN
            raise DatasetError(
                f"質問「{query_id}」の得点に、数でないものか大きすぎるものがあります。TREC 形式では書けません。",
                code="score_unwritable",
            )
        scores = falling([score for _, score in units])
        for place, ((unit, _), score) in enumerate(zip(units, scores, strict=True), start=1):
            if not (query_id and unit):
                raise DatasetError(
                    "空の名前は TREC 形式では書けません。名前を付けてください。",
                    code="id_unwritable",
                )
            columns = (encode_id(query_id), "Q0", encode_id(unit), place, _number(score), tag)
            yield " ".join(map(str, columns)) + "\n"


def scored_run(asked: Iterable[Asked]) -> dict[str, list[tuple[str, float]]]:
    """Take what was found for each question, best first."""
    return {one.query_id: list(zip(one.units, one.scores, strict=True)) for one in asked}


def read_run(path: Path) -> dict[str, list[tuple[str, float]]]:
    """Read a run in the order that ``trec_eval`` gives it: by score in single precision, ties by id, last one first.

    Raises
    ------
    DatasetError
        Naming the file, the line and what is wrong with it.
    """
    found: dict[str, dict[str, float]] = {}
    written: dict[tuple[str, str], bytes] = {}
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) != 6:
            raise wrong_line(path, number, "「質問 Q0 文書 順位 得点 名前」の6つの欄ではありません")
        query_id, unit = decode_id(fields[0]), decode_id(fields[2])
        try:
            score = float(fields[4])
        except ValueError:
            score = float("nan")
        if not abs(score) < _LARGEST:  # false for NaN
            raise wrong_line(path, number, f"得点「{fields[4]}」が数ではありません")
        units = found.setdefault(query_id, {})
        if unit in units:
            raise wrong_line(path, number, f"質問「{query_id}」の文書「{unit}」が重複しています")
        units[unit] = score
        written[query_id, unit] = fields[2].encode()
    return {
        query_id: sorted(
            units.items(),
            key=lambda pair: (float(np.float32(pair[1])), written[query_id, pair[0]]),
            reverse=True,
        )
        for query_id, units in found.items()
    }


def _number(score: float) -> str:
    """The shortest decimal that single precision reads back as ``score``."""
    return np.format_float_scientific(np.float32(score), unique=True, trim="-")
