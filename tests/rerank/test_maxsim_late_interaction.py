"""The second order over stored tokens: the same answer wherever the rows lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragjp.config import Reranking
from ragjp.index.tokens.store import PackedTokens, TokenStore, quantise
from ragjp.rerank.late_interaction import rerank
from ragjp.types import FloatArray

N_CHUNKS = 12


def chunk_tokens(number: int) -> FloatArray:
    """Chunks 2i and 2i + 1 have the same tokens, so that scores tie; some have none."""
    rng = np.random.default_rng(number // 2)
    return rng.standard_normal((number // 2 % 4, 16)).astype(np.float32)


def laid_out(chunks: list[int]) -> PackedTokens:
    tokens = [chunk_tokens(number) for number in chunks]
    offsets = np.cumsum([0, *(len(rows) for rows in tokens)]).astype(np.int64)
    return quantise(np.concatenate([*tokens, np.empty((0, 16), np.float32)]), offsets)


@given(
    st.permutations(range(N_CHUNKS)),
    st.integers(0, N_CHUNKS),
    st.integers(1, N_CHUNKS + 3),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_layout_of_the_segments_does_not_show(
    layout: list[int], border: int, depth: int, weight: float
) -> None:
    """An updated index holds the chunks of a fresh one in other rows and segments: same order, same bits, ties too."""
    query = np.random.default_rng(99).standard_normal((5, 16)).astype(np.float32)
    fused = np.repeat(np.linspace(1, 0.5, N_CHUNKS // 2), 2).astype(np.float32)
    settings = Reranking(depth=depth, maxsim_weight=weight)
    fresh = rerank(
        fused,
        fused,
        np.arange(N_CHUNKS),
        query,
        TokenStore([laid_out(list(range(N_CHUNKS)))]),
        settings,
    )
    parts = [laid_out(layout[:border]), laid_out(layout[border:])]
    rows = np.argsort(layout).astype(np.int64)
    updated = rerank(fused, fused, rows, query, TokenStore(parts), settings)
    assert updated.order.tolist() == fresh.order.tolist()
    assert updated.scores.tobytes() == fresh.scores.tobytes()
    assert updated.maxsim.tobytes() == fresh.maxsim.tobytes()
    tied = np.flatnonzero(np.diff(fresh.scores) == 0)
    assert all(fresh.order[place] < fresh.order[place + 1] for place in tied)


def test_no_candidates_is_an_answer() -> None:
    nothing = np.zeros(0, np.float32)
    result = rerank(
        nothing,
        nothing,
        np.zeros(0, np.int64),
        np.ones((2, 16), np.float32),
        TokenStore([laid_out([0, 1])]),
        Reranking(),
    )
    assert len(result.order) == len(result.scores) == len(result.maxsim) == 0
