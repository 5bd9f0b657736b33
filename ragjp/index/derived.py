"""Derived files: the codes of large segments, kept beside the index in ``<index>/derived/``. Never needed, only faster.

::

    <digest>.codes    n records (see ragjp.index.dense_codes), then mean (D,) and reach as float64
    <digest>.json     the sidecar: format, source, n_rows, dim, n_bytes, sha256

The digest is made of the format, the shape and the checksum of the vectors that the codes stand for, so that codes outlive a merge
that keeps a segment's vectors, and never pass for those of others. Both files appear whole, the sidecar last. No byte of the codes
is used before their SHA-256 has been compared. What is absent or refused costs speed: the search is exact with it and without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.catalog import SEGMENTS_NAME
from ragjp.index.dense_codes import Codes, mean_vector, record_blocks, record_bytes
from ragjp.index.disk import storage_failed, sync_folder, write_json_file
from ragjp.index.segments import FileRecord, Segment, file_sha256, map_array

DERIVED_NAME = "derived"
#: Segments of fewer rows have no codes: their halves are scanned in 0.2 ms. (At 11 k rows 0.4 ms, 0.3 through codes.)
MIN_ROWS = 4096
_FORMAT = 1
_VECTORS = "vectors.npy"
_MAX_SIDECAR_BYTES = 4096
_OURS = re.compile(r"[0-9a-f]{32}\.(codes|json)(\.new)?")
_AGAIN = "ragjp index か ragjp compact で作り直されます"

#: Files whose checksum this process has compared: device, inode, size, times → checksum. A rewritten file has another key.
_verified: dict[tuple[int, ...], str] = {}
_verified_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class DerivedProblem:
    """Codes that cannot be used. code : derived_missing, derived_damaged or derived_unwritten. where : the file."""

    code: str
    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Derived:
    """What :func:`open_derived` found: for each segment its codes or None, and why some are missing."""

    codes: tuple[Codes | None, ...]
    problems: tuple[DerivedProblem, ...]

    @property
    def note(self) -> str:
        """One sentence for ``ragjp doctor``; empty when nothing is missing."""
        if not self.problems:
            return ""
        more = f"（ほか {len(self.problems) - 1} 件）" if len(self.problems) > 1 else ""
        return f"{self.problems[0].sentence}{more}"


@dataclass(frozen=True, slots=True)
class Ensured:
    """What :func:`ensure_derived` did: digests of the codes it wrote, and what it could not write."""

    built: tuple[str, ...]
    problems: tuple[DerivedProblem, ...]


class _Refused(Exception):
    """Codes that are not what was written."""


def open_derived(
    index: Path, segments: Sequence[Segment], vectors: Sequence[NDArray[np.float16]]
) -> Derived:
    """Map the codes of the segments that should have them. Raises nothing: what is wrong becomes a problem.

    Parameters
    ----------
    vectors
        The segments' vectors in the same order, each (n, D) float16.
    """
    found: list[Codes | None] = []
    problems = []
    for segment, part in zip(segments, vectors, strict=True):
        codes = None
        if len(part) >= MIN_ROWS:
            path = _codes_path(index, _digest(_vectors_record(segment), part.shape))
            try:
                codes = _open(path, _vectors_record(segment), part.shape)
            except FileNotFoundError:
                problems.append(_missing(path))
            except (OSError, _Refused) as error:
                problems.append(_damaged(path, error))
        found.append(codes)
    return Derived(tuple(found), tuple(problems))


def ensure_derived(index: Path, segments: Sequence[Segment]) -> Ensured:
    """Write the codes that are missing or damaged, and remove those of no segment. Only the writer may call this.

    A disk that refuses is a problem in the result, not an error: the index is whole without.
    """
    built, problems, keep = [], [], set()
    for segment in segments:
        if segment.n_rows < MIN_ROWS:
            continue
        source = _vectors_record(segment)
        path = index / SEGMENTS_NAME / segment.name / _VECTORS
        try:
            part = map_array(path, source.n_bytes)
            digest = _digest(source, part.shape)
            keep.add(digest)
            if _is_sound(_codes_path(index, digest), source, part.shape):
                continue
            if file_sha256(path) != source.sha256:
                raise _Refused("ベクトルのチェックサムが目録と違います")
            _write(_codes_path(index, digest), source, part)
            built.append(digest)
        except OSError as error:
            sentence = storage_failed(path, error).sentence
            problems.append(DerivedProblem("derived_unwritten", str(path), sentence))
        except (ValueError, _Refused) as error:
            sentence = f"{path} が壊れているので int8 の符号を作れません（{error}）。ragjp check で調べてください。"
            problems.append(DerivedProblem("derived_unwritten", str(path), sentence))
    sweep_derived(index, keep)
    return Ensured(tuple(built), tuple(problems))


def sweep_derived(index: Path, keep: set[str]) -> list[str]:
    """Remove derived files of other digests, and drafts. What is not named as ours stays. Returns what was removed."""
    swept = []
    with suppress(OSError):
        for entry in sorted((index / DERIVED_NAME).iterdir()):
            is_draft = entry.name.endswith(".new")
            if _OURS.fullmatch(entry.name) and (is_draft or entry.stem not in keep):
                with suppress(OSError):
                    entry.unlink()
                    swept.append(entry.name)
    return swept


def _vectors_record(segment: Segment) -> FileRecord:
    return next(record for record in segment.files if record.name == _VECTORS)


def _digest(source: FileRecord, shape: tuple[int, ...]) -> str:
    made_of = f"ragjp codes {_FORMAT} {source.sha256} {shape}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def _codes_path(index: Path, digest: str) -> Path:
    return index / DERIVED_NAME / f"{digest}.codes"


def _expected(source: FileRecord, shape: tuple[int, ...]) -> dict[str, Any]:
    """The sidecar, but for the checksum."""
    n_rows, width = shape
    return {
        "format": _FORMAT,
        "source": source.sha256,
        "n_rows": n_rows,
        "dim": width,
        "n_bytes": n_rows * record_bytes(width) + 8 * (width + 1),
    }


def _open(path: Path, source: FileRecord, shape: tuple[int, ...]) -> Codes:
    """Map one file of codes after its checksum; raises ``OSError`` and :class:`_Refused`."""
    expected = _expected(source, shape)
    checksum = _read_sidecar(path.with_suffix(".json"), expected)
    n_rows, width = shape
    with path.open("rb") as file:
        _verify(file, expected["n_bytes"], checksum)
        size = n_rows * record_bytes(width)
        file.seek(size)
        footer = np.frombuffer(file.read(8 * (width + 1)), np.float64)
        # The file that was verified is the one that is mapped, whatever the path means by now.
        records = np.memmap(file, np.int8, "r", shape=(n_rows, record_bytes(width)))
    return Codes(np.asarray(records), footer[:-1], float(footer[-1]))


def _read_sidecar(path: Path, expected: dict[str, Any]) -> str:
    """Compare the sidecar with what it must say; returns the checksum, the one thing that only it knows."""
    with path.open("rb") as file:
        data = file.read(_MAX_SIDECAR_BYTES + 1)
    try:
        found = json.loads(data.decode()) if len(data) <= _MAX_SIDECAR_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _Refused("付属の JSON を読めません") from error
    checksum = found.pop("sha256", None) if isinstance(found, dict) else None
    if not isinstance(checksum, str) or found != expected:
        raise _Refused("付属の JSON が索引と合いません")
    return checksum


def _verify(file: BufferedReader, n_bytes: int, checksum: str) -> None:
    """Compare size and checksum of an open file; a file already compared by this process is not read again."""
    status = os.fstat(file.fileno())
    if status.st_size != n_bytes:
        raise _Refused(f"{status.st_size} ≠ {n_bytes} bytes")
    identity = (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
    with _verified_lock:
        known = _verified.get(identity)
    if known is None:
        known = hashlib.file_digest(file, "sha256").hexdigest()
        with _verified_lock:
            _verified[identity] = known
    if known != checksum:
        raise _Refused("チェックサムが違います")


def _is_sound(path: Path, source: FileRecord, shape: tuple[int, ...]) -> bool:
    try:
        _open(path, source, shape)
    except (OSError, _Refused):
        return False
    return True


def _write(path: Path, source: FileRecord, vectors: NDArray[np.float16]) -> None:
    """Write codes, whole or not at all, then the sidecar that makes them count."""
    if not path.parent.is_dir():
        path.parent.mkdir()
        sync_folder(path.parent.parent)
    draft = path.with_name(path.name + ".new")
    digest = hashlib.sha256()
    try:
        with draft.open("wb") as file:
            for block in _file_blocks(vectors):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)
    sidecar = {**_expected(source, vectors.shape), "sha256": digest.hexdigest()}
    write_json_file(path.with_suffix(".json"), sidecar)


def _file_blocks(vectors: NDArray[np.float16]) -> Iterator[memoryview]:
    mean, longest = mean_vector(vectors), 0.0
    for records, reach in record_blocks(vectors, mean):
        longest = max(longest, reach)
        yield records.data.cast("B")
    yield np.append(mean, longest).data.cast("B")


def _missing(path: Path) -> DerivedProblem:
    sentence = f"int8 の符号 {path.name} がないので、fp16 を総当たりします（結果は同じで遅くなります）。{_AGAIN}"
    return DerivedProblem("derived_missing", str(path), sentence)


def _damaged(path: Path, error: Exception) -> DerivedProblem:
    sentence = f"int8 の符号 {path.name} は使えないので（{error}）、fp16 を総当たりします（結果は同じで遅くなります）。{_AGAIN}"
    return DerivedProblem("derived_damaged", str(path), sentence)
