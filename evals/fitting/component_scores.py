"""The scores of every ranking for the candidates of many questions, and what any weights would make of them.

Shapes: N questions, C candidates (the most of any question), U units (the most of any question), G judged units. Rows are
padded; a padded candidate has ``valid`` False and never gets above a real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evals.dataset import Query, Split, unit_of
from evals.indexes import Progress
from ragjp.rerank.maxsim_cpu import maxsim_int8
from ragjp.types import FloatArray, IntArray, View

if TYPE_CHECKING:
    from ragjp.engine import Engine
    from ragjp.index.reader import Snapshot
    from ragjp.retrieval.candidates import Question

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """What is fitted. BM25's two fields share 1: only their proportion decides an order.

    ``dense`` is the dense ranking's share in the fusion, ``final_dense`` its share beside BM25 where MaxSim is mixed in.
    """

    bigram: float
    dense: float
    maxsim: float
    final_dense: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Where the relevant units are: for each of G judged pairs its question, its unit (-1: not found) and its grade.

    ``ideal`` (N,) is the best possible DCG@10 of each question.
    """

    query: IntArray
    unit: IntArray
    grade: Scores
    ideal: Scores


@dataclass(frozen=True, slots=True)
class ComponentScores:
    """``lemma``, ``bigram``, ``dense``, ``maxsim`` : (N, C) float64; ``valid`` : (N, C); ``unit`` : (N, C) int64 in [0, U)."""

    lemma: Scores
    bigram: Scores
    dense: Scores
    maxsim: Scores
    valid: NDArray[np.bool_]
    unit: IntArray
    judged: Judged

    def fused(self, weights: Weights) -> Scores:
        """(N, C): what :func:`ragjp.retrieval.fusion.fuse` gives, for all questions at once; -inf where padded."""
        return self._mixed(weights.bigram, weights.dense)

    def _mixed(self, bigram: float, dense: float) -> Scores:
        bm25 = _to_unit((1 - bigram) * self.lemma + bigram * self.bigram, self.valid)
        mixed = (1 - dense) * bm25 + dense * _to_unit(self.dense, self.valid)
        return np.where(self.valid, mixed, -np.inf)

    def reranked(self, weights: Weights, depth: int) -> Scores:
        """(N, C): what :func:`ragjp.rerank.late_interaction.rerank` gives, for all questions at once.

        Candidates below ``depth`` keep their fused order under the others.
        """
        fused = self.fused(weights)
        head = np.argsort(-fused, axis=1, kind="stable")[:, :depth]
        valid = np.take_along_axis(self.valid, head, axis=1)
        first_stage = self._mixed(weights.bigram, weights.final_dense)
        first = _to_unit(np.take_along_axis(first_stage, head, axis=1), valid)
        second = _to_unit(np.take_along_axis(self.maxsim, head, axis=1), valid)
        mixed = (1 - weights.maxsim) * first + weights.maxsim * second
        final = fused - 3.0  # fused scores lie in [0, 1]: all of the tail below all of the head
        np.put_along_axis(final, head, np.where(valid, mixed, -np.inf), axis=1)
        return final

    def bm25(self, weights: Weights) -> Scores:
        """(N, C): BM25 alone; -inf where padded."""
        mixed = (1 - weights.bigram) * self.lemma + weights.bigram * self.bigram
        return np.where(self.valid, mixed, -np.inf)

    def ndcg(self, scores: Scores) -> float:
        """Mean nDCG@10 over the questions, with candidates folded into units; ties go to the unit met first."""
        return float(self.ndcg_each(scores).mean())

    def ndcg_each(self, scores: Scores) -> Scores:
        """nDCG@10 of each question (N,); see :meth:`ndcg`."""
        n_units = int(self.unit.max(initial=-1)) + 1
        folded = np.full((len(scores), n_units), -np.inf)
        np.maximum.at(folded, (np.arange(len(scores))[:, None], self.unit), scores)
        found = self.judged.unit >= 0
        rows, units = self.judged.query[found], self.judged.unit[found]
        own = folded[rows, units][:, None]
        before = np.arange(n_units)[None, :] < units[:, None]
        place = 1 + ((folded[rows] > own) | ((folded[rows] == own) & before)).sum(axis=1)
        gain = np.where(place <= 10, self.judged.grade[found] / np.log2(place + 1.0), 0.0)
        dcg = np.bincount(rows, weights=gain, minlength=len(scores))
        return np.asarray(dcg / self.judged.ideal)


