"""The engine of dense search against its oracle: ids and scores bit for bit, whatever the path, the view and the segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.dense.codes import HALF_TO_DOUBLE, encode, record_bytes, widened
from ragjp.index.dense.oracle import NumpyFlat
from ragjp.index.dense.search import DenseIndex
from ragjp.types import FloatArray

KERNELS = "ragjp.index.dense.kernels"
Parts = Sequence[NDArray[np.float16]]


def numpy_path(parts: Parts) -> DenseIndex:
    return DenseIndex(parts)


def halves(parts: Parts) -> DenseIndex:
    return DenseIndex(parts)


def codes(parts: Parts) -> DenseIndex:
    return DenseIndex(parts, [encode(part) for part in parts])


def mixed(parts: Parts) -> DenseIndex:
    """Codes for every second segment, as after an update."""
    return DenseIndex(
        parts, [None if number % 2 else encode(part) for number, part in enumerate(parts)]
    )


PATHS: list[Callable[[Parts], DenseIndex]] = [numpy_path, halves, codes, mixed]


@pytest.fixture(params=PATHS, ids=lambda path: path.__name__)
def make(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Parts], DenseIndex]:
    """Each path in turn; the compiled ones are made to be there, the NumPy one to be alone."""
    kernels: ModuleType | None = None
    if request.param is not numpy_path:
        kernels = compiled.load(KERNELS)
        if kernels is None:
            pytest.skip(compiled.why_not())
    monkeypatch.setattr(compiled, "ready", lambda module: kernels)
    return request.param  # type: ignore[no-any-return]


def unit_rows(rng: np.random.Generator, n: int, width: int) -> NDArray[np.float16]:
    """Rows that share most of their length, as those of a text encoder do; some of them twice, some zero."""
    rows = rng.standard_normal((n, width)) * rng.choice([0.05, 0.3, 1.0])
    rows += rng.standard_normal(width)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = rows.astype(np.float16)
    found[rng.random(n) < 0.2] = found[0]
    found[rng.random(n) < 0.05] = 0
    return found


def unit_query(rng: np.random.Generator, width: int) -> FloatArray:
    query = rng.standard_normal(width)
    return (query / np.linalg.norm(query)).astype(np.float32)


def split(rows: NDArray[np.float16], rng: np.random.Generator) -> list[NDArray[np.float16]]:
    cuts = np.sort(rng.integers(0, len(rows) + 1, rng.integers(0, 4)))
    return np.split(rows, cuts)


@settings(deadline=None, max_examples=150)
@example(n=700, width=5, k=700, share=1.0, seed=3)
@given(
    n=st.integers(1, 700),
    width=st.sampled_from([1, 3, 8, 33, 384]),
    k=st.integers(0, 60),
    share=st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.6, 1.0]),
    seed=st.integers(0, 2**31),
)
def _agrees_with_the_oracle(
    make: Callable[[Parts], DenseIndex], n: int, width: int, k: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = unit_rows(rng, n, width)
    query = unit_query(rng, width)
    allowed, mask = rng.random(n) < share, rng.random(n) < 0.7
    index = make(split(rows, rng))
    for kept in (None, mask):
        expected_rows, expected_scores = NumpyFlat(rows).search(query, allowed, k, kept)
        found_rows, found_scores = index.search(query, allowed, k, kept)
        np.testing.assert_array_equal(found_rows, expected_rows)
        np.testing.assert_array_equal(found_scores, expected_scores)
        usable = allowed if kept is None else allowed & kept
        assert len(found_rows) >= min(k, int(usable.sum()))
        assert usable[found_rows].all()


def test_every_path_returns_what_the_oracle_returns(make: Callable[[Parts], DenseIndex]) -> None:
    """A row dropped by a bound, a view applied late, a score that depends on the segment: any of them differs somewhere."""
    _agrees_with_the_oracle(make)


def test_a_score_depends_on_nothing_but_the_row(make: Callable[[Parts], DenseIndex]) -> None:
    """An updated index must answer as a fresh one does: a blocked product gives a row other last bits in another place."""
    rng = np.random.default_rng(0)
    rows = unit_rows(rng, 900, 384)
    query = unit_query(rng, 384)
    whole = make([rows]).scores(query, np.arange(900))
    order = rng.permutation(900)
    index = make(np.split(rows[order], [1, 130, 500]))
    np.testing.assert_array_equal(index.scores(query, np.arange(900)), whole[order])
    found, scores = index.search(query, rng.random(900) < 0.3, 50)
    np.testing.assert_array_equal(scores, whole[order][found])
    np.testing.assert_allclose(whole, rows.astype(np.float64) @ query, atol=2e-7)


def test_all_rows_tied_with_the_last_come_back(make: Callable[[Parts], DenseIndex]) -> None:
    """The caller breaks ties by chunk id: it must see them all, more than the buffer holds, over every segment."""
    row = np.array([[0.6, 0.8]], np.float16)
    better = np.array([[1.0, 0.0]], np.float16)
    rows = np.concatenate([np.tile(row, (9000, 1)), better, np.tile(row, (300, 1))])
    allowed = np.ones(len(rows), bool)
    allowed[0] = False
    found, scores = make(np.split(rows, [4000, 9100])).search(
        np.array([1, 0], np.float32), allowed, 5
    )
    assert found.tolist() == [9000, *range(1, 9000), *range(9001, 9301)]
    assert len(set(scores[1:].tolist())) == 1


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("by_document", [False, True])
def test_a_view_finds_all_that_it_may_see(
    make: Callable[[Parts], DenseIndex], share: float, by_document: bool
) -> None:
    """A filter after the search would lack hits in a small view: here the recall is 1 and the count is k."""
    rng = np.random.default_rng(4)
    rows = unit_rows(rng, 3000, 32)
    allowed = (
        np.repeat(rng.random(60) < share, 50) | (np.arange(3000) < 20)
        if by_document
        else rng.random(3000) < share
    )
    index = make(np.split(rows, [1000]))
    alone = make([rows[allowed]])
    for _ in range(10):
        query = unit_query(rng, 32)
        found, scores = index.search(query, allowed, 10)
        assert len(found) >= 10
        visible, visible_scores = alone.search(query, np.ones(int(allowed.sum()), bool), 10)
        np.testing.assert_array_equal(found, np.flatnonzero(allowed)[visible])
        np.testing.assert_array_equal(scores, visible_scores)


def test_nothing_is_found_where_nothing_is(make: Callable[[Parts], DenseIndex]) -> None:
    query = np.eye(4, dtype=np.float32)[0]
    for parts in ([], [np.empty((0, 4), np.float16)], [np.eye(4, dtype=np.float16)]):
        n = sum(map(len, parts))
        rows, scores = make(parts).search(query, np.zeros(n, bool), 3)
        assert len(rows) == len(scores) == 0


def test_a_row_that_is_not_there_is_refused(make: Callable[[Parts], DenseIndex]) -> None:
    """A compiled kernel would read whatever lies behind the array."""
    index = make([np.eye(4, dtype=np.float16)])
    for row in (-1, 4):
        with pytest.raises(IndexError):
            index.scores(np.eye(4, dtype=np.float32)[0], np.array([row]))


def test_a_query_of_another_width_is_refused(make: Callable[[Parts], DenseIndex]) -> None:
    index = make([np.eye(4, dtype=np.float16)])
    with pytest.raises(ValueError, match="5"):
        index.search(np.ones(5, np.float32), np.ones(4, bool), 1)
    with pytest.raises(ValueError, match="3"):
        index.search(np.ones(4, np.float32), np.ones(3, bool), 1)


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([1, 2, 7, 64, 384]), st.integers(0, 2**31))
def test_the_bound_of_a_code_holds(n: int, width: int, seed: int) -> None:
    """The proof's premise: no row scores outside of what its code says; and the bound is tight enough to be of use."""
    rng = np.random.default_rng(seed)
    rows = unit_rows(rng, n, width)
    coded = encode(rows)
    assert coded.records.shape == (n, record_bytes(width))
    query = unit_query(rng, width).astype(np.float64)
    coarse, (step, offset, length, slack) = coded.draft(query)
    dots = coded.records[:, :width].astype(np.int64) @ coarse.astype(np.int64)
    assert np.abs(dots).max() < 2**31
    middle = dots * (step * coded.tails[:, -2].astype(np.float64)) + offset
    error = length * coded.tails[:, -1].astype(np.float64) + slack
    assert (np.abs(rows.astype(np.float64) @ query - middle) <= error).all()
    assert (error < 0.06).all()


