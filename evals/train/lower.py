"""Hidden states after the frozen layers, computed once for every text and kept as bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evals.train.layers import Embeddings, Layer, Places, lengths_of
from evals.train.material import Texts
from ragjp.encoders.e5_file import E5File
from ragjp.types import IntArray

_TOKENS_AT_ONCE = 12_000


class LowerStates:
    """States of N packed texts: rows of a file that is mapped, (T, H) bfloat16 seen as int16."""

    def __init__(self, path: Path, texts: Texts, width: int) -> None:
        self.texts = texts
        self._rows = np.memmap(path, np.int16, "r").reshape(-1, width)

    def take(self, rows: IntArray) -> tuple[Tensor, list[int]]:
        """Return the states of texts ``rows``, packed (T, H), and each text's number of tokens."""
        offsets = self.texts.offsets
        parts = [self._rows[offsets[row] : offsets[row + 1]] for row in rows.tolist()]
        packed = torch.from_numpy(np.concatenate(parts)).view(torch.bfloat16)
        return packed.float(), lengths_of(offsets, rows)


def compute(
    source: E5File, first: int, texts: Texts, path: Path, tell: Callable[[int, int], None]
) -> LowerStates:
    """Run layers 0 to ``first - 1`` over all texts (unless ``path`` is there already)."""
    width = source.shape.hidden
    if not path.exists():
        embeddings, layers = Embeddings(source), [Layer(source, at) for at in range(first)]
        sizes = np.diff(texts.offsets)
        order = np.argsort(sizes, kind="stable")
        part = path.with_suffix(".part")
        out = np.memmap(part, np.int16, "w+", shape=(int(texts.offsets[-1]), width))
        done = 0
        while done < len(order):
            many = max(1, _TOKENS_AT_ONCE // int(sizes[order[done]]))
            rows = order[done : done + many]
            lengths = lengths_of(texts.offsets, rows)
            ids = np.concatenate(
                [texts.ids[texts.offsets[row] : texts.offsets[row + 1]] for row in rows]
            )
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                hidden, places = embeddings(ids, lengths), Places(lengths)
                for layer in layers:
                    hidden = layer(hidden, places)
            states = hidden.to(torch.bfloat16).view(torch.int16).numpy()
            begin = 0
            for row, length in zip(rows.tolist(), lengths, strict=True):
                at = int(texts.offsets[row])
                out[at : at + length] = states[begin : begin + length]
                begin += length
            done += many
            tell(min(done, len(order)), len(order))
        out.flush()
        part.rename(path)
    return LowerStates(path, texts, width)
