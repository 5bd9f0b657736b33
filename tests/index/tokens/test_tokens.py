"""The token store on the disk: read row by row, verified row by row, and an error with a sentence when a row is not right."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_parts import LENGTHS, WIDTH, opened, packed, same, written

from ragjp import compiled
from ragjp.errors import IndexCorrupt
from ragjp.index.tokens import files as token_files
from ragjp.index.tokens.files import TokenPart
from ragjp.index.tokens.store import KERNELS, TokenStore, quantise, token_checks


@given(
    parts=st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=4),
    picks=st.lists(st.integers(0, 10_000), max_size=12),
    max_buffers=st.integers(1, 3),
)
def test_what_is_read_is_what_is_held(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[int]],
    picks: list[int],
    max_buffers: int,
) -> None:
    """Any rows, in any order, twice too, neighbours joined into one read or not, over any segments."""
    held = [packed(lengths, seed) for seed, lengths in enumerate(parts)]
    folder = tmp_path_factory.mktemp("segments")
    store = TokenStore(
        [
            opened(written(folder / str(number), tokens), tokens)
            for number, tokens in enumerate(held)
        ]
    )
    n_rows = sum(len(tokens) for tokens in held)
    rows = np.array([pick % n_rows for pick in picks] if n_rows else [], dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_files, "_MAX_BUFFERS", max_buffers)
        same(store.take(rows), TokenStore(held).take(rows))
        same(store.take(rows), TokenStore(held).take(rows))
    store.close()


@pytest.mark.parametrize("row", [-1, len(LENGTHS)])
def test_a_row_that_is_not_there_is_refused(tmp_path: Path, row: int) -> None:
    """A negative row would count from the end and return another document's tokens."""
    tokens = packed(LENGTHS)
    for part in (tokens, opened(written(tmp_path, tokens), tokens)):
        with pytest.raises(IndexError):
            TokenStore([part]).take(np.array([0, row]))


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may give less than was asked for: a signal, a network file system, 2 GiB."""
    tokens = packed(LENGTHS)
    store = TokenStore([opened(written(tmp_path, tokens), tokens)])
    whole = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda fd, buffers, offset: whole(fd, [buffers[0][:5]], offset)
    )
    same(store.take(np.arange(len(LENGTHS))), tokens)


def test_a_file_shortened_under_a_reader_is_an_error_and_not_a_sigbus(tmp_path: Path) -> None:
    tokens = packed(LENGTHS)
    store = TokenStore([opened(written(tmp_path / "00000007", tokens), tokens)])
    os.truncate(
        tmp_path / "00000007" / "tokens.npy",
        (tmp_path / "00000007" / "tokens.npy").stat().st_size - 1,
    )
    same(store.take(np.array([0])), TokenStore([tokens]).take(np.array([0])))
    with pytest.raises(IndexCorrupt, match=r"00000007.*終わって") as caught:
        store.take(np.array([0, len(LENGTHS) - 1]))
    assert caught.value.code == "tokens_damaged"


@pytest.mark.parametrize("name", ["tokens.npy", "token_scales.npy"])
def test_every_flipped_bit_is_found_when_its_row_is_read(tmp_path: Path, name: str) -> None:
    """No wrong score from a damaged row; rows beside it go on answering."""
    tokens = packed((2, 3))
    folder = written(tmp_path / "00000003", tokens)
    path, start = folder / name, 128
    sound = path.read_bytes()
    first = 2 * (WIDTH if name == "tokens.npy" else 2)
    assert len(sound) == start + first * 5 // 2
    for place in range(start, len(sound)):
        for bit in range(8):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :])
            part = opened(folder, tokens)
            hurt = int(place - start >= first)
            with pytest.raises(IndexCorrupt, match=f"00000003.*（{hurt} 行目") as caught:
                TokenStore([part]).take(np.array([hurt]))
            assert caught.value.code == "tokens_damaged"
            TokenStore([part]).take(np.array([1 - hurt]))
            assert list(part.damaged_rows()) == [hurt]


def test_a_damaged_row_is_refused_every_time(tmp_path: Path) -> None:
    """A row that failed must not count as verified."""
    tokens = packed(LENGTHS)
    checks = token_checks(tokens)
    checks[2] ^= 1
    store = TokenStore(
        [TokenPart.open(written(tmp_path, tokens), offsets=tokens.offsets, checks=checks)]
    )
    for _ in range(3):
        with pytest.raises(IndexCorrupt):
            store.take(np.array([0, 2, 3]))


def test_a_row_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the cost: a checksum a row, not one a question."""
    tokens = packed(LENGTHS)
    store = TokenStore([opened(written(tmp_path, tokens), tokens)])
    store.take(np.array([0, 2]))
    seen = []
    crc32 = zlib.crc32
    monkeypatch.setattr(zlib, "crc32", lambda *args: seen.append(len(args[0])) or crc32(*args))
    store.take(np.array([2, 0]))
    assert seen == []
    store.take(np.array([2, 3]))
    assert seen == [WIDTH, 2]


