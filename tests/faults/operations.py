"""The operations that faults are injected into: each from an index made ready for it, with the states it may leave."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from library import (
    ENCODER,
    OPERATOR,
    RECIPE,
    State,
    batch_of,
    doc_id,
    edition_of,
    open_engine,
    open_writer,
    remember_recipe,
)

from ragjp.index.check import check
from ragjp.index.writer import Batch
from ragjp.jobs.build import build

#: Document numbers used by the operations; numbers up to this one are looked for as phantoms.
LARGEST = 6
#: Number → edition, before and after an update.
FIRST = {0: 1, 1: 1, 2: 1, 3: 1}
CHANGE = {0: 2, 1: 2, 4: 1}


def named(state: dict[int, int]) -> State:
    return {doc_id(number): edition for number, edition in state.items()}


@dataclass(frozen=True)
class Operation:
    """What to do to the index at a path, and the states before and after (None: no index)."""

    run: Callable[[Path], None]
    before: State | None
    after: State | None
    #: The folder it starts from; None when it starts from nothing.
    ready: Path | None

    def start(self, path: Path) -> None:
        """Put a fresh copy of what it starts from at ``path``."""
        shutil.rmtree(path, ignore_errors=True)
        if self.ready is not None:
            shutil.copytree(self.ready, path)

    @property
    def allowed(self) -> list[State | None]:
        """States that a fault may leave. Half a first build is an index without documents."""
        return [self.before, self.after, *([{}] if self.before is None else [])]


def commit(path: Path, batch: Batch) -> None:
    with open_writer(path) as writer:
        if not writer.generation:
            remember_recipe(writer)
        writer.commit(batch)


def merge(path: Path) -> None:
    with open_writer(path) as writer:
        writer.merge()


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


def job(path: Path) -> None:
    """The command ``ragjp index`` without the command: read files, embed, commit, report."""
    build(RECIPE.model_copy(), base=path.parent, into=path, encoder=ENCODER)


def prepare(work: Path) -> dict[str, Operation]:
    """Make everything ready once; the batches are embedded here, not in the cases."""
    full, pruned = work / "ready-full", work / "ready-pruned"
    with open_writer(full) as writer:
        remember_recipe(writer)
        first = batch_of(writer, FIRST)
        writer.commit(first)
        change = batch_of(writer, CHANGE)
        removal = batch_of(writer, {}, removed=(2,))
    shutil.copytree(full, pruned)
    with open_writer(pruned) as writer:
        writer.commit(change)
        writer.commit(removal)
    before, after = named(FIRST), named({**FIRST, **CHANGE})
    without = {name: edition for name, edition in before.items() if name != doc_id(2)}
    both = {name: edition for name, edition in after.items() if name != doc_id(2)}
    return {
        "build": Operation(lambda path: commit(path, first), None, before, None),
        "update": Operation(lambda path: commit(path, change), before, after, full),
        "delete": Operation(lambda path: commit(path, removal), before, without, full),
        "merge": Operation(merge, both, both, pruned),
        "search": Operation(search, both, both, pruned),
        "check": Operation(examine, both, both, pruned),
    }


def journeys(
    operations: dict[str, Operation],
) -> list[tuple[list[Callable[[Path], None]], list[State | None]]]:
    """Several operations one after the other on an index that begins as nothing, with the state before and after each."""
    names = ("build", "update", "delete", "merge")
    together = named({number: edition for number, edition in {**FIRST, **CHANGE}.items()})
    without = {name: edition for name, edition in together.items() if name != doc_id(2)}
    states: list[State | None] = [None, named(FIRST), together, without, without]
    return [([operations[name].run for name in names], states)]
