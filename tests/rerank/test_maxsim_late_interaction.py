"""The second order over stored tokens: the same answer wherever the rows lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragjp.config import Reranking
from ragjp.index.tokens.store import PackedTokens, TokenStore, dequantise, quantise
from ragjp.rerank.late_interaction import PAGE_CHARS, page_keys, rerank
from ragjp.rerank.maxsim_cpu import maxsim_reference
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
    st.lists(st.integers(0, 4), min_size=N_CHUNKS, max_size=N_CHUNKS),
)
def test_the_layout_of_the_segments_does_not_show(
    layout: list[int], border: int, depth: int, weight: float, pages_of: list[int]
) -> None:
    """An updated index holds the chunks of a fresh one in other rows and segments: same order, same bits, ties too."""
    query = np.random.default_rng(99).standard_normal((5, 16)).astype(np.float32)
    fused = np.repeat(np.linspace(1, 0.5, N_CHUNKS // 2), 2).astype(np.float32)
    settings = Reranking(depth=depth, maxsim_weight=weight)
    pages = np.array(pages_of)
    fresh = rerank(
        fused,
        fused,
        np.arange(N_CHUNKS),
        query,
        TokenStore([laid_out(list(range(N_CHUNKS)))]),
        settings,
        pages,
    )
    parts = [laid_out(layout[:border]), laid_out(layout[border:])]
    rows = np.argsort(layout).astype(np.int64)
    updated = rerank(fused, fused, rows, query, TokenStore(parts), settings, pages)
    assert updated.order.tolist() == fresh.order.tolist()
    assert updated.scores.tobytes() == fresh.scores.tobytes()
    assert updated.maxsim.tobytes() == fresh.maxsim.tobytes()
    assert updated.late.tobytes() == fresh.late.tobytes()
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


def test_a_page_is_compared_as_if_it_were_one_chunk() -> None:
    """Guards against a page's MaxSim over other chunks than the reranked candidates on it, or mixed in another share."""
    query = np.random.default_rng(5).standard_normal((5, 16)).astype(np.float32)
    packed = laid_out(list(range(N_CHUNKS)))
    fused = np.linspace(1, 0.5, N_CHUNKS).astype(np.float32)
    pages = np.array([0, 1, 0, 2, 1, 0, 3, 0, 1, 2, 0, 4])
    settings = Reranking(depth=9, page_share=0.25)
    found = rerank(fused, fused, np.arange(N_CHUNKS), query, TokenStore([packed]), settings, pages)
    tokens = dequantise(packed)
    for place in range(9):
        joint = [
            tokens[packed.offsets[other] : packed.offsets[other + 1]]
            for other in range(9)
            if pages[other] == pages[place]
        ]
        together = np.concatenate(joint)
        page = maxsim_reference(query, together, np.array([0, len(together)]))[0]
        assert abs(found.late[place] - (0.75 * found.maxsim[place] + 0.25 * page)) < 1e-4
    assert np.isnan(found.late[9:]).all()
    alone = rerank(fused, fused, np.arange(N_CHUNKS), query, TokenStore([packed]), settings)
    assert alone.late.tobytes() == alone.maxsim.tobytes()


def test_a_long_page_is_several_and_pages_of_two_documents_are_two() -> None:
    """Guards against a book in one text file that is near to any question because of its length."""
    places = np.array(
        [[7, 1, 0], [7, 1, PAGE_CHARS - 1], [7, 1, PAGE_CHARS], [7, 2, 0], [8, 1, 0], [7, 1, 5]]
    )
    assert page_keys(places).tolist() == [0, 0, 1, 2, 3, 0]
