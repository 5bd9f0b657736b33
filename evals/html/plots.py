"""The plots of the report, as SVG: points with intervals, values over a range, and bars of parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from evals.html.page import Markup, element
from evals.statistics import Interval

#: Colours that stay apart for the colour-blind and in grey (Okabe and Ito, Color Universal Design, 2008), darkest last.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#D55E00", "#7A7A7A", "#000000")
_LINE = "#d9dfe6"
_WIDTH = 560

_Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from ``low`` to ``high`` drawn between two places in pixels."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where a value stands, in pixels; values beyond the scale stand at its ends."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted: int = 6) -> list[float]:
        """Round values in steps of 1, 2 or 5 times a power of ten.

        >>> [round(tick, 2) for tick in Axis(0.71, 0.98, 0, 1).ticks()]
        [0.75, 0.8, 0.85, 0.9, 0.95]
        """
        raw = (self.high - self.low) / wanted
        power = 10.0 ** floor(log10(raw))
        step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= raw)
        first = ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, floor(self.high / step + 1e-9) + 1)]


def shares_axis(points: Sequence[Point], start: float, end: float) -> Axis:
    """A scale for shares: as narrow as the intervals allow, inside [0, 1], never narrower than 0.1."""
    ends = [
        side
        for point in points
        for side in (point.value, point.interval.low, point.interval.high)
        if isfinite(side)
    ]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = max(0.06 * (high - low), (0.1 - (high - low)) / 2)
    low, high = max(0.0, low - room), min(1.0, high + room)
    if high - low < 0.1:
        low, high = (0.0, 0.1) if low <= 0.0 else (0.9, 1.0)
    return Axis(low, high, start, end)


def dots(title: str, rows: Sequence[tuple[str, Point]]) -> Markup:
    """One row a ranking: a point for the value, a line for its interval."""
    left, right, step, top = 150, _WIDTH - 62, 34, 34
    axis = shares_axis([point for _, point in rows], left, right)
    height = top + step * len(rows) + 26
    parts = [_label(0, 16, title, weight="600")]
    for tick in axis.ticks():
        x = axis.place(tick)
        parts += [_rule(x, top - 8, x, height - 24), _label(x, height - 8, _share(tick), "middle")]
    for number, (name, point) in enumerate(rows):
        y = top + step * number + step / 2 - 4
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_label(left - 10, y + 4, name, "end"))
        parts += _whisker(axis.place, point, colour, y, upright=False)
        parts.append(element("circle", cx=axis.place(point.value), cy=y, r=6, fill=colour))
        parts.append(_label(right + 10, y + 4, _share(point.value)))
    return _drawing(title, height, parts)


def over_range(
    title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[Point]]], below: str
) -> Markup:
    """One group a range: a point a ranking with its interval, the points of a ranking joined."""
    left, right, top, bottom = 46, _WIDTH - 10, 58, 300
    axis = shares_axis([point for _, points in series for point in points], bottom, top)
    parts = [_label(0, 16, title, weight="600"), *_legend([name for name, _ in series], 36)]
    for tick in axis.ticks():
        y = axis.place(tick)
        parts += [_rule(left, y, right, y), _label(left - 8, y + 4, _share(tick), "end")]
    width = (right - left) / max(len(labels), 1)
    for place, label in enumerate(labels):
        x = left + width * (place + 0.5)
        for number, line in enumerate(label.split("\n")):
            parts.append(_label(x, bottom + 20 + 15 * number, line, "middle"))
    parts.append(_label((left + right) / 2, bottom + 58, below, "middle"))
    for number, (_, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        shift = (number - (len(series) - 1) / 2) * min(12.0, 0.7 * width / max(len(series), 1))
        spots = [
            (left + width * (place + 0.5) + shift, point)
            for place, point in enumerate(points)
            if isfinite(point.value)
        ]
        path = " ".join(f"{x:.1f},{axis.place(point.value):.1f}" for x, point in spots)
        parts.append(
            element(
                "polyline", points=path, fill="none", stroke=colour, stroke_width=1.5, opacity=0.7
            )
        )
        for x, point in spots:
            parts += _whisker(axis.place, point, colour, x, upright=True)
            parts.append(element("circle", cx=x, cy=axis.place(point.value), r=4.5, fill=colour))
    return _drawing(title, bottom + 68, parts)


def bars(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], unit: str) -> Markup:
    """One bar a ranking, made of its parts; the whole is written at its end."""
    left, right, step = 150, _WIDTH - 80, 40
    by_parts = sorted(rows, key=lambda row: -len(row[1]))  # the longest has their order
    names = list(dict.fromkeys(name for _, parts in by_parts for name, _ in parts))
    longest = max((sum(value for _, value in parts) for _, parts in rows), default=0.0) or 1.0
    top = 54 + 20 * ((len(names) - 1) // 5)
    drawn = [_label(0, 16, title, weight="600"), *_legend(names, 36, square=True)]
    for place, (name, parts) in enumerate(rows):
        y, x = top + step * place, float(left)
        drawn.append(_label(left - 10, y + 19, name, "end"))
        for part, value in parts:
            width = (right - left) * value / longest
            said = element("title", f"{part} {value:.1f} {unit}")
            fill = COLOURS[names.index(part) % len(COLOURS)]
            drawn.append(
                element("rect", said, x=x, y=y + 4, width=max(width, 0.0), height=22, fill=fill)
            )
            x += width
        total = sum(value for _, value in parts)
        drawn.append(_label(x + 8, y + 19, f"{total:.1f} {unit}"))
    return _drawing(title, top + step * len(rows) + 6, drawn)


def _drawing(title: str, height: float, parts: Sequence[Markup]) -> Markup:
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH} {height:.0f}",
        width=_WIDTH,
        height=height,
        role="img",
        aria_label=title,
        font_size=13,
    )


def _legend(names: Sequence[str], y: float, *, square: bool = False) -> list[Markup]:
    """Name the colours, five a line, each as wide as its name needs."""
    parts: list[Markup] = []
    x = 0.0
    for number, name in enumerate(names):
        if number and number % 5 == 0:
            x, y = 0.0, y + 20
        colour = COLOURS[number % len(COLOURS)]
        if square:
            parts.append(element("rect", x=x, y=y - 10, width=11, height=11, fill=colour))
        else:
            parts.append(element("circle", cx=x + 5, cy=y - 5, r=5, fill=colour))
        parts.append(_label(x + 16, y, name))
        x += 34 + sum(13 if ord(char) > 0x2E7F else 7.5 for char in name)
    return parts


def _whisker(place: _Place, point: Point, colour: str, at: float, *, upright: bool) -> list[Markup]:
    if not (isfinite(point.interval.low) and isfinite(point.interval.high)):
        return []
    ends = place(point.interval.low), place(point.interval.high)
    lines = [(at, ends[0], at, ends[1]), *((at - 4, end, at + 4, end) for end in ends)]
    return [
        element(
            "line",
            **dict(zip(("x1", "y1", "x2", "y2"), line if upright else _turned(line), strict=True)),
            stroke=colour,
            stroke_width=2,
        )
        for line in lines
    ]


def _turned(line: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = line
    return y1, x1, y2, x2


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=_LINE)


def _label(
    x: float, y: float, content: str, anchor: str | None = None, *, weight: str | None = None
) -> Markup:
    return element("text", content, x=x, y=y, text_anchor=anchor, font_weight=weight)


def _share(value: float) -> str:
    return (
        f"{100 * value:.0f}"
        if abs(100 * value - round(100 * value)) < 1e-6
        else f"{100 * value:.1f}"
    )
