"""Run as a script: build a toy index in a child that kills itself at the N-th durable step, for every N, and look at what is left.

A durable step is an fsync, a rename or a statement to SQLite: between any two of them the power may fail. Prints one JSON line:
how many steps there were, and every complaint.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np

from indexes import MANIFEST, batch_of
from ragjp.errors import IndexMissing
from ragjp.index.reader import Snapshot
from ragjp.index.storage import catalog
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check
from ragjp.types import View

#: What the index holds after each acknowledged operation, in order. "None" is before the first commit.
STATES: list[dict[str, str]] = [
    {},
    {"a.md": "有給 休暇", "b.md": "旅費 精算"},
    {"a.md": "有給 休暇 改正", "b.md": "旅費 精算", "c.md": "出張"},
    {"a.md": "有給 休暇 改正", "c.md": "出張"},
    {"a.md": "有給 休暇 改正", "c.md": "出張"},
]


def operate(path: Path, log: Path) -> None:
    """First build, update of an existing document, delete, merge; each is acknowledged in ``log`` once it has returned."""
    with IndexWriter(path, MANIFEST) as writer:
        done(log)
        writer.commit(batch_of(STATES[1]))
        done(log)
        writer.commit(batch_of({"a.md": STATES[2]["a.md"], "c.md": STATES[2]["c.md"]}))
        done(log)
        writer.commit(batch_of({}, removed=["b.md"]))
        done(log)
        writer.merge()
        done(log)


def done(log: Path) -> None:
    with log.open("a") as file:
        file.write("x")


class Countdown:
    """Kills the process at the N-th step."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(countdown: Countdown) -> None:
    """Put the countdown before every fsync, rename and SQL statement."""
    real_fsync, real_rename, real_connect = os.fsync, Path.rename, sqlite3.connect

    def fsync(descriptor: int) -> None:
        countdown.step()
        real_fsync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        countdown.step()
        return real_rename(self, target)

    class Connection(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            countdown.step()
            return super().execute(*arguments)

        def commit(self) -> None:
            countdown.step()
            super().commit()

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return real_connect(*arguments, factory=Connection, **named)

    os.fsync = fsync
    Path.rename = rename  # type: ignore[method-assign, assignment]
    catalog.sqlite3.connect = connect  # type: ignore[assignment]


def contents(path: Path) -> dict[str, str] | None:
    try:
        snapshot = Snapshot(path)
    except IndexMissing:
        return None
    rows = np.flatnonzero(snapshot.allowed(View.of("everyone")).rows)
    held = {chunk.doc_id: chunk.text for chunk in snapshot.chunks([int(row) for row in rows])}
    snapshot.close()
    return held


def complaints(path: Path, acknowledged: int, step: int) -> list[str]:
    """The index must be what was acknowledged last, or the operation after it, whole; and go on from there."""
    found = []
    held = contents(path)
    allowed: list[dict[str, str] | None] = [*STATES[max(acknowledged - 1, 0) : acknowledged + 1]]
    if acknowledged == 0:
        allowed.append(None)
    if held not in allowed:
        found.append(f"step {step}: {acknowledged} acknowledged, but the index holds {held}")
    if held is not None and check(path).problems:
        found.append(f"step {step}: check says {check(path).problems[0]}")
    with IndexWriter(path, MANIFEST) as writer:
        writer.commit(batch_of({"after.md": "復旧"}))
    if (contents(path) or {}).get("after.md") != "復旧" or check(path).problems:
        found.append(f"step {step}: the index cannot be written to any more")
    return found


def main(folder: Path) -> None:
    step, found = 0, []
    while True:
        step += 1
        path, log = folder / str(step), folder / f"{step}.log"
        log.touch()
        child = os.fork()
        if child == 0:
            arm(Countdown(step))
            operate(path, log)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        found += complaints(path, log.stat().st_size, step)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                found.append(f"step {step}: the build failed by itself")
            break
    sys.stdout.write(
        json.dumps({"steps": step - 1, "complaints": found}, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
