"""Derived files: the codes of large segments, kept beside the index in ``<index>/derived/``. Never needed, only faster.

::

    <digest>.codes    n records (see ragjp.index.dense.codes), then mean (D,) and reach as float64
    <digest>.lists    the same in the order of its L lists (see ragjp.index.dense.lists), then offsets (L + 1,) int64,
                      order (n,) int32 and centroids (L, D) float32; a segment has one of the two
    <digest>.json     the sidecar: format, source, n_rows, dim, n_lists, n_bytes, sha256

The digest is made of the format, the shape and the checksum of the vectors that the codes stand for, so that codes outlive a merge
that keeps a segment's vectors, and never pass for those of others. Both files appear whole, the sidecar last. No byte of the codes
is used before their SHA-256 has been compared. What is absent or refused costs speed: without it the search is exact.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
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

from ragjp.index.dense.codes import Codes, mean_vector, record_blocks, record_bytes
from ragjp.index.dense.lists import Lists, Setting, lists_from, make_lists, n_lists
from ragjp.index.storage.catalog import SEGMENTS_NAME
from ragjp.index.storage.disk import storage_failed, sync_folder, whole_file, write_json_file
from ragjp.index.storage.segments import FileRecord, Segment, file_sha256, map_array

DERIVED_NAME = "derived"
#: Segments of fewer rows have no codes: their halves are scanned in 0.2 ms. (At 11 k rows 0.4 ms, 0.3 through codes.)
MIN_ROWS = 4096
_FORMAT = 2
_VECTORS = "vectors.npy"
_CODES, _LISTS = "codes", "lists"
_MAX_SIDECAR_BYTES = 4096
_OURS = re.compile(r"[0-9a-f]{32}\.(codes|lists|json)(\.new)?")
_AGAIN = "ragjp index か ragjp compact で作り直されます"
_NO_LISTS = f"近似索引がないので、厳密に検索します（遅くなります）。{_AGAIN}。"
_NO_FAISS = "faiss が入っていないので近似索引を作らず、厳密に検索します。速くするには pip install 'ragjp[cpu]' のあと ragjp index を実行してください。"

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
        codes, wrong = None, []
        if len(part) >= MIN_ROWS:
            for kind in (_LISTS, _CODES):
                file = _File(index, kind, _vectors_record(segment), part.shape)
                try:
                    codes = _open(file)
                    break
                except FileNotFoundError:
                    missing = _missing(file.path)
                except (OSError, _Refused) as error:
                    wrong.append(_damaged(file.path, error))
            if codes is None and not wrong:
                wrong.append(missing)
        problems += wrong
        found.append(codes)
    return Derived(tuple(found), tuple(problems))


def ensure_derived(index: Path, segments: Sequence[Segment], dense: Setting = "auto") -> Ensured:
    """Write the codes that are missing or damaged, and remove those of no segment. Only the writer may call this.

    A disk that refuses, or faiss that is not there, is a problem in the result, not an error: the index is whole without.

    Parameters
    ----------
    dense
        ``retrieval.dense`` of the recipe: which segments get lists.
    """
    built, problems, keep = [], [], set()
    for segment in segments:
        if segment.n_rows < MIN_ROWS:
            continue
        source = _vectors_record(segment)
        path = index / SEGMENTS_NAME / segment.name / _VECTORS
        try:
            part = map_array(path, source.n_bytes)
            has_lists = segment.n_rows >= lists_from(dense)
            if has_lists and importlib.util.find_spec("faiss") is None:
                has_lists = False
                problems.append(DerivedProblem("lists_unbuilt", str(path), _NO_FAISS))
            file = _File(index, _LISTS if has_lists else _CODES, source, part.shape)
            keep.add(file.path.stem)
            if _is_sound(file):
                continue
            if file_sha256(path) != source.sha256:
                raise _Refused("ベクトルのチェックサムが目録と違います")
            _write(file, part)
            built.append(file.path.stem)
        except OSError as error:
            sentence = storage_failed(path, error).sentence
            problems.append(DerivedProblem("derived_unwritten", str(path), sentence))
        except ImportError as error:
            sentence = f"faiss を読み込めないので（{error}）、近似索引を作らず、厳密に検索します。faiss を入れ直してください。"
            problems.append(DerivedProblem("lists_unbuilt", str(path), sentence))
        except (ValueError, _Refused) as error:
            sentence = f"{path} が壊れているので int8 の符号を作れません（{error}）。ragjp check で調べてください。"
            problems.append(DerivedProblem("derived_unwritten", str(path), sentence))
    sweep_derived(index, keep)
    return Ensured(tuple(built), tuple(problems))


def lists_unbuilt(
    index: Path,
    segments: Sequence[Segment],
    vectors: Sequence[NDArray[np.float16]],
    dense: Setting = "auto",
) -> tuple[DerivedProblem, ...]:
    """Name the lists that the recipe asks for and that are not there: the search is exact then, so :func:`open_derived` has no word of it.

    Parameters
    ----------
    vectors
        The segments' vectors in the same order, each (n, D) float16.
    """
    why = _NO_FAISS if importlib.util.find_spec("faiss") is None else _NO_LISTS
    problems = []
    for segment, part in zip(segments, vectors, strict=True):
        path = _File(index, _LISTS, _vectors_record(segment), part.shape).path
        if len(part) >= max(MIN_ROWS, lists_from(dense)) and not path.exists():
            where = f"{DERIVED_NAME}/{path.name}"
            problems.append(DerivedProblem("lists_unbuilt", where, why))
    return tuple(problems)


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


@dataclass(frozen=True, slots=True)
class _File:
    """The codes of one segment's vectors, with lists or without, as they must be."""

    index: Path
    kind: str
    source: FileRecord
    shape: tuple[int, ...]

    @property
    def path(self) -> Path:
        made_of = f"ragjp {self.kind} {_FORMAT} {self.source.sha256} {self.shape}"
        digest = hashlib.sha256(made_of.encode()).hexdigest()[:32]
        return self.index / DERIVED_NAME / f"{digest}.{self.kind}"

    @property
    def n_lists(self) -> int:
        return n_lists(self.shape[0]) if self.kind == _LISTS else 0

    @property
    def sections(self) -> list[tuple[type[np.generic], tuple[int, ...]]]:
        """What the file holds, one array after the other."""
        n_rows, width = self.shape
        found: list[tuple[type[np.generic], tuple[int, ...]]] = [
            (np.int8, (n_rows, record_bytes(width))),
            (np.float64, (width + 1,)),
        ]
        if self.n_lists:
            found += [(np.int64, (self.n_lists + 1,)), (np.int32, (n_rows,))]
            found += [(np.float32, (self.n_lists, width))]
        return found

    @property
    def n_bytes(self) -> int:
        return sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in self.sections)

    @property
    def sidecar(self) -> dict[str, Any]:
        """The sidecar, but for the checksum."""
        return {
            "format": _FORMAT,
            "source": self.source.sha256,
            "n_rows": self.shape[0],
            "dim": self.shape[1],
            "n_lists": self.n_lists,
            "n_bytes": self.n_bytes,
        }


