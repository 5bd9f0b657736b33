"""Commit, update, delete, merge: what a reader sees in each generation, and what it never sees."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexes import EVERYONE, MANIFEST, batch_of, build_toy, rows_of
from ragjp.errors import (
    AccessDenied,
    IndexCorrupt,
    IndexLocked,
    IndexMismatch,
    IndexMissing,
    IndexUnreadable,
)
from ragjp.index.reader import Snapshot
from ragjp.index.storage import catalog, segments
from ragjp.index.storage.writer import IndexWriter, Manifest
from ragjp.index.upkeep.check import check
from ragjp.types import Chunk, View

TEXTS = {"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算", "c.md": "出張 の 申請"}


def visible(snapshot: Snapshot, view: View = EVERYONE) -> dict[str, str]:
    rows = np.flatnonzero(snapshot.allowed(view).rows)
    return {chunk.doc_id: chunk.text for chunk in snapshot.chunks([int(row) for row in rows])}


def live(snapshot: Snapshot) -> list[tuple[int, Chunk]]:
    rows = [int(row) for row in np.flatnonzero(snapshot.allowed(EVERYONE).rows)]
    return list(zip(rows, snapshot.chunks(rows), strict=True))


def test_an_empty_index_opens_and_finds_nothing(tmp_path: Path) -> None:
    snapshot = Snapshot(build_toy(tmp_path))
    assert visible(snapshot) == {}
    assert check(tmp_path).problems == ()


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    snapshot = Snapshot(build_toy(tmp_path, batch_of(TEXTS)))
    assert visible(snapshot) == TEXTS
    assert snapshot.page_text("a.md", 1, EVERYONE) == TEXTS["a.md"]
    assert [info.doc_id for info in snapshot.documents(EVERYONE)] == sorted(TEXTS)


def test_an_update_replaces_and_a_delete_removes(tmp_path: Path) -> None:
    """Guards against the old text of an updated document still being found (peers' most common complaint)."""
    build_toy(tmp_path, batch_of(TEXTS), batch_of({"a.md": "新しい 規程"}, removed=["b.md"]))
    snapshot = Snapshot(tmp_path)
    assert visible(snapshot) == {"a.md": "新しい 規程", "c.md": TEXTS["c.md"]}
    with pytest.raises(AccessDenied):
        snapshot.page_text("b.md", 1, EVERYONE)
    assert check(tmp_path).problems == ()


def test_a_pinned_reader_keeps_its_generation(tmp_path: Path) -> None:
    """A search under way must not mix two generations."""
    build_toy(tmp_path, batch_of(TEXTS))
    pinned = Snapshot(tmp_path)
    build_toy(tmp_path, batch_of({"a.md": "新しい 規程"}, removed=["b.md"]))
    assert not pinned.is_current()
    assert visible(pinned) == TEXTS
    assert pinned.page_text("b.md", 1, EVERYONE) == TEXTS["b.md"]


def test_a_merge_changes_no_answer_and_forgets_the_dead(tmp_path: Path) -> None:
    build_toy(tmp_path, batch_of(TEXTS), batch_of({"a.md": "新しい 規程"}, removed=["b.md"]))
    before = Snapshot(tmp_path)
    expected = visible(before)
    with IndexWriter(tmp_path, MANIFEST) as writer:
        writer.merge()
    after = Snapshot(tmp_path)
    assert visible(after) == expected
    assert after.n_rows == 2
    assert after.tokens is not None
    assert before.tokens is not None
    for doc_id in expected:
        old_row = next(
            r
            for r in np.flatnonzero(before.allowed(EVERYONE).rows)
            if before.chunks([r])[0].doc_id == doc_id
        )
        new_row = next(r for r in range(after.n_rows) if after.chunks([r])[0].doc_id == doc_id)
        np.testing.assert_array_equal(
            before.vectors(np.array([old_row])), after.vectors(np.array([new_row]))
        )
        np.testing.assert_array_equal(
            before.tokens.take(np.array([old_row])).codes,
            after.tokens.take(np.array([new_row])).codes,
        )
    report = check(tmp_path)
    assert report.problems == ()
    assert (report.n_documents, report.n_segments) == (2, 1)


def test_a_view_sees_its_documents_and_no_others(tmp_path: Path) -> None:
    """Default is deny: no principal of the document, no sight of it, by search, by page and by list."""
    access = {"a.md": ("everyone",), "b.md": ("group:人事部",), "c.md": ()}
    snapshot = Snapshot(build_toy(tmp_path, batch_of(TEXTS, access=access)))
    assert set(visible(snapshot)) == {"a.md"}
    assert set(visible(snapshot, View.of("everyone", "group:人事部"))) == {"a.md", "b.md"}
    assert set(visible(snapshot, View.of())) == set()
    assert set(visible(snapshot, View.unrestricted_by_operator())) == {"a.md", "b.md", "c.md"}
    assert [info.doc_id for info in snapshot.documents(EVERYONE)] == ["a.md"]
    with pytest.raises(AccessDenied) as hidden:
        snapshot.page_text("b.md", 1, EVERYONE)
    with pytest.raises(AccessDenied) as absent:
        snapshot.page_text("無い.md", 1, EVERYONE)
    assert hidden.value.sentence == absent.value.sentence


def test_a_principal_is_never_part_of_a_statement(tmp_path: Path) -> None:
    """Guards against SQL injection through a principal's or document's name."""
    snapshot = Snapshot(
        build_toy(tmp_path, batch_of(TEXTS, access=dict.fromkeys(TEXTS, ("group:x",))))
    )
    for name in (
        "' OR 1=1 --",
        '" OR ""="',
        "group:x'; DROP TABLE document;--",
        "%",
        "*",
        "group:x\0",
    ):
        assert visible(snapshot, View.of(name)) == {}
        with pytest.raises(AccessDenied):
            snapshot.page_text(name, 1, View.of("group:x"))


def test_a_change_of_access_alone_takes_effect(tmp_path: Path) -> None:
    build_toy(tmp_path, batch_of(TEXTS))
    change = batch_of({})
    change.access_changes = {"a.md": ("group:人事部",)}
    build_toy(tmp_path, change)
    assert set(visible(Snapshot(tmp_path))) == {"b.md", "c.md"}


def test_two_writers_are_refused(tmp_path: Path) -> None:
    with IndexWriter(tmp_path, MANIFEST), pytest.raises(IndexLocked):
        IndexWriter(tmp_path, MANIFEST)


def test_another_encoder_is_refused_by_name(tmp_path: Path) -> None:
    build_toy(tmp_path, batch_of(TEXTS))
    other = Manifest("analyzer-1", "encoder-2", "toy", 16, 16, MANIFEST.fields)
    with pytest.raises(IndexMismatch, match="encoder-2"):
        IndexWriter(tmp_path, other)
    IndexWriter(tmp_path, MANIFEST).close()


def test_a_new_dictionary_gives_new_terms_and_touches_no_vector(tmp_path: Path) -> None:
    """An update of the dictionary must not cost the embeddings of a whole company's documents."""
    build_toy(tmp_path, batch_of(TEXTS), batch_of({"a.md": "新しい 規程"}))
    before = Snapshot(tmp_path)
    vectors = {chunk.doc_id: before.vectors(np.array([row])) for row, chunk in live(before)}
    with IndexWriter(
        tmp_path, Manifest("analyzer-2", "encoder-1", "toy", 16, 16, MANIFEST.fields)
    ) as writer:
        assert writer.is_analysis_stale()
        writer.analyse_again(
            lambda chunks: {
                field: [[f"{field}:{chunk.doc_id}"] for chunk in chunks]
                for field in MANIFEST.fields
            }
        )
        assert not writer.is_analysis_stale()
    after = Snapshot(tmp_path)
    assert visible(after) == {**TEXTS, "a.md": "新しい 規程"}
    for row, chunk in live(after):
        np.testing.assert_array_equal(after.vectors(np.array([row])), vectors[chunk.doc_id])
        assert rows_of(after, f"lemma:{chunk.doc_id}") == [row]
    assert check(tmp_path).problems == ()


def test_a_folder_without_an_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="索引がありません"):
        Snapshot(tmp_path)