@given(st.integers(0, 0x7BFF))
def test_every_finite_half_is_widened_exactly(bits: int) -> None:
    half = np.array([[bits, bits | 0x8000]], np.uint16).view(np.float16)
    np.testing.assert_array_equal(widened(half) * HALF_TO_DOUBLE, half.astype(np.float64))


def test_faiss_finds_the_same(make: Callable[[Parts], DenseIndex]) -> None:
    """Somebody else's exact search: an error that the oracle shared with the engine would show."""
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((2000, 64))
    halved = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    peer = faiss.IndexFlatIP(64)
    peer.add(halved.astype(np.float32))
    query = unit_query(rng, 64)
    scores, ids = peer.search(query[None], 20)
    found, found_scores = make([halved]).search(query, np.ones(2000, bool), 20)
    np.testing.assert_array_equal(found, ids[0])
    np.testing.assert_allclose(found_scores, scores[0], atol=1e-6)


def test_a_large_index_waits_for_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer over a million rows would take NumPy seconds, and the kernels load in half of one."""
    if compiled.load(KERNELS) is None:
        pytest.skip(compiled.why_not())
    waited = []
    load = compiled.load
    monkeypatch.setattr(compiled, "ready", lambda module: None)
    monkeypatch.setattr(compiled, "load", lambda module: waited.append(module) or load(module))
    index = DenseIndex([np.eye(4, dtype=np.float16)])
    query = np.eye(4, dtype=np.float32)[2]
    assert index.search(query, np.ones(4, bool), 1)[0].tolist() == [2]
    assert not waited
    monkeypatch.setattr("ragjp.index.dense.search._WORTH_WAITING_ROWS", 3)
    assert index.search(query, np.ones(4, bool), 1)[0].tolist() == [2]
    assert waited == [KERNELS]
