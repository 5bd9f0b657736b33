"""One writer at a time: the second is told so in a sentence, and a dead one's lock is free."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from isolated import fork, isolated, outcome_of
from library import batch_of, doc_id, held, is_sentence, open_writer, remember_recipe

from ragjp.errors import IndexLocked, RagjpError
from ragjp.index.storage.migrations import migrate
from ragjp.index.upkeep.backup import backup, restore
from ragjp.index.upkeep.check import check

N_WRITERS = 4
N_EACH = 5


@pytest.fixture
def index(folder: Path) -> Path:
    """An index of two documents."""
    path = folder / "index"
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, {0: 1, 1: 1}))
    return path


def refusal(path: Path) -> list[str]:
    """What the second writer is told."""
    try:
        open_writer(path).close()
    except RagjpError as error:
        return [error.code, error.sentence, str(is_sentence(error))]
    return ["opened"]


def test_a_second_writer_is_refused_in_another_process_and_in_another_thread(index: Path) -> None:
    """Two writers would use one generation number twice; a lock of the process would let a second thread in."""
    with open_writer(index):
        assert isolated(lambda: refusal(index))["value"][::2] == ["index_locked", "True"]
        told: list[list[str]] = []
        thread = threading.Thread(target=lambda: told.append(refusal(index)))
        thread.start()
        thread.join()
        assert told[0][::2] == ["index_locked", "True"]
    assert refusal(index) == ["opened"]


def test_whatever_changes_an_index_respects_its_writer(index: Path) -> None:
    """A restore or a migration beside a writer would pull the catalog from under it."""
    copy = index.with_name("copy")
    with open_writer(index) as writer:
        backup(index, copy)  # reads only
        for change in (lambda: restore(copy, index, replace=True), lambda: migrate(index)):
            with pytest.raises(IndexLocked):
                change()
        writer.commit(batch_of(writer, {2: 1}))
    assert held(index) == {doc_id(number): 1 for number in range(3)}
    assert held(copy) == {doc_id(number): 1 for number in range(2)}


def test_the_lock_of_a_killed_writer_is_free(index: Path) -> None:
    """A lock that is a file's mere presence would have to be removed by hand."""

    def hold() -> None:
        with open_writer(index):
            (index / "held").touch()
            time.sleep(60)

    child = fork(hold)
    while not (index / "held").exists():
        time.sleep(0.01)
    assert refusal(index)[0] == "index_locked"
    os.kill(child.pid, signal.SIGKILL)
    assert outcome_of(child) == {"signal": "SIGKILL"}
    assert refusal(index) == ["opened"]


def test_writers_that_take_turns_lose_nothing(index: Path) -> None:
    """Numbers read before the lock was held would be used twice."""

    def add(first: int) -> None:
        for number in range(first, first + N_EACH):
            while True:
                try:
                    with open_writer(index) as writer:
                        writer.commit(batch_of(writer, {number: 3}))
                except IndexLocked:
                    time.sleep(0.005)
                else:
                    break

    children = [fork(lambda n=n: add(10 + n * N_EACH)) for n in range(N_WRITERS)]  # type: ignore[misc]
    assert [outcome_of(child, limit_s=120) for child in children] == [{"value": None}] * N_WRITERS
    added = {doc_id(10 + number): 3 for number in range(N_WRITERS * N_EACH)}
    assert held(index) == {doc_id(0): 1, doc_id(1): 1, **added}
    assert check(index).problems == ()