def test_what_a_kill_left_behind_is_swept(tmp_path: Path) -> None:
    """A segment written but never named by the catalog, and a half-written one, are not part of the index."""
    build_toy(tmp_path, batch_of(TEXTS))
    (tmp_path / "segments" / "00000099").mkdir()
    (tmp_path / "segments" / "00000100.new").mkdir()
    with IndexWriter(tmp_path, MANIFEST) as writer:
        assert set(writer.swept) == {"00000099", "00000100.new"}
    assert visible(Snapshot(tmp_path)) == TEXTS


def test_files_that_no_catalog_names_are_swept_from_a_segment(tmp_path: Path) -> None:
    """A migration that was killed leaves its files beside those of the segment; files of somebody else stay."""
    segment = build_toy(tmp_path, batch_of(TEXTS)) / "segments" / "00000001"
    for name in ("old.npy", "row_chunks.npy.new", "覚え書き.txt"):
        (segment / name).write_bytes(b"?")
    build_toy(tmp_path)
    left = {path.name for path in segment.iterdir()}
    assert not left & {"old.npy", "row_chunks.npy.new"}
    assert "覚え書き.txt" in left
    assert check(tmp_path).problems == ()


def test_the_log_of_a_deleted_catalog_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    """A killed writer leaves a -wal; who then deletes the catalog to start anew got a damaged one."""
    build_toy(tmp_path, batch_of(TEXTS))
    path = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE meta SET value = '77' WHERE key = 'generation'")
        log = path.with_name("catalog.sqlite-wal").read_bytes()
    assert log
    path.unlink()
    path.with_name("catalog.sqlite-wal").write_bytes(log)
    build_toy(tmp_path, batch_of({"a.md": "新しい 規程"}))
    report = check(tmp_path)
    assert (report.problems, report.generation) == ((), 1)


