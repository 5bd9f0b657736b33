"""What perturbed questions lose: R@5 as they stand and as changed, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.dataset import DatasetError, Qrels, Query, Split, UnitKind
from evals.indexes import Progress, Searcher
from evals.robustness.perturb import KINDS, TITLES, Kind, perturb
from evals.runner import EVERYONE, units_of
from evals.statistics import Interval, holm, interval, paired_randomization
from ragjp.types import View

#: Chunks asked for: enough for five distinct units wherever a unit has not more than ten of the best.
_CHUNKS = 50
_UNITS = 5
#: More than this is too much (issue: perturbed questions lose no more than two points of R@5).
MOST_LOST = 0.02


@dataclass(frozen=True, slots=True)
class Loss:
    """What one kind of change costs.

    changed : questions that the change changed. before, after : mean R@5 over all questions. interval : of the loss, 95 %.
    p : of no difference, corrected for the number of kinds (Holm).
    """

    kind: Kind
    n_queries: int
    changed: int
    before: float
    after: float
    interval: Interval
    p: float

    @property
    def lost(self) -> float:
        """Loss of R@5."""
        return self.before - self.after


def chosen_kinds(text: str) -> tuple[Kind, ...]:
    """Read ``typo,keywords`` or ``all``.

    Raises
    ------
    DatasetError
        When there is no such kind.
    """
    if text == "all":
        return KINDS
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in KINDS]:
        raise DatasetError(
            f"--perturb の「{unknown[0]}」という変え方はありません。{'、'.join(KINDS)} か all を指定してください。",
            code="perturbation_unknown",
        )
    return tuple(kind for kind in KINDS if kind in names)


def losses(
    split: Split,
    engine: Searcher,
    kinds: Sequence[Kind] = KINDS,
    *,
    seed: int = 1,
    view: View = EVERYONE,
    progress: Progress | None = None,
) -> tuple[Loss, ...]:
    """Ask every answerable question as it stands and in each kind of change.

    A question that a change leaves as it is is not asked again: it loses nothing, and counts.
    """
    queries = [query for query in split.queries if query.answerable]
    total = len(queries) * (1 + len(kinds))
    recalls = np.empty((len(queries), 1 + len(kinds)))
    changed = np.zeros(len(kinds), np.int64)
    done = 0
    for row, query in enumerate(queries):
        recalls[row, 0] = _recall(engine, query, query.text, split.qrels, split.unit, view)
        for column, kind in enumerate(kinds):
            text = perturb(query.text, kind, seed=seed)
            same = text == query.text
            changed[column] += not same
            recalls[row, column + 1] = (
                recalls[row, 0]
                if same
                else _recall(engine, query, text, split.qrels, split.unit, view)
            )
        done += 1 + len(kinds)
        if progress:
            progress("検索", done, total)
    lost = recalls[:, :1] - recalls[:, 1:]
    corrected = holm([paired_randomization(lost[:, column]) for column in range(len(kinds))])
    return tuple(
        Loss(
            kind,
            len(queries),
            int(changed[column]),
            float(recalls[:, 0].mean()),
            float(recalls[:, column + 1].mean()),
            interval(lost[:, column]),
            corrected[column],
        )
        for column, kind in enumerate(kinds)
    )


def _recall(
    engine: Searcher, query: Query, text: str, qrels: Qrels, unit: UnitKind, view: View
) -> float:
    found = engine.search_all(text, view=view, k=_CHUNKS, rankings=("reranked",))["reranked"]
    best = list(units_of(found.hits, unit))[:_UNITS]
    gold = {one for one, grade in qrels[query.query_id].items() if grade > 0}
    return len(gold.intersection(best)) / len(gold)


def loss_table(found: Sequence[Loss]) -> str:
    """A line a kind, in points of R@5; ``!`` marks a loss that is above two points."""
    lines = [
        "変え方          変わった問  R@5 前    後    失った点  95 % 区間         p(Holm)",
    ]
    for one in found:
        title = TITLES[one.kind] + "　" * (7 - len(TITLES[one.kind]))
        low, high = 100 * one.interval.low, 100 * one.interval.high
        mark = " !" if one.lost > MOST_LOST else ""
        lines.append(
            f"{title} {one.changed:>6}/{one.n_queries:<6} {one.before:.4f} {one.after:.4f} {100 * one.lost:>7.2f}"
            f"  [{low:6.2f}, {high:6.2f}]  {one.p:.4f}{mark}"
        )
    return "\n".join(lines)


def loss_json(found: Sequence[Loss]) -> list[dict[str, object]]:
    """The same figures for a file."""
    return [
        {
            "kind": one.kind,
            "queries": one.n_queries,
            "changed": one.changed,
            "R@5": one.before,
            "R@5 perturbed": one.after,
            "lost": one.lost,
            "interval": [one.interval.low, one.interval.high],
            "p": one.p,
        }
        for one in found
    ]
