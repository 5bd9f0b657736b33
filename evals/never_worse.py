"""Whether a later stage ever costs anything: the fusion against each of its parents, the reranking against the fusion.

Looked at on the whole set and on every slice that is large enough to judge (:mod:`evals.slices`), in nDCG@10. On a whole set the
later stage must not be below at all; on a slice it must not be below by more than noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evals.dataset import Query
from evals.indexes import Condition
from evals.measures import NDCG, PerQuery
from evals.slices import slices_of
from evals.statistics import Interval, Verdict, holm, interval, paired_randomization, verdict_of

PAIRS: Final[tuple[tuple[Condition, Condition], ...]] = (
    ("fused", "bm25"),
    ("fused", "dense"),
    ("reranked", "fused"),
)
WHOLE: Final = "全体"


@dataclass(frozen=True, slots=True)
class Row:
    """One pair on one group of questions; differences are later minus earlier, p is corrected over the whole table."""

    later: Condition
    earlier: Condition
    #: Name of the slice; :data:`WHOLE` for all questions.
    group: str
    n: int
    difference: float
    interval: Interval
    p_holm: float

    @property
    def verdict(self) -> Verdict:
        """Better or worse where that is significant; even otherwise."""
        return verdict_of(self.difference, self.p_holm)

    @property
    def whole(self) -> bool:
        """Whether it is about all questions."""
        return self.group == WHOLE

    @property
    def holds(self) -> bool:
        """Whether the later stage costs nothing: not below on the whole set, not significantly below on a slice."""
        return self.difference >= -1e-12 if self.whole else self.verdict != "worse"


@dataclass(frozen=True, slots=True)
class NeverWorse:
    """The table: every pair on the whole set, then on every slice."""

    rows: tuple[Row, ...]

    @property
    def broken(self) -> tuple[Row, ...]:
        """The rows where a later stage costs something."""
        return tuple(row for row in self.rows if not row.holds)

    @property
    def holds(self) -> bool:
        """Whether there is no such row."""
        return not self.broken


def never_worse(queries: Sequence[Query], rows: Mapping[Condition, PerQuery]) -> NeverWorse:
    """Compare stage with stage on N questions and on their slices.

    Parameters
    ----------
    queries
        The N questions that have an answer.
    rows
        Ranking → measure → question → score. Pairs of which one was not run are left out.
    """
    groups: list[tuple[str, NDArray[np.bool_]]] = [(WHOLE, np.ones(len(queries), dtype=np.bool_))]
    groups += [(part.name, part.mask) for part in slices_of(queries) if part.judged]
    values = {
        name: np.array([row[NDCG][query.query_id] for query in queries])
        for name, row in rows.items()
    }
    pairs = [pair for pair in PAIRS if pair[0] in rows and pair[1] in rows and queries]
    cells = [
        (pair, group, values[pair[0]][mask] - values[pair[1]][mask])
        for group, mask in groups
        for pair in pairs
    ]
    adjusted = holm([paired_randomization(paired) for _, _, paired in cells])
    return NeverWorse(
        tuple(
            Row(*pair, group, len(paired), float(paired.mean()), interval(paired), p_holm)
            for (pair, group, paired), p_holm in zip(cells, adjusted, strict=True)
        )
    )


def lines(table: NeverWorse, names: Mapping[Condition, str]) -> list[str]:
    """The table for people: the whole set row by row, and of the slices what is not even."""
    broken = table.broken
    verdict = "守られています" if not broken else f"{len(broken)} か所で破れています"
    slices = {row.group for row in table.rows if not row.whole}
    found = [
        f"前の段を下回らない（{NDCG}、全体と、50 問以上の区分 {len(slices)} 個。補正後 p < 0.05 の差だけを差と呼ぶ）: {verdict}"
    ]
    for row in table.rows:
        if row.whole or not row.holds:
            found.append(f"  {_sentence(row, names)}")
    worst = min(
        (row for row in table.rows if not row.whole), key=lambda r: r.difference, default=None
    )
    if worst is not None and worst.holds and worst.difference < 0:
        found.append(f"  差がもっとも低い区分: {_sentence(worst, names)}")
    return found


def _sentence(row: Row, names: Mapping[Condition, str]) -> str:
    said = {"better": "上回る", "worse": "下回る", "even": "差があるとは言えない"}[row.verdict]
    return (
        f"{row.group}（{row.n} 問） {names[row.later]} − {names[row.earlier]}: {row.difference:+.4f}"
        f"（95% 区間 {row.interval.low:+.4f}〜{row.interval.high:+.4f}、補正後 p={row.p_holm:.4f}） {said}"
        + ("" if row.holds else "  ← 前の段より低い")
    )


def to_json(table: NeverWorse) -> dict[str, object]:
    """The table as plain values."""
    return {
        "measure": NDCG,
        "holds": table.holds,
        "rows": [
            {
                "later": row.later,
                "earlier": row.earlier,
                "group": row.group,
                "n": row.n,
                "difference": round(row.difference, 5),
                "interval": [round(row.interval.low, 5), round(row.interval.high, 5)],
                "p_holm": round(row.p_holm, 5),
                "verdict": row.verdict,
                "holds": row.holds,
            }
            for row in table.rows
        ],
    }