def test_the_folder_of_the_segments_is_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the first commit: a catalog that names segments in a folder that never reached the disk."""
    synced: list[tuple[str, bool]] = []

    def sync(folder: Path) -> None:
        synced.append((folder.name, (tmp_path / "index" / "segments").is_dir()))

    monkeypatch.setattr(segments, "sync_folder", sync)
    build_toy(tmp_path / "index", batch_of(TEXTS))
    assert ("index", True) in synced


def test_a_folder_of_somebody_else_is_not_swept(tmp_path: Path) -> None:
    """An index made where a folder named "segments" already stood deleted everything in it."""
    kept = [tmp_path / "segments" / name / "図面.txt" for name in ("図面", "2024", "00000001.old")]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text("大事", encoding="utf-8")
    build_toy(tmp_path, batch_of(TEXTS))
    build_toy(tmp_path)
    assert all(path.exists() for path in kept)


def test_every_single_damage_to_a_file_is_found(tmp_path: Path) -> None:
    """One flipped byte, one byte short, or a missing file: check names the file; opening never answers wrong in silence."""
    build_toy(tmp_path, batch_of(TEXTS))
    files = sorted((tmp_path / "segments").rglob("*.npy"))
    assert len(files) >= 20
    for file in files:
        original = file.read_bytes()
        flipped = bytearray(original)
        flipped[len(flipped) // 2] ^= 0x40
        for damaged in (bytes(flipped), original[:-1], b""):
            file.write_bytes(damaged)
            problems = check(tmp_path).problems
            assert any(file.name in problem.where for problem in problems), (
                file.name,
                len(damaged),
            )
        file.unlink()
        assert any(file.name in problem.where for problem in check(tmp_path).problems)
        with pytest.raises(IndexCorrupt, match="ragjp check"):
            Snapshot(tmp_path)
        file.write_bytes(original)
    assert check(tmp_path).problems == ()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine may read."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Be somebody who may read the folder and no more."""
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)
        else:
            folder.chmod(0o755)


def test_an_index_is_read_by_those_who_may_not_write_to_it(open_folder: Path) -> None:
    """A catalog left in WAL mode cannot be opened from a read-only folder, and was called damaged."""
    build_toy(open_folder, batch_of(TEXTS))
    with pytest.raises(IndexMismatch):
        IndexWriter(open_folder, replace(MANIFEST, encoder="another"))
    with read_only(open_folder):
        assert visible(Snapshot(open_folder)) == TEXTS
        assert check(open_folder).problems == ()


def test_an_open_reader_neither_stops_the_writer_nor_misses_what_it_wrote(tmp_path: Path) -> None:
    """Leaving WAL mode waits for readers that never leave."""
    reader = Snapshot(build_toy(tmp_path, batch_of(TEXTS)))
    for number in range(3):
        build_toy(tmp_path, batch_of({"a.md": f"版 {number}"}))
        assert not reader.is_current()
        reader = Snapshot(tmp_path)
        assert visible(reader)["a.md"] == f"版 {number}"


@pytest.mark.parametrize("name", [".", "catalog.sqlite", "segments/00000001/vectors.npy"])
def test_what_may_not_be_read_is_not_called_damaged(open_folder: Path, name: str) -> None:
    """Somebody without the right to read was told to build the index anew."""
    index = build_toy(open_folder / "index", batch_of(TEXTS))
    (index / name).chmod(0o000)
    with read_only(open_folder), pytest.raises(IndexUnreadable, match="権限"):
        Snapshot(index)
    (index / name).chmod(0o755)


def test_a_busy_catalog_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that lasts is a reason to wait, not to build the index anew."""
    build_toy(tmp_path, batch_of(TEXTS))
    connect = sqlite3.connect
    monkeypatch.setattr(
        catalog.sqlite3, "connect", lambda *a, **named: connect(*a, **{**named, "timeout": 0})
    )
    with closing(connect(tmp_path / "catalog.sqlite")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(IndexUnreadable, match="locked"):
            Snapshot(tmp_path)


def test_a_merge_during_a_check_is_no_damage(tmp_path: Path) -> None:
    """The files that a merge swept away while they were being checked were reported missing."""
    build_toy(tmp_path, batch_of(TEXTS), batch_of({"a.md": "新しい 規程"}))
    merged = []

    def merge_once(stage: str, done: int, total: int) -> None:
        if not merged:
            with IndexWriter(tmp_path, MANIFEST) as writer:
                merged.append(writer.merge())

    report = check(tmp_path, progress=merge_once)
    assert merged == [report.generation]
    assert (report.problems, report.n_segments) == ((), 1)


def test_a_damaged_catalog_is_one_sentence(tmp_path: Path) -> None:
    build_toy(tmp_path, batch_of(TEXTS))
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database, at all" * 100)
    with pytest.raises(IndexCorrupt, match="目録"):
        Snapshot(tmp_path)
    with pytest.raises(IndexCorrupt, match="目録"):
        check(tmp_path)
