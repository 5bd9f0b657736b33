"""FAISS against the NumPy oracle, under views, with ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.index.dense_cpu import DenseSearch, FaissFlat, NumpyFlat

pytest.importorskip("faiss", reason="faiss is not installed")


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**31))
def test_faiss_agrees_with_the_oracle_under_any_view(n: int, k: int, seed: int) -> None:
    """Scores within 1e-5, the same rows, all k of them: a selector ignored or applied after the search would differ."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 8)).astype(np.float16)
    query = rng.standard_normal(8).astype(np.float32)
    allowed = rng.random(n) < 0.5
    rows, scores = FaissFlat(vectors).search(query, allowed, k)
    expected_rows, expected_scores = NumpyFlat(vectors).search(query, allowed, k)
    assert len(rows) == min(k, int(allowed.sum()))
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    assert allowed[rows].all()
    clear = np.abs(np.diff(expected_scores)).min(initial=1.0) > 1e-4
    if clear:
        np.testing.assert_array_equal(rows, expected_rows)


@pytest.mark.parametrize("engine", [NumpyFlat, FaissFlat])
def test_ties_across_the_border_go_to_the_lower_row(
    engine: type[FaissFlat] | type[NumpyFlat],
) -> None:
    """Many equal vectors: which of them come back must not depend on a heap."""
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float16), (50, 1))
    search: DenseSearch = engine(vectors)
    allowed = np.ones(50, dtype=bool)
    allowed[0] = False
    rows, _ = search.search(np.array([1.0, 0.0], dtype=np.float32), allowed, 5)
    assert rows.tolist() == [1, 2, 3, 4, 5]


def test_nothing_is_found_where_nothing_is_allowed() -> None:
    rows, scores = FaissFlat(np.eye(4, dtype=np.float16)).search(
        np.eye(4, dtype=np.float32)[0], np.zeros(4, bool), 3
    )
    assert len(rows) == len(scores) == 0
