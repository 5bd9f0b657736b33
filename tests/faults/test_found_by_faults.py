"""Faults that the harnesses of this folder have found, each with its shortest form, so that it is named when it comes back."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from library import batch_of, held, is_sentence, open_engine, open_writer, remember_recipe
from operations import as_version_1

from ragjp.errors import RagjpError, StorageFailed
from ragjp.index.storage import segments, verify
from ragjp.index.storage import writer as writer_module
from ragjp.index.storage.digests import table_digests
from ragjp.index.storage.migrations import migrate
from ragjp.index.storage.seal import seal_catalog
from ragjp.index.upkeep.backup import backup
from ragjp.index.upkeep.check import check


def full_disk(*arguments: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    raise error


def test_a_deletion_that_cannot_be_committed_keeps_every_segment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch without chunks has no segment folder: tidying up after it removed the folder "", which was that of all segments."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
        removal = batch_of(writer, {}, removed=(0,))
        monkeypatch.setattr(writer_module, "set_values", full_disk)
        with pytest.raises(StorageFailed):
            writer.commit(removal)
    assert held(path) == {"000.md": 1, "001.md": 1}


def test_a_lock_that_the_disk_refuses_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network folder without a lock server flock fails with ENOLCK, which is not "somebody else is writing"."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageFailed, match="No locks available"):
        open_writer(folder / "index")


def test_what_a_writer_cannot_read_is_one_sentence(folder: Path) -> None:
    """The plain questions to a writer (its generation, what it knows) went to SQLite unguarded."""
    path = folder / "index"
    with open_writer(path) as writer:
        writer.commit(batch_of(writer, {0: 1}))
        catalog = path / "catalog.sqlite"
        content = bytearray(catalog.stat().st_size)
        content[:100] = catalog.read_bytes()[:100]
        content[24:28] = b"\xff" * 4  # so that SQLite reads again
        catalog.write_bytes(content)
        for question in (writer.counts, writer.known_documents, writer.needs_merge):
            with pytest.raises(RagjpError):
                question()


@pytest.mark.parametrize("row", [1006, -1, 2**63 - 1])
def test_rows_that_contradict_the_catalog_are_not_merged(folder: Path, row: int) -> None:
    """A catalog changed by hand under a writer: the merge ended in an IndexError, or would have given a chunk another's vector."""
    path = folder / "index"
    with open_writer(path) as writer:
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
        with closing(sqlite3.connect(path / "catalog.sqlite")) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("UPDATE chunk SET row = ? WHERE chunk_no = 1", (row,))
            connection.commit()
        with pytest.raises(RagjpError) as refused:
            writer.merge()
    assert refused.value.code == "rows_contradict"
    assert is_sentence(refused.value)


def test_a_name_that_is_no_text_is_damage(folder: Path) -> None:
    """With another schema a segment's name may be a number: check ended in a TypeError."""
    path = folder / "index"
    with open_writer(path) as writer:
        writer.commit(batch_of(writer, {0: 1}))
    with closing(sqlite3.connect(path / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("ALTER TABLE segment RENAME TO old")
        connection.execute(
            "CREATE TABLE segment AS SELECT segment_no, 7 AS name, n_rows, n_tokens FROM old"
        )
        connection.commit()
    assert check(path).problems


@pytest.mark.parametrize(
    "change",
    ["UPDATE document SET died = 1 WHERE doc_no = 1", "DROP TABLE access", "DELETE FROM meta"],
)
def test_a_catalog_changed_behind_our_back_gives_no_answer_at_all(
    folder: Path, change: str
) -> None:
    """The rows of a catalog without a seal were verified only behind the first answers, which were wrong; a writer met raw SQL errors."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
    with closing(sqlite3.connect(path / "catalog.sqlite")) as connection, connection:
        connection.execute(change)
    for opening in (open_engine, open_writer):
        with pytest.raises(RagjpError):
            opening(path)


def test_a_commit_that_comes_between_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened an index while a writer committed compared rows of one generation with digests of another: "damaged"."""
    path = folder / "index"
    real, commits = table_digests, list[int]()
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1}))

        def overtaken(connection: sqlite3.Connection) -> dict[str, str]:
            if not commits:
                commits.append(writer.commit(batch_of(writer, {1: 1})))
            return real(connection)

        monkeypatch.setattr(verify, "table_digests", overtaken)
        assert held(path) == {"000.md": 1, "001.md": 1}
    assert commits


