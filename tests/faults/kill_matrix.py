"""Run as a script, with the shim under it: kill an operation before, after or in the middle of its n-th call, or at a random time.

What was committed before must be there, what was not must not, every id found by its own word; and the next commit must work.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelayer import Mode, Op, arm, count, watch
from isolated import Report, arguments, fork, generator, isolated, outcome_of, run_shards
from library import State, faults_left
from operations import LARGEST, Operation, prepare

MODES = (Mode.KILL_BEFORE, Mode.KILL_AFTER, Mode.KILL_HALFWAY)
#: Every so many cases, the moment is a time rather than a call.
BY_TIME = 4


@dataclass(frozen=True)
class Kill:
    """A death. ``n`` counts calls of any kind, or is 0 for a moment drawn from the clock."""

    operation: str
    n: int
    mode: Mode

    def __str__(self) -> str:
        return f"{self.operation},{self.n},{self.mode.value}"


def doomed(operation: Operation, path: Path, n: int, mode: Mode) -> int:
    """Run in a child: the operation, with its n-th call deadly (-1: none). Returns how many calls there were."""
    watch(path.parent)
    arm(Op.ANY, n, mode=mode)
    operation.run(path)
    return count()


def killed_by_call(operation: Operation, path: Path, kill: Kill) -> bool:
    """Whether the kill came in time."""
    outcome = isolated(partial(doomed, operation, path, kill.n, kill.mode))
    if outcome.get("signal") == "SIGKILL":
        return True
    assert "value" in outcome, outcome
    return False


def killed_by_clock(operation: Operation, path: Path, delay_s: float) -> bool:
    child = fork(partial(doomed, operation, path, -1, Mode.FAIL))
    time.sleep(delay_s)
    os.kill(child.pid, signal.SIGKILL)
    outcome = outcome_of(child)
    assert "value" in outcome or outcome.get("signal") == "SIGKILL", outcome
    return "signal" in outcome


def all_kills(
    operations: dict[str, Operation], base: Path, n_cases: int
) -> tuple[list[Kill], dict[str, float]]:
    """``n_cases`` kills spread evenly over all calls of all operations, and how long each operation takes."""
    kills: list[Kill] = []
    seconds = {}
    for name, operation in operations.items():
        path = operation.start(base)
        started = time.monotonic()
        n_calls = isolated(partial(doomed, operation, path, -1, Mode.FAIL))["value"]
        seconds[name] = time.monotonic() - started
        kills += [Kill(name, n, mode) for n in range(1, n_calls + 1) for mode in MODES]
    by_call = n_cases - n_cases // BY_TIME
    chosen = [kills[place * len(kills) // by_call] for place in range(min(by_call, len(kills)))]
    names = list(operations)
    by_time = [
        Kill(names[number % len(names)], -number, Mode.FAIL)
        for number in range(n_cases - len(chosen))
    ]
    return chosen + by_time, seconds


def run(
    kill: Kill,
    operations: dict[str, Operation],
    seconds: dict[str, float],
    work: Path,
    report: Report,
) -> None:
    operation = operations[kill.operation]
    path = operation.start(work / "case")
    if kill.n > 0:
        came = killed_by_call(operation, path, kill)
    else:
        came = killed_by_clock(operation, path, generator(kill).random() * seconds[kill.operation])
    report.ran += 1
    report.tally(f"{kill.operation}: {'killed' if came else 'ended first'}")
    allowed: list[State | None] = operation.allowed if came else [operation.after]
    outcome = isolated(lambda: [*operation.beside(path), *faults_left(path, allowed, LARGEST)])
    if outcome.get("value") != []:
        report.complain(f"{kill}: {outcome}", kill)
    shutil.rmtree(path.parent)


def changing(operations: dict[str, Operation]) -> Iterator[tuple[str, Operation]]:
    """Operations that change something."""
    for name, operation in operations.items():
        if name not in ("search", "check"):
            yield name, operation


def main() -> None:
    given = arguments()
    operations = dict(changing(prepare(given.work)))
    kills, seconds = all_kills(operations, given.work / "calm", given.cases)
    if given.only:
        name, n, mode = given.only.split(",")
        kills = [Kill(name, int(n), Mode(int(mode)))]
    case: Callable[[Kill, Path, Report], None] = lambda kill, folder, report: run(  # noqa: E731
        kill, operations, seconds, folder, report
    )
    run_shards(kills, case, given.work)


if __name__ == "__main__":
    main()
