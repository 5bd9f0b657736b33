"""What training does to questions about held-out articles: nDCG@10 of BM25, of MaxSim and of their mix over BM25's best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from evals.train.lower import LowerStates
from evals.train.material import Material
from evals.train.model import Upper, Vectors, maxsim, padded
from ragjp.types import FloatArray, IntArray

_AT_ONCE = 64
_OF_ONE = 12


@dataclass(frozen=True, slots=True)
class Scores:
    """nDCG@10 over the pools. ``mixed`` at the share of MaxSim that is best, ``share``."""

    bm25: float
    late: float
    pooled: float
    mixed: float
    share: float


class Validation:
    """Held-out questions, each with its gold among BM25's ``depth`` best chunks."""

    def __init__(self, material: Material, *, questions: int, depth: int, seed: int) -> None:
        held = np.flatnonzero(material.held_out)
        rng = np.random.default_rng(seed)
        # A few of each article: one long article has half of all questions.
        articles = material.article[material.gold[held]]
        order = rng.permutation(np.unique(articles))
        chosen = np.concatenate([held[articles == article][:_OF_ONE] for article in order])
        self.questions = chosen[:questions]
        gold = material.gold[self.questions]
        self.pools = np.concatenate(
            [gold[:, None], material.confused[self.questions, :depth]], axis=1
        )
        self.bm25 = np.stack(
            [
                (material.question_terms[[asked]] @ material.chunk_terms[pool].T).toarray()[0]
                for asked, pool in zip(self.questions.tolist(), self.pools, strict=True)
            ]
        )

    def scores(self, model: Upper, questions: LowerStates, chunks: LowerStates) -> Scores:
        """Encode what is needed and rank."""
        rows, place = np.unique(self.pools, return_inverse=True)
        late = np.empty((len(self.questions), len(rows)), np.float32)
        cosine = np.empty_like(late)
        with torch.no_grad():
            asked = Vectors(model, questions, self.questions, weighted=True)
            sizes = np.diff(chunks.texts.offsets)[rows]
            order = np.argsort(sizes)
            for begin in range(0, len(order), _AT_ONCE):
                part = order[begin : begin + _AT_ONCE]
                found = Vectors(model, chunks, rows[part], weighted=False)
                tokens, inside = padded(found.tokens, found.sizes)
                late[:, part] = maxsim(
                    asked.tokens, asked.owner, len(self.questions), tokens, inside
                ).numpy()
                cosine[:, part] = (asked.pooled @ found.pooled.T).numpy()
        pools = place.reshape(self.pools.shape)
        late, cosine = (np.take_along_axis(each, pools, 1) for each in (late, cosine))
        shares = np.linspace(0.3, 0.9, 13)
        bm25, both = _unit(self.bm25), _unit(late)
        mixes = [_ndcg((1 - share) * bm25 + share * both) for share in shares]
        best = int(np.argmax(mixes))
        return Scores(
            _ndcg(self.bm25), _ndcg(late), _ndcg(cosine), mixes[best], float(shares[best])
        )


def _unit(scores: FloatArray) -> FloatArray:
    low, high = scores.min(1, keepdims=True), scores.max(1, keepdims=True)
    scaled: FloatArray = (scores - low) / np.maximum(high - low, 1e-9)
    return scaled


def _ndcg(scores: FloatArray) -> float:
    """Mean over rows; the gold is in column 0 and nothing else is relevant."""
    rank: IntArray = (scores > scores[:, :1]).sum(1) + 1
    return float(np.where(rank <= 10, 1 / np.log2(rank + 1), 0).mean())
