"""Write-once segments: a folder of plain ``.npy`` arrays for a run of chunks ("rows"), whole or absent.

Files of a segment of n rows, T tokens, width D (vectors) and D_token (tokens)::

    vectors.npy         (n, D) float16       rows of length 1
    tokens.npy          (T, D_token) int8    ) see ragjp.index.tokens
    token_scales.npy    (T,) float16         )
    token_offsets.npy   (n + 1,) int64       )
    <field>.*.npy                            see ragjp.index.postings
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt, IndexUnreadable
from ragjp.index.catalog import SEGMENTS_NAME, sync_folder

#: File stem → the array, or the parts of it that are written one after another (so that a merge need not hold it whole).
Arrays = Mapping[str, NDArray[Any] | Sequence[NDArray[Any]]]
#: Names of segments and of their drafts.
_OURS = re.compile(r"[0-9]{8,}(\.new)?")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the catalog remembers of one file of a segment."""

    name: str
    n_bytes: int
    sha256: str


def write_segment(index: Path, name: str, arrays: Arrays) -> tuple[FileRecord, ...]:
    """Write arrays as one segment and force it to the disk; it becomes part of the index only when the catalog names it."""
    folder = index / SEGMENTS_NAME
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(index)
    draft = folder / f"{name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    records = []
    for array_name, array in sorted(arrays.items()):
        path = draft / f"{array_name}.npy"
        with path.open("wb") as file:
            _save(file, [array] if isinstance(array, np.ndarray) else array)
            file.flush()
            os.fsync(file.fileno())
        records.append(FileRecord(path.name, path.stat().st_size, file_sha256(path)))
    sync_folder(draft)
    draft.rename(folder / name)
    sync_folder(folder)
    return tuple(records)


def _save(file: BinaryIO, parts: Sequence[NDArray[Any]]) -> None:
    """Write parts as one ``.npy`` array, joined along the first axis."""
    first = parts[0]
    shape = (sum(len(part) for part in parts), *first.shape[1:])
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(np.ascontiguousarray(part, dtype=first.dtype).data)


def open_segment(index: Path, name: str, files: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Map the arrays of a segment into memory, read-only.

    Parameters
    ----------
    files
        File name → size in bytes, as the catalog has it. Sizes are compared at every open; checksums by ``ragjp check``.

    Raises
    ------
    IndexCorrupt
        When a file has another size, or is not an array.
    IndexUnreadable
        When this user may not read it.
    FileNotFoundError
        When it is missing: damage, or a merge that has swept it meanwhile.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for file_name, n_bytes in files.items():
        path = index / SEGMENTS_NAME / name / file_name
        try:
            size = path.stat().st_size
            if size != n_bytes:
                raise ValueError(f"{size} ≠ {n_bytes} bytes")
            arrays[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise IndexUnreadable(
                f"索引のファイル {path} を読む権限がありません。フォルダーの権限を確かめてください。"
            ) from error
        except (OSError, ValueError, EOFError) as error:
            raise IndexCorrupt(
                f"索引のファイル {path} が壊れています（{error}）。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
                code="segment_damaged",
            ) from error
    return arrays


def sweep_segments(index: Path, keep: set[str]) -> list[str]:
    """Remove what no catalog row names: drafts and whole segments that a kill left behind. Only the writer may call this.

    What is not named as :func:`write_segment` names things is somebody else's and stays.
    """
    folder = index / SEGMENTS_NAME
    if not folder.is_dir():
        return []
    swept = [
        entry.name
        for entry in folder.iterdir()
        if entry.name not in keep and _OURS.fullmatch(entry.name)
    ]
    for name in swept:
        shutil.rmtree(folder / name, ignore_errors=True)
    return swept


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
