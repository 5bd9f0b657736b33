"""The token files as files: headers, offsets and checks that lie, disks that refuse, descriptors, readers under a close."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from token_parts import LENGTHS, opened, packed, same, written

from ragjp.errors import IndexCorrupt, IndexUnreadable, RagjpError, StorageFailed
from ragjp.index.tokens.files import TokenPart
from ragjp.index.tokens.store import TokenStore

BAD_OFFSETS = {
    "empty": [],
    "not from 0": [1, 2, 5],
    "falling": [0, 3, 2, 5],
    "beyond the end": [0, 2, 6],
    "before the end": [0, 2],
}


@pytest.mark.parametrize("offsets", BAD_OFFSETS.values(), ids=BAD_OFFSETS)
def test_offsets_that_do_not_fit_the_files_are_refused(tmp_path: Path, offsets: list[int]) -> None:
    folder = written(tmp_path, packed((2, 3)))
    with pytest.raises(IndexCorrupt):
        TokenPart.open(folder, offsets=np.array(offsets, dtype=np.int64))


def test_checks_of_another_number_of_rows_are_refused(tmp_path: Path) -> None:
    tokens = packed((2, 3))
    with pytest.raises(IndexCorrupt):
        TokenPart.open(
            written(tmp_path, tokens), offsets=tokens.offsets, checks=np.zeros(3, np.uint32)
        )


@pytest.mark.parametrize("name", ["tokens.npy", "token_scales.npy"])
def test_a_header_that_lies_is_refused_or_changes_nothing(tmp_path: Path, name: str) -> None:
    """Every byte of the header set to other values: never another array than the one that was written, never another exception."""
    tokens = packed((2, 3))
    folder = written(tmp_path, tokens)
    path = folder / name
    sound = path.read_bytes()
    refused = 0
    for place in range(128):
        for value in (0, 0x20, ord("9"), ord("("), 0xFF):
            path.write_bytes(sound[:place] + bytes([value]) + sound[place + 1 :])
            try:
                part = opened(folder, tokens)
            except RagjpError:
                refused += 1
                continue
            same(TokenStore([part]).take(np.arange(2)), tokens)
    assert refused > 150


def test_objects_other_types_and_other_versions_are_refused(tmp_path: Path) -> None:
    """No pickle is ever read, and a float array is not taken for codes."""
    tokens = packed((2, 3))
    folder = written(tmp_path, tokens)
    path = folder / "tokens.npy"
    for bad in (
        np.array([[1], ["x"]], dtype=object),
        tokens.codes.astype(np.float32),
        np.asfortranarray(tokens.codes),
        tokens.codes.reshape(-1),
        tokens.codes.view(np.uint8),
    ):
        np.save(path, bad, allow_pickle=True)
        with pytest.raises(IndexCorrupt):
            opened(folder, tokens)
    with path.open("wb") as file:
        np.lib.format.write_array(file, tokens.codes, version=(2, 0))
    with pytest.raises(IndexCorrupt):
        opened(folder, tokens)
    path.write_bytes(b"")
    with pytest.raises(IndexCorrupt):
        opened(folder, tokens)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        opened(folder, tokens)


def test_what_the_disk_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = packed(LENGTHS)
    store = TokenStore([opened(written(tmp_path, tokens), tokens)])

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fails)
    with pytest.raises(StorageFailed) as caught:
        store.take(np.array([0]))
    assert caught.value.code == "io_failed"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counting is all


def test_files_are_closed_with_the_store_and_without_it(tmp_path: Path) -> None:
    """A server refreshes for months: not a descriptor may stay."""
    tokens = packed(LENGTHS)
    folder = written(tmp_path, tokens)
    gc.collect()
    before = open_files()
    store = TokenStore([opened(folder, tokens)])
    assert open_files() == before + 2
    store.close()
    assert open_files() == before
    with pytest.raises(IndexUnreadable) as caught:
        store.take(np.array([0]))
    assert caught.value.code == "index_closed"
    store = TokenStore([opened(folder, tokens)])
    del store
    gc.collect()
    assert open_files() == before
    with pytest.raises(IndexCorrupt):
        TokenPart.open(folder, offsets=np.array([0, 1]))
    gc.collect()
    assert open_files() == before


def test_a_store_closed_under_readers_never_reads_another_file(tmp_path: Path) -> None:
    """A descriptor closed during a read is reused by the next open: tokens of another index, or bytes of any file."""
    mine, other = packed((40,) * 50, 1), packed((40,) * 50, 2)
    first, second = written(tmp_path / "1", mine), written(tmp_path / "2", other)
    wrong: list[str] = []
    for _ in range(20):
        store = TokenStore([TokenPart.open(first, offsets=mine.offsets)])

        def read(store: TokenStore = store) -> None:
            try:
                while True:
                    if store.take(np.arange(50)).codes.tobytes() != mine.codes.tobytes():
                        wrong.append("other bytes")
            except IndexUnreadable:
                return
            except BaseException as error:
                wrong.append(repr(error))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        store.close()
        kept = [TokenPart.open(second, offsets=other.offsets) for _ in range(3)]
        for reader in readers:
            reader.join()
        del kept
    assert wrong == []
