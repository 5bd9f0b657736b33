"""Folders that appear whole or not at all, shared by processes that may all want to make them at once.

A folder is made beside its place under a hidden name, each file is fsynced, ``MANIFEST.json`` (name → bytes, sha256, mtime) is
written last, and one rename puts the folder in place. Makers take turns through a lock file, so the second finds the first one's
work; where the file system has no locks the rename decides and the loser throws its own copy away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ragjp.errors import RagjpError

MANIFEST = "MANIFEST.json"
Notify = Callable[[str], None]


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ensure_folder(place: Path, make: Callable[[Path], None], notify: Notify) -> Path:
    """Return ``place``, making it first if it is absent or damaged.

    Parameters
    ----------
    place
        The folder wanted. Its parent is created.
    make
        Fills an empty folder given to it. It may take long and may be killed.
    notify
        Told, in Japanese, about waiting and remaking.

    Raises
    ------
    RagjpError
        ``cache_unwritable``: no room or no right to write. Whatever ``make`` raises passes through.
    """
    if is_intact(place):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _turn(place, notify) as alone:
            if is_intact(place):
                return place
            if alone:
                _sweep(place)
            _make(place, make, notify)
    except OSError as error:
        raise RagjpError(
            f"モデルを {place.parent} に展開できません（{error.strerror or error}）。"
            "空き容量と書き込み権限を確かめるか、RAGJP_CACHE に別のフォルダーを指定してください。",
            code="cache_unwritable",
        ) from error
    return place


def is_intact(place: Path) -> bool:
    """Tell whether every file is as it was made.

    Sizes and modification times decide; where a time differs (the folder was copied) the file's SHA-256 does.
    """
    try:
        files: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))["files"]
        return bool(files) and all(
            _is_same(place / name, int(kept["bytes"]), int(kept["mtime_ns"]), str(kept["sha256"]))
            for name, kept in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_same(path: Path, size: int, mtime_ns: int, sha256: str) -> bool:
    found = path.stat()
    return found.st_size == size and (found.st_mtime_ns == mtime_ns or sha256_of(path) == sha256)


def _make(place: Path, make: Callable[[Path], None], notify: Notify) -> None:
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        make(work)
        _write_manifest(work)
        work.chmod(0o755)
        _put(work, place, notify)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    _fsync(place.parent)


def _put(work: Path, place: Path, notify: Notify) -> None:
    """Rename ``work`` to ``place``; an intact ``place`` that appeared meanwhile wins, a damaged one is moved away."""
    if place.exists():
        if is_intact(place):
            shutil.rmtree(work, ignore_errors=True)
            return
        notify(f"{place} が壊れているので作り直します")
        broken = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        place.rename(broken / "broken")
        shutil.rmtree(broken, ignore_errors=True)
    try:
        work.rename(place)
    except OSError:
        if not is_intact(place):
            raise
        shutil.rmtree(work, ignore_errors=True)


def _write_manifest(work: Path) -> None:
    files = {}
    for path in sorted(found for found in work.rglob("*") if found.is_file()):
        _fsync(path)
        path.chmod(0o644)
        files[path.relative_to(work).as_posix()] = {
            "bytes": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
            "sha256": sha256_of(path),
        }
    manifest = work / MANIFEST
    manifest.write_text(json.dumps({"files": files}, indent=1), encoding="utf-8")
    _fsync(manifest)
    _fsync(work)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _turn(place: Path, notify: Notify) -> Iterator[bool]:
    """Wait for the lock of ``place``; yields False where the file system has no locks."""
    with (place.parent / f".{place.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notify(f"別のプロセスが {place} を展開しています。終わるのを待ちます")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        yield True


def _sweep(place: Path) -> None:
    """Remove what killed makers left behind. Only for the holder of the lock."""
    for left in place.parent.glob(f".{place.name}.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
