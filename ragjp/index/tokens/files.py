"""The late-interaction store on the disk: a segment's token files, read row by row.

They are the largest part of an index and are read, not mapped: what is resident is what was asked for, a file shortened under a
reader is an error with a sentence and not a SIGBUS, and every row is compared with its checksum the first time this process reads it.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt, IndexUnreadable
from ragjp.index.storage.disk import storage_failed
from ragjp.index.storage.npy import read_header
from ragjp.index.tokens.store import PackedTokens, bytes_of, row_checks, token_checks
from ragjp.types import BoolArray, IntArray

CODES_NAME = "tokens.npy"
SCALES_NAME = "token_scales.npy"
#: Buffers of one read; the kernel takes 1,024.
_MAX_BUFFERS = 512
#: Bytes of codes that a part read in order holds at a time.
BLOCK_BYTES = 16 << 20


class _File:
    """A descriptor that is closed when the last reader lets go of it, never under one: its number may be another file's by then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A FIFO in the file's place must not make anybody wait.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._closing = weakref.finalize(self, os.close, self.descriptor)
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise damaged(path, "ファイルではありません")

    def read(self, buffers: list[memoryview], offset: int) -> None:
        """Fill the buffers from a place in the file."""
        wanted = sum(len(buffer) for buffer in buffers)
        try:
            while wanted:
                got = os.preadv(self.descriptor, buffers, offset)
                if not got:
                    raise damaged(self.path, f"{offset} バイト目で終わっています")
                wanted, offset = wanted - got, offset + got
                while buffers and got >= len(buffers[0]):
                    got -= len(buffers.pop(0))
                if got:
                    buffers[0] = buffers[0][got:]
        except OSError as error:
            raise storage_failed(self.path, error) from error


