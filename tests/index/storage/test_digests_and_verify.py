"""No value of the catalog and no byte of a file can change unseen."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from indexes import MANIFEST, batch_of, build_toy, contents, flip
from ragjp.errors import IndexCorrupt, IndexMismatch
from ragjp.index.storage.catalog import open_catalog
from ragjp.index.storage.digests import stored_digests, table_digests
from ragjp.index.storage.seal import change_counter, read_seal, seal_catalog, seal_state
from ragjp.index.storage.segments import read_segments
from ragjp.index.storage.verify import verify_files
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check

TEXTS = {"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算"}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    change = batch_of({"b.md": "旅費 の 改正"})
    change.access_changes = {"a.md": ("group:人事部",)}
    return build_toy(tmp_path / "index", batch_of(TEXTS), change)


def columns(index: Path) -> list[tuple[str, str, str]]:
    """Every table's columns with their types."""
    with closing(sqlite3.connect(index / "catalog.sqlite")) as catalog:
        tables = [
            name
            for (name,) in catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        return [
            (table, row[1], row[2] or "INTEGER")
            for table in tables
            for row in catalog.execute(f"PRAGMA table_info({table})")
        ]


def test_a_change_of_any_value_in_any_table_is_found(index: Path) -> None:
    """A check that compares counts and not values passes an index whose access table says something else."""
    original = (index / "catalog.sqlite").read_bytes()
    seen = 0
    for table, column, kind in columns(index):
        (index / "catalog.sqlite").write_bytes(original)
        changed = f"{column} + 1" if kind == "INTEGER" else f"{column} || 'x'"
        with closing(sqlite3.connect(index / "catalog.sqlite")) as catalog, catalog:
            catalog.execute("PRAGMA ignore_check_constraints = ON")
            try:
                done = catalog.execute(
                    f"UPDATE {table} SET {column} = {changed} WHERE rowid = "
                    f"(SELECT max(rowid) FROM {table} WHERE {column} IS NOT NULL)"
                ).rowcount
            except sqlite3.IntegrityError:
                continue
        if done:
            seen += 1
            with suppress(IndexMismatch):  # a format version that is none
                assert check(index).problems, (table, column)
    assert seen > 35
    (index / "catalog.sqlite").write_bytes(original)
    assert check(index).problems == ()


def test_digests_follow_every_change(tmp_path: Path) -> None:
    """A statement that forgot to say what it changed would make a sound index look damaged."""
    index = tmp_path / "index"
    steps = [
        lambda writer: writer.commit(batch_of(TEXTS)),
        lambda writer: writer.commit(batch_of({"a.md": "新しい 規程"}, removed=["b.md"])),
        lambda writer: writer.set_meta("recipe", "x"),
        lambda writer: writer.merge(),
        lambda writer: writer.commit(batch_of({"c.md": "出張"}, access={"c.md": ()})),
        lambda writer: writer.tidy(),
    ]
    for step in steps:
        with IndexWriter(index, MANIFEST) as writer:
            step(writer)
            with closing(open_catalog(index)) as catalog:
                assert stored_digests(catalog) == table_digests(catalog)
        assert check(index).problems == check(index).warnings == ()


def test_a_writer_builds_on_nothing_that_is_damaged(index: Path) -> None:
    """One commit more, and a new seal would vouch for the damage."""
    flip(index / "catalog.sqlite", 70)
    with pytest.raises(IndexCorrupt, match="目録"):
        IndexWriter(index, MANIFEST)
    assert seal_state(index) == "damaged"
    flip(index / "catalog.sqlite", 70)
    IndexWriter(index, MANIFEST).close()


def test_a_merge_gives_no_new_checksums_to_damage(index: Path) -> None:
    flip(index / "segments/00000001/vectors.npy")
    with IndexWriter(index, MANIFEST) as writer, pytest.raises(IndexCorrupt, match="vectors"):
        writer.merge()
    flip(index / "segments/00000001/vectors.npy")
    flip(index / "segments/00000001/tokens.npy", 130)
    with IndexWriter(index, MANIFEST) as writer:
        writer.merge()  # tokens are passed on with the checks that they had
    assert any("token" in problem.where for problem in check(index).problems)


def test_a_killed_writer_leaves_an_unsealed_catalog_that_is_verified_by_its_rows(
    index: Path,
) -> None:
    seal = (index / "catalog.seal").read_bytes()
    build_toy(index, batch_of({"c.md": "出張"}))
    (index / "catalog.seal").write_bytes(seal)  # as if it had been killed before sealing
    assert seal_state(index) == "unsealed"
    report = check(index)
    assert report.problems == ()
    assert [problem.code for problem in report.warnings] == ["catalog_unsealed"]
    build_toy(index)
    assert seal_state(index) == "sealed"
    assert check(index).warnings == ()


def test_the_counter_moves_with_every_commit_and_with_nothing_else(index: Path) -> None:
    """Readers ask the counter whether there is news."""
    before = change_counter(index)
    contents(index)
    check(index)
    IndexWriter(index, MANIFEST).close()
    assert change_counter(index) == before
    build_toy(index, batch_of({"c.md": "出張"}))
    assert change_counter(index) > before
    seal = read_seal(index)
    assert seal is not None
    assert (seal.change_counter, seal.generation) == (change_counter(index), 3)


def test_reading_the_catalogs_bytes_drops_no_lock(index: Path) -> None:
    """Closing any descriptor of a file drops the process's POSIX locks on it: a second writer would then walk in."""
    with closing(sqlite3.connect(index / "catalog.sqlite", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        seal_state(index)
        change_counter(index)
        seal_catalog(index, 2)
        script = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None); "
            "c.execute('BEGIN IMMEDIATE')"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, str(index / "catalog.sqlite")],
            capture_output=True,
            text=True,
            check=False,
        )
        holder.execute("ROLLBACK")
    assert "database is locked" in other.stderr


def test_files_beyond_the_budget_are_verified_behind_the_first_answers(index: Path) -> None:
    """A large index must open at once, and still find out that it is damaged."""
    with closing(open_catalog(index)) as catalog:
        segments = read_segments(catalog)
    verify_files(index, segments, budget_bytes=0).wait()
    flip(index / "segments/00000002/vectors.npy")
    verification = verify_files(index, segments, budget_bytes=0)
    with pytest.raises(IndexCorrupt, match="vectors"):
        verification.wait()
    with pytest.raises(IndexCorrupt, match="vectors"):
        verification.require_sound()
    with pytest.raises(IndexCorrupt, match="vectors"):
        verify_files(index, segments)