def collect(
    split: Split,
    queries: Sequence[Query],
    engine: Engine,
    *,
    view: View,
    progress: Progress | None = None,
) -> ComponentScores:
    """Score the candidates of some questions under every ranking.

    The candidates are those that the engine's present weights find, ``n_candidates`` from each ranking; MaxSim is computed
    for all of them, however deep the recipe reranks.
    """
    snapshot, names = None, dict[int, str]()
    rows: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray, list[str]]] = []
    for place, query in enumerate(queries):
        question, _ = engine.question(query.text)
        depth = engine.recipe.retrieval.n_candidates
        snapshot, found = engine.candidates(question, view=view, depth=depth)
        unnamed = [int(row) for row in found.rows if int(row) not in names]
        for row, chunk in zip(unnamed, snapshot.chunks(unnamed), strict=True):
            names[row] = unit_of(split.unit, chunk.doc_id, chunk.page)
        units = [names[int(row)] for row in found.rows]
        maxsim = _maxsim(snapshot, question, found.rows)
        rows.append((found.fields["lemma"], found.fields["bigram"], found.dense, maxsim, units))
        if progress:
            progress("候補の採点", place + 1, len(queries))
    return _packed(split, queries, rows)


def _maxsim(snapshot: Snapshot, question: Question, rows: IntArray) -> FloatArray:
    if snapshot.tokens is None or not len(question.tokens) or not len(rows):
        return np.zeros(len(rows), dtype=np.float32)
    packed = snapshot.tokens.take(rows)
    return maxsim_int8(question.tokens, packed.codes, packed.scales, packed.offsets)


def _packed(
    split: Split,
    queries: Sequence[Query],
    rows: Sequence[tuple[FloatArray, FloatArray, FloatArray, FloatArray, list[str]]],
) -> ComponentScores:
    width = max((len(row[4]) for row in rows), default=0)
    parts = np.zeros((4, len(rows), width))
    valid = np.zeros((len(rows), width), dtype=np.bool_)
    unit = np.zeros((len(rows), width), dtype=np.int64)
    pairs: list[tuple[int, int, int]] = []
    ideal = np.zeros(len(rows))
    for number, (query, row) in enumerate(zip(queries, rows, strict=True)):
        count = len(row[4])
        for part, scores in zip(parts, row[:4], strict=True):
            part[number, :count] = scores
        valid[number, :count] = True
        places = {name: place for place, name in enumerate(dict.fromkeys(row[4]))}
        unit[number, :count] = [places[name] for name in row[4]]
        grades = split.qrels[query.query_id]
        pairs += [(number, places.get(name, -1), grade) for name, grade in grades.items()]
        best = np.sort(np.array(list(grades.values()), dtype=np.float64))[::-1][:10]
        ideal[number] = (best / np.log2(np.arange(2, len(best) + 2))).sum()
    table = np.array(pairs, dtype=np.int64).reshape(-1, 3)
    judged = Judged(table[:, 0], table[:, 1], table[:, 2].astype(np.float64), ideal)
    return ComponentScores(parts[0], parts[1], parts[2], parts[3], valid, unit, judged)


def _to_unit(scores: Scores, valid: NDArray[np.bool_]) -> Scores:
    """Bring each row to [0, 1] over its valid places; 0 where all are equal, and where padded."""
    low = np.where(valid, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(valid, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1.0)
    return np.where(valid & (high > low), (np.where(valid, scores, 0.0) - low) / span, 0.0)
