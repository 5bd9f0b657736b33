"""MaxSim over int8 rows: the kernels against NumPy bit for bit, both against the formula in float32."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp import compiled
from ragjp.index.tokens.store import PackedTokens, dequantise, quantise
from ragjp.rerank import maxsim_cpu
from ragjp.rerank.maxsim_cpu import (
    KERNELS,
    maxsim_int8,
    maxsim_int8_compiled,
    maxsim_int8_numpy,
    maxsim_reference,
    query_codes,
)
from ragjp.types import FloatArray

LENGTHS = st.lists(st.integers(0, 20), max_size=12)
WIDTHS = st.sampled_from([1, 2, 7, 64, 96, 97, 128, 384, 768])


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    loaded = compiled.load(KERNELS)
    if loaded is None:
        pytest.skip(compiled.why_not())
    return loaded


def rows_of(n_rows: int, width: int, seed: int) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal((n_rows, width)).astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def store_of(lengths: list[int], width: int, seed: int) -> PackedTokens:
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    return quantise(rows_of(int(offsets[-1]), width, seed), offsets)


@given(LENGTHS, st.integers(0, 70), WIDTHS, st.integers(0, 2**31))
def test_both_paths_give_the_same_bits_and_the_formula(
    kernels: ModuleType, lengths: list[int], n_query: int, width: int, seed: int
) -> None:
    """Documents of no token, fewer than a tile's, not a multiple of it; every rest of the query tokens; odd widths."""
    query, store = rows_of(n_query, width, seed + 1), store_of(lengths, width, seed)
    arguments = (query, store.codes, store.scales, store.offsets)
    plain = maxsim_int8_numpy(*arguments)
    assert plain.dtype == np.float32
    assert plain.tobytes() == maxsim_int8_compiled(kernels, *arguments).tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxsim_cpu, "_SHARE", 1)
        assert plain.tobytes() == maxsim_int8_compiled(kernels, *arguments, threads=3).tobytes()
    rows = dequantise(store)
    expected = maxsim_reference(query, rows, store.offsets)
    # Half a step of the query in each of a row's numbers, and the rounding of float32.
    _, steps = query_codes(query)
    size = np.abs(rows).sum(axis=1).max(initial=0.0)
    np.testing.assert_allclose(plain, expected, atol=steps.max(initial=0.0) / 2 * size + 2e-6)


def test_a_question_of_512_tokens_and_a_document_longer_than_a_block(kernels: ModuleType) -> None:
    """The NumPy path goes block by block and the kernel tile by tile: neither may lose a border."""
    query, store = rows_of(512, 64, 1), store_of([1, 5000, 0, 3], 64, 2)
    arguments = (query, store.codes, store.scales, store.offsets)
    plain = maxsim_int8_numpy(*arguments)
    assert plain.tobytes() == maxsim_int8_compiled(kernels, *arguments).tobytes()
    expected = maxsim_reference(query, dequantise(store), store.offsets)
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    assert plain[2] == 0.0 < plain[1]


@pytest.mark.parametrize("width", [1, 384, 768, 4096])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_greatest_sums_that_codes_allow_do_not_overflow(
    kernels: ModuleType, width: int, sign: int
) -> None:
    """All query numbers equal makes the codes' absolute sum as large as it gets; -128 is a code only a damaged file holds."""
    query = np.full((3, width), 1 / np.sqrt(width), dtype=np.float32)
    query[1, 1:] = 0
    query[2] *= -1
    asked, scales = query_codes(query)
    assert (np.abs(asked.astype(np.int64)).sum(axis=1) * 128 < 2**31).all()
    np.testing.assert_allclose(asked * scales[:, None], query, atol=scales.max() / 2)
    codes = np.full((9, width), sign * 127 - (sign < 0), dtype=np.int8)
    arguments = (query, codes, np.full(9, 1 / 128, np.float16), np.array([0, 9]))
    plain = maxsim_int8_numpy(*arguments)
    assert plain.tobytes() == maxsim_int8_compiled(kernels, *arguments).tobytes()
    expected = maxsim_reference(query, codes.astype(np.float32) / 128, np.array([0, 9]))
    np.testing.assert_allclose(plain, expected, rtol=1e-4)


@given(st.permutations(range(8)), st.integers(1, 8), st.integers(0, 2**31))
def test_a_score_does_not_know_the_other_candidates(
    kernels: ModuleType, order: list[int], kept: int, seed: int
) -> None:
    """Else an updated index, with its other neighbours in other rows, would not answer as a fresh one does."""
    lengths = [3, 0, 17, 8, 1, 9, 24, 5]
    query, store = rows_of(19, 96, seed + 1), store_of(lengths, 96, seed)
    spans = [np.arange(store.offsets[i], store.offsets[i + 1]) for i in order[:kept]]
    rows = np.concatenate(spans).astype(np.int64)
    offsets = np.cumsum([0, *(len(span) for span in spans)])
    for score in (
        maxsim_int8_numpy,
        lambda *arguments: maxsim_int8_compiled(kernels, *arguments),
    ):
        alone = score(query, store.codes, store.scales, store.offsets)
        among = score(query, store.codes[rows], store.scales[rows], offsets)
        assert among.tobytes() == alone[order[:kept]].tobytes()


def test_the_first_answers_come_from_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the gate: without kernels there is an answer, and it is the same."""
    query, store = rows_of(9, 48, 1), store_of([4, 9], 48, 2)
    arguments = (query, store.codes, store.scales, store.offsets)
    scores = maxsim_int8(*arguments)
    asked = []
    monkeypatch.setattr(compiled, "ready", asked.append)
    assert maxsim_int8(*arguments).tobytes() == scores.tobytes()
    assert asked == [KERNELS]


def test_a_query_of_zeros_and_read_only_rows(kernels: ModuleType) -> None:
    """Mapped files are read-only; a row of zeros has no scale to divide by."""
    store = store_of([3], 16, 0)
    for array in (store.codes, store.scales, store.offsets):
        array.flags.writeable = False
    scores = maxsim_int8_compiled(
        kernels, np.zeros((2, 16), np.float32), store.codes, store.scales, store.offsets
    )
    assert scores.tolist() == [0.0]
