"""The order in which the shapes of a slide are read: from top to bottom, and side by side from left to right.

Slides keep their shapes in the order in which they were drawn. The plane is cut where no shape crosses: first into bands one below the
other, then each band into columns, and so on; what cannot be cut any more is read by its upper left corners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Shapes that overlap by less than this (of an English Metric Unit: 0.1 inch) do not cross.
_OVERLAP = 91_440
_MOST_CUTS = 50


class Frame(NamedTuple):
    """Where a shape lies, in English Metric Units (914,400 an inch), and its place in the order drawn."""

    left: int
    top: int
    width: int
    height: int
    at: int


def reading_order(frames: Sequence[Frame]) -> list[int]:
    """Give the places in the drawing order (``at``) in the order of reading.

    >>> reading_order([Frame(500, 100, 400, 900, 0), Frame(0, 100, 400, 900, 1), Frame(0, 0, 900, 90, 2)])
    [2, 1, 0]
    """
    return [frame.at for frame in _ordered(list(frames), 0)]


def _ordered(frames: list[Frame], n_cuts: int) -> list[Frame]:
    if len(frames) < 2:
        return frames
    if n_cuts < _MOST_CUTS:
        for start, size in ((_top, _height), (_left, _width)):
            parts = _cut(frames, start, size)
            if len(parts) > 1:
                return [frame for part in parts for frame in _ordered(part, n_cuts + 1)]
    return sorted(frames, key=lambda frame: (frame.top, frame.left, frame.at))


def _top(frame: Frame) -> int:
    return frame.top


def _left(frame: Frame) -> int:
    return frame.left


def _height(frame: Frame) -> int:
    return frame.height


def _width(frame: Frame) -> int:
    return frame.width


def _cut(
    frames: list[Frame], start: Callable[[Frame], int], size: Callable[[Frame], int]
) -> list[list[Frame]]:
    """Part frames along one axis wherever a line crosses none of them."""
    parts: list[list[Frame]] = []
    reach = 0
    for frame in sorted(frames, key=lambda frame: (start(frame), frame.at)):
        overlap = min(_OVERLAP, size(frame) // 4)
        if not parts or start(frame) + overlap >= reach:
            parts.append([])
            reach = start(frame)
        parts[-1].append(frame)
        reach = max(reach, start(frame) + size(frame))
    return parts
