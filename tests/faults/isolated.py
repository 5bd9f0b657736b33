"""One case in one forked process: a crash is a result, and so is a hang. And the frame that every harness script shares."""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

#: Longer than any case needs on a busy machine.
LIMIT_S = 30.0
#: And a shard of them.
SHARD_LIMIT_S = 4 * 3600.0
SEED = 20261201
CaseT = TypeVar("CaseT")
#: The fixture ``harness``: (script, options…, preload) → its report.
Harness = Callable[..., dict[str, Any]]


class Child(NamedTuple):
    """A forked case, and the pipe on which it tells how it went."""

    pid: int
    pipe: int


def fork(case: Callable[[], Any]) -> Child:
    """Start a case in a child of its own."""
    for thread in threading.enumerate():
        # Ours load kernels or verify files: they hold locks that no child would ever get. Others' (pools that wait for work) never end.
        if thread.name.startswith("ragjp"):
            thread.join(LIMIT_S)
    readable, writable = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writable)
        return Child(pid, readable)
    os.close(readable)
    try:
        outcome = {"value": case()}
    except BaseException:
        outcome = {"raised": traceback.format_exc()}
    left = json.dumps(outcome).encode()
    while left:
        left = left[os.write(writable, left) :]
    os._exit(0)


def outcome_of(child: Child, *, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Wait for a case.

    Returns
    -------
    ``{"value": …}``, what the case returned (it must be JSON); ``{"raised": traceback}``; ``{"signal": name}`` when it was
    killed; or ``{"hang": seconds}``.
    """
    told = b""
    deadline = time.monotonic() + limit_s
    try:
        while select.select([child.pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
            piece = os.read(child.pipe, 1 << 16)
            if not piece:
                break
            told += piece
        else:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            return {"hang": limit_s}
    finally:
        os.close(child.pipe)
    _, status = os.waitpid(child.pid, 0)
    if os.WIFSIGNALED(status):
        return {"signal": signal.Signals(os.WTERMSIG(status)).name}
    if not told:
        return {"raised": f"exit {os.WEXITSTATUS(status)}"}
    outcome: dict[str, Any] = json.loads(told)
    return outcome


def isolated(case: Callable[[], Any], *, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Run one case in a child and say how it ended; see :func:`outcome_of`."""
    return outcome_of(fork(case), limit_s=limit_s)


class Report:
    """What a harness has to tell: counts, and complaints each with the line that runs its case again."""

    def __init__(self) -> None:
        self.ran = 0
        self.counts: dict[str, int] = {}
        self.complaints: list[str] = []

    def tally(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def complain(self, what: str, only: object) -> None:
        script = Path(sys.argv[0]).name
        self.complaints.append(f"{what}\n  replay: tests/faults/{script} FOLDER --only {only}")

    def values(self) -> dict[str, Any]:
        return {"ran": self.ran, "counts": self.counts, "complaints": self.complaints}

    def add(self, values: dict[str, Any]) -> None:
        """Take in the report of a part."""
        self.ran += values["ran"]
        self.complaints += values["complaints"]
        for what, number in values["counts"].items():
            self.tally(what, number)

    def finish(self) -> None:
        """Write the report as the one line of standard output."""
        sys.stdout.write(json.dumps(self.values(), ensure_ascii=False) + "\n")


def run_shards(
    cases: Sequence[CaseT], run: Callable[[CaseT, Path, Report], None], work: Path
) -> None:
    """Share the cases out to a process a core, each with a folder of its own; write one report as a line of JSON."""
    n_shards = max(1, min(len(os.sched_getaffinity(0)), 8, len(cases)))

    def shard(number: int) -> dict[str, Any]:
        folder = work / f"shard{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        report = Report()
        for case in cases[number::n_shards]:
            run(case, folder, report)
        return report.values()

    children = [fork(lambda number=number: shard(number)) for number in range(n_shards)]  # type: ignore[misc]
    whole = Report()
    for number, child in enumerate(children):
        told = outcome_of(child, limit_s=SHARD_LIMIT_S)
        if "value" in told:
            whole.add(told["value"])
        else:
            whole.complain(f"shard {number} of {n_shards}: {told}", "?")
    whole.finish()


def generator(case: object) -> random.Random:
    """The randomness of one case, so that it can be run again alone."""
    return random.Random(f"{SEED}/{case}")


def arguments() -> argparse.Namespace:
    """What every script takes: a folder to work in, how many cases or which share of them, or the only one to run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--others", type=int, default=1, help="of the less pressing cases, a share")
    parser.add_argument("--only")
    parser.add_argument("--lying", action="store_true", help="take no notice of fsync")
    parsed = parser.parse_args()
    parsed.work.mkdir(parents=True, exist_ok=True)
    return parsed
