"""Checksums of segment files, taken when an index is opened: the small ones before the first answer, the rest behind it.

A file is hashed once in a process: segments are written once, so a file that has the same place on the disk, size, time and
checksum wanted has been verified already. Tokens are not hashed here: each row carries its own check (``token_checks.npy``), which
is compared when the row is read.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path

from ragjp.errors import IndexCorrupt, IndexUnreadable, RagjpError
from ragjp.index.storage.catalog import SEGMENTS_NAME, catalog_path, open_catalog, unusable
from ragjp.index.storage.digests import document_digests, stored_digests, table_digests
from ragjp.index.storage.disk import storage_failed
from ragjp.index.storage.seal import change_counter, seal_state
from ragjp.index.storage.segments import FileRecord, Segment, damaged_file, file_sha256

#: Files whose rows are verified one by one as they are read.
CHECKED_BY_ROW = frozenset({"tokens.npy", "token_scales.npy"})
#: Bytes hashed before the index is open (about one second).
BUDGET_BYTES = 1 << 30

#: A catalog larger than this is verified behind the first answers.
CATALOG_BUDGET_BYTES = 1 << 28
#: Where no seal covers the catalog (a writer was killed, or is at work), its rows are, when it is larger than this.
ROWS_BUDGET_BYTES = 1 << 23

#: Files remembered as verified; a server that has seen more hashes those it opens once again.
_REMEMBERED = 100_000
#: Looks at the rows of a catalog that is being written to; the next who opens it looks again.
_ATTEMPTS = 3
_verified: set[tuple[int, int, int, int, str]] = set()


class Verification:
    """Files that are being verified; searching goes on meanwhile and asks :meth:`require_sound` each time."""

    def __init__(self) -> None:
        self._failure: RagjpError | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def require_sound(self) -> None:
        """Raise what has been found wrong so far; costs nothing else.

        Raises
        ------
        IndexCorrupt
            When a file has another checksum than the catalog says.
        """
        if self._failure is not None:
            raise self._failure

    @property
    def is_over(self) -> bool:
        """Whether every file has been read."""
        return self._thread is None or not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until every file has been read, then do as :meth:`require_sound`."""
        if self._thread is not None:
            self._thread.join()
        self.require_sound()

    def stop(self) -> None:
        """Give up what is left: the snapshot is being closed."""
        self._stopped.set()

    def run_behind(self, work: Iterable[Callable[[], None]]) -> None:
        """Do the pieces of work in a thread of their own; the first that raises ends it."""

        def run() -> None:
            for piece in work:
                if self._stopped.is_set():
                    return
                try:
                    piece()
                except FileNotFoundError:
                    continue  # swept by a merge meanwhile: what is mapped stays, and was written whole
                except RagjpError as error:
                    self._failure = error
                    return
                except OSError as error:
                    self._failure = storage_failed(Path(str(error.filename or "")), error)
                    return

        self._thread = threading.Thread(target=run, name="ragjp-verify", daemon=True)
        self._thread.start()


def verify_files(
    index: Path,
    segments: Iterable[Segment],
    *,
    skip: Collection[str] = CHECKED_BY_ROW,
    budget_bytes: int = BUDGET_BYTES,
    behind: Iterable[Callable[[], None]] = (),
) -> Verification:
    """Compare the files of segments with the catalog's checksums, the smallest first.

    Parameters
    ----------
    skip
        Names of files to leave out.
    budget_bytes
        Hashed before this returns; what is beyond is hashed in a daemon thread.
    behind
        What else is to be verified in that thread, before the files.

    Raises
    ------
    IndexCorrupt
        When a file hashed before returning is not what was written.
    FileNotFoundError
        When one is missing: damage, or a merge that has swept it meanwhile.
    """
    files = sorted(
        (
            (record.n_bytes, index / SEGMENTS_NAME / segment.name / record.name, record)
            for segment in segments
            for record in segment.files
            if record.name not in skip
        ),
        key=lambda file: file[0],
    )
    later = list(behind)
    spent = 0
    for n_bytes, path, record in files:
        if is_verified(path, record):
            continue
        spent += n_bytes
        if spent <= budget_bytes:
            verify_file(path, record)
        else:
            later.append(lambda path=path, record=record: verify_file(path, record))  # type: ignore[misc]
    verification = Verification()
    if later:
        verification.run_behind(later)
    return verification


