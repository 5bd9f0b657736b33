"""Backups and restores: bit for bit, verified, whole or absent; and what stands in place survives everything."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from indexes import EVERYONE, MANIFEST, batch_of, build_toy, contents, flip
from ragjp.errors import (
    IndexCorrupt,
    IndexLocked,
    IndexMissing,
    IndexUnreadable,
    RequestError,
    StorageFailed,
)
from ragjp.index.reader import Snapshot
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep import backup as backup_module
from ragjp.index.upkeep.backup import backup, restore
from ragjp.index.upkeep.check import check

TEXTS = {"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算"}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return build_toy(
        tmp_path / "index", batch_of(TEXTS), batch_of({"c.md": "出張 の 申請"}, removed=["a.md"])
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_backup_restored_is_the_index_bit_for_bit(index: Path, tmp_path: Path) -> None:
    before = contents(index)
    report = backup(index, tmp_path / "控え")
    assert (report.verified.problems, report.verified.n_documents) == ((), 2)
    assert contents(tmp_path / "控え") == before
    restored = restore(tmp_path / "控え", tmp_path / "新しい機械" / "index")
    assert contents(restored.path) == before
    assert check(restored.path).problems == check(restored.path).warnings == ()
    build_toy(restored.path, batch_of({"a.md": "戻した 後 の 文書"}))
    assert set(contents(restored.path)) == {"a.md", "b.md", "c.md"}
    assert check(restored.path).problems == ()


def test_a_restore_replaces_only_when_told_to_and_everything_then(
    index: Path, tmp_path: Path
) -> None:
    """A slip of the keyboard must not replace today's index by last month's."""
    backup(index, tmp_path / "控え")
    kept = contents(index)
    build_toy(index, batch_of({"d.md": "控え より 新しい"}))
    newer = contents(index)
    with pytest.raises(RequestError, match="--replace"):
        restore(tmp_path / "控え", index)
    assert contents(index) == newer
    reader = Snapshot(index)
    restore(tmp_path / "控え", index, replace=True)
    assert contents(index) == kept
    assert not reader.is_current()
    assert check(index).problems == check(index).warnings == ()
    assert len(list((index / "segments").iterdir())) == 2  # nothing of the replaced index is left


def test_a_damaged_backup_touches_nothing(index: Path, tmp_path: Path) -> None:
    folder = backup(index, tmp_path / "控え").path
    before = files(index)
    for name in ("catalog.sqlite", "segments/00000001/vectors.npy", "segments/00000002/tokens.npy"):
        broken = Path(shutil.copytree(folder, tmp_path / "broken", dirs_exist_ok=True))
        flip(broken / name)
        with pytest.raises(IndexCorrupt):
            restore(broken, index, replace=True)
        assert files(index) == before


def test_no_backup_is_made_of_a_damaged_index(index: Path, tmp_path: Path) -> None:
    """Every backup of the last months holds the same damage, and nobody knew."""
    flip(index / "segments/00000001/lemma.rows.npy")
    with pytest.raises(IndexCorrupt):
        backup(index, tmp_path / "控え")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def test_nothing_is_overwritten_by_a_backup(index: Path, tmp_path: Path) -> None:
    for target in (index, tmp_path):
        with pytest.raises(RequestError, match="すでにあります"):
            backup(index, target)
    somebody = tmp_path / "控え.new"
    somebody.mkdir()
    (somebody / "大事.txt").write_text("残す", encoding="utf-8")
    with pytest.raises(RequestError, match="片づけて"):
        backup(index, tmp_path / "控え")
    assert (somebody / "大事.txt").exists()
    with pytest.raises(IndexMissing):
        backup(tmp_path / "無い", tmp_path / "控え2")
    assert not (tmp_path / "控え2.new").exists()
    with pytest.raises(RequestError, match="同じ"):
        restore(index, index, replace=True)


def test_a_merge_during_a_backup_is_no_damage(index: Path, tmp_path: Path) -> None:
    """The files that a merge swept away while they were being copied: the merged ones are copied instead."""
    merged: list[int] = []

    def merge_once(stage: str, done: int, total: int) -> None:
        if stage == "写し" and not merged:
            with IndexWriter(index, MANIFEST) as writer:
                merged.append(writer.merge())

    report = backup(index, tmp_path / "控え", progress=merge_once)
    assert merged == [report.verified.generation]
    assert report.verified.n_segments == 1
    assert contents(report.path) == contents(index)
    assert len(list((report.path / "segments").iterdir())) == 1


def test_backups_of_an_index_that_is_being_written_to_are_each_of_one_generation(
    index: Path, tmp_path: Path
) -> None:
    """A copy of the catalog of one moment and the segments of another."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            build_toy(index, batch_of({"n.md": f"版 {number}", "m.md": f"版 {number}"}))
            with IndexWriter(index, MANIFEST) as writer:
                writer.tidy()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(4):
            report = backup(index, tmp_path / f"控え{number}")
            held = contents(report.path)
            assert held.get("n.md", ("",))[0] == held.get("m.md", ("",))[0]
    finally:
        stop.set()
        writing.join()


def test_an_index_being_written_to_is_not_replaced(index: Path, tmp_path: Path) -> None:
    backup(index, tmp_path / "控え")
    with IndexWriter(index, MANIFEST), pytest.raises(IndexLocked):
        restore(tmp_path / "控え", index, replace=True)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "disk_full"), (errno.EIO, "io_failed"), (errno.EMFILE, "too_many_files")],
)
def test_a_disk_that_refuses_leaves_all_as_it_was(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """The call may fail at any point: the index in place answers as before, and no half of a backup is left."""
    backup(index, tmp_path / "控え")
    build_toy(index, batch_of({"d.md": "控え より 新しい"}))
    before = contents(index)
    real = backup_module.copy_file
    left = [0]

    def failing(source: Path, target: Path) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number), str(target))
        return real(source, target)

    monkeypatch.setattr(backup_module, "copy_file", failing)
    for step in (0, 1, 20):
        left[0] = step
        with pytest.raises(StorageFailed) as refused:
            restore(tmp_path / "控え", index, replace=True)
        assert refused.value.code == code
        left[0] = step
        with pytest.raises(StorageFailed):
            backup(index, tmp_path / "控え2")
    assert contents(index) == before
    assert check(index).problems == check(index).warnings == ()
    assert not list(tmp_path.glob("控え2*"))


def test_a_reader_of_a_replaced_catalog_leaves_the_new_ones_journal_alone(
    index: Path, tmp_path: Path
) -> None:
    """SQLite takes any journal of this name for that of the file it has open: it undid it there, and removed it here."""
    backup(index, tmp_path / "控え")
    reader = Snapshot(index)
    restore(tmp_path / "控え", index, replace=True)
    path = index / "catalog.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE large AS SELECT zeroblob(1000000) AS filler")
        writer.execute("UPDATE document SET title = title || '改'")
        journal = path.with_name("catalog.sqlite-journal")
        began = journal.read_bytes()
        assert began[:8] != bytes(
            8
        )  # forced to the disk: what SQLite would take for a killed writer's
        with suppress(IndexUnreadable):
            reader.page_text("b.md", 1, EVERYONE)
        assert journal.read_bytes() == began
        writer.execute("ROLLBACK")
    assert check(index).problems == ()
