"""Fused and final scores taken apart: what each ranking brought, so that the parts sum to the score; and the ranks on the way.

The fusion is ``(1 - d) * n(bm25) + d * n(dense)``, n bringing scores to [0, 1] over the candidates. The final score of a reranked
candidate is ``(1 - w) * n'(first) + w * n'(late)``, n' over those that were reranked, first a fusion with another d, and late its MaxSim
mixed with that of its page. n' is a shift and a factor, so it goes into the weights of the parts; the shift of ``first``, the same for
all, is a part of its own, the baseline, and that of ``late`` is taken off MaxSim and page alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragjp.config import Reranking
from ragjp.retrieval.candidates import Candidates
from ragjp.retrieval.explain import Ranks, Share, ShareName
from ragjp.retrieval.ties import TieKeys, best_first
from ragjp.types import FloatArray, IntArray

Shares = tuple[Share, ...]


def normalised(scores: FloatArray) -> tuple[NDArray[np.float64], float, float]:
    """Bring (N,) scores to [0, 1] in float64; with the shift and the factor: ``(score - shift) * factor``."""
    wide = scores.astype(np.float64)
    low, high = (float(wide.min()), float(wide.max())) if len(wide) else (0.0, 0.0)
    factor = 1 / (high - low) if high > low else 0.0
    return (wide - low) * factor, low, factor


def fused_shares(found: Candidates, dense_weight: float, places: IntArray) -> list[Shares]:
    """Take the fused scores of some candidates (M,) apart.

    Parameters
    ----------
    places
        (M,) int64 in the candidates.
    """
    return _of_two(found, dense_weight, places)


def final_shares(
    found: Candidates,
    maxsim: FloatArray,
    late: FloatArray,
    fusion_weight: float,
    settings: Reranking,
    places: IntArray,
) -> list[Shares]:
    """Take the final scores of some candidates apart.

    Parameters
    ----------
    maxsim
        (C,) float32, NaN for candidates that were not reranked.
    late
        (C,) float32, the same mixed with the pages'.
    fusion_weight
        The dense ranking's share in the fusion, which orders what was not reranked.
    """
    reranked = ~np.isnan(maxsim)
    before = _of_two(found, fusion_weight, places)
    if not reranked.any():
        return before
    weight = settings.maxsim_weight
    first_parts = _of_two(found, settings.dense_weight, np.arange(len(maxsim), dtype=np.int64))
    first = np.array([sum(part.value for part in parts) for parts in first_parts])
    _, low, factor = normalised(first[reranked])
    token, token_low, token_factor = normalised(late[reranked])
    of_page = settings.page_share if (late[reranked] != maxsim[reranked]).any() else 0.0
    # A candidate below the depth keeps its distance from the last that was reranked.
    fused = _fused(found, fusion_weight)
    mixed = (1 - weight) * (first[reranked] - low) * factor + weight * token
    hanging = float(mixed.min()) - float(fused[reranked].min())
    shares = []
    for parts, place in zip(before, places.tolist(), strict=True):
        if not reranked[place]:
            shares.append((*parts, Share("baseline", hanging, 1.0, 1.0, hanging)))
            continue
        share = (1 - weight) * factor
        own = float(maxsim[place])
        page = (float(late[place]) - (1 - of_page) * own) / of_page if of_page else own
        late_parts: list[tuple[ShareName, float, float]] = [
            ("maxsim", own, 1 - of_page),
            ("page", page, of_page),
        ]
        shares.append(
            (
                *(_scaled(part, share) for part in first_parts[place]),
                *(
                    _share(name, score, (score - token_low) * token_factor, weight * part)
                    for name, score, part in late_parts
                    if part
                ),
                Share("baseline", low, low, -share, -share * low),
            )
        )
    return shares


def ranks_of(
    found: Candidates, fused_order: IntArray, places: IntArray, depth: int, keys: TieKeys
) -> list[Ranks]:
    """Say where some candidates (M,), the hits in their order, stand in each ranking.

    Parameters
    ----------
    fused_order
        Places (C,) in the candidates by fused score.
    depth
        How many each ranking put forward: what is further down has no certain rank.
    """
    by_bm25 = _ranks(best_first(found.bm25, found.rows, keys))
    by_dense = _ranks(best_first(found.dense, found.rows, keys))
    by_fused = _ranks(fused_order)
    return [
        Ranks(
            by_bm25[place] if found.bm25[place] > 0 and by_bm25[place] <= depth else None,
            by_dense[place] if by_dense[place] <= depth else None,
            by_fused[place],
            final,
        )
        for final, place in enumerate(places.tolist(), 1)
    ]


def _ranks(order: IntArray) -> list[int]:
    """Ranks (C,) from 1, by place."""
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return [int(rank) for rank in ranks]


def _fused(found: Candidates, dense_weight: float) -> NDArray[np.float64]:
    bm25, dense = normalised(found.bm25)[0], normalised(found.dense)[0]
    fused: NDArray[np.float64] = (1 - dense_weight) * bm25 + dense_weight * dense
    return fused


def _of_two(found: Candidates, dense_weight: float, places: IntArray) -> list[Shares]:
    bm25, dense = normalised(found.bm25)[0], normalised(found.dense)[0]
    return [
        (
            _share("bm25", found.bm25[place], bm25[place], 1 - dense_weight),
            _share("dense", found.dense[place], dense[place], dense_weight),
        )
        for place in places.tolist()
    ]


def _share(name: ShareName, score: float, own: float, weight: float) -> Share:
    return Share(name, float(score), float(own), weight, weight * float(own))


def _scaled(share: Share, factor: float) -> Share:
    weight = share.weight * factor
    return Share(share.name, share.score, share.normalised, weight, weight * share.normalised)
