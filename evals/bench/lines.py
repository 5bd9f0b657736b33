"""One line of the benchmark table: ours, the peer's, how many times better, and whether that is what was promised."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: What a target is about: our own figure, or how many times better than the peer it is.
Of = Literal["ours", "ratio"]
Bound = Literal["at most", "at least"]
_SIGNS: Mapping[str, str] = {"at most": "≤", "at least": "≥"}


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: ``of`` is ``bound`` ``value``."""

    of: Of
    bound: Bound
    value: float

    def holds(self, figure: float) -> bool:
        """Whether a figure keeps it.

        >>> Target("ratio", "at least", 3.0).holds(2.9)
        False
        """
        return figure <= self.value if self.bound == "at most" else figure >= self.value


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison.

    ``better``: whether less (milliseconds) or more (characters a second) is better; the ratio is always how many times better ours is.
    ``equal``: how it was verified that both give the same; empty where there is nothing to compare. ``differs``: why they do not.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str = ""
    better: Literal["less", "more"] = "less"
    target: Target | None = None
    equal: str = ""
    differs: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer; None without a peer.

        >>> Line("bm25", "ms", 0.5, 1.0, "bm25s").ratio
        2.0
        >>> Line("analysis", "chars/s", 0.5, 1.0, "mecab", better="more").ratio
        0.5
        """
        if self.peer is None or not self.ours or not self.peer:
            return None
        return self.peer / self.ours if self.better == "less" else self.ours / self.peer

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None without a target."""
        if self.target is None:
            return None
        figure = self.ours if self.target.of == "ours" else self.ratio
        return figure is not None and self.target.holds(figure)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with what follows from them."""
        return {
            "line": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peer_name": self.peer_name,
            "peer": self.peer,
            "ratio": self.ratio,
            "target": _target_text(self.target),
            "met": self.met,
            "equal": self.equal,
            "differs": self.differs,
        }


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Draw lines (as :meth:`Line.to_json` gives them) for a terminal: line, ours, peer, ratio, target, met."""
    rows = [["", "ragjp", "相手", "倍率", "目標", "達成"]]
    for line in lines:
        peer = (
            "-"
            if line["peer"] is None
            else f"{_figure(line['peer'])} {line['unit']} ({line['peer_name']})"
        )
        ratio = "-" if line["ratio"] is None else f"{_figure(line['ratio'])}×"
        met = {None: "-", True: "はい", False: "いいえ"}[line["met"]]
        name = line["line"] + (" *" if line["differs"] else "")
        ours = f"{_figure(line['ours'])} {line['unit']}"
        rows.append([name, ours, peer, ratio, line["target"] or "-", met])
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    drawn = [
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    notes = [f"* {line['line']}: {line['differs']}" for line in lines if line["differs"]]
    return "\n".join([*drawn, *notes])


def _target_text(target: Target | None) -> str:
    """A target as it stands in the table.

    >>> _target_text(Target("ratio", "at least", 1.0)), _target_text(Target("ours", "at most", 30.0))
    ('≥ 1×', '≤ 30')
    """
    if target is None:
        return ""
    return f"{_SIGNS[target.bound]} {target.value:g}{'×' if target.of == 'ratio' else ''}"


def _figure(value: float) -> str:
    """Three significant digits, without exponents.

    >>> _figure(0.01234), _figure(12.34), _figure(123456.0)
    ('0.0123', '12.3', '123,456')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "FW" else 1 for char in text)
