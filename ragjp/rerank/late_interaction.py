"""The second order: MaxSim over the best fused candidates, mixed with their first-stage scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ragjp.config import Reranking
from ragjp.index.tokens.store import TokenStore
from ragjp.rerank.maxsim_cpu import maxsim_int8
from ragjp.retrieval.fusion import normalise
from ragjp.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Reranked:
    """``order`` (C,) int64: places in the candidates, best first. ``scores`` (C,) float32 in that order, never rising.

    ``maxsim`` (C,) float32 in the order of the candidates, NaN for those too deep to be reranked.
    """

    order: IntArray
    scores: FloatArray
    maxsim: FloatArray


def rerank(
    fused: FloatArray,
    first_stage: FloatArray,
    rows: IntArray,
    query_tokens: FloatArray,
    store: TokenStore,
    settings: Reranking,
) -> Reranked:
    """Reorder the first ``settings.depth`` candidates by ``(1 - w) * first_stage + w * maxsim``, both normalised over them.

    Parameters
    ----------
    fused
        (C,) float32, best first: decides which candidates are reranked.
    first_stage
        (C,) float32, what MaxSim is mixed with: BM25 and dense with ``settings.dense_weight``.
    rows
        (C,) int64, the candidates' rows in the token store.
    query_tokens
        (Q, D_token) float32, of whatever lengths the encoder gave them.

    Returns
    -------
    Reranked
        Candidates below the depth follow in their fused order, with scores below the last reranked one. Candidates with equal
        scores keep the order in which they came, and the depth cuts there too: nothing here looks at row numbers, so an order by
        fused score and then chunk id makes the result the same for every layout of the same chunks.

    Raises
    ------
    IndexCorrupt
        When the stored tokens of a candidate are not what was written.
    """
    depth = min(settings.depth, len(rows))
    packed = store.take(rows[:depth])
    scores = maxsim_int8(query_tokens, packed.codes, packed.scales, packed.offsets)
    weight = settings.maxsim_weight
    mixed = (1 - weight) * normalise(first_stage[:depth]) + weight * normalise(scores)
    head = np.argsort(-mixed, kind="stable")
    tail = np.arange(depth, len(rows))
    # The tail keeps its distances and hangs from the last reranked score, so that scores never rise down the list.
    hanging = mixed[head[-1]] - (fused[depth - 1] - fused[depth:]) if depth else fused[depth:]
    maxsim = np.full(len(rows), np.nan, dtype=np.float32)
    maxsim[:depth] = scores
    return Reranked(
        np.concatenate([head, tail]).astype(np.int64),
        np.concatenate([mixed[head], hanging]).astype(np.float32),
        maxsim,
    )
