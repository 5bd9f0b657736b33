"""Full and read-only disks, too many open files, clocks that jump, an index folder that is moved or removed while it is open."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from isolated import isolated
from library import (
    OPERATOR,
    batch_of,
    doc_id,
    edition_of,
    held,
    is_sentence,
    open_engine,
    open_writer,
    remember_recipe,
)

from ragjp.errors import IndexMissing, RagjpError, StorageFailed
from ragjp.index.upkeep.backup import backup
from ragjp.index.upkeep.check import check

FIRST = {0: 1, 1: 1}
HELD = {doc_id(number): edition for number, edition in FIRST.items()}


def make(path: Path, state: dict[int, int] = FIRST) -> Path:
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, state))
    return path


@pytest.fixture
def index(folder: Path) -> Path:
    return make(folder / "index")


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A disk of one megabyte with nothing on it."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk in memory")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return filler


def test_a_full_disk_costs_the_commit_and_nothing_else(disk: Path) -> None:
    """A half-written segment or journal would be there, and the writer of the next day would build on it."""
    path = make(disk / "index")
    filler = fill(disk)
    with open_writer(path) as writer:
        batch = batch_of(writer, {0: 2, 2: 2})
        with pytest.raises(StorageFailed) as refused:
            writer.commit(batch)
        assert refused.value.code == "disk_full"
        assert is_sentence(refused.value)
        assert held(path) == HELD
        with pytest.raises(StorageFailed):
            backup(path, disk / "copy")
        filler.unlink()
        writer.commit(batch)  # the same writer goes on
    assert held(path) == {**HELD, doc_id(0): 2, doc_id(2): 2}
    assert check(path).problems == ()
    assert not (disk / "copy").exists()


def test_a_read_only_disk_can_be_searched_and_refuses_a_writer(disk: Path) -> None:
    """An index on a CD or a snapshot: a reader must not need to write, and a writer is told why it cannot."""
    path = make(disk / "index")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert held(path) == HELD
    assert check(path).problems == ()
    with pytest.raises(RagjpError) as refused:
        open_writer(path)
    assert refused.value.code == "read_only"
    assert is_sentence(refused.value)


def limit_with(free: int) -> int:
    """The limit under which just so many numbers of descriptors are unused."""
    limit = unused = 0
    while unused <= free:
        try:
            os.fstat(limit)
        except OSError:
            unused += 1
        limit += 1
    return limit - 1


def with_few_files(free: int, work: Callable[[], Any]) -> Any:
    """Do work in a process that may open only so many more files; what it returned, or its error's code."""

    def limited() -> Any:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_with(free), hard))
        try:
            return work()
        except RagjpError as error:
            return error.code if is_sentence(error) else repr(error)

    outcome = isolated(limited)
    assert "value" in outcome, outcome
    return outcome["value"]


def test_too_many_open_files_are_one_sentence_at_every_limit(index: Path) -> None:
    """The limit falls somewhere between the catalog and the last array; half an index must not be searched."""
    codes = set()
    for free in range(0, 70, 3):
        found = with_few_files(free, lambda: held(index))
        if found != HELD:
            codes.add(found)
    assert codes == {"too_many_files"}
    assert with_few_files(200, lambda: held(index)) == HELD


def test_a_writer_out_of_files_leaves_the_index_as_it_was(index: Path) -> None:
    """Between two files of a segment there is a descriptor too few."""

    def add(number: int) -> str:
        with open_writer(index) as writer:
            writer.commit(batch_of(writer, {number: 5}))
        return "added"

    state = dict(HELD)
    told = set()
    for free in range(0, 30, 2):
        found = with_few_files(free, lambda free=free: add(10 + free))  # type: ignore[misc]
        told.add(found)
        if found == "added":
            state[doc_id(10 + free)] = 5
        assert held(index) == state
        assert check(index).problems == ()
    assert told == {"too_many_files", "added"}


@pytest.mark.parametrize("seconds", [0.0, 4_000_000_000.0, -1_000_000_000.0])
def test_the_time_of_files_and_clocks_does_not_matter(
    index: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """A clock that was set back must not make old files newer than new ones, nor the other way round."""
    for path in [*index.rglob("*"), index]:
        os.utime(path, (seconds, seconds))
    with open_engine(index) as engine:
        assert edition_of(engine, doc_id(0)) == 1
        monkeypatch.setattr(time, "time", lambda: seconds)
        monkeypatch.setattr(time, "time_ns", lambda: int(seconds * 1e9))
        with open_writer(index) as writer:
            writer.commit(batch_of(writer, {0: 2}))
            for path in [*index.rglob("*"), index]:
                os.utime(path, (-seconds, -seconds))
            writer.merge()
        assert edition_of(engine, doc_id(0)) == 2
    assert held(index) == {**HELD, doc_id(0): 2}
    assert check(index).problems == ()


def test_a_moved_index_is_missing_until_it_is_back(index: Path) -> None:
    """An open engine must not go on answering from files that an administrator has taken away, nor fail for ever."""
    elsewhere = index.with_name("elsewhere")
    with open_engine(index) as engine:
        index.rename(elsewhere)
        with pytest.raises(IndexMissing):
            engine.search("旅費", view=OPERATOR)
        elsewhere.rename(index)
        assert edition_of(engine, doc_id(1)) == 1
        shutil.rmtree(index)
        with pytest.raises(IndexMissing):
            engine.search("旅費", view=OPERATOR)
        make(index, {1: 7})
        assert edition_of(engine, doc_id(1)) == 7
        assert [info.doc_id for info in engine.documents(view=OPERATOR)] == [doc_id(1)]


def test_a_writer_whose_index_was_moved_or_replaced_changes_neither(index: Path) -> None:
    """SQLite goes on writing to the file that was moved, while new segments would go to the folder that took its place."""
    elsewhere = index.with_name("elsewhere")
    with open_writer(index) as writer:
        batch = batch_of(writer, {0: 9, 3: 9})
        index.rename(elsewhere)
        with pytest.raises(RagjpError):
            writer.commit(batch)
        make(index, {1: 7})
        with pytest.raises(RagjpError):
            writer.commit(batch)
        with pytest.raises(RagjpError):
            writer.merge()
    assert held(index) == {doc_id(1): 7}
    assert held(elsewhere) == HELD
    assert check(index).problems == check(elsewhere).problems == ()
