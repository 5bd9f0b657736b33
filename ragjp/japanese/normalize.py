"""The one folding that indexing, queries and highlights share, with a map back to the source.

The folded text is never shown: what is shown or cited is cut from the source by the map.

Two stages, each a list of edits of the text before it. Stage one looks at characters: NFKC with
care, kanji variants, ASCII lower case, invisible characters dropped. Stage two looks at neighbours:
long-vowel marks and dashes, runs of blanks, blanks and line breaks inside Japanese words. Most
folding keeps the length (Ａ→a, 髙→高, カ-ド→カード) and needs no edit; a stage without edits is not kept.

What "with care" means:

- ①, ², ½ become digits but never join the digits beside them: ``10②`` is ``10 2``, not ``102``.
- A voiced-sound mark joins its kana however it is written: ｶﾞ, か + U+3099, か゛ → ガ, が, が.
  One that cannot join stays visible as ゛.
- A blank or one line break between two Japanese characters goes (a PDF breaks lines inside words).
  A tab, a form feed or an empty line is a border: it stays, as one tab.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragjp.japanese.characters import (
    BLANK,
    DROPPED,
    HIRAGANA,
    JAPANESE,
    KATAKANA,
    Characters,
    characters,
    fold_cluster,
)
from ragjp.types import Span

#: Part of every index. Change it whenever any text folds differently.
FOLDING_VERSION = "1"

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
#: Inside of a class: what may follow the long vowel of a katakana word.
AFTER_VOWEL = KATAKANA + HIRAGANA + "、。」』)・"
#: A dash that stands for a long vowel (サ-バ, サ-バ-は, サ-バ-。), and a long-vowel mark for a dash (03ー12).
_DASH_AS_VOWEL = re.compile(f"-(?<=[{KATAKANA}]-)(?=[{AFTER_VOWEL}])")
_VOWEL_AS_DASH = re.compile("ー(?<=[0-9]ー)(?=[0-9])")
#: Blanks that change: two or more, one that is not a plain blank, one between Japanese characters.
_BLANKS = re.compile(f"[{BLANK}](?:[{BLANK}]+|(?<=[^ ])|(?<=[{JAPANESE}] )(?=[{JAPANESE}]))")
_IS_JAPANESE = re.compile(f"[{JAPANESE}]")
_LETTERS = re.compile(f"[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff{HIRAGANA}{KATAKANA}]+")
_DIGITS = frozenset("0123456789")

#: ``(start, end, into)``: ``before[start:end]`` became ``into``, a text of another length.
_Edit = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Edits:
    """Where one text differs in length from the text it was made of. E edits, in order, disjoint.

    before : (2, E) int32, start and end of each replaced range in the old text.
    after : (2, E) int32, start and end of what replaced it in the new text.
    """

    before: NDArray[np.int32]
    after: NDArray[np.int32]

    def back(self, start: int, end: int) -> Span:
        """Map a span of the new text to the old one: the smallest that holds all it came from."""
        return _across(self.after, self.before, start, end)

    def forth(self, start: int, end: int) -> Span:
        """Map a span of the old text to the new one."""
        return _across(self.before, self.after, start, end)


def _across(here: NDArray[np.int32], there: NDArray[np.int32], start: int, end: int) -> Span:
    """Carry a span over a list of edits; a border inside an edit moves outwards."""
    first = start
    # The last edit that begins at or before the first character of the span.
    i = int(np.searchsorted(here[0], start, side="right")) - 1
    if i >= 0:
        inside = start < here[1, i]
        first = int(there[0, i] if inside else there[1, i] + start - here[1, i])
    if end <= start:
        return Span(first, first)
    last = end
    # The last edit that begins before the end of the span.
    j = int(np.searchsorted(here[0], end, side="left")) - 1
    if j >= 0:
        last = int(there[1, j] + max(0, end - int(here[1, j])))
    return Span(first, max(first, last))


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text and the way back.

    ``stages`` holds the edits of each stage that changed lengths; none when offsets are the same.
    """

    text: str
    stages: tuple[Edits, ...] = field(default=(), repr=False)

    def source_span(self, start: int, end: int) -> Span:
        """Return the span of the source that ``text[start:end]`` came from.

        A border inside something that folded as a whole (㈱ → (株)) moves outwards. Monotone in both
        borders. An empty span maps to an empty one.
        """
        for stage in reversed(self.stages):
            start, end = stage.back(start, end)
        return Span(start, end)

    def folded_span(self, start: int, end: int) -> Span:
        """Return the span of ``text`` that source characters ``[start, end)`` became."""
        for stage in self.stages:
            start, end = stage.forth(start, end)
        return Span(start, end)


