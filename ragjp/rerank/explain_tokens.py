"""MaxSim a second time, token by token, by the formula as it is written: :func:`~ragjp.rerank.maxsim_cpu.maxsim_reference` taken apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragjp.index.tokens.store import PackedTokens, dequantise
from ragjp.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class BestTokens:
    """For each of Q query tokens the nearest of a passage's tokens.

    places : (Q,) int64 in the passage. similarities : (Q,) float64, their cosines. contributions : (Q,) float64, the inner products
    over Q, which sum to the passage's MaxSim (a trained encoder's query tokens have lengths of their own). n_tokens : T of the passage.
    """

    places: IntArray
    similarities: NDArray[np.float64]
    contributions: NDArray[np.float64]
    n_tokens: int


def best_tokens(query: FloatArray, packed: PackedTokens) -> list[BestTokens]:
    """Find the nearest token of each passage to each token of a question.

    Parameters
    ----------
    query
        (Q, D) float32.
    packed
        Tokens of N passages.

    Returns
    -------
    N values; without any match where the question or the passage has no tokens.
    """
    tokens = dequantise(packed).astype(np.float64)
    asked = query.astype(np.float64)
    lengths = np.linalg.norm(asked, axis=1)
    lengths[lengths == 0] = 1
    found = []
    for start, stop in zip(packed.offsets, packed.offsets[1:], strict=False):
        own = tokens[start:stop]
        if not (len(own) and len(asked)):
            found.append(BestTokens(np.empty(0, np.int64), np.empty(0), np.empty(0), len(own)))
            continue
        products = asked @ own.T
        places = products.argmax(axis=1).astype(np.int64)
        best = products[np.arange(len(asked)), places]
        found.append(BestTokens(places, best / lengths, best / len(asked), len(own)))
    return found