def test_checks_are_of_codes_and_then_scales() -> None:
    """The layout that the writer, the reader and ``ragjp check`` share."""
    tokens = packed(LENGTHS)
    expected = [
        zlib.crc32(tokens.codes[a:b].tobytes() + tokens.scales[a:b].tobytes())
        for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
    ]
    assert token_checks(tokens).tolist() == expected
    assert token_checks(packed([])).tolist() == []
    assert token_checks(packed([0, 0])).tolist() == [0, 0]


@given(
    st.lists(st.integers(0, 40), max_size=8), st.sampled_from([1, 7, 64, 96]), st.integers(0, 2**31)
)
def test_folded_checks_are_those_of_zlib(lengths: list[int], width: int, seed: int) -> None:
    """Rows of no block of 64 bytes, of one, of many and a rest; the two ways must name the same rows damaged."""
    kernels = compiled.load(KERNELS)
    if kernels is None or not kernels.FOLDS:
        pytest.skip(compiled.why_not() or "この機械には桁上がりなしの積がありません。")
    tokens = packed(lengths, seed, width)
    folded = token_checks(tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "ready", lambda module: None)
        plain = token_checks(tokens)
    expected = [
        zlib.crc32(tokens.codes[a:b].tobytes() + tokens.scales[a:b].tobytes())
        for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
    ]
    assert folded.tolist() == plain.tolist() == expected


@pytest.mark.parametrize("folding", [True, False])
def test_every_flipped_byte_of_a_long_row_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folding: bool
) -> None:
    """Guards the blocks and the rest of a folded row: a byte that no checksum sees could change a score."""
    if folding:
        compiled.load(KERNELS)
    else:
        monkeypatch.setattr(compiled, "ready", lambda module: None)
    tokens = packed((3, 20), width=29)
    folder = written(tmp_path, tokens)
    path = folder / "tokens.npy"
    sound = path.read_bytes()
    for place in range(128 + 3 * 29, len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x10]) + sound[place + 1 :])
        assert list(opened(folder, tokens).damaged_rows()) == [1]


@pytest.mark.parametrize("max_bytes", [1, WIDTH * 4, WIDTH * 9, 1 << 20])
def test_blocks_in_order_make_up_the_part(tmp_path: Path, max_bytes: int) -> None:
    tokens = packed(LENGTHS)
    part = opened(written(tmp_path, tokens), tokens)
    rows = 0
    codes = []
    for first, block in part.blocks(max_bytes):
        assert first == rows
        assert np.count_nonzero(np.diff(block.offsets)) == 1 or block.codes.nbytes <= max_bytes
        rows += len(block)
        codes.append(block.codes)
        same(block, TokenStore([tokens]).take(np.arange(first, rows)))
    assert rows == len(LENGTHS)
    np.testing.assert_array_equal(np.concatenate(codes), tokens.codes)
    assert list(part.damaged_rows(max_bytes)) == []


def test_blocks_of_a_damaged_part_raise(tmp_path: Path) -> None:
    """A merge must not pass damaged tokens on under a new checksum."""
    tokens = packed(LENGTHS)
    checks = token_checks(tokens)
    checks[6] ^= 1 << 31
    part = TokenPart.open(written(tmp_path, tokens), offsets=tokens.offsets, checks=checks)
    with pytest.raises(IndexCorrupt):
        list(part.blocks(WIDTH))
    assert list(part.damaged_rows(WIDTH)) == [6]


def test_an_index_without_checks_is_read_unverified(tmp_path: Path) -> None:
    tokens = packed(LENGTHS)
    part = TokenPart.open(written(tmp_path, tokens), offsets=tokens.offsets)
    same(TokenStore([part]).take(np.arange(len(LENGTHS))), tokens)
    assert list(part.damaged_rows()) == []


def test_segments_of_different_widths_are_refused() -> None:
    """Their rows cannot stand in one array; an empty segment's width does not matter."""
    with pytest.raises(IndexCorrupt):
        TokenStore([packed((2,), width=8), packed((2,), width=12)])
    assert TokenStore([packed((0,), width=8), packed((2,))]).take(np.array([0, 1])).width == WIDTH


@given(st.lists(st.integers(0, 5), max_size=6), st.floats(1e-9, 1e3), st.integers(0, 2**31))
def test_quantising_in_blocks_is_quantising_at_once(
    lengths: list[int], size: float, seed: int
) -> None:
    """The stored codes are part of what a rebuilt index must equal bit by bit."""
    offsets = np.cumsum([0, *lengths, 300]).astype(np.int64)
    rng = np.random.default_rng(seed)
    tokens = (size * rng.standard_normal((int(offsets[-1]), 8))).astype(np.float32)
    found = quantise(tokens, offsets)
    peaks = np.abs(tokens).max(axis=1)
    scales = (peaks / 127.0).astype(np.float16)
    divisors = np.maximum(scales.astype(np.float32), np.float32(6e-8))[:, None]
    np.testing.assert_array_equal(found.scales, scales)
    np.testing.assert_array_equal(
        found.codes, np.clip(np.rint(tokens / divisors), -127, 127).astype(np.int8)
    )
    np.testing.assert_array_equal(found.offsets, offsets)
