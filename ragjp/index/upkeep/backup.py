"""Copies of an index that can be trusted: verified before, during and after.

A backup is itself an index folder: one generation, every file copied (not linked: bytes that rot on the disk would rot in both) and
read back. It appears whole or not at all. A restore puts such a folder in the place of an index: its segments come first, under
names that the index in place does not use, then its catalog takes the other's place by one rename. Killed anywhere, both leave the
index as it was or the new one; what a kill leaves behind is swept by the next writer.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ragjp.errors import IndexCorrupt, RagjpError, RequestError
from ragjp.index.dense.derived import ensure_derived
from ragjp.index.dense.lists import dense_setting
from ragjp.index.storage.catalog import (
    OLD_NAME,
    RESTORING_NAME,
    SEGMENTS_NAME,
    catalog_path,
    connect,
    current_generation,
    meta_value,
    open_catalog,
)
from ragjp.index.storage.creation import forget_logs
from ragjp.index.storage.digests import DigestKeeper
from ragjp.index.storage.disk import sync_file, sync_folder
from ragjp.index.storage.lock import LOCK_NAME, changing, writer_lock
from ragjp.index.storage.seal import SEAL_NAME, seal_catalog
from ragjp.index.storage.segments import (
    Segment,
    copy_file,
    damaged_file,
    file_sha256,
    free_name,
    read_segments,
    sweep_segments,
)
from ragjp.index.upkeep.check import CheckReport, check

Progress = Callable[[str, int, int], None]
#: Times that a merge may sweep files from under a backup before it gives up.
_ATTEMPTS = 30


@dataclass(frozen=True, slots=True)
class CopyReport:
    """A backup or restore that succeeded: where it lies, and what it holds (verified there)."""

    path: Path
    n_bytes: int
    verified: CheckReport


def backup(index: Path, folder: Path, *, progress: Progress | None = None) -> CopyReport:
    """Copy one generation of an index to ``folder``; readers and a writer may be at work meanwhile.

    Raises
    ------
    RequestError
        When something lies at ``folder`` already (``target_exists``).
    IndexMissing, IndexMismatch, IndexUnreadable
        When there is no index that could be copied.
    IndexCorrupt
        When the index is damaged: no backup is made of it.
    StorageFailed
        When the disk refuses. There is then nothing at ``folder``.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    if os.path.lexists(folder):
        raise RequestError(
            f"{folder} はすでにあります。控えを置く、まだないフォルダー名を指定してください。",
            code="target_exists",
        )
    open_catalog(index).close()
    draft = folder.with_name(folder.name + ".new")
    with changing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_draft(draft)
        # Its lock's file marks it as a draft of ours, and keeps a second backup away from it.
        with writer_lock(draft, create=True):
            try:
                segments = _copy_all(index, draft, tell)
                _finish_catalog(draft)
                verified = _verified_copy(draft, progress)
                _sync_tree(draft, segments)
                draft.rename(folder)
                # Only now: a draft without it would not be known as ours. In a backup it does no harm.
                with suppress(OSError):
                    (folder / LOCK_NAME).unlink()
                sync_folder(folder.parent)
            except BaseException:
                with suppress(OSError):
                    _discard(draft)
                raise
    return CopyReport(folder, _size(folder, segments), verified)


def _remove_draft(draft: Path) -> None:
    """Remove what a killed backup left; a folder that is not ours is not touched."""
    if not os.path.lexists(draft):
        return
    is_ours = (draft / LOCK_NAME).is_file() or (draft.is_dir() and not any(draft.iterdir()))
    if not is_ours:
        raise RequestError(
            f"{draft} があるので控えを作れません。別の名前を指定するか、それを片づけてください。",
            code="target_exists",
        )
    with writer_lock(draft):
        _discard(draft)