def verify_file(path: Path, record: FileRecord) -> None:
    """Hash one file, unless this process has done so.

    Raises
    ------
    IndexCorrupt
        When it is not what was written.
    OSError
        When it is missing or cannot be read.
    """
    if is_verified(path, record):
        return
    key = _key(path, record)
    if key[2] != record.n_bytes:
        raise damaged_file(path, f"{key[2]} ≠ {record.n_bytes} bytes")
    try:
        digest = file_sha256(path)
    except PermissionError as error:
        raise IndexUnreadable(
            f"索引のファイル {path} を読む権限がありません。フォルダーの権限を確かめてください。"
        ) from error
    if digest != record.sha256:
        raise damaged_file(path, "SHA-256", code="segment_damaged")
    if _key(path, record) == key:
        if len(_verified) >= _REMEMBERED:
            _verified.clear()
        _verified.add(key)


def is_verified(path: Path, record: FileRecord) -> bool:
    """Whether this process has hashed this very file and found it sound."""
    try:
        return _key(path, record) in _verified
    except OSError:
        return False


def _key(path: Path, record: FileRecord) -> tuple[int, int, int, int, str]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, record.sha256


def verify_catalog(index: Path, *, thorough: bool) -> list[Callable[[], None]]:
    """Compare the catalog with its seal, before the first answer where it is small.

    Parameters
    ----------
    thorough
        Whether rows are to be verified where no seal covers them.

    Returns
    -------
    What is left to verify behind the first answers, for :func:`verify_files`.

    Raises
    ------
    IndexCorrupt
        When the catalog is not what was sealed.
    """

    def bytes_() -> None:
        state = seal_state(index)
        if state == "damaged":
            raise _damaged_catalog(index)
        if state != "sealed" and thorough:
            _verify_rows(index)

    try:
        n_bytes = catalog_path(index).stat().st_size
        if n_bytes > CATALOG_BUDGET_BYTES:
            return [bytes_]
        state = seal_state(index)
    except OSError:
        return []  # opening it says better what is wrong
    if state == "damaged":
        raise _damaged_catalog(index)
    if state == "sealed" or not thorough:
        return []
    if n_bytes > ROWS_BUDGET_BYTES:
        return [partial(_verify_rows, index)]
    _verify_rows(index)
    return []


def _verify_rows(index: Path) -> None:
    connection = open_catalog(index)
    try:
        _require_sound_rows(index, connection)
    except sqlite3.DatabaseError as error:
        raise unusable(index, error) from error
    finally:
        connection.close()


def _require_sound_rows(index: Path, connection: sqlite3.Connection) -> None:
    """Do as :func:`require_sound_catalog` beside a writer: rows and digests that a commit came between say nothing."""
    for _ in range(_ATTEMPTS):
        counter = _counter(index)
        try:
            require_sound_catalog(index, connection)
        except IndexCorrupt:
            if _counter(index) == counter:
                raise
        else:
            return


def _counter(index: Path) -> int | None:
    try:
        return change_counter(index)
    except ValueError:
        return None


def _damaged_catalog(index: Path) -> IndexCorrupt:
    return IndexCorrupt(
        f"索引の目録 {catalog_path(index)} が壊れています。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
        code="catalog_damaged",
    )


def require_sound_segments(
    index: Path, segments: Iterable[Segment], *, skip: Callable[[str], bool] | None = None
) -> None:
    """Hash every file that a merge would read, but for what is checked by row and what ``skip`` says is not read.

    Raises
    ------
    IndexCorrupt
        When one is missing or not what was written.
    """
    try:
        for segment in segments:
            unread = {one.name for one in segment.files if skip is not None and skip(one.name)}
            verify_files(index, [segment], skip=CHECKED_BY_ROW | unread, budget_bytes=1 << 62)
    except FileNotFoundError as error:
        raise IndexCorrupt(
            f"索引のファイル {error.filename} がありません。ragjp check --repair で直すか、控えから戻すか、ragjp index で作り直してください。",
            code="segment_missing",
        ) from error


def require_sound_catalog(index: Path, connection: sqlite3.Connection) -> bool:
    """Compare the catalog with its seal; where it has been written to since, its rows with their digests.

    Returns
    -------
    bool
        True when the seal covers every byte, False when only the rows could be verified (the last writer was killed, or one is
        at work).

    Raises
    ------
    IndexCorrupt
        When it is damaged.
    """
    state = seal_state(index)
    if state == "sealed":
        return True
    try:
        sound = (
            state != "damaged"
            and stored_digests(connection) == table_digests(connection)
            and dict(connection.execute("SELECT doc_no, sha256 FROM document_digest"))
            == dict(document_digests(connection))
            and connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
        )
    except (sqlite3.OperationalError, ValueError, OverflowError) as error:
        if getattr(error, "sqlite_errorname", "") not in ("", "SQLITE_ERROR"):
            raise  # the disk, a lock: not the contents
        sound = False  # text that is no UTF-8, a table that is not there
    if not sound:
        raise _damaged_catalog(index)
    return False
