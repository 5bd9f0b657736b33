from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.encoders.hashing import HashingEncoder

PLACES = [3, 4, 8, 11]
VALUES = [0.153108, 0.076554, -0.218726, 0.218726]


def test_the_same_numbers_on_every_machine() -> None:
    """Guards against Python's salted hash(), which gives other vectors in every process."""
    vector = HashingEncoder().encode_passages(["年次有給休暇"]).vectors[0]
    assert np.flatnonzero(vector)[:4].tolist() == PLACES
    np.testing.assert_allclose(vector[PLACES], VALUES, atol=1e-6)


def test_shared_characters_mean_closeness() -> None:
    """Guards against hashing that cannot rank: tests of retrieval rely on it."""
    encoder = HashingEncoder()
    query = encoder.encode_queries(["有給休暇の日数"]).vectors[0]
    near, far = encoder.encode_passages(
        ["有給休暇は年に二十日です。", "経費の精算は月末まで。"]
    ).vectors
    assert query @ near > query @ far + 0.1


@given(st.text(max_size=40))
def test_a_token_for_each_character_that_is_not_blank(text: str) -> None:
    """Guards against rows of zeros or lost characters."""
    encoded = HashingEncoder().encode_passages([text], tokens=True)
    assert len(encoded.tokens) == len("".join(text.split()))
    np.testing.assert_allclose(np.linalg.norm(encoded.tokens, axis=1), 1, atol=1e-5)


def test_a_width_too_small_is_refused() -> None:
    """Guards against a division by zero far from its cause."""
    with pytest.raises(ValueError, match="8"):
        HashingEncoder(4)
