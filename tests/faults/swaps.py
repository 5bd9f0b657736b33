"""Run as a script: one process commits edition after edition and merges, while eight readers search.

Every commit replaces all documents by their next edition, so a ranking that shows two editions mixes two generations. Four readers
are threads around one engine, two are processes with an engine each, one opens the index anew for each search, and one lists the
documents and reads their pages.
"""

from __future__ import annotations

import mmap
import random
import re
import struct
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from isolated import Report, arguments, fork, outcome_of
from library import (
    OPERATOR,
    batch_of,
    doc_id,
    held,
    new_document,
    open_engine,
    open_writer,
    remember_recipe,
    warm_up,
    word,
)

from ragjp.engine import Engine
from ragjp.errors import AccessDenied
from ragjp.index.upkeep.check import check
from ragjp.ranking import RANKINGS
from ragjp.types import View

N_DOCUMENTS = 6
#: Of all documents, in every edition.
N_CHUNKS = sum(len(new_document(number, 1).chunks) for number in range(N_DOCUMENTS))
MERGE_EVERY = 7
REOPEN_EVERY = 11
#: How long the readers search before the writer begins, for comparison.
ALONE_S = 2.0
#: Between two searches of one reader.
PAUSE_S = 0.002
LIMIT_S = 4 * 3600.0


class Shared:
    """Two numbers that all processes see: the edition acknowledged last, and whether all is over."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    def tell(self, edition: int, over: int = 0) -> None:
        self._memory[:16] = struct.pack("qq", edition, over)

    @property
    def edition(self) -> int:
        return int(struct.unpack("qq", self._memory[:16])[0])

    @property
    def is_over(self) -> bool:
        return bool(struct.unpack("qq", self._memory[:16])[1])


class Notes:
    """What one reader has seen: times in ms, without and with the writer, and what was wrong."""

    def __init__(self) -> None:
        self.alone: list[float] = []
        self.beside: list[float] = []
        self.wrong: list[str] = []

    def values(self) -> dict[str, Any]:
        return {"alone": self.alone, "beside": self.beside, "wrong": self.wrong}


def write(path: Path, swaps: int, shared: Shared) -> None:
    """Commit ``swaps`` editions, with merges, and with a new writer now and then."""
    time.sleep(ALONE_S)
    edition = 1
    last = 1 + swaps
    while edition < last:
        with open_writer(path) as writer:
            for _ in range(min(REOPEN_EVERY, last - edition)):
                edition += 1
                writer.commit(batch_of(writer, dict.fromkeys(range(N_DOCUMENTS), edition)))
                shared.tell(edition)
                if edition % MERGE_EVERY == 0:
                    writer.merge()
    shared.tell(edition, 1)


def editions(texts: list[str]) -> set[int]:
    return {int(number) for text in texts for number in re.findall(r"第(\d+)版", text)}


def search_once(engine: Engine, rng: random.Random) -> set[int]:
    """One search of any kind; the editions that its hits show."""
    query = rng.choice(("旅費と休暇の扱いを定めます", word(rng.randrange(N_DOCUMENTS))))
    view = rng.choice((OPERATOR, View.of("everyone")))
    kind = rng.choice(RANKINGS)
    ranking = engine.search(query, view=view, k=30, ranking=kind)
    assert len(ranking.hits) >= 1, f"nothing found for {query}"
    if kind == "dense":
        assert len(ranking.hits) == N_CHUNKS, f"{len(ranking.hits)} chunks"
    return editions([hit.text for hit in ranking.hits])


def reopened_once(path: Path, rng: random.Random) -> set[int]:
    with open_engine(path) as engine:
        return search_once(engine, rng)


def page_once(engine: Engine, rng: random.Random) -> set[int]:
    """List the documents, and read a page of one."""
    assert len(engine.documents(view=OPERATOR)) == N_DOCUMENTS
    name = doc_id(rng.randrange(N_DOCUMENTS))
    try:
        return editions([engine.page_text(name, 1, view=OPERATOR)])
    except AccessDenied:  # it must be there in every generation
        raise AssertionError(f"{name} is gone") from None


def read(once: Callable[[], set[int]], shared: Shared, notes: Notes) -> None:
    """Search until all is over: one edition at a time, never an older one than was acknowledged before or seen before."""
    seen = 0
    while not shared.is_over and len(notes.wrong) < 3:
        acknowledged = shared.edition
        started = time.perf_counter()
        try:
            found = once()
        except Exception:
            notes.wrong.append(f"edition {acknowledged}: {traceback.format_exc()}")
            continue
        elapsed = (time.perf_counter() - started) * 1000
        (notes.alone if acknowledged == 1 else notes.beside).append(elapsed)
        if len(found) != 1:
            notes.wrong.append(f"one ranking shows the editions {sorted(found)}")
        elif min(found) < max(acknowledged, seen):
            notes.wrong.append(f"{found} after {acknowledged} was acknowledged and {seen} seen")
        seen = max(seen, *found)
        time.sleep(PAUSE_S)


def four_threads(path: Path, shared: Shared) -> list[dict[str, Any]]:
    notes = [Notes() for _ in range(4)]
    with open_engine(path) as engine:
        threads = [
            threading.Thread(
                target=read,
                args=(partial(search_once, engine, random.Random(number)), shared, notes[number]),
            )
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [note.values() for note in notes]


def one_process(path: Path, shared: Shared, kind: str, seed: int) -> list[dict[str, Any]]:
    notes, rng = Notes(), random.Random(seed)
    if kind == "reopen":
        read(partial(reopened_once, path, rng), shared, notes)
        return [notes.values()]
    with open_engine(path) as engine:
        once = partial(page_once if kind == "pages" else search_once, engine, rng)
        read(once, shared, notes)
    return [notes.values()]


def main() -> None:
    given = arguments()
    warm_up()
    path, shared, report = given.work / "index", Shared(), Report()
    with open_writer(path) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, dict.fromkeys(range(N_DOCUMENTS), 1)))
    shared.tell(1)
    readers = [
        fork(partial(four_threads, path, shared)),
        fork(partial(one_process, path, shared, "search", 4)),
        fork(partial(one_process, path, shared, "search", 5)),
        fork(partial(one_process, path, shared, "reopen", 6)),
        fork(partial(one_process, path, shared, "pages", 7)),
    ]
    written = outcome_of(fork(partial(write, path, given.cases, shared)), limit_s=LIMIT_S)
    if "value" not in written:
        report.complain(f"the writer: {written}", "?")
        shared.tell(shared.edition, 1)
    times: dict[str, list[float]] = {"alone": [], "beside": []}
    for reader in readers:
        outcome = outcome_of(reader, limit_s=60.0)
        for notes in outcome.get("value", [{"wrong": [str(outcome)]}]):
            for wrong in notes["wrong"]:
                report.complain(wrong, "? (not replayable: it is a race)")
            for phase, found in times.items():
                found += notes.get(phase, [])
    last = {doc_id(number): given.cases + 1 for number in range(N_DOCUMENTS)}
    if (found_last := held(path)) != last or check(path).problems:
        report.complain(f"in the end it holds {found_last}", "?")
    report.ran = given.cases
    for phase, found in times.items():
        report.tally(f"searches {phase}", len(found))
        for name, share in (("p50", 50), ("p99", 99)):
            report.tally(f"{name} {phase} µs", int(1000 * np.percentile(found or [0.0], share)))
    report.finish()


if __name__ == "__main__":
    main()
