"""The operations that faults are injected into: each from an index made ready for it, with the states it may leave."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from library import (
    OPERATOR,
    State,
    batch_of,
    doc_id,
    edition_of,
    open_engine,
    open_writer,
    remember_recipe,
    warm_up,
)

from ragjp.index.storage.migrations import migrate
from ragjp.index.storage.writer import Batch
from ragjp.index.upkeep.backup import backup, restore
from ragjp.index.upkeep.check import check

#: Names in the folder of a case: the index, and a backup of it.
INDEX = "index"
COPY = "copy"
#: Document numbers used by the operations; numbers up to this one are looked for as phantoms.
LARGEST = 6
#: Number → edition, before and after an update.
FIRST = {0: 1, 1: 1, 2: 1, 3: 1}
CHANGE = {0: 2, 1: 2, 4: 1}


def named(state: dict[int, int]) -> State:
    return {doc_id(number): edition for number, edition in state.items()}


@dataclass(frozen=True)
class Operation:
    """What to do to an index, and the states before and after (None: no index)."""

    run: Callable[[Path], None]
    before: State | None
    after: State | None
    #: The folder to start from, with ``index`` and what else is needed in it; None: nothing.
    ready: Path | None
    #: What is wrong beside the index afterwards, given its path.
    beside: Callable[[Path], list[str]] = lambda path: []

    def start(self, base: Path) -> Path:
        """Put a fresh copy of what it starts from at ``base``; returns the index's path in it."""
        shutil.rmtree(base, ignore_errors=True)
        if self.ready is None:
            base.mkdir(parents=True)
        else:
            shutil.copytree(self.ready, base)
        return base / INDEX

    @property
    def allowed(self) -> list[State | None]:
        """States that a fault may leave. Half a first build is an index without documents."""
        return [self.before, self.after, *([{}] if self.before is None else [])]


def commit(path: Path, batch: Batch) -> None:
    with open_writer(path) as writer:
        if not writer.generation:
            remember_recipe(writer)
        writer.commit(batch)


def compact(path: Path) -> None:
    """What ``ragjp compact`` does: one segment, nothing dead, the catalog's unused pages given back."""
    with open_writer(path) as writer:
        writer.merge()
        writer.shrink()


def search(path: Path) -> None:
    """Open, list and search; a wrong answer is an AssertionError."""
    with open_engine(path) as engine:
        for info in engine.documents(view=OPERATOR):
            assert edition_of(engine, info.doc_id) in (1, 2)
            ranking = engine.search("旅費と休暇の扱い", view=OPERATOR, k=50)
            assert len(ranking.hits) > 3


def examine(path: Path) -> None:
    """``ragjp check``; what it reports of a disk that fails is its own affair."""
    check(path)


def back_up(path: Path) -> None:
    backup(path, path.with_name(COPY))


def bring_back(path: Path) -> None:
    restore(path.with_name(COPY), path, replace=True)


def copy_is_whole(path: Path) -> list[str]:
    """A backup is there whole or not at all; where it is not, it can be made now."""
    copy = path.with_name(COPY)
    if not copy.exists():
        back_up(path)
    problems = [problem.sentence for problem in check(copy).problems]
    return [f"the backup: {problem}" for problem in problems]


def as_version_1(index: Path) -> None:
    """Take from an index what version 2 has added."""
    added = ("row_chunks", "row_documents", "vector_checks", "token_checks")
    with closing(sqlite3.connect(index / "catalog.sqlite")) as connection, connection:
        connection.execute("DROP TABLE digest")
        connection.execute("DROP TABLE document_digest")
        for stem in added:
            connection.execute("DELETE FROM segment_file WHERE name = ?", (f"{stem}.npy",))
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'format_version'")
    (index / "catalog.seal").unlink()
    shutil.rmtree(index / "derived", ignore_errors=True)
    for stem in added:
        for file in index.rglob(f"{stem}.npy"):
            file.unlink()


def prepare(work: Path) -> dict[str, Operation]:
    """Make everything ready once; the batches are embedded here, not in the cases."""
    warm_up()
    full, pruned, old, saved = (
        work / f"ready-{name}" for name in ("full", "pruned", "old", "saved")
    )
    with open_writer(full / INDEX) as writer:
        remember_recipe(writer)
        first = batch_of(writer, FIRST)
        writer.commit(first)
        change = batch_of(writer, CHANGE)
        removal = batch_of(writer, {}, removed=(2,))
    shutil.copytree(full, pruned)
    with open_writer(pruned / INDEX) as writer:
        writer.commit(change)
        writer.commit(removal)
    shutil.copytree(pruned, old)
    as_version_1(old / INDEX)
    shutil.copytree(pruned, saved)
    backup(full / INDEX, saved / COPY)
    before, after = named(FIRST), named({**FIRST, **CHANGE})
    both = {name: edition for name, edition in after.items() if name != doc_id(2)}
    without = {name: edition for name, edition in before.items() if name != doc_id(2)}
    return {
        "build": Operation(lambda path: commit(path, first), None, before, None),
        "update": Operation(lambda path: commit(path, change), before, after, full),
        "delete": Operation(lambda path: commit(path, removal), before, without, full),
        "compact": Operation(compact, both, both, pruned),
        "migrate": Operation(lambda path: void(migrate(path)), both, both, old),
        "backup": Operation(back_up, both, both, pruned, copy_is_whole),
        "restore": Operation(bring_back, both, before, saved, copy_is_whole),
        "search": Operation(search, both, both, pruned),
        "check": Operation(examine, both, both, pruned),
    }


def void(value: object) -> None:
    """Forget what a call returns."""


@dataclass(frozen=True)
class Journey:
    """Operations one after the other on one index, with the state before and after each, and where it starts."""

    steps: list[Callable[[Path], None]]
    states: list[State | None]
    ready: Path | None


def journeys(operations: dict[str, Operation]) -> list[Journey]:
    """One that begins with nothing, one with an index of the old format and a backup beside it."""
    before, after = named(FIRST), named({**FIRST, **CHANGE})
    both = {name: edition for name, edition in after.items() if name != doc_id(2)}
    first = ("build", "update", "delete", "compact", "backup")
    second = ("migrate", "compact", "restore", "update", "delete")
    aged = operations["migrate"].ready
    saved = operations["restore"].ready
    assert aged is not None
    assert saved is not None
    if not (aged / COPY).exists():
        shutil.copytree(saved / COPY, aged / COPY)
    return [
        Journey(
            [operations[name].run for name in first], [None, before, after, both, both, both], None
        ),
        Journey(
            [operations[name].run for name in second], [both, both, both, before, after, both], aged
        ),
    ]