class TokenPart:
    """The tokens of one segment on the disk. Safe to read from many threads; see :meth:`open`."""

    def __init__(
        self, codes: _File, scales: _File, starts: tuple[int, int], width: int, offsets: IntArray
    ) -> None:
        self.offsets, self.width = offsets, width
        self._files: tuple[_File, _File] | None = (codes, scales)
        self._starts = starts
        self._path = codes.path
        self._checks: NDArray[np.uint32] | None = None
        self._verified: BoolArray = np.zeros(0, dtype=bool)

    @classmethod
    def open(
        cls, folder: Path, *, offsets: IntArray, checks: NDArray[np.uint32] | None = None
    ) -> TokenPart:
        """Open a segment's token files.

        Parameters
        ----------
        folder
            The segment's folder, with ``tokens.npy`` (T, D) int8 and ``token_scales.npy`` (T,) float16.
        offsets
            (N + 1,) int64, ``token_offsets.npy``; copied, so that no mapped file stands behind it.
        checks
            (N,) uint32, ``token_checks.npy``, copied too; None in an index from before it: then rows are not verified.

        Raises
        ------
        IndexCorrupt
            When the files, the offsets and the checks do not fit together.
        IndexUnreadable
            When this user may not read them.
        StorageFailed
            When the disk refuses.
        FileNotFoundError
            When one is missing: damage, or a merge that has swept it meanwhile.
        """
        offsets = np.array(offsets, dtype=np.int64)
        n_tokens = int(offsets[-1]) if len(offsets) else -1
        if n_tokens < 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise damaged(folder / "token_offsets.npy", "行の区切りが順に並んでいません")
        codes, code_shape, code_start = _open(folder / CODES_NAME, np.dtype(np.int8))
        scales, scale_shape, scale_start = _open(folder / SCALES_NAME, np.dtype("<f2"))
        if len(code_shape) != 2 or code_shape[0] != n_tokens or (n_tokens and not code_shape[1]):
            raise damaged(codes.path, f"大きさが {code_shape} で、{n_tokens} 行のはずです")
        if scale_shape != (n_tokens,):
            raise damaged(scales.path, f"大きさが {scale_shape} で、{n_tokens} 個のはずです")
        part = cls(codes, scales, (code_start, scale_start), code_shape[1], offsets)
        if checks is not None:
            if checks.shape != (len(part),):
                raise damaged(folder / "token_checks.npy", f"{len(part)} 個のはずです")
            part._checks = np.array(checks, dtype=np.uint32)
            part._verified = np.zeros(len(part), dtype=bool)
        return part

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def close(self) -> None:
        """Let go of the files; a read under way finishes first."""
        self._files = None

    def fill(
        self, rows: IntArray, places: IntArray, codes: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> None:
        """Read rows to where they begin in ``codes`` and ``scales``, in the order of the file, neighbours in one read.

        Raises
        ------
        IndexCorrupt
            ``tokens_damaged``, naming the row, when it is not what was written; when the file ends before it.
        StorageFailed
            When the disk refuses.
        IndexUnreadable
            ``index_closed`` after :meth:`close`.
        """
        self._read(rows, places, codes, scales)
        if self._checks is None:
            return
        fresh = np.flatnonzero(~self._verified[rows])
        if not len(fresh):
            return
        fresh_rows = rows[fresh]
        lengths = self.offsets[fresh_rows + 1] - self.offsets[fresh_rows]
        found = row_checks(codes, scales, places[fresh], lengths)
        wrong = fresh_rows[found != self._checks[fresh_rows]]
        if len(wrong):
            raise damaged(self._path, f"{wrong[0]} 行目の検査値が違います")
        self._verified[fresh_rows] = True

    def blocks(self, max_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, PackedTokens]]:
        """Read all rows in order, a bounded block at a time: the first row's number and the rows, verified like any other.

        A row larger than ``max_bytes`` is a block of its own.
        """
        for first, last in self._block_borders(max_bytes):
            block = self._empty(first, last)
            rows = np.arange(first, last, dtype=np.int64)
            self.fill(rows, block.offsets[:-1], block.codes, block.scales)
            yield first, block

    def damaged_rows(self, max_bytes: int = BLOCK_BYTES) -> Iterator[int]:
        """Read the whole part in blocks and name every row that is not what was written; none without checks."""
        if self._checks is None:
            return
        for first, last in self._block_borders(max_bytes):
            block = self._empty(first, last)
            rows = np.arange(first, last, dtype=np.int64)
            self._read(rows, block.offsets[:-1], block.codes, block.scales)
            yield from (first + np.flatnonzero(token_checks(block) != self._checks[rows])).tolist()

    def _block_borders(self, max_bytes: int) -> Iterator[tuple[int, int]]:
        first = 0
        while first < len(self):
            reach = self.offsets[first] + max(max_bytes // max(self.width, 1), 1)
            last = max(int(np.searchsorted(self.offsets, reach, side="right")) - 1, first + 1)
            last = min(last, len(self))
            yield first, last
            first = last

    def _empty(self, first: int, last: int) -> PackedTokens:
        offsets = self.offsets[first : last + 1] - self.offsets[first]
        n_tokens = int(offsets[-1])
        return PackedTokens(
            np.empty((n_tokens, self.width), np.int8), np.empty(n_tokens, np.float16), offsets
        )

    def _read(
        self, rows: IntArray, places: IntArray, codes: NDArray[np.int8], scales: NDArray[np.float16]
    ) -> None:
        files = self._files
        if files is None:
            raise IndexUnreadable(
                "この索引は閉じられています。開き直してから、もう一度検索してください。",
                code="index_closed",
            )
        starts, stops = self.offsets[rows], self.offsets[rows + 1]
        order = np.argsort(starts, kind="stable")
        spans = zip(
            starts[order].tolist(), stops[order].tolist(), places[order].tolist(), strict=True
        )
        for start, run in _runs(spans):
            for file, base, size, room in (
                (files[0], self._starts[0], self.width, bytes_of(codes)),
                (files[1], self._starts[1], 2, bytes_of(scales)),
            ):
                buffers = [room[place * size : (place + n) * size] for place, n in run]
                file.read(buffers, base + start * size)


def _runs(spans: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Join rows that follow one another in the file, wherever they go in memory.

    From (start, stop, place) of each row, by start, to where a run starts and its rows' (place, tokens). Empty rows are left out.
    """
    run: list[tuple[int, int]] = []
    first = end = -1
    for start, stop, place in spans:
        if start == stop:
            continue
        if start != end or len(run) == _MAX_BUFFERS:
            if run:
                yield first, run
            first, run = start, []
        run.append((place, stop - start))
        end = stop
    if run:
        yield first, run


def damaged(path: Path, why: str) -> IndexCorrupt:
    """Say that a token file is not what was written."""
    return IndexCorrupt(
        f"索引のファイル {path} が壊れています（{why}）。ragjp check --repair で直すか、控えから戻すか、ragjp index で作り直してください。",
        code="tokens_damaged",
    )


def _open(path: Path, kind: np.dtype[np.generic]) -> tuple[_File, tuple[int, ...], int]:
    """Open an array file: the file, the array's shape, and where its numbers begin. Nothing is allocated, no pickle is read."""
    try:
        file = _File(path)
        with os.fdopen(os.dup(file.descriptor), "rb", closefd=True) as opened:
            n_bytes = os.fstat(file.descriptor).st_size
            header = read_header(opened)
        if header.dtype != kind:
            raise ValueError(f"{kind} の配列のはずです")
        if header.n_bytes != n_bytes:
            raise ValueError(f"{n_bytes} バイトは見出しと合いません")
    except (FileNotFoundError, IndexCorrupt):
        raise
    except PermissionError as error:
        raise IndexUnreadable(
            f"索引のファイル {path} を読む権限がありません。フォルダーの権限を確かめてください。"
        ) from error
    except OSError as error:
        raise storage_failed(path, error) from error
    except ValueError as error:
        raise damaged(path, str(error)) from error
    return file, header.shape, header.start
