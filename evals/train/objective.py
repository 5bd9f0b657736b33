"""What is made small: cross-entropy over a batch's passages, of MaxSim, of MaxSim beside BM25, and of the pooled vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from evals.train.batches import Batch
from evals.train.lower import LowerStates
from evals.train.model import Upper, Vectors, maxsim, padded

#: Cosines are divided by this before the softmax.
_TEMPERATURE = 0.03
_POOLED, _ANCHOR = 0.4, 1.0


@dataclass(frozen=True, slots=True)
class Loss:
    """The parts of a batch's loss and the share of questions whose gold is first under MaxSim, with BM25, and pooled."""

    total: Tensor
    late: float
    mixed: float
    pooled: float
    anchor: float
    right: tuple[float, float, float]


def loss_of(
    model: Upper, questions: LowerStates, chunks: LowerStates, batch: Batch, before: Tensor
) -> Loss:
    """Score every question with every chunk of the batch.

    MaxSim alone must find the gold, and MaxSim plus ``beta`` times BM25 must find it too: the second part spends its
    gradient on what BM25 gets wrong, as the product mixes the two. ``before`` (P, H): pooled vectors of the untouched model, which
    the new ones must stay near, so that the pooled vector keeps what it knows of other texts.
    """
    asked = Vectors(model, questions, batch.question_texts, weighted=True)
    found = Vectors(model, chunks, batch.chunk_texts, weighted=False)
    rows, inside = padded(found.tokens, found.sizes)
    late = model.alpha * maxsim(asked.tokens, asked.owner, len(asked.sizes), rows, inside)
    mixed = late + model.beta * torch.from_numpy(batch.bm25)
    cosine = asked.pooled @ found.pooled.T / _TEMPERATURE
    target = torch.from_numpy(batch.target)
    left_out = torch.from_numpy(batch.left_out)
    parts, right = [], []
    for scores in (late, mixed, cosine):
        masked = scores.masked_fill(left_out, -torch.inf)
        parts.append(functional.cross_entropy(masked, target))
        right.append(float((masked.argmax(1) == target).float().mean()))
    anchor = (1 - (found.pooled * before).sum(1)).mean()
    total = parts[0] + parts[1] + _POOLED * parts[2] + _ANCHOR * anchor
    return Loss(
        total,
        parts[0].item(),
        parts[1].item(),
        parts[2].item(),
        anchor.item(),
        (right[0], right[1], right[2]),
    )
