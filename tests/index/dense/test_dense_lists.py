"""Lists: what is asked of them is recall over exact search; that views stay closed, counts full and scores exact; and that nothing needs them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.dense import derived
from ragjp.index.dense.codes import encode, mean_vector
from ragjp.index.dense.derived import ensure_derived, open_derived
from ragjp.index.dense.lists import Lists, dense_setting, lists_from, make_lists, rows_to_see
from ragjp.index.dense.oracle import NumpyFlat
from ragjp.index.dense.search import DenseIndex
from ragjp.index.storage.segments import Segment, map_array, write_segment
from ragjp.types import FloatArray

KERNELS = "ragjp.index.dense.kernels"
N_ROWS, WIDTH = 60_000, 48


@pytest.fixture(params=["numpy", "numba"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels: ModuleType | None = None
    if request.param == "numba":
        kernels = compiled.load(KERNELS)
        if kernels is None:
            pytest.skip(compiled.why_not())
    monkeypatch.setattr(compiled, "ready", lambda module: kernels)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def corpus() -> tuple[NDArray[np.float16], FloatArray, NDArray[np.int64]]:
    """Rows like an encoder's: most of their length shared, each between two themes, of which the nearer is its topic; and queries."""
    rng = np.random.default_rng(11)
    shared = rng.standard_normal(WIDTH) * 2
    topics = rng.standard_normal((40, WIDTH))
    themes = topics[rng.integers(0, 40, 800)] + 0.6 * rng.standard_normal((800, WIDTH))
    theme = rng.integers(0, 800, N_ROWS)
    weight = rng.uniform(0.5, 0.9, (N_ROWS, 1))
    mixed = weight * themes[theme] + (1 - weight) * themes[rng.integers(0, 800, N_ROWS)]
    rows = unit(shared + mixed + 0.25 * rng.standard_normal((N_ROWS, WIDTH)))
    queries = unit(rows[rng.integers(0, N_ROWS, 40)] + 0.1 * rng.standard_normal((40, WIDTH)))
    return rows.astype(np.float16), queries.astype(np.float32), theme


@pytest.fixture(scope="module")
def listed(corpus: tuple[NDArray[np.float16], FloatArray, NDArray[np.int64]]) -> DenseIndex:
    pytest.importorskip("faiss", reason="faiss is not installed")
    rows = corpus[0]
    return DenseIndex([rows], [encode(rows, make_lists(rows, mean_vector(rows)))])


def some_lists(rows: NDArray[np.float16], count: int, rng: np.random.Generator) -> Lists:
    """Any grouping will do where only exactness is at stake: random centroids, empty lists among them."""
    owners = rng.integers(0, count, len(rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))])
    centroids = rng.standard_normal((count, rows.shape[1])).astype(np.float32)
    order = np.argsort(owners, kind="stable").astype(np.int32)
    return Lists(order, offsets.astype(np.int64), centroids)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("by_topic", [False, True])
def test_recall_in_every_view(
    corpus: tuple[NDArray[np.float16], FloatArray, NDArray[np.int64]],
    listed: DenseIndex,
    k: int,
    share: float,
    by_topic: bool,
) -> None:
    """Too few lists, or a fixed number of them under a view, would lose hits that the exact search has."""
    rows, queries, theme = corpus
    rng = np.random.default_rng(3)
    allowed = rng.random(800)[theme] < share if by_topic else rng.random(N_ROWS) < share
    oracle = NumpyFlat(rows)
    recall = []
    for query in queries:
        expected, expected_scores = oracle.search(query, allowed, k)
        found, scores = listed.search(query, allowed, k, lists_from=40_000)
        assert allowed[found].all()
        assert len(found) >= min(k, int(allowed.sum()))
        np.testing.assert_array_equal(scores, listed.scores(query, found))
        assert (scores[:k] <= expected_scores[:k]).all()
        recall.append(np.isin(expected[:k], found).mean())
    assert np.mean(recall) >= 0.95
    is_exact = rows_to_see(int(allowed.sum()), k) is None
    # Else the test would say nothing of lists.
    assert is_exact == (share <= 0.2 or (share == 0.6 and k == 100))
    if is_exact:
        assert np.mean(recall) == 1.0


