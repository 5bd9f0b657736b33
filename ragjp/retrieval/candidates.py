"""Candidates of one question: the best rows of each ranking, with the exact score of every ranking for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ragjp.config import Retrieval
from ragjp.index.dense.lists import lists_from
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.groups import Group
from ragjp.index.reader import Allowed, Snapshot
from ragjp.retrieval.fusion import fuse
from ragjp.retrieval.ties import cut
from ragjp.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the index needs it.

    terms : field → terms. vector : (D,) float32 of length 1. tokens : (Q, D_token) float32, (0, D_token) without any.
    groups : synonyms of its words.
    """

    text: str
    terms: Mapping[str, list[str]]
    vector: FloatArray
    tokens: FloatArray
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """C candidate rows, ascending, and their scores; a row that one ranking did not return still has that ranking's score.

    rows : (C,) int64. bm25, dense, fused : (C,) float32. fields : field → (C,) float32, the unweighted parts of bm25.
    """

    rows: IntArray
    fields: Mapping[str, FloatArray]
    bm25: FloatArray
    dense: FloatArray
    fused: FloatArray
    timings_ms: Mapping[str, float]


def find_candidates(
    snapshot: Snapshot,
    question: Question,
    allowed: Allowed,
    settings: Retrieval,
    *,
    depth: int,
    keep: BoolArray | None = None,
) -> Candidates:
    """Take the ``depth`` best rows of each ranking and fuse them. Ties at the border go to the lower chunk ids.

    Parameters
    ----------
    allowed
        The view, resolved for this snapshot: no other row can come back, and its statistics are the only ones used.
    depth
        Rows taken from each ranking.
    keep
        (N,) bool, rows that fit the query's operators; None for all.
    """
    started = time.perf_counter()
    weights = field_weights(settings)
    # The words of a question are looked for in titles too, where titles count.
    terms = {**question.terms, "title": question.terms.get("lemma", [])}
    constants = Bm25(settings.k1, settings.b)
    lexical = snapshot.lexical
    by_bm25, _ = cut(
        *lexical.search(
            terms, weights, allowed.statistics, constants, depth, keep, question.groups
        ),
        depth,
        snapshot.chunk_ids,
    )
    searched = time.perf_counter()
    by_dense, _ = cut(
        *snapshot.dense.search(
            question.vector, allowed.rows, depth, keep, lists_from=lists_from(settings.dense)
        ),
        depth,
        snapshot.chunk_ids,
    )
    # With an index it is np.union1d that does not import numpy.ma, 50 ms of a process's first answer.
    rows, _ = np.unique(np.concatenate([by_bm25, by_dense]), return_index=True)
    dense = snapshot.dense.scores(question.vector, rows)
    found = time.perf_counter()
    scored = lexical.scores(terms, weights, allowed.statistics, constants, rows, question.groups)
    fused = fuse(scored.total, dense, settings.dense_weight)
    finished = time.perf_counter()
    return Candidates(
        rows,
        scored.fields,
        scored.total,
        dense,
        fused,
        {
            "bm25": (searched - started) * 1000,
            "dense": (found - searched) * 1000,
            "fuse": (finished - found) * 1000,
        },
    )


def field_weights(settings: Retrieval) -> dict[str, float]:
    """Term fields with their weights."""
    return {
        "lemma": settings.lemma_weight,
        "bigram": settings.bigram_weight,
        "title": settings.title_weight,
    }
