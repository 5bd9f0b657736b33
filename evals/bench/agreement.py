"""Whether two rankings are the same outside ties: nothing is timed before this is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Id = TypeVar("Id")
#: An order, best first: ids and their scores.
Order = tuple[Sequence[Id], Sequence[float]]


def same_outside_ties(first: Order[Id], second: Order[Id], *, tolerance: float = 1e-4) -> bool:
    """Compare two orders of the same length.

    Scores must agree place by place to ``tolerance``; ids of one score (to ``tolerance``) may stand in any order, and of the last
    score, which the end of the list may cut, any ids may stand.

    >>> same_outside_ties((["a", "b", "c"], [3.0, 2.0, 2.0]), (["a", "c", "d"], [3.0, 2.0, 2.0]))
    True
    >>> same_outside_ties((["a", "b", "c"], [3.0, 2.0, 1.0]), (["b", "a", "c"], [3.0, 2.0, 1.0]))
    False
    """
    ids, scores = first
    other_ids, other_scores = second
    if len(ids) != len(other_ids):
        return False
    if any(abs(a - b) > tolerance for a, b in zip(scores, other_scores, strict=True)):
        return False
    start = 0
    for end in range(1, len(ids) + 1):
        if end == len(ids):
            return True
        if scores[end - 1] - scores[end] > tolerance:
            if set(ids[start:end]) != set(other_ids[start:end]):
                return False
            start = end
    return True


def overlap(first: Sequence[Id], second: Sequence[Id]) -> float:
    """Share of the first list that the second has too; 1.0 for an empty one.

    >>> overlap(["a", "b"], ["b", "c"])
    0.5
    """
    return len(set(first) & set(second)) / len(set(first)) if first else 1.0
