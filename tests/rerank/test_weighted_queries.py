"""Queries whose token rows are not of length 1: a trained encoder says with their lengths how much each token counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ragjp.encoders.packing import unit_rows
from ragjp.index.tokens.store import dequantise, quantise
from ragjp.rerank.explain_tokens import best_tokens
from ragjp.rerank.maxsim_cpu import maxsim, maxsim_int8_numpy, maxsim_reference

WEIGHTS = st.lists(st.sampled_from([0.0, 1e-6, 0.3, 1.0, 7.5]), min_size=1, max_size=12)


@given(WEIGHTS, st.integers(0, 2**31))
def test_every_path_and_the_explanation_weigh_alike(weights: list[float], seed: int) -> None:
    """Guards against a path that brings queries to length 1 again, or divides by a length of 0."""
    random = np.random.default_rng(seed)
    lengths = np.array([3, 0, 9, 1])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = unit_rows(random.standard_normal((int(offsets[-1]), 16)).astype(np.float32))
    packed = quantise(tokens, offsets)
    stored = dequantise(packed)
    plain = unit_rows(random.standard_normal((len(weights), 16)).astype(np.float32))
    query = plain * np.array(weights, np.float32)[:, None]
    expected = np.zeros(len(lengths))
    for number in np.flatnonzero(lengths):
        document = stored[offsets[number] : offsets[number + 1]]
        expected[number] = np.mean(np.array(weights) * (plain @ document.T).max(axis=1))
    found = {
        "reference": maxsim_reference(query, stored, offsets),
        "at once": maxsim(query, stored, offsets),
        "int8": maxsim_int8_numpy(query, packed.codes, packed.scales, offsets),
    }
    for name, scores in found.items():
        np.testing.assert_allclose(scores, expected, atol=1e-4, err_msg=name)
    explained = best_tokens(query, packed)
    for number, one in enumerate(explained):
        assert abs(float(one.contributions.sum()) - expected[number]) <= 1e-4
        assert (np.abs(one.similarities) <= 1.02).all()
