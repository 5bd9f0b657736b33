from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.encoders import e5_file
from ragjp.encoders.e5_file import Blocks, E5File
from ragjp.errors import RagjpError


def test_nibbles_are_read_low_first_and_centred_on_eight(tiny_source: E5File) -> None:
    """Guards against swapped halves of a block, which would shuffle every weight row and still have the right shape."""
    blocks = tiny_source.blocks("l0.q.w", 64, 64)
    _, _, offset, _ = tiny_source.entries["l0.q.w"]
    first = tiny_source.raw[offset : offset + 18]
    scale = float(np.frombuffer(first[:2], "<f2")[0])
    expected = [((byte & 15) - 8) * scale for byte in first[2:]]
    expected += [((byte >> 4) - 8) * scale for byte in first[2:]]
    np.testing.assert_array_equal(blocks.dense()[0, :32], np.array(expected, np.float32))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_packed_keeps_every_nibble_in_place(rows: int, blocks: int, seed: int) -> None:
    """Guards against another byte order than the ONNX graph's INT4 tensors have (low nibble first)."""
    nibbles = np.random.default_rng(seed).integers(0, 16, (rows, blocks * 32), np.uint8)
    packed = Blocks(nibbles, np.ones((rows, blocks), np.float32)).packed()
    back = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, -1)
    np.testing.assert_array_equal(back, nibbles)


def _read_all(raw: bytes) -> None:
    e5_file.parse(raw).floats("no such tensor")


@given(st.integers(0, 2**20), st.binary(max_size=4))
def test_a_cut_or_altered_file_is_an_error_of_ours(
    tiny_bytes: bytes, cut: int, garbage: bytes
) -> None:
    """Guards against struct.error, IndexError or silence when a wheel was half written."""
    raw = tiny_bytes[: cut % len(tiny_bytes)] + garbage
    if raw == tiny_bytes:
        return
    with pytest.raises(RagjpError) as caught:
        _read_all(raw)
    assert caught.value.code == "model_damaged"


def test_a_tensor_of_another_size_is_refused(tiny_source: E5File) -> None:
    """Guards against reshaping a matrix of another model into something that runs."""
    with pytest.raises(RagjpError, match="64x96"):
        tiny_source.blocks("l0.q.w", 64, 96)
