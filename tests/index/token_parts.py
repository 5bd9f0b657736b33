"""Small token stores, in memory and as files, for the tests of the tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ragjp.index.tokens.files import TokenPart
from ragjp.index.tokens.store import PackedTokens, quantise, token_checks

LENGTHS = (3, 0, 5, 1, 0, 0, 7, 2)
WIDTH = 12


def packed(lengths: tuple[int, ...] | list[int], seed: int = 0, width: int = WIDTH) -> PackedTokens:
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    rng = np.random.default_rng(seed)
    return quantise(rng.standard_normal((int(offsets[-1]), width)).astype(np.float32), offsets)


def written(folder: Path, tokens: PackedTokens) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "tokens.npy", tokens.codes)
    np.save(folder / "token_scales.npy", tokens.scales)
    return folder


def opened(folder: Path, tokens: PackedTokens) -> TokenPart:
    return TokenPart.open(folder, offsets=tokens.offsets, checks=token_checks(tokens))


def same(found: PackedTokens, expected: PackedTokens) -> None:
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.scales, expected.scales)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert found.codes.dtype == np.int8
    assert found.scales.dtype == np.float16