def _open(wanted: _File) -> Codes:
    """Map one file of codes after its checksum; raises ``OSError`` and :class:`_Refused`."""
    checksum = _read_sidecar(wanted.path.with_suffix(".json"), wanted.sidecar)
    with wanted.path.open("rb") as file:
        _verify(file, wanted.n_bytes, checksum)
        # The file that was verified is the one that is mapped, whatever the path means by now.
        arrays, begin = [], 0
        for kind, shape in wanted.sections:
            arrays.append(np.asarray(np.memmap(file, kind, "r", begin, shape)))
            begin += arrays[-1].nbytes
    records, footer, *rest = arrays
    lists = Lists(rest[1], np.array(rest[0]), np.array(rest[2])) if rest else None
    if lists is not None and not lists.is_sound():
        raise _Refused("組の表が正しくありません")
    return Codes(records, np.array(footer[:-1]), float(footer[-1]), lists)


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


def _is_sound(file: _File) -> bool:
    try:
        _open(file)
    except (OSError, _Refused):
        return False
    return True


def _write(wanted: _File, vectors: NDArray[np.float16]) -> None:
    """Write codes, whole or not at all, then the sidecar that makes them count."""
    path = wanted.path
    if not path.parent.is_dir():
        path.parent.mkdir()
        sync_folder(path.parent.parent)
    digest = hashlib.sha256()
    with whole_file(path) as file:
        for block in _file_blocks(wanted, vectors):
            digest.update(block)
            file.write(block)
    write_json_file(path.with_suffix(".json"), {**wanted.sidecar, "sha256": digest.hexdigest()})


def _file_blocks(wanted: _File, vectors: NDArray[np.float16]) -> Iterator[memoryview]:
    mean, longest = mean_vector(vectors), 0.0
    lists = make_lists(vectors, mean) if wanted.n_lists else None
    for records, reach in record_blocks(vectors, mean, lists):
        longest = max(longest, reach)
        yield records.data.cast("B")
    yield np.append(mean, longest).data.cast("B")
    if lists is not None:
        for array in (lists.offsets, lists.order, lists.centroids):
            yield array.data.cast("B")


def _missing(path: Path) -> DerivedProblem:
    sentence = f"int8 の符号 {path.name} がないので、fp16 を総当たりします（結果は同じで遅くなります）。{_AGAIN}"
    return DerivedProblem("derived_missing", str(path), sentence)


def _damaged(path: Path, error: Exception) -> DerivedProblem:
    sentence = f"int8 の符号 {path.name} は使えないので（{error}）、fp16 を総当たりします（結果は同じで遅くなります）。{_AGAIN}"
    return DerivedProblem("derived_damaged", str(path), sentence)
