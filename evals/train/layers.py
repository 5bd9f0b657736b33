"""The encoder in torch, on packed texts: the linear layers see no padding, attention is padded within groups of like length.

The oracle of the arithmetic is :mod:`ragjp.encoders.reference`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ragjp.encoders.e5_file import E5File
from ragjp.types import IntArray

_GROUP = 16


class Layer(nn.Module):
    """One transformer layer, post-norm, with the weights of layer ``number`` of the packed file."""

    def __init__(self, source: E5File, number: int) -> None:
        super().__init__()
        width, wide = source.shape.hidden, source.shape.feed_forward
        at = f"l{number}."
        self.heads = source.shape.heads
        self.qkv = _linear(source, [f"{at}q", f"{at}k", f"{at}v"], width, width)
        self.ao = _linear(source, [f"{at}ao"], width, width)
        self.fi = _linear(source, [f"{at}fi"], wide, width)
        self.fo = _linear(source, [f"{at}fo"], width, wide)
        self.aln = _norm(source, f"{at}aln")
        self.oln = _norm(source, f"{at}oln")

    def forward(self, hidden: Tensor, places: Places) -> Tensor:
        """(T, H) to (T, H)."""
        context = places.attend(self.qkv(hidden), self.heads)
        middle = self.aln(self.ao(context) + hidden)
        return self.oln(self.fo(functional.gelu(self.fi(middle))) + middle)


class Places:
    """Where the tokens of packed texts stand: groups of texts of like length, each padded to its longest."""

    def __init__(self, lengths: Sequence[int]) -> None:
        sizes = np.asarray(lengths)
        starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        order = np.argsort(sizes, kind="stable")
        self.groups: list[tuple[Tensor, Tensor]] = []
        back = np.empty(sizes.sum(), np.int64)
        base = 0
        for begin in range(0, len(order), _GROUP):
            rows = order[begin : begin + _GROUP]
            longest = sizes[rows].max()
            inside = np.arange(longest)[None] < sizes[rows, None]
            gather = np.where(inside, starts[rows, None] + np.arange(longest)[None], 0)
            back[gather[inside]] = base + np.flatnonzero(inside.ravel())
            base += gather.size
            self.groups.append((torch.from_numpy(gather), torch.from_numpy(inside)))
        self.back = torch.from_numpy(back)

    def attend(self, qkv: Tensor, heads: int) -> Tensor:
        """(T, 3 H) to (T, H)."""
        width = qkv.shape[1] // 3
        parts = []
        for gather, inside in self.groups:
            texts, longest = gather.shape
            padded = qkv[gather.reshape(-1)].view(texts, longest, 3, heads, width // heads)
            query, key, value = padded.permute(2, 0, 3, 1, 4)
            context = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=inside[:, None, None, :]
            )
            parts.append(context.transpose(1, 2).reshape(texts * longest, width))
        return torch.cat(parts)[self.back]


class Embeddings:
    """Word, position and type embeddings and their norm: frozen, straight from the packed file."""

    def __init__(self, source: E5File) -> None:
        shape = source.shape
        self._words = source.blocks("emb.word", shape.vocabulary, shape.hidden)
        positions = source.floats("emb.pos").reshape(-1, shape.hidden)
        self._positions = positions + source.floats("emb.type").reshape(-1, shape.hidden)[0]
        self._norm = _norm(source, "emb.ln")

    def __call__(self, ids: NDArray[np.int32], lengths: Sequence[int]) -> Tensor:
        """(T,) ids of packed texts to (T, H)."""
        blocks = type(self._words)(self._words.nibbles[ids], self._words.scales[ids])
        steps = np.concatenate([np.arange(length) for length in lengths])
        summed = torch.from_numpy(blocks.dense() + self._positions[steps])
        result: Tensor = self._norm(summed)
        return result.detach()


class Head(nn.Module):
    """Hidden states to token vectors of length 1, and the weights of a question's tokens."""

    def __init__(self, start: NDArray[np.float32]) -> None:
        super().__init__()
        width = start.shape[1]
        self.project = nn.Linear(width, start.shape[0], bias=False)
        self.salience = nn.Linear(width, 1)
        with torch.no_grad():
            self.project.weight.copy_(torch.from_numpy(start))
            self.salience.weight.zero_()
            # softplus of this is 1: every token counts the same before training
            self.salience.bias.fill_(float(np.log(np.e - 1)))

    def tokens(self, hidden: Tensor) -> Tensor:
        """(T, H) to (T, 128)."""
        return functional.normalize(self.project(hidden).float(), dim=-1)

    def weights(self, hidden: Tensor) -> Tensor:
        """(T, H) to (T,)."""
        return functional.softplus(self.salience(hidden).float()).squeeze(-1)


def pooled(hidden: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean of each text's rows, brought to length 1; (N, H)."""
    sizes = torch.as_tensor(lengths)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    sums = torch.zeros(len(sizes), hidden.shape[1]).index_add(0, owner, hidden.float())
    return functional.normalize(sums, dim=-1)


def lengths_of(offsets: IntArray, rows: IntArray) -> list[int]:
    """Tokens of each of ``rows``."""
    sizes: list[int] = (offsets[rows + 1] - offsets[rows]).tolist()
    return sizes


def _linear(source: E5File, names: Sequence[str], rows: int, columns: int) -> nn.Linear:
    layer = nn.Linear(columns, rows * len(names))
    with torch.no_grad():
        layer.weight.copy_(
            torch.from_numpy(
                np.concatenate([source.blocks(f"{n}.w", rows, columns).dense() for n in names])
            )
        )
        layer.bias.copy_(torch.from_numpy(np.concatenate([source.floats(f"{n}.b") for n in names])))
    return layer


def _norm(source: E5File, name: str) -> nn.LayerNorm:
    weight = torch.tensor(source.floats(f"{name}.w"))
    norm = nn.LayerNorm(len(weight), eps=source.shape.epsilon)
    with torch.no_grad():
        norm.weight.copy_(weight)
        norm.bias.copy_(torch.tensor(source.floats(f"{name}.b")))
    return norm