def _discard(draft: Path) -> None:
    """Remove a draft, the file that marks it as ours last."""
    for entry in list(draft.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK_NAME:
            entry.unlink()
    shutil.rmtree(draft)


def _copy_all(index: Path, draft: Path, tell: Progress) -> list[Segment]:
    """Copy the catalog and the files that it names; what a merge sweeps meanwhile means that there is a newer catalog to copy."""
    for attempt in range(_ATTEMPTS):
        _copy_catalog(index, draft)
        with closing(open_catalog(draft)) as connection:
            segments = read_segments(connection)
        try:
            _copy_segments(index, draft, segments, {one.name: one.name for one in segments}, tell)
        except FileNotFoundError as error:
            with closing(open_catalog(index)) as now, closing(open_catalog(draft)) as copied:
                moved_on = current_generation(now) != current_generation(copied)
            if not moved_on or attempt == _ATTEMPTS - 1:
                raise _missing(error) from error
        else:
            sweep_segments(draft, {one.name: set(one.sizes) for one in segments})
            return segments
    raise AssertionError("unreachable")


def _missing(error: FileNotFoundError) -> IndexCorrupt:
    return IndexCorrupt(
        f"索引のファイル {error.filename} がありません。ragjp check で調べてください。",
        code="segment_missing",
    )


def _copy_catalog(index: Path, draft: Path) -> None:
    """Copy one committed state of the catalog, through SQLite's own locks."""
    target = catalog_path(draft)
    target.unlink(missing_ok=True)
    forget_logs(target)
    with closing(open_catalog(index)) as source, closing(connect(target, mode="rwc")) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # forced to the disk as a whole below
        source.backup(copy)
    sync_file(target)


def _copy_segments(
    source: Path,
    target: Path,
    segments: Sequence[Segment],
    names: dict[str, str],
    tell: Progress,
    stage: str = "写し",
) -> None:
    """Copy the files of segments (``names``: name in the source → name in the target), each verified as it is read and once written."""
    total = sum(record.n_bytes for one in segments for record in one.files)
    done = 0
    (target / SEGMENTS_NAME).mkdir(exist_ok=True)
    for segment in segments:
        folder = target / SEGMENTS_NAME / names[segment.name]
        folder.mkdir(exist_ok=True)
        for record in segment.files:
            tell(stage, done, total)
            path, copy = source / SEGMENTS_NAME / segment.name / record.name, folder / record.name
            if not (copy.is_file() and file_sha256(copy) == record.sha256):
                if copy_file(path, copy) != record:
                    raise damaged_file(path, "SHA-256")
                if _read_back(copy) != record.sha256:
                    raise OSError(None, "書いたものと読んだものが違います", str(copy))
            done += record.n_bytes
        sync_folder(folder)
    sync_folder(target / SEGMENTS_NAME)
    tell(stage, total, total)


def _read_back(path: Path) -> str:
    """SHA-256 of a file as the disk has it, not as the system remembers it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return file_sha256(path)


def _finish_catalog(draft: Path, names: dict[str, str] | None = None) -> None:
    """Give the segments of a copied catalog the names that their copies have, and seal it."""
    with closing(open_catalog(draft, writable=True)) as connection:
        if names:
            with DigestKeeper(connection).writing():
                connection.executemany(
                    "UPDATE segment SET name = ? WHERE name = ?",
                    [(new, old) for old, new in names.items() if new != old],
                )
        # A seal is put on nothing that has not been looked at.
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != ("ok",):
            raise IndexCorrupt(
                f"索引の目録が壊れているので写せません（{found}）。ragjp check で調べてください。",
                code="catalog_damaged",
            )
        generation = current_generation(connection)
    sync_file(catalog_path(draft))
    seal_catalog(draft, generation)


def _verified_copy(path: Path, progress: Progress | None) -> CheckReport:
    report = check(path, progress=progress)
    if report.problems:
        first = report.problems[0]
        raise IndexCorrupt(
            f"写した索引に誤りが {len(report.problems)} 個あります（{first.sentence}）。元の索引を ragjp check で調べてください。",
            code="copy_damaged",
        )
    return report


def _sync_tree(folder: Path, segments: Sequence[Segment]) -> None:
    for segment in segments:
        sync_folder(folder / SEGMENTS_NAME / segment.name)
    if segments:
        sync_folder(folder / SEGMENTS_NAME)
    sync_folder(folder)


def _size(folder: Path, segments: Sequence[Segment]) -> int:
    files = sum(record.n_bytes for one in segments for record in one.files)
    return files + catalog_path(folder).stat().st_size


# ------------------------------------------------------------------------------------------------- restore


def restore(
    folder: Path, index: Path, *, replace: bool = False, progress: Progress | None = None
) -> CopyReport:
    """Put a backup in the place of an index. The backup is verified before anything is touched, the index after.

    Parameters
    ----------
    replace
        Whether an index at ``index`` may be replaced. It is kept until the new one has been verified in its place.

    Raises
    ------
    RequestError
        When there is an index already and ``replace`` was not said (``target_exists``), or the two folders are one.
    IndexMissing, IndexMismatch, IndexUnreadable
        When there is no backup that could be read.
    IndexCorrupt
        When the backup is damaged, or its copy: the index in place is as it was.
    IndexLocked, StorageFailed
        When another process is writing to the index, or the disk refuses: likewise.
    """
    tell: Progress = progress or (lambda stage, done, total: None)
    if folder.resolve() == index.resolve():
        raise RequestError(
            "控えと戻す先が同じフォルダーです。別のフォルダーを指定してください。",
            code="same_folder",
        )
    if catalog_path(index).exists() and not replace:
        raise RequestError(
            f"{index} には索引があります。置き換えるときは --replace を付けてください。",
            code="target_exists",
        )
    _verified_copy(folder, progress)
    with writer_lock(index, create=True), changing(index):
        return _restore(folder, index, progress, tell)


def _restore(folder: Path, index: Path, progress: Progress | None, tell: Progress) -> CopyReport:
    _settle(index)
    draft = index / RESTORING_NAME
    shutil.rmtree(draft, ignore_errors=True)
    names: dict[str, str] = {}
    try:
        draft.mkdir()
        _copy_catalog(folder, draft)
        with closing(open_catalog(draft)) as connection:
            segments = read_segments(connection)
            generation = current_generation(connection)
        taken = {segment.name for segment in segments}
        for segment in segments:
            names[segment.name] = free_name(index, generation, taken | set(names.values()))
            (index / SEGMENTS_NAME / names[segment.name]).mkdir(parents=True)
        sync_folder(index)
        _copy_segments(folder, index, segments, names, tell, "復元")
        _finish_catalog(draft, names)
        _swap(index, draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        if names and not _names_any(index, set(names.values())):
            for name in names.values():
                shutil.rmtree(index / SEGMENTS_NAME / name, ignore_errors=True)
        raise
    shutil.rmtree(draft, ignore_errors=True)
    verified = _verify_in_place(index, progress)
    (index / OLD_NAME).unlink(missing_ok=True)
    with closing(open_catalog(index)) as connection:
        segments = read_segments(connection)
        setting = dense_setting(meta_value(connection, "recipe"))
    sweep_segments(index, {one.name: set(one.sizes) for one in segments})
    ensure_derived(index, segments, setting)
    return CopyReport(index, _size(index, segments), verified)


def _settle(index: Path) -> None:
    """Let the catalog in place finish or undo what a killed writer began, so that its journal is not played into the new one."""
    with suppress(RagjpError, sqlite3.Error):
        open_catalog(index, any_version=True).close()
    (index / OLD_NAME).unlink(missing_ok=True)


def _names_any(index: Path, names: set[str]) -> bool:
    """Whether the catalog in place names one of these segments; yes, when it cannot be asked."""
    if not catalog_path(index).exists():
        return False
    try:
        with closing(open_catalog(index)) as connection:
            return any(segment.name in names for segment in read_segments(connection))
    except (RagjpError, sqlite3.Error):
        return True


def _swap(index: Path, draft: Path) -> None:
    """The commit point: the new catalog takes the old one's place; the old one keeps a second name."""
    final, old = catalog_path(index), index / OLD_NAME
    if final.exists():
        try:
            os.link(final, old)
        except OSError:
            copy_file(final, old)
    forget_logs(final)
    # Between the two renames the old catalog is beside a seal that is not its own: an unsealed catalog, not a damaged one.
    (index / SEAL_NAME).unlink(missing_ok=True)
    sync_folder(index)
    catalog_path(draft).rename(final)
    (draft / SEAL_NAME).rename(index / SEAL_NAME)
    sync_folder(index)


def _verify_in_place(index: Path, progress: Progress | None) -> CheckReport:
    """Verify what has been put in place; the old catalog goes back when it is not what was copied."""
    try:
        return _verified_copy(index, progress)
    except RagjpError:
        if (index / OLD_NAME).exists():
            (index / SEAL_NAME).unlink(missing_ok=True)
            (index / OLD_NAME).rename(catalog_path(index))
            sync_folder(index)
        raise
