"""Write-once segments: a folder of plain ``.npy`` arrays for a run of chunks ("rows"), whole or absent.

Files of a segment of n rows, T tokens, width D (vectors) and D_token (tokens)::

    vectors.npy         (n, D) float16       rows of length 1
    vector_checks.npy   (n,) uint32          CRC-32 of each row of vectors
    tokens.npy          (T, D_token) int8    )
    token_scales.npy    (T,) float16         ) see ragjp.index.tokens.store
    token_offsets.npy   (n + 1,) int64       )
    token_checks.npy    (n,) uint32          )
    row_chunks.npy      (n,) int64           the catalog's number of each row's chunk
    row_documents.npy   (n,) int64           the catalog's number of each row's document
    <field>.*.npy                            see ragjp.index.lexical.postings

The checksum of a whole file is the catalog's (``segment_file``). Those of single rows say which documents a damaged file has cost.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt, IndexUnreadable
from ragjp.index.storage.catalog import SEGMENTS_NAME
from ragjp.index.storage.disk import storage_failed, sync_folder
from ragjp.index.storage.npy import read_header

#: File stem → the array, or the parts of it that are written one after another (so that a merge need not hold it whole).
Arrays = Mapping[str, NDArray[Any] | Sequence[NDArray[Any]]]
#: Names of segments and of their drafts.
_OURS = re.compile(r"[0-9]{8,}(-[0-9]+)?(\.new)?")
#: What an element of each array is; those of postings are checked where they are used.
_KINDS = {
    "vectors": np.float16,
    "vector_checks": np.uint32,
    "tokens": np.int8,
    "token_scales": np.float16,
    "token_offsets": np.int64,
    "token_checks": np.uint32,
    "row_chunks": np.int64,
    "row_documents": np.int64,
}
_BLOCK_BYTES = 1 << 22
#: Bytes of a mapped file that are held in memory at a time where all of it is read in order.
_RELEASED_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the catalog remembers of one file of a segment."""

    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Segment:
    """What the catalog remembers of one segment."""

    number: int
    name: str
    n_rows: int
    n_tokens: int
    files: tuple[FileRecord, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """File name → size in bytes."""
        return {record.name: record.n_bytes for record in self.files}


def read_segments(connection: sqlite3.Connection) -> list[Segment]:
    """Read the segments that the catalog names, by number."""
    files: dict[int, list[FileRecord]] = {}
    for number, file_name, n_bytes, sha256 in connection.execute(
        "SELECT segment_no, name, n_bytes, sha256 FROM segment_file ORDER BY segment_no, name"
    ):
        files.setdefault(number, []).append(FileRecord(str(file_name), n_bytes, sha256))
    return [
        # A catalog whose schema was changed may hold anything: a name is text.
        Segment(number, str(name), n_rows, n_tokens, tuple(files.get(number, ())))
        for number, name, n_rows, n_tokens in connection.execute(
            "SELECT segment_no, name, n_rows, n_tokens FROM segment ORDER BY segment_no"
        )
    ]


def free_name(index: Path, generation: int, taken: Collection[str]) -> str:
    """A segment name that no row of the catalog has (``taken``) and no folder; what lay there unnamed is removed by the writer."""
    folder, name, number = index / SEGMENTS_NAME, f"{generation:08d}", 0
    while name in taken or (folder / name).exists():
        number += 1
        name = f"{generation:08d}-{number}"
    return name


def write_segment(
    index: Path, name: str, arrays: Arrays, *, links: Mapping[Path, FileRecord] | None = None
) -> tuple[FileRecord, ...]:
    """Write arrays as one segment and force it to the disk; it becomes part of the index only when the catalog names it.

    Parameters
    ----------
    links
        Files of other segments of this index to have in this one too, unchanged: path → what the catalog says of it. They are
        linked, so that nothing is copied, and copied where the file system has no links.
    """
    folder = index / SEGMENTS_NAME
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(index)
    draft = folder / f"{name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        records = [write_array(draft, stem, arrays[stem]) for stem in sorted(arrays)]
        for path, record in (links or {}).items():
            link_or_copy(path, draft / record.name)
            records.append(record)
        sync_folder(draft)
        draft.rename(folder / name)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    sync_folder(folder)
    return tuple(records)


def write_array(
    folder: Path, stem: str, array: NDArray[Any] | Sequence[NDArray[Any]]
) -> FileRecord:
    """Write one array file into a folder and force its bytes to the disk. The checksum is that of what was meant to be written."""
    path = folder / f"{stem}.npy"
    with path.open("wb") as file:
        writer = _HashingFile(file)
        _save(writer, [array] if isinstance(array, np.ndarray) else array)
        file.flush()
        os.fsync(file.fileno())
    return FileRecord(path.name, writer.n_bytes, writer.digest.hexdigest())


class _HashingFile:
    """Passes bytes through to a file, counting and hashing them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.n_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        for start in range(0, len(data), _BLOCK_BYTES):
            block = data[start : start + _BLOCK_BYTES]
            self.digest.update(block)
            self._file.write(block)
        self.n_bytes += len(data)
        return len(data)


def _save(file: _HashingFile, parts: Sequence[NDArray[Any]]) -> None:
    """Write parts as one ``.npy`` array, joined along the first axis."""
    first = parts[0]
    shape = (sum(len(part) for part in parts), *first.shape[1:])
    _write_header(file, shape, first.dtype)
    held = 0
    for part in parts:
        n_block = max(_RELEASED_BYTES * len(part) // max(part.nbytes, 1), 1)
        for start in range(0, len(part), n_block):
            block = np.ascontiguousarray(part[start : start + n_block], dtype=first.dtype)
            if block.size:
                file.write(block.data.cast("B"))
            held += block.nbytes
            if held >= _RELEASED_BYTES:
                held = 0
                release(part)


def _write_header(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:  # noqa: ANN401 - NumPy's own protocol
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a write-once file a second name, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        copy_file(source, target)


def copy_file(source: Path, target: Path) -> FileRecord:
    """Copy a file, force the copy to the disk, and hash what was read."""
    with source.open("rb") as read, target.open("wb") as written:
        writer = _HashingFile(written)
        while block := read.read(_BLOCK_BYTES):
            writer.write(block)
        written.flush()
        os.fsync(written.fileno())
    return FileRecord(target.name, writer.n_bytes, writer.digest.hexdigest())


def map_array(path: Path, n_bytes: int) -> NDArray[Any]:
    """Map an array file into memory, read-only. Nothing is allocated, whatever its header says.

    Raises
    ------
    ValueError
        When its size is not ``n_bytes``, or its header is not that of an array of numbers that fills the file.
    OSError
        When it cannot be read.
    """
    size = path.stat().st_size
    if size != n_bytes:
        raise ValueError(f"{size} ≠ {n_bytes} bytes")
    with path.open("rb") as file:
        header = read_header(file)
    shape, dtype, start = header
    if dtype.kind not in "iuf" or header.n_bytes != size:
        raise ValueError("the header does not fit the file")
    if _KINDS.get(path.stem, dtype) != dtype:
        raise ValueError(f"elements of type {dtype}")
    if size == start:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape)


#: What the system says of a folder, a loop of links or a socket in the place of a file: damage, not a failing disk.
_NO_FILE = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV)


def open_segment(index: Path, name: str, files: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Map the arrays of a segment into memory, read-only.

    Parameters
    ----------
    files
        File name → size in bytes, as the catalog has it. Sizes are compared here; checksums by :mod:`ragjp.index.storage.verify`.

    Raises
    ------
    IndexCorrupt
        When a file has another size, or is not an array.
    IndexUnreadable
        When this user may not read it.
    StorageFailed
        When the disk fails, or too many files are open.
    FileNotFoundError
        When it is missing: damage, or a merge that has swept it meanwhile.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for file_name, n_bytes in files.items():
        path = index / SEGMENTS_NAME / name / file_name
        try:
            arrays[path.stem] = map_array(path, n_bytes)
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise IndexUnreadable(
                f"索引のファイル {path} を読む権限がありません。フォルダーの権限を確かめてください。"
            ) from error
        except ValueError as error:
            raise damaged_file(path, str(error)) from error
        except OSError as error:
            if error.errno in _NO_FILE:
                raise damaged_file(path, str(error)) from error
            raise storage_failed(path, error) from error
    return arrays


def damaged_file(path: Path, why: str, code: str = "segment_damaged") -> IndexCorrupt:
    """Say that a file of a segment is not what was written."""
    return IndexCorrupt(
        f"索引のファイル {path} が壊れています（{why}）。ragjp check --repair で直すか、控えから戻すか、ragjp index で作り直してください。",
        code=code,
    )


def release(array: NDArray[Any]) -> None:
    """Let go of the memory that holds what has been read of a mapped file; it is read again when it is wanted again."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def row_checks(rows: NDArray[Any]) -> NDArray[np.uint32]:
    """CRC-32 of the bytes of each row of an array (n, …), (n,) uint32."""
    checks = np.zeros(len(rows), np.uint32)
    width = rows.nbytes // len(rows) if len(rows) else 0
    if not width:
        return checks
    n_block = max(_RELEASED_BYTES // width, 1)
    for first in range(0, len(rows), n_block):
        data = np.ascontiguousarray(rows[first : first + n_block]).data.cast("B")
        checks[first : first + n_block] = [
            zlib.crc32(data[start : start + width]) for start in range(0, len(data), width)
        ]
        release(rows)
    return checks


def sweep_segments(index: Path, keep: Mapping[str, Collection[str]]) -> list[str]:
    """Remove what no catalog row names: what a kill left behind. Only the writer may call this.

    What is not named as :func:`write_segment` names things is somebody else's and stays.

    Parameters
    ----------
    keep
        Segments that the catalog names → the files that it names of each.

    Returns
    -------
    Drafts and whole segments that were removed; single files of segments are not counted.
    """
    folder = index / SEGMENTS_NAME
    if not folder.is_dir():
        return []
    swept = []
    for entry in segment_like_folders(folder):
        if entry.name not in keep:
            shutil.rmtree(entry, ignore_errors=True)
            swept.append(entry.name)
    for name, files in keep.items():
        for path in stray_files(folder / name, files):
            with suppress(OSError):
                path.unlink()
    return swept


def stray_files(segment: Path, files: Collection[str]) -> list[Path]:
    """Array files and their drafts in a segment's folder that the catalog does not name."""
    if not segment.is_dir():
        return []
    return sorted(
        path
        for path in segment.iterdir()
        if path.name not in files and path.name.endswith((".npy", ".npy.new")) and path.is_file()
    )


def segment_like_folders(folder: Path) -> list[Path]:
    """Entries of the segments folder that are named as segments or their drafts are."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if _OURS.fullmatch(entry.name))


def is_segment_name(name: str) -> bool:
    """Whether a name could be that of a finished segment; what a damaged catalog says may lead anywhere."""
    return _OURS.fullmatch(name) is not None and not name.endswith(".new")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
