"""MaxSim: the fast paths against the formula, and the int8 store against float."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragjp.config import Reranking
from ragjp.index.tokens.store import PackedTokens, TokenStore, dequantise, quantise
from ragjp.rerank.late_interaction import rerank
from ragjp.rerank.maxsim_cpu import maxsim, maxsim_int8, maxsim_reference
from ragjp.rerank.mmr_cpu import mmr_order

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=12)


def packed(lengths: list[int], seed: int = 0, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    tokens = rng.standard_normal((int(offsets[-1]), dim)).astype(np.float32)
    return tokens / np.maximum(np.linalg.norm(tokens, axis=1, keepdims=True), 1e-9), offsets


@given(LENGTHS, st.integers(0, 6), st.integers(0, 2**31))
def test_fast_paths_agree_with_the_formula(lengths: list[int], n_query: int, seed: int) -> None:
    """Empty documents first, last and in a row are where a segmented maximum goes wrong."""
    tokens, offsets = packed(lengths, seed)
    query, _ = packed([n_query], seed + 1)
    expected = maxsim_reference(query, tokens, offsets)
    np.testing.assert_allclose(maxsim(query, tokens, offsets), expected, atol=1e-5)
    store = quantise(tokens, offsets)
    np.testing.assert_allclose(
        maxsim_int8(query, store.codes, store.scales, store.offsets),
        maxsim_reference(query, dequantise(store), offsets),
        atol=1e-4,
    )


@given(LENGTHS, st.integers(0, 2**31))
def test_int8_rows_come_back_within_half_a_step(lengths: list[int], seed: int) -> None:
    tokens, offsets = packed(lengths, seed)
    store = quantise(tokens, offsets)
    step = store.scales.astype(np.float32)[:, None]
    assert (np.abs(dequantise(store) - tokens) <= 0.5 * step + 127 * step * 2**-11 + 1e-7).all()


def test_a_row_of_zeros_survives() -> None:
    store = quantise(np.zeros((2, 4), np.float32), np.array([0, 2]))
    np.testing.assert_array_equal(dequantise(store), np.zeros((2, 4)))


@given(st.lists(LENGTHS, min_size=1, max_size=4), st.randoms())
def test_a_store_over_segments_takes_the_right_rows(parts: list[list[int]], random: Random) -> None:
    """Guards the arithmetic from global rows to segments, empty documents at the borders included."""
    stores: list[PackedTokens] = []
    documents = []
    for seed, lengths in enumerate(parts):
        tokens, offsets = packed(lengths, seed)
        store = quantise(tokens, offsets)
        stores.append(store)
        documents += [store.codes[offsets[i] : offsets[i + 1]] for i in range(len(lengths))]
    rows = np.array([random.randrange(len(documents)) for _ in range(5)], dtype=np.int64)
    taken = TokenStore(stores).take(rows)
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(
            taken.codes[taken.offsets[place] : taken.offsets[place + 1]], documents[row]
        )


def test_reranking_orders_the_head_and_leaves_the_tail_below_it() -> None:
    tokens, offsets = packed([3, 3, 3, 3], seed=3)
    store = TokenStore([quantise(tokens, offsets)])
    query = tokens[offsets[1] : offsets[2]]
    fused = np.array([1.0, 0.9, 0.2, 0.1], dtype=np.float32)
    result = rerank(
        fused, fused, np.array([0, 1, 2, 3]), query, store, Reranking(depth=2, maxsim_weight=0.9)
    )
    assert result.order.tolist() == [1, 0, 2, 3]
    assert (np.diff(result.scores) <= 0).all()
    assert np.isnan(result.maxsim).tolist() == [False, False, True, True]


def test_mmr_at_one_is_relevance_and_below_it_avoids_the_double() -> None:
    relevance = np.array([1.0, 0.95, 0.5], dtype=np.float32)
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert mmr_order(relevance, vectors, 1.0, 3).tolist() == [0, 1, 2]
    assert mmr_order(relevance, vectors, 0.5, 2).tolist() == [0, 2]
