"""What is trained: the upper layers, the head, and the two scales of the scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from evals.train.layers import Head, Layer, Places, pooled
from evals.train.lower import LowerStates
from ragjp.encoders.e5_file import E5File
from ragjp.types import FloatArray, IntArray

TOKEN_DIM = 128


class Upper(nn.Module):
    """Layers ``first`` to the last, the head, ``alpha`` of MaxSim and ``beta`` of BM25 in the trained score."""

    def __init__(self, source: E5File, first: int, start: NDArray[np.float32]) -> None:
        super().__init__()
        self.first = first
        self.layers = nn.ModuleList(
            Layer(source, number) for number in range(first, source.shape.layers)
        )
        self.head = Head(start)
        self.alpha = nn.Parameter(torch.tensor(2.0))
        self.beta = nn.Parameter(torch.tensor(0.3))

    def hidden(self, states: LowerStates, rows: IntArray) -> tuple[Tensor, list[int]]:
        """Last hidden states of the texts ``rows``, packed (T, H) float32."""
        hidden, lengths = states.take(rows)
        places = Places(lengths)
        with torch.autocast("cpu", torch.bfloat16):
            for layer in self.layers:
                hidden = layer(hidden, places)
        return hidden.float(), lengths

    def tensors(self) -> dict[str, FloatArray]:
        """The weights under the names of the weights' file."""
        found: dict[str, FloatArray] = {}
        for number, layer in enumerate(self.layers, self.first):
            at = f"l{number}."
            width = layer.ao.weight.shape[0]
            for place, name in enumerate("qkv"):
                part = slice(place * width, (place + 1) * width)
                found[f"{at}{name}.w"] = _array(layer.qkv.weight[part])
                found[f"{at}{name}.b"] = _array(layer.qkv.bias[part])
            for name in ("ao", "fi", "fo", "aln", "oln"):
                module = getattr(layer, name)
                found[f"{at}{name}.w"] = _array(module.weight)
                found[f"{at}{name}.b"] = _array(module.bias)
        found["head.w"] = _array(self.head.project.weight)
        found["salience.w"] = _array(self.head.salience.weight[0])
        found["salience.b"] = _array(self.head.salience.bias)
        return found


def maxsim(
    tokens: Tensor, owner: Tensor, questions: int, documents: Tensor, inside: Tensor
) -> Tensor:
    """Late interaction of weighted question tokens (T, D) with padded documents (P, L, D): (questions, P).

    ``owner`` (T,) says whose each token is, ``inside`` (P, L) which rows of a document are tokens.
    """
    n_documents, longest, _ = documents.shape
    similar = tokens @ documents.reshape(-1, documents.shape[2]).T
    similar = similar.view(len(tokens), n_documents, longest)
    best = similar.masked_fill(~inside[None], -torch.inf).amax(dim=2)
    return torch.zeros(questions, n_documents).index_add(0, owner, best)


def padded(tokens: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Packed rows (T, D) of P texts to (P, L, D) and which places are taken (P, L)."""
    parts = torch.split(tokens, sizes)
    rows = nn.utils.rnn.pad_sequence(parts, batch_first=True)
    inside = torch.arange(rows.shape[1])[None] < torch.tensor(sizes)[:, None]
    return rows, inside


class Vectors:
    """What an encoder gives for the texts ``rows``: pooled (N, H), tokens of the text (T, D), how many each has."""

    def __init__(
        self, model: Upper, states: LowerStates, rows: IntArray, *, weighted: bool
    ) -> None:
        hidden, lengths = model.hidden(states, rows)
        offsets, kept = states.texts.offsets, states.texts.kept
        marks = [kept[offsets[row] : offsets[row + 1]] for row in rows.tolist()]
        self.sizes = [int(mark.sum()) for mark in marks]
        self.pooled = pooled(hidden, lengths)
        own = hidden[torch.from_numpy(np.concatenate(marks))]
        self.tokens = model.head.tokens(own)
        if weighted:
            self.tokens = self.tokens * model.head.weights(own)[:, None]

    @property
    def owner(self) -> Tensor:
        """(T,) whose token each is."""
        return torch.repeat_interleave(torch.arange(len(self.sizes)), torch.tensor(self.sizes))


def principal(states: LowerStates, source: E5File, first: int, rows: IntArray) -> FloatArray:
    """The 128 first principal directions of the untouched model's tokens, (128, H): where the head starts."""
    model = Upper(source, first, np.zeros((TOKEN_DIM, source.shape.hidden), np.float32))
    with torch.no_grad():
        hidden, _ = model.hidden(states, rows)
        unit = functional.normalize(hidden, dim=-1)
        _, vectors = torch.linalg.eigh(unit.T @ unit)
    directions: FloatArray = vectors[:, -TOKEN_DIM:].T.flip(0).contiguous().numpy()
    return directions


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().float().numpy().copy()
    return array
