"""Groups of questions that a report looks at one by one: kind, domain, length, and what else the metadata say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.dataset import SLICE_KEYS, Query
from ragjp.japanese.normalize import fold

#: Fewer questions than this are shown with their number and never judged: the noise would decide.
MINIMUM: Final = 50
#: A metadata key that tells fewer or more groups apart than this says nothing about groups.
FEWEST_VALUES, MOST_VALUES = 2, 12
LENGTH_KEY: Final = "length"
#: What people call the keys that every report is sliced by.
KEY_NAMES: Final = {"kind": "種類", "domain": "分野"}
_LENGTH_NAMES: Final = ("短い質問", "中くらいの質問", "長い質問")


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some of N questions.

    Attributes
    ----------
    key, value
        What they have in common: a metadata key and its value, or :data:`LENGTH_KEY` and a range of characters.
    name
        The same in words, for people.
    mask
        (N,) bool, in the order of the questions that the slices were made of.
    judged
        Whether there are enough of them to call a difference one.
    """

    key: str
    value: str
    name: str
    mask: NDArray[np.bool_]
    judged: bool

    @property
    def n(self) -> int:
        """Number of questions."""
        return int(self.mask.sum())


def slices_of(queries: Sequence[Query], *, minimum: int = MINIMUM) -> tuple[Slice, ...]:
    """Cut N questions into slices: kind, domain, length, then the other keys by name.

    ``kind`` and ``domain`` are slices whatever they hold; another key is when it has between 2 and 12 different values.
    Hand over the questions that the figures are about: those that have an answer.
    """
    found: list[Slice] = []
    for key in SLICE_KEYS:
        found += _of_key(queries, key, minimum, (1, len(queries)))
    found += _of_length(queries, minimum)
    for key in sorted({key for query in queries for key in query.slices} - {*SLICE_KEYS}):
        found += _of_key(queries, key, minimum, (FEWEST_VALUES, MOST_VALUES))
    return tuple(found)


def lengths(queries: Sequence[Query]) -> NDArray[np.int64]:
    """Count the characters of N questions as the index sees them: folded, blanks at the ends off; (N,) int64.

    >>> lengths([Query("q", "　ﾒﾓﾘｰ は ")]).tolist()
    [5]
    """
    return np.array([len(fold(query.text).strip()) for query in queries], dtype=np.int64)


def means(part: Slice, queries: Sequence[Query], values: Mapping[str, float]) -> float:
    """Average the ``values`` (by query id) over a slice of ``queries``."""
    inside = [values[q.query_id] for q, taken in zip(queries, part.mask, strict=True) if taken]
    return float(np.mean(inside)) if inside else float("nan")


def _of_key(
    queries: Sequence[Query], key: str, minimum: int, n_values: tuple[int, int]
) -> Iterator[Slice]:
    held = [query.slices.get(key) for query in queries]
    values = sorted({value for value in held if value is not None})
    if not n_values[0] <= len(values) <= n_values[1]:
        return
    for value in values:
        mask = np.array([one == value for one in held], dtype=np.bool_)
        yield Slice(
            key, value, f"{KEY_NAMES.get(key, key)}: {value}", mask, bool(mask.sum() >= minimum)
        )


def _of_length(queries: Sequence[Query], minimum: int) -> Iterator[Slice]:
    """Cut at the terciles. Questions of one length stay together, so that the parts may be uneven, or fewer than three."""
    if not queries:
        return
    chars = lengths(queries)
    ordered = np.sort(chars)
    edges = [int(ordered[len(ordered) * part // 3]) for part in (1, 2)]
    bounds = [int(ordered[0]), *edges, int(ordered[-1]) + 1]
    parts = [(low, high) for low, high in pairwise(bounds) if low < high]
    names = _LENGTH_NAMES if len(parts) == 3 else (_LENGTH_NAMES[0], _LENGTH_NAMES[2])
    if len(parts) < 2:
        return
    for (low, high), name in zip(parts, names, strict=True):
        mask = (chars >= low) & (chars < high)
        value = f"{low}-{high - 1}"
        yield Slice(
            LENGTH_KEY,
            value,
            f"{name}（{value.replace('-', '〜')}文字）",
            mask,
            bool(mask.sum() >= minimum),
        )
