"""MaxSim's CUDA text, run lane by lane on the CPU by its own launcher, against the formulas in NumPy.

Guards against: fragments in another order than the tokens' lanes read them, rows of a neighbour in a document's maximum, a queue that
loses or repeats a candidate, a score that depends on the schedule, int8 scores that differ from the CPU's in a bit.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.index.tokens.store import dequantise, quantise
from ragjp.rerank.maxsim_cpu import maxsim_int8_numpy, query_codes
from ragjp.rerank.maxsim_gpu import MaxSim, Tuning
from ragjp.rerank.maxsim_layout import fragments_reference, query_places
from tests.kernels.host import HostToolkit, needs_compiler
from tests.kernels.maxsim_cases import LENGTHS, corpus, in_float64, rounded, weighted

pytestmark = needs_compiler


@pytest.mark.parametrize("width", [32, 64, 96, 128, 160, 384])
@pytest.mark.parametrize("int8", [False, True])
def test_a_query_lies_as_the_lanes_read_rows(width: int, int8: bool) -> None:
    rng = np.random.default_rng(width)
    queries = [weighted(rng, n_tokens, width) for n_tokens in (5, 32, 41)]
    made = MaxSim(HostToolkit()).prepare(queries, int8=int8)
    n_planes = 2 if int8 else 1
    found = made.fragments.reshape(4, n_planes, -1)
    sources, _ = query_places([5, 32, 41])
    joined = np.concatenate(queries)
    if int8:
        codes, scales = query_codes(joined)
        values = codes.astype(np.int64)
        planes = np.stack([(values >> 8) & 255, values & 255]).astype(np.uint8)
    else:
        scales = 2.0 ** np.floor(np.log2(np.maximum(np.abs(joined).max(axis=1), 1e-30)) + 1)
        scales[np.abs(joined).max(axis=1) == 0] = 0
        halves = (joined / np.where(scales > 0, scales, np.inf)[:, None]).astype(np.float16)
        halves[scales == 0] = 0  # not minus 0
        planes = halves.view(np.uint8).reshape(1, len(joined), -1)
    for place, source in enumerate(sources.tolist()):
        assert made.scales[place] == (scales[source] if source >= 0 else 0.0)
    for block in range(4):
        chosen = sources[32 * block : 32 * block + 32]
        for plane in range(n_planes):
            rows = np.where((chosen >= 0)[:, None], planes[plane][np.maximum(chosen, 0)], 0)
            wanted = fragments_reference(rows.astype(np.uint8))
            np.testing.assert_array_equal(found[block, plane], wanted.ravel())


@settings(max_examples=40, deadline=None)
@given(
    width=st.sampled_from([64, 96, 128, 384]),
    n_tokens=st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 64, 70]),
    lengths=st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=6),
    seed=st.integers(0, 2**31),
)
def test_scores_agree_with_the_formulas(
    width: int, n_tokens: int, lengths: list[int], seed: int
) -> None:
    """float16 within a share of 1e-3 of float64, int8 to the last bit."""
    rng = np.random.default_rng(seed)
    rows, offsets = corpus(rng, width, lengths)
    query = weighted(rng, n_tokens, width)
    scorer = MaxSim(HostToolkit(multiprocessors=1, seed=seed % 1000))

    halves = rows.astype(np.float16)
    found = scorer.maxsim(query, rows, offsets)
    wanted, sizes = in_float64(rounded(query), halves, offsets)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-6 * sizes + 1e-30)
    wanted, sizes = in_float64(query, rows, offsets)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-3 * sizes + 1e-30)

    packed = quantise(rows, offsets)
    found = scorer.maxsim_int8(query, packed.codes, packed.scales, packed.offsets)
    np.testing.assert_array_equal(
        found, maxsim_int8_numpy(query, packed.codes, packed.scales, packed.offsets)
    )
    wanted, sizes = in_float64(query, dequantise(packed), offsets)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-4 * sizes + 1e-30)


@pytest.mark.parametrize("int8", [False, True])
def test_candidates_queries_and_masks(int8: bool) -> None:
    """Several queries at once, candidates in any order, repeated and unknown ones, rows that do not count, a count on the device."""
    rng = np.random.default_rng(5)
    rows, offsets = corpus(rng, 64, [int(rng.choice(LENGTHS)) for _ in range(30)])
    mask = rng.random(len(rows)) < 0.6
    mask[offsets[3] : offsets[4]] = False
    toolkit = HostToolkit(multiprocessors=2)
    scorer, xp = MaxSim(toolkit), toolkit.xp
    packed = quantise(rows, offsets)
    scales = packed.scales if int8 else None
    tokens = scorer.upload(packed.codes if int8 else rows.astype(np.float16), offsets, scales, mask)
    queries = [weighted(rng, n_tokens, 64) for n_tokens in (3, 40, 32)]
    candidates = rng.integers(0, 30, 50).astype(np.int32)
    candidates[[7, 11]] = -1, 30
    candidates[12] = 3
    owners = np.sort(rng.integers(0, 3, 50)).astype(np.int32)
    scores = xp.zeros(50, np.float32)
    scores[:] = 77
    scorer.score(
        scorer.prepare(queries, int8=int8),
        tokens,
        xp.asarray(candidates),
        scores,
        owners=xp.asarray(owners),
        count=xp.asarray(np.array([48], np.int32)),
    )
    for place in range(50):
        number, query = int(candidates[place]), queries[owners[place]]
        if place >= 48:
            assert scores[place] == 77
        elif not 0 <= number < 30:
            assert scores[place] == -np.inf
        else:
            span = slice(int(offsets[number]), int(offsets[number + 1]))
            kept = np.flatnonzero(mask[span]) + span.start
            ends = np.array([0, len(kept)], dtype=np.int64)
            if int8:
                alone = maxsim_int8_numpy(query, packed.codes[kept], packed.scales[kept], ends)
                assert scores[place] == alone[0]
            else:
                wanted, sizes = in_float64(query, rows[kept], ends)
                assert abs(scores[place] - wanted[0]) <= 1e-3 * sizes[0]
    assert scores[12] == 0


def test_the_schedule_changes_nothing_and_the_queue_is_left_as_found() -> None:
    """A scorer is used again and again, as a captured graph is; blocks and lanes run in other orders each time."""
    rng = np.random.default_rng(6)
    rows, offsets = corpus(rng, 128, [int(rng.choice(LENGTHS)) for _ in range(40)])
    query = weighted(rng, 20, 128)
    seen = set()
    for multiprocessors in (1, 3, 64):
        scorer = MaxSim(HostToolkit(multiprocessors, seed=multiprocessors))
        for _ in range(3):
            seen.add(scorer.maxsim(query, rows, offsets).tobytes())
            assert not scorer._queue.any()
    assert len(seen) == 1


@pytest.mark.parametrize(
    "cut", [Tuning(0, 1, 4), Tuning(1, 2, 4), Tuning(1, 4, 3), Tuning(0, 4, 3)]
)
@pytest.mark.parametrize("int8", [False, True])
def test_every_cut_gives_the_same(cut: Tuning, int8: bool) -> None:
    """What ``make bench-gpu`` tries instead of the chosen cut."""
    rng = np.random.default_rng(7)
    rows, offsets = corpus(rng, 128, [180, 0, 9, 33, 1, 64])
    query = weighted(rng, 32, 128)
    toolkit = HostToolkit()
    scorer, xp = MaxSim(toolkit), toolkit.xp
    packed = quantise(rows, offsets)
    tokens = (
        scorer.upload_packed(packed) if int8 else scorer.upload(rows.astype(np.float16), offsets)
    )
    prepared = scorer.prepare([query], int8=int8)
    numbers, first, second = xp.arange(6, dtype=np.int32), *(xp.empty(6, np.float32) for _ in "ab")
    scorer.score(prepared, tokens, numbers, first)
    scorer.score(prepared, tokens, numbers, second, cut=cut)
    if int8:
        np.testing.assert_array_equal(first, second)
    else:
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [96, 128])
def test_turing_makes_its_products_of_smaller_ones(width: int) -> None:
    """The branch of the text for sm_75, which no other test here runs."""
    rng = np.random.default_rng(8)
    rows, offsets = corpus(rng, width, [180, 0, 9, 33, 1])
    query = weighted(rng, 32, width)
    scorer = MaxSim(HostToolkit(architecture=75))
    wanted, sizes = in_float64(rounded(query), rows.astype(np.float16), offsets)
    found = scorer.maxsim(query, rows, offsets)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-6 * sizes + 1e-30)
    packed = quantise(rows, offsets)
    given = (query, packed.codes, packed.scales, packed.offsets)
    np.testing.assert_array_equal(scorer.maxsim_int8(*given), maxsim_int8_numpy(*given))


def test_nothing_to_score() -> None:
    scorer = MaxSim(HostToolkit())
    none = np.zeros((0, 64), np.float32)
    query, ends = np.ones((3, 64), np.float32), np.zeros(4, np.int64)
    assert scorer.maxsim(query, none, ends).tolist() == [0, 0, 0]
    assert scorer.maxsim(none, np.ones((2, 64), np.float32), np.array([0, 2])).tolist() == [0]
    assert scorer.maxsim(query, none, ends[:1]).tolist() == []


def test_what_does_not_fit_is_refused() -> None:
    toolkit = HostToolkit()
    scorer, xp = MaxSim(toolkit), toolkit.xp
    rows, ends = np.ones((5, 64), np.float16), np.array([0, 2, 5])
    with pytest.raises(ValueError, match="do not go from 0 to the 5 rows"):
        scorer.upload(rows, ends[:2])
    with pytest.raises(ValueError, match="offsets fall"):
        scorer.upload(rows, np.array([0, 3, 2, 5]))
    with pytest.raises(ValueError, match="tokens of 40 numbers"):
        scorer.upload(np.ones((5, 40), np.float16), ends)
    with pytest.raises(TypeError, match="rows is float32, not float16"):
        scorer.upload(rows.astype(np.float32), ends)
    with pytest.raises(ValueError, match=r"scales has the shape \(4,\), not \(5\)"):
        scorer.upload(rows.astype(np.int8), ends, np.ones(4, np.float16))
    with pytest.raises(ValueError, match=r"mask has the shape"):
        scorer.upload(rows, ends, mask=np.ones(4, np.bool_))
    with pytest.raises(ValueError, match="different widths"):
        scorer.prepare([np.ones((2, 64)), np.ones((2, 96))], int8=False)
    with pytest.raises(ValueError, match="queries have the shapes"):
        scorer.prepare([np.ones((0, 64))], int8=False)
    tokens = scorer.upload(rows, ends)
    numbers, scores = xp.arange(2, dtype=np.int32), xp.empty(2, np.float32)
    with pytest.raises(ValueError, match="queries for int8 rows of 64 meet float16 rows of 64"):
        scorer.score(scorer.prepare([np.ones((1, 64))], int8=True), tokens, numbers, scores)
    prepared = scorer.prepare([np.ones((1, 64))], int8=False)
    with pytest.raises(TypeError, match="candidates is int64"):
        scorer.score(prepared, tokens, xp.arange(2, dtype=np.int64), scores)
    with pytest.raises(ValueError, match="scores has the shape"):
        scorer.score(prepared, tokens, numbers, xp.empty(3, np.float32))