@pytest.mark.usefixtures("path")
def test_lists_read_a_part_of_the_rows(
    corpus: tuple[NDArray[np.float16], FloatArray, NDArray[np.int64]], listed: DenseIndex
) -> None:
    """A search that quietly read all would pass every test of recall: some far row must be missed, and only when asked for."""
    rows, queries, _ = corpus
    allowed = np.ones(N_ROWS, bool)
    wanted = rows_to_see(N_ROWS, 40)
    assert wanted is not None
    far = [listed.search(-query, allowed, 40)[0] for query in queries]
    opposite = [listed.search(-query, allowed, 40, lists_from=40_000)[0] for query in queries]
    assert any(set(a) != set(b) for a, b in zip(far, opposite, strict=True))
    for query in queries[:10]:
        for lists_from_rows in (None, N_ROWS + 1):
            found = listed.search(query, allowed, 40, lists_from=lists_from_rows)
            for one, other in zip(found, NumpyFlat(rows).search(query, allowed, 40), strict=True):
                np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 3000),
    count=st.integers(1, 60),
    k=st.integers(1, 70),
    share=st.sampled_from([0.02, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_the_kernels_read_what_the_reference_reads(
    n: int, count: int, k: int, share: float, seed: int
) -> None:
    """Same lists, same end, same ids and scores; and with every list read, those of the exact search."""
    kernels = compiled.load(KERNELS)
    if kernels is None:
        pytest.skip(compiled.why_not())
    rng = np.random.default_rng(seed)
    rows = unit(rng.standard_normal((n, 16)) + 0.5).astype(np.float16)
    rows[rng.random(n) < 0.1] = rows[0]
    query = unit(rng.standard_normal((1, 16)))[0].astype(np.float32)
    allowed = rng.random(n) < share
    parts = np.split(rows, [n // 3])
    index = DenseIndex(
        parts, [encode(part, some_lists(part, count, rng)) if len(part) else None for part in parts]
    )
    with pytest.MonkeyPatch.context() as patch:
        # A small segment would be searched exactly.
        patch.setattr("ragjp.index.dense.lists._ROWS_PER_ROOT", 1.0)
        patch.setattr("ragjp.index.dense.lists._LEAST_K", 1)
        patch.setattr(compiled, "ready", lambda module: None)
        reference = index.search(query, allowed, k, lists_from=0)
        patch.setattr(compiled, "ready", lambda module: kernels)
        compiled_result = index.search(query, allowed, k, lists_from=0)
        exact = index.search(query, allowed, k)
    for one, other in zip(compiled_result, reference, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(reference[0]) >= min(k, int(allowed.sum()))
    for one, other in zip(exact, NumpyFlat(rows).search(query, allowed, k), strict=True):
        np.testing.assert_array_equal(one, other)


def test_segments_without_lists_are_merged_in(listed: DenseIndex) -> None:
    """What was added after the lists were made must be found among what they hold."""
    rng = np.random.default_rng(5)
    old = np.asarray(listed._parts[0])
    new = unit(rng.standard_normal((30, WIDTH))).astype(np.float16)
    index = DenseIndex([old, new], [listed._codes[0], None])
    compiled.load(KERNELS)
    for number in range(30):
        query = new[number].astype(np.float32)
        found, _ = index.search(query, np.ones(len(old) + 30, bool), 10, lists_from=40_000)
        assert found[0] == len(old) + number


def test_why_names_the_lists(listed: DenseIndex) -> None:
    assert "近似" in listed.why
    assert "近似" not in DenseIndex(listed._parts).why


@given(n_allowed=st.integers(0, 10**8), k=st.integers(1, 5000))
def test_enough_rows_are_always_seen(n_allowed: int, k: int) -> None:
    """Fewer than k seen would be fewer than k returned."""
    wanted = rows_to_see(n_allowed, k)
    assert wanted is None or k <= wanted < n_allowed


def test_a_recipe_that_cannot_be_read_is_no_error() -> None:
    assert dense_setting('{"retrieval": {"dense": "approximate"}}') == "approximate"
    for text in ("", "[]", "{}", '{"retrieval": {"dense": "x"}}', '{"retrieval": {"dense": []}}'):
        assert dense_setting(text) == "auto"


# ------------------------------------------------------------------------------------------------ files


@pytest.fixture
def one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[Segment], list[NDArray[np.float16]]]:
    pytest.importorskip("faiss", reason="faiss is not installed")
    monkeypatch.setattr("ragjp.index.dense.lists.MIN_ROWS", 100)
    monkeypatch.setattr(derived, "MIN_ROWS", 100)
    rows = unit(np.random.default_rng(0).standard_normal((150, 10)) + 1).astype(np.float16)
    records = write_segment(tmp_path, "00000001", {"vectors": rows})
    segment = Segment(1, "00000001", len(rows), 0, records)
    file = tmp_path / "segments" / "00000001" / "vectors.npy"
    assert len(ensure_derived(tmp_path, [segment], "approximate").built) == 1
    return tmp_path, [segment], [map_array(file, records[0].n_bytes)]


def kinds(index: Path) -> list[str]:
    return sorted(path.suffix for path in (index / "derived").iterdir())


def test_the_setting_decides_which_file_there_is(
    one: tuple[Path, list[Segment], list[NDArray[np.float16]]],
) -> None:
    """One of the two, never both: half a gigabyte per million rows. And lists must come back as they were made."""
    index, segments, vectors = one
    assert kinds(index) == [".json", ".lists"]
    assert ensure_derived(index, segments, "approximate") == derived.Ensured((), ())
    codes = open_derived(index, segments, vectors).codes[0]
    assert codes is not None
    assert codes.lists is not None
    made = make_lists(vectors[0], mean_vector(vectors[0]))
    np.testing.assert_array_equal(codes.lists.order, made.order)
    np.testing.assert_array_equal(codes.lists.offsets, made.offsets)
    np.testing.assert_array_equal(codes.lists.centroids, made.centroids)
    np.testing.assert_array_equal(codes.records, encode(vectors[0], made).records)
    for setting in ("auto", "exact"):
        ensure_derived(index, segments, setting)
        assert kinds(index) == [".codes", ".json"]
        found = open_derived(index, segments, vectors)
        assert not found.problems
        assert found.codes[0] is not None
        assert found.codes[0].lists is None
    assert lists_from("exact") > 10**12


def test_no_mutated_file_is_used(
    one: tuple[Path, list[Segment], list[NDArray[np.float16]]],
) -> None:
    """A changed row number would send the kernel out of the array: every change is refused, and the answer is exact."""
    index, segments, vectors = one
    path = next((index / "derived").glob("*.lists"))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    query, allowed = vectors[0][7].astype(np.float32), np.ones(150, bool)
    compiled.load(KERNELS)
    expected = NumpyFlat(vectors[0]).search(query, allowed, 9)
    for case in range(250):
        place, changed = int(rng.integers(len(data))), bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        cut = (bytes(changed), data[:place], data + b"0")[case % 3]
        path.write_bytes(cut)
        found = open_derived(index, segments, vectors)
        assert found.codes == (None,)
        assert [problem.code for problem in found.problems] == ["derived_damaged"]
        index_without = DenseIndex(vectors, found.codes, found.note)
        for got, right in zip(
            index_without.search(query, allowed, 9, lists_from=0), expected, strict=True
        ):
            np.testing.assert_array_equal(got, right)
    assert len(ensure_derived(index, segments, "approximate").built) == 1
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lists: lists.order.__setitem__(0, 150),
        lambda lists: lists.order.__setitem__(0, -1),
        lambda lists: lists.order.__setitem__(0, lists.order[1]),
        lambda lists: lists.offsets.__setitem__(1, 151),
        lambda lists: lists.offsets.__setitem__(0, 1),
        lambda lists: lists.offsets.__setitem__(-1, 149),
    ],
)
def test_lists_that_do_not_hold_every_row_once_are_unsound(
    spoil: Callable[[Lists], None],
) -> None:
    """A checksum says who wrote the file, not that what was written is right."""
    rng = np.random.default_rng(1)
    lists = some_lists(np.zeros((150, 4), np.float16), 12, rng)
    assert lists.is_sound()
    spoil(lists)
    assert not lists.is_sound()


def test_without_faiss_there_are_codes_and_a_sentence(
    one: tuple[Path, list[Segment], list[NDArray[np.float16]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation without faiss must still index, and search exactly."""
    index, segments, vectors = one
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "faiss" else find(name)
    )
    result = ensure_derived(index, segments, "approximate")
    assert [problem.code for problem in result.problems] == ["lists_unbuilt"]
    assert "faiss" in result.problems[0].sentence
    assert kinds(index) == [".codes", ".json"]
    assert open_derived(index, segments, vectors).codes[0] is not None
