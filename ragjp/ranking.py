"""From candidates to hits: each ranking's order over the same candidates, and the chunks loaded that it puts first."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from ragjp.config import Reranking
from ragjp.index.reader import Snapshot
from ragjp.rerank.late_interaction import page_keys, rerank
from ragjp.rerank.mmr_cpu import mmr_order
from ragjp.retrieval.candidates import Candidates, Question
from ragjp.retrieval.fusion import fuse, normalise
from ragjp.retrieval.ties import best_first
from ragjp.types import FloatArray, Hit, IntArray

RankingName = Literal["bm25", "dense", "fused", "reranked"]
RANKINGS: tuple[RankingName, ...] = ("bm25", "dense", "fused", "reranked")


def order_candidates(
    snapshot: Snapshot,
    found: Candidates,
    question: Question,
    name: RankingName,
    settings: Reranking,
    k: int,
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Order C candidates as one ranking does.

    Returns
    -------
    Places (M,) in the candidates, best first; their scores (M,) float32; by place (C,) float32 MaxSim, and MaxSim mixed with the page's,
    NaN where there is none.
    """
    by_name = {
        "bm25": found.bm25,
        "dense": found.dense,
        "fused": found.fused,
        "reranked": found.fused,
    }
    scores = by_name[name]
    order = best_first(scores, found.rows, snapshot.chunk_ids)
    if name == "bm25":
        order = order[scores[order] > 0]
    final = scores[order]
    maxsim, late = np.full((2, len(found.rows)), np.nan, dtype=np.float32)
    if name != "reranked":
        return order, final, maxsim, late
    store = snapshot.tokens
    if store is not None and len(question.tokens) and settings.maxsim:
        first_stage = fuse(found.bm25, found.dense, settings.dense_weight)[order]
        rows = found.rows[order]
        pages = page_keys(snapshot.places(rows[: settings.depth])) if settings.page_share else None
        reranked = rerank(final, first_stage, rows, question.tokens, store, settings, pages)
        maxsim[order], late[order] = reranked.maxsim, reranked.late
        order, final = order[reranked.order], reranked.scores
    if settings.mmr_lambda < 1.0:
        head = order[: settings.depth]
        vectors = snapshot.vectors(found.rows[head])
        chosen = mmr_order(
            normalise(final[: len(head)]), vectors, settings.mmr_lambda, min(k, len(head))
        )
        order = np.concatenate([head[chosen], order[len(head) :]])
        final = np.concatenate([final[chosen], final[len(head) :]])
    return order, final, maxsim, late


def hits_of(
    snapshot: Snapshot, found: Candidates, order: IntArray, scores: FloatArray, maxsim: FloatArray
) -> tuple[Hit, ...]:
    """Load what the first places of a ranking hold; ties by chunk id."""
    chunks = snapshot.chunks([int(row) for row in found.rows[order]])
    hits = []
    for place, score, chunk in zip(order, scores, chunks, strict=True):
        parts = {
            "bm25": float(found.bm25[place]),
            "dense": float(found.dense[place]),
            "fused": float(found.fused[place]),
        }
        if not np.isnan(maxsim[place]):
            parts["maxsim"] = float(maxsim[place])
        hits.append(
            Hit(
                chunk.doc_id,
                chunk.chunk_id,
                chunk.page,
                chunk.start,
                chunk.end,
                chunk.text,
                chunk.title,
                chunk.heading_path,
                float(score),
                parts,
            )
        )
    return _ties_by_id(hits)


def _ties_by_id(hits: list[Hit]) -> tuple[Hit, ...]:
    """Order equal scores by chunk id; scores never rise down the list, except under MMR, whose order is its own."""
    falling = all(a.score >= b.score for a, b in pairwise(hits))
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)) if falling else hits)
