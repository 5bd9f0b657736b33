"""Candidates of one question: the best rows of each ranking, with the exact score of every ranking for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ragjp.config import Retrieval
from ragjp.index.lexical_cpu import Bm25, bm25_scores
from ragjp.index.reader import Allowed, Snapshot
from ragjp.retrieval.fusion import fuse
from ragjp.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the index needs it.

    terms : field → terms. vector : (D,) float32 of length 1. tokens : (Q, D_token) float32, (0, D_token) without any.
    """

    text: str
    terms: Mapping[str, list[str]]
    vector: FloatArray
    tokens: FloatArray


@dataclass(frozen=True, slots=True)
class Candidates:
    """C candidate rows, ascending, and their scores; a row that one ranking did not return still has that ranking's score.

    rows : (C,) int64. bm25, dense, fused : (C,) float32. lemma, bigram : (C,) float32, the parts of bm25.
    """

    rows: IntArray
    lemma: FloatArray
    bigram: FloatArray
    bm25: FloatArray
    dense: FloatArray
    fused: FloatArray
    timings_ms: Mapping[str, float]


def find_candidates(
    snapshot: Snapshot, question: Question, allowed: Allowed, settings: Retrieval, *, depth: int
) -> Candidates:
    """Take the ``depth`` best rows of each ranking and fuse them.

    Parameters
    ----------
    allowed
        The view, resolved for this snapshot: no other row can come back.
    depth
        Rows taken from each ranking.
    """
    started = time.perf_counter()
    lexical = _field_scores(snapshot, question, allowed, settings)
    bm25_all = settings.lemma_weight * lexical["lemma"] + settings.bigram_weight * lexical["bigram"]
    by_bm25 = _best_rows(bm25_all, depth)
    searched = time.perf_counter()
    by_dense, _ = snapshot.dense.search(question.vector, allowed.rows, depth)
    rows = np.union1d(by_bm25, by_dense)
    dense = snapshot.dense.scores(question.vector, rows)
    found = time.perf_counter()
    bm25 = bm25_all[rows].astype(np.float32)
    fused = fuse(bm25, dense, settings.dense_weight)
    finished = time.perf_counter()
    return Candidates(
        rows,
        lexical["lemma"][rows],
        lexical["bigram"][rows],
        bm25,
        dense,
        fused,
        {
            "bm25": (searched - started) * 1000,
            "dense": (found - searched) * 1000,
            "fuse": (finished - found) * 1000,
        },
    )


def _field_scores(
    snapshot: Snapshot, question: Question, allowed: Allowed, settings: Retrieval
) -> dict[str, FloatArray]:
    constants = Bm25(settings.k1, settings.b)
    scores = {}
    for field in ("lemma", "bigram"):
        segments = snapshot.fields().get(field, [])
        if segments:
            scores[field] = bm25_scores(
                segments,
                question.terms.get(field, []),
                allowed.rows,
                allowed.fields[field],
                constants,
            )
        else:
            scores[field] = np.zeros(snapshot.n_rows, dtype=np.float32)
    return scores


def _best_rows(scores: FloatArray, depth: int) -> IntArray:
    """Rows of the ``depth`` greatest scores above 0; ties at the border go to the lower row."""
    matched = np.flatnonzero(scores > 0)
    if len(matched) > depth:
        values = scores[matched]
        border = np.partition(values, len(values) - depth)[len(values) - depth]
        above = matched[values > border]
        matched = np.concatenate([above, matched[values == border][: depth - len(above)]])
    return matched.astype(np.int64)