def test_a_schema_that_is_no_text_is_damage(folder: Path) -> None:
    """One flipped bit in the catalog's schema made SQLite's own message undecodable: a UnicodeDecodeError instead of a sentence."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
    catalog = path / "catalog.sqlite"
    content = catalog.read_bytes()
    catalog.write_bytes(content.replace(b"CREATE TABLE meta (key", b"CREATE TABLE meta \xcck\xe5y"))
    for opening in (open_engine, open_writer):
        with pytest.raises(RagjpError):
            opening(path)


def test_a_catalog_is_forced_to_the_disk_before_it_is_sealed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VACUUM shortens the file without fsync: after a power cut the seal was of a shorter file, and the index "damaged" for ever."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
    forced, real = list[int](), os.fsync

    def fsync(descriptor: int) -> None:
        forced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    seal_catalog(path, 0)
    catalog, sealed = ((path / name).stat().st_ino for name in ("catalog.sqlite", "catalog.seal"))
    assert forced.index(catalog) < forced.index(sealed)


def test_a_segment_that_cannot_be_opened_now_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files sent people to their backups: 壊れています."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1}))

    def refuse(*arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(segments, "map_array", refuse)
    with pytest.raises(StorageFailed) as refused:
        open_engine(path)
    assert refused.value.code == "too_many_files"


def test_many_findings_of_sqlite_are_still_one_sentence(folder: Path) -> None:
    """What integrity_check says has several lines: the migration of a damaged old index answered with all of them."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, dict.fromkeys(range(30), 1)))
    as_version_1(path)
    catalog = path / "catalog.sqlite"
    content = bytearray(catalog.read_bytes())
    for page in range(4096 * 6, len(content), 4096):
        content[page : page + 8] = b"\x7f" * 8
    catalog.write_bytes(content)
    with pytest.raises(RagjpError) as refused:
        migrate(path)
    assert is_sentence(refused.value)


@pytest.mark.parametrize("kept", [(), ("writer.lock",), ("writer.lock", "catalog.sqlite")])
def test_what_a_killed_backup_left_is_in_nobodys_way(folder: Path, kept: tuple[str, ...]) -> None:
    """The lock's file, by which a draft is known as ours, went before the draft got its name: the next backup refused to begin."""
    path, copy = folder / "index", folder / "copy"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1}))
    draft = folder / "copy.new"
    draft.mkdir()
    for name in kept:
        (draft / name).touch()
    backup(path, copy)
    assert held(copy) == {"000.md": 1}
    assert not draft.exists()


def test_a_draft_keeps_its_mark_until_it_is_a_backup(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, seen from the other side: at the moment of the rename the mark is still there."""
    path, copy = folder / "index", folder / "copy"
    with open_writer(path) as writer:
        writer.commit(batch_of(writer, {0: 1}))
    marked, real = list[bool](), Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "copy.new":
            marked.append((self / "writer.lock").is_file())
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    backup(path, copy)
    assert marked == [True]


def test_a_broken_statement_in_the_catalog_is_quoted_on_one_line(folder: Path) -> None:
    """One flipped bit turns a blank of the schema into a backtick, and SQLite's message quotes the rest of it, line ends and all."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1}))
    catalog = path / "catalog.sqlite"
    content = catalog.read_bytes()
    assert content.count(b"TABLE document_digest (") == 1
    catalog.write_bytes(content.replace(b"TABLE document_digest (", b"TABLE`document_digest ("))
    with pytest.raises(RagjpError, match="document_digest") as caught:
        open_engine(path)
    assert is_sentence(caught.value)
