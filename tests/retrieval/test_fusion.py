"""Score fusion: bounds, ends, and order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ragjp.retrieval.fusion import fuse, normalise

SCORES = arrays(np.float32, st.integers(0, 30), elements=st.floats(-1000, 1000, width=32))


@given(SCORES)
def test_normalised_scores_lie_in_0_1_and_keep_the_order(scores: np.ndarray) -> None:
    normal = normalise(scores)
    assert ((normal >= 0) & (normal <= 1)).all()
    order = np.argsort(scores, kind="stable")
    assert (np.diff(normal[order]) >= 0).all()


@given(SCORES)
def test_at_the_ends_the_order_is_one_rankings_own(scores: np.ndarray) -> None:
    """A weight of 0 or 1 must switch the other ranking off, not leave a trace of it."""
    other = scores[::-1].copy()
    np.testing.assert_array_equal(fuse(scores, other, 0.0), normalise(scores))
    np.testing.assert_array_equal(fuse(scores, other, 1.0), normalise(other))


def test_equal_scores_say_nothing() -> None:
    np.testing.assert_array_equal(normalise(np.full(3, 7.0, np.float32)), np.zeros(3))
