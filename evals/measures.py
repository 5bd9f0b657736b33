"""From orders to figures: nDCG@10, R@1, R@5, R@10, R@100 and MRR@10, question by question.

``ir-measures`` computes what is reported (trec_eval's own code through ``pytrec-eval-terrier``;
MRR@10 by its MS MARCO provider, since trec_eval's has no cut-off). ``reference`` is the same in
NumPy, to be read; a property test holds the two together to 1e-9.

The denominators are those of the judgements, never of the system: a question without results
counts 0 in every measure, and recall divides by all units judged relevant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from evals.dataset import Qrels
from ragjp.errors import MissingExtra

#: query id -> distinct units, best first.
Run = Mapping[str, Sequence[str]]
#: measure -> query id -> value in [0, 1].
PerQuery = dict[str, dict[str, float]]

NDCG, R1, R5, R10, R100, MRR = "nDCG@10", "R@1", "R@5", "R@10", "R@100", "MRR@10"
MEASURES: Final = (NDCG, R1, R5, R10, R100, MRR)


def rank(scores: Mapping[str, float]) -> tuple[str, ...]:
    """Order units by score, best first, ties by name: the rule of every ranking of ragjp.

    >>> rank({"b": 1.0, "c": 2.0, "a": 1.0})
    ('c', 'a', 'b')
    """
    return tuple(sorted(scores, key=lambda unit: (-scores[unit], unit)))


def per_query(qrels: Qrels, run: Run) -> PerQuery:
    """Compute every measure of every judged question with ``ir-measures``.

    Units are handed over with strictly falling scores, so that the order measured is the order
    given and no tie rule of the library's can change it.

    Raises
    ------
    MissingExtra
        When ``ir-measures`` or ``pytrec-eval-terrier`` is not installed.
    """
    try:
        import ir_measures
        import pytrec_eval  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "評価には ir-measures と pytrec-eval-terrier が要ります。"
            "pip install 'ragjp[eval]' を実行してください。"
        ) from error
    judged = {query_id: dict(grades) for query_id, grades in qrels.items()}
    scored = {
        query_id: {unit: float(-place) for place, unit in enumerate(run[query_id])}
        for query_id in judged
        if run.get(query_id)
    }
    values: PerQuery = {name: dict.fromkeys(judged, 0.0) for name in MEASURES}
    wanted = {
        ir_measures.pytrec_eval: {
            ir_measures.nDCG @ 10: NDCG,
            ir_measures.R @ 1: R1,
            ir_measures.R @ 5: R5,
            ir_measures.R @ 10: R10,
            ir_measures.R @ 100: R100,
        },
        ir_measures.msmarco: {ir_measures.RR @ 10: MRR},
    }
    for provider, measures in wanted.items():
        for metric in provider.iter_calc(list(measures), judged, scored):
            values[measures[metric.measure]][metric.query_id] = float(metric.value)
    return values


def reference(qrels: Qrels, run: Run) -> PerQuery:
    """Compute the same figures in NumPy, written to be read."""
    return {
        name: {
            query_id: measure(list(run.get(query_id, ())), grades)
            for query_id, grades in qrels.items()
        }
        for name, measure in _REFERENCE.items()
    }


def mean(values: Mapping[str, float]) -> float:
    """Mean over the judged questions; NaN when there are none."""
    return float(np.mean(list(values.values()))) if values else float("nan")


def ndcg(order: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Divide the discounted gain of the first ``k`` units by that of the ideal order.

    DCG = sum over places i from 1 of grade_i / log2(i + 1): the grade itself is the gain, as in
    trec_eval (Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS
    20(4), 2002).

    >>> round(ndcg(["a", "b"], {"b": 1}, 10), 4)
    0.6309
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2, dtype=np.float64))
    gains = np.array([grades.get(unit, 0) for unit in order[:k]], dtype=np.float64)
    ideal = np.sort(np.array(list(grades.values()), dtype=np.float64))[::-1][:k]
    best = float(ideal @ discounts[: len(ideal)])
    return float(gains @ discounts[: len(gains)]) / best if best > 0 else 0.0


def recall(order: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Divide the relevant units (grade 1 or more) among the first ``k`` by all relevant ones.

    >>> recall(["a", "b", "c"], {"b": 1, "z": 2}, 5)
    0.5
    """
    relevant = {unit for unit, grade in grades.items() if grade > 0}
    return len(relevant.intersection(order[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(order: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Give one over the place of the first relevant unit; 0 when it is beyond ``k``.

    >>> reciprocal_rank(["a", "b", "c"], {"c": 1}, 10)
    0.3333333333333333
    """
    for place, unit in enumerate(order[:k], start=1):
        if grades.get(unit, 0) > 0:
            return 1.0 / place
    return 0.0


_REFERENCE: Final[dict[str, Callable[[Sequence[str], Mapping[str, int]], float]]] = {
    NDCG: lambda order, grades: ndcg(order, grades, 10),
    R1: lambda order, grades: recall(order, grades, 1),
    R5: lambda order, grades: recall(order, grades, 5),
    R10: lambda order, grades: recall(order, grades, 10),
    R100: lambda order, grades: recall(order, grades, 100),
    MRR: lambda order, grades: reciprocal_rank(order, grades, 10),
}
