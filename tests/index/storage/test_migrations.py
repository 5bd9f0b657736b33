"""An index of version 1 becomes one of today: same answers, nothing embedded, nothing large written, whole after a failure."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexes import MANIFEST, batch_of, build_toy, contents, flip
from ragjp.errors import IndexCorrupt, IndexLocked, IndexMismatch, IndexMissing
from ragjp.index.reader import Snapshot
from ragjp.index.storage import migrations
from ragjp.index.storage.catalog import FORMAT_VERSION, open_catalog
from ragjp.index.storage.migrations import STEPS, migrate
from ragjp.index.storage.seal import seal_state
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check

NEW_FILES = ("row_chunks.npy", "row_documents.npy", "vector_checks.npy", "token_checks.npy")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An index as version 1 left it: two segments, one with a dead row."""
    index = build_toy(
        tmp_path / "index",
        batch_of({"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算"}),
        batch_of({"a.md": "新しい 規程"}),
    )
    with closing(sqlite3.connect(index / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("DROP TABLE digest")
        catalog.execute("DROP TABLE document_digest")
        catalog.execute("UPDATE meta SET value = '1' WHERE key = 'format_version'")
        marks = ", ".join("?" * len(NEW_FILES))
        catalog.execute(f"DELETE FROM segment_file WHERE name IN ({marks})", NEW_FILES)
    (index / "catalog.seal").unlink()
    for name in NEW_FILES:
        for path in index.glob(f"segments/*/{name}"):
            path.unlink()
    return index


def version(index: Path) -> str:
    with closing(open_catalog(index, any_version=True)) as catalog:
        (found,) = catalog.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
    return str(found)


def test_there_is_a_step_from_every_version_to_this_one() -> None:
    assert sorted(STEPS) == list(range(1, FORMAT_VERSION))


def test_a_migrated_index_is_sound_sealed_and_keeps_its_files(old: Path) -> None:
    """A gigabyte of tokens written again, or embedded again, for a few numbers more."""
    files = {path: path.stat() for path in old.rglob("*.npy")}
    with pytest.raises(IndexMismatch, match="ragjp migrate"):
        Snapshot(old)
    assert migrate(old) == (1, FORMAT_VERSION)
    report = check(old)
    assert (report.problems, report.warnings, report.n_dead_rows) == ((), (), 1)
    assert seal_state(old) == "sealed"
    for path, before in files.items():
        now = path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {name: held[0] for name, held in contents(old).items()} == {
        "a.md": "新しい 規程",
        "b.md": "旅費 の 精算",
    }
    assert migrate(old) == (FORMAT_VERSION, FORMAT_VERSION)


def test_a_writer_migrates_by_itself(old: Path) -> None:
    build_toy(old, batch_of({"c.md": "出張"}))
    assert set(contents(old)) == {"a.md", "b.md", "c.md"}
    assert check(old).problems == ()


@pytest.mark.parametrize("step", ["insert_files", "store_document_digests", "store_table_digests"])
def test_a_migration_that_fails_leaves_version_1_and_can_be_run_again(
    old: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An index between two versions that no program can read."""

    def fail(*arguments: object, **named: object) -> None:
        raise RuntimeError("the power fails here")

    with monkeypatch.context() as patched:
        patched.setattr(migrations, step, fail)
        with pytest.raises(RuntimeError):
            migrate(old)
    assert version(old) == "1"
    assert migrate(old) == (1, FORMAT_VERSION)
    assert check(old).problems == check(old).warnings == ()


@pytest.mark.parametrize("name", ["tokens.npy", "vectors.npy", "lemma.rows.npy"])
def test_damage_is_not_given_new_checksums(old: Path, name: str) -> None:
    """Row checks made of rotten rows would vouch for them ever after."""
    flip(old / "segments/00000001" / name)
    with pytest.raises(IndexCorrupt, match=name):
        migrate(old)
    assert version(old) == "1"


def test_what_cannot_be_migrated_is_said(old: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexMissing):
        migrate(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with closing(sqlite3.connect(old / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("UPDATE meta SET value = '99' WHERE key = 'format_version'")
    for attempt in (migrate, Snapshot, check):
        with pytest.raises(IndexMismatch, match="99"):
            attempt(old)


def test_a_log_that_a_reader_of_version_1_holds_open_is_named(old: Path) -> None:
    """Version 1 left its catalog in WAL mode while anybody read it; sealed like that, the seal would be of half a catalog."""
    with closing(sqlite3.connect(old / "catalog.sqlite")) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        with pytest.raises(IndexLocked, match="古い版"):
            IndexWriter(old, MANIFEST)
    assert migrate(old) == (1, FORMAT_VERSION)
    assert not (old / "catalog.sqlite-wal").exists()
    assert seal_state(old) == "sealed"
