"""The second order: MaxSim over the best fused candidates, mixed with their first-stage scores.

What a question asks for is often spread over a page: a heading here, a row of a table there. So a chunk's MaxSim is mixed with that
of its page: of all reranked candidates on the page together, as if they were one chunk. Only candidates count, so nothing that
the asker may not see does, and nothing else has to be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ragjp.config import Reranking
from ragjp.index.tokens.store import TokenStore
from ragjp.rerank.maxsim_cpu import maxsim_int8
from ragjp.retrieval.fusion import normalise
from ragjp.types import FloatArray, IntArray

#: What counts as one page at most: nearly all printed pages hold less.
PAGE_CHARS = 2400


@dataclass(frozen=True, slots=True)
class Reranked:
    """``order`` (C,) int64: places in the candidates, best first. ``scores`` (C,) float32 in that order, never rising.

    ``maxsim`` (C,) float32 in the order of the candidates, NaN for those too deep to be reranked. ``late`` (C,) the same mixed with
    the pages' MaxSim: what counts.
    """

    order: IntArray
    scores: FloatArray
    maxsim: FloatArray
    late: FloatArray


def rerank(
    fused: FloatArray,
    first_stage: FloatArray,
    rows: IntArray,
    query_tokens: FloatArray,
    store: TokenStore,
    settings: Reranking,
    pages: IntArray | None = None,
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
    # A stable order: chunks of one page stay as they came, and the maximum over them does not depend on it.
    order = np.argsort(np.arange(depth) if pages is None else pages[:depth], kind="stable")
    packed = store.take(rows[:depth][order])
    scores = np.empty(depth, dtype=np.float32)
    scores[order] = maxsim_int8(query_tokens, packed.codes, packed.scales, packed.offsets)
    late = scores
    if pages is not None and settings.page_share:
        starts = np.flatnonzero(np.diff(pages[:depth][order], prepend=-1))
        late = scores.copy()
        if len(starts) < depth:
            offsets = np.append(packed.offsets[starts], packed.offsets[-1])
            joint = maxsim_int8(query_tokens, packed.codes, packed.scales, offsets)
            share = np.float32(settings.page_share)
            late[order] = (1 - share) * scores[order] + share * np.repeat(
                joint, np.diff(starts, append=depth)
            )
    weight = settings.maxsim_weight
    mixed = (1 - weight) * normalise(first_stage[:depth]) + weight * normalise(late)
    head = np.argsort(-mixed, kind="stable")
    tail = np.arange(depth, len(rows))
    # The tail keeps its distances and hangs from the last reranked score, so that scores never rise down the list.
    hanging = mixed[head[-1]] - (fused[depth - 1] - fused[depth:]) if depth else fused[depth:]
    maxsim, mixed_maxsim = np.full((2, len(rows)), np.nan, dtype=np.float32)
    maxsim[:depth], mixed_maxsim[:depth] = scores, late
    return Reranked(
        np.concatenate([head, tail]).astype(np.int64),
        np.concatenate([mixed[head], hanging]).astype(np.float32),
        maxsim,
        mixed_maxsim,
    )


def page_keys(places: IntArray) -> IntArray:
    """Number the pages that chunks are on, from their places (R, 3): document, page, first character; (R,) int64.

    A page longer than :data:`PAGE_CHARS` (a web page, a text file) counts as several: a whole book would be near to any question.
    """
    known: dict[tuple[int, int, int], int] = {}
    keys = [
        known.setdefault((document, page, first // PAGE_CHARS), len(known))
        for document, page, first in places.tolist()
    ]
    return np.array(keys, dtype=np.int64)