def normalize(text: str) -> Folded:
    """Fold ``text`` and keep the map back to it.

    Linear in the length of the text. Folding a folded text changes nothing.
    """
    table = characters(_ASTRAL.search(text) is not None)
    same_length = table.one_pattern.sub(lambda m: m[0].translate(table.one), text)
    by_character, first = _apply(same_length, _character_edits(same_length, table))
    voiced = _VOWEL_AS_DASH.sub("-", _DASH_AS_VOWEL.sub("ー", by_character))
    folded, second = _apply(voiced, _blank_edits(voiced))
    return Folded(folded, tuple(stage for stage in (first, second) if stage is not None))


def fold(text: str) -> str:
    """Fold ``text`` as :func:`normalize` does, without the map."""
    if _LETTERS.fullmatch(text):
        # A word of the dictionary, mostly: only its characters could change, no neighbours.
        table = characters(False)
        if not (table.one_pattern.search(text) or table.many_pattern.search(text)):
            return text
    return normalize(text).text


def _character_edits(text: str, table: Characters) -> list[_Edit]:
    """Find what the character stage does beyond replacing single characters by single ones."""
    edits: list[_Edit] = []
    for match in table.many_pattern.finditer(text):
        start, end = match.span()
        cluster = match[0]
        if cluster in table.detached:
            edits.append((start, end, _apart(text, match, table, edits)))
        elif cluster in table.many:
            edits.append((start, end, table.many[cluster]))
        elif DROPPED.issuperset(cluster):
            edits.append((start, end, ""))
        else:
            start -= start > 0 and text[start] not in table.many
            edits.append((start, end, fold_cluster(text[start:end])))
    return edits


def _apart(text: str, match: re.Match[str], table: Characters, edits: list[_Edit]) -> str:
    """Fold ①, ² or ½, with a blank wherever its digits would join digits beside them."""
    start, end = match.span()
    folded = table.many[match[0]]
    touching = edits and edits[-1][1] == start
    left = edits[-1][2] if touching else text[max(0, start - 1) : start]
    before = " " if left[-1:] in _DIGITS and folded[0] in _DIGITS else ""
    after = " " if text[end : end + 1] in _DIGITS and folded[-1] in _DIGITS else ""
    return before + folded + after


def _blank_edits(text: str) -> list[_Edit]:
    """Find the runs of blanks that become one blank, one border (a tab), or nothing."""
    edits: list[_Edit] = []
    for match in _BLANKS.finditer(text):
        start, end = match.span()
        run = match[0]
        if _is_border(run):
            into = "\t"
        elif start and _IS_JAPANESE.match(text, start - 1) and _IS_JAPANESE.match(text, end):
            into = ""
        else:
            into = " "
        if into != run:
            edits.append((start, end, into))
    return edits


def _is_border(run: str) -> bool:
    """Tell whether a run of blanks parts cells, paragraphs or pages."""
    lines = run.count("\n") + run.count("\r") - run.count("\r\n")
    return lines > 1 or "\t" in run or "\f" in run


def _apply(text: str, edits: list[_Edit]) -> tuple[str, Edits | None]:
    """Carry out the edits; the second value is None where every offset stays."""
    if not edits:
        return text, None
    parts: list[str] = []
    copied = shift = 0
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    for start, end, into in edits:
        parts += (text[copied:start], into)
        copied = end
        if len(into) != end - start:
            before.append((start, end))
            after.append((start + shift, start + shift + len(into)))
            shift += len(into) - (end - start)
    parts.append(text[copied:])
    folded = "".join(parts)
    if not before:
        return folded, None
    return folded, Edits(
        np.ascontiguousarray(np.array(before, np.int32).T),
        np.ascontiguousarray(np.array(after, np.int32).T),
    )
