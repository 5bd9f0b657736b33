"""Run as a script, with the shim under it: record what operations write, cut the power at random moments, open what is left.

An image must open as what was acknowledged before the cut or the operation after it, whole; check clean; and take a commit.
``disk_images.py`` says what a power cut may do.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from disk_images import Disk, Event, read_log
from filelayer import Op, mark, record, watch
from isolated import Report, arguments, generator, isolated, run_shards
from library import State, faults_left
from operations import COPY, INDEX, LARGEST, Journey, copy_is_whole, journeys, prepare


@dataclass(frozen=True)
class Recording:
    """What one journey wrote, and what the index holds after each of its steps."""

    base: Path
    ready: Path | None
    events: list[Event]
    states: Sequence[State | None]

    def disk(self) -> Disk:
        """The disk before the first event."""
        disk = Disk(self.base)
        if self.ready is not None:
            disk.load(self.ready)
        return disk

    def cut(self, rng: random.Random) -> int:
        """How many events came before the power went: first a step is drawn, then a moment in it."""
        marks = [at for at, event in enumerate(self.events) if event.op is Op.MARK]
        step = rng.randrange(len(marks))
        return rng.randint(marks[step - 1] + 1 if step else 0, marks[step] + 1)


def walk(steps: Sequence[Callable[[Path], None]], base: Path, log: Path) -> None:
    """Run in a child: take the steps, each acknowledged in the log once it has returned."""
    watch(base)
    record(log)
    for number, step in enumerate(steps, 1):
        step(base / INDEX)
        mark(number)


def recorded(journey: Journey, work: Path) -> Recording:
    """Record a journey; the log must account for every byte that it left."""
    base, log = work / "disk", work / "log"
    work.mkdir()
    if journey.ready is None:
        base.mkdir()
    else:
        shutil.copytree(journey.ready, base)
    outcome = isolated(partial(walk, journey.steps, base, log))
    assert outcome == {"value": None}, outcome
    recording = Recording(base, journey.ready, read_log(log), journey.states)
    disk = recording.disk()
    for event in recording.events:
        disk.take(event)
    found = {
        str(path.relative_to(base)): None if path.is_dir() else path.read_bytes()
        for path in base.rglob("*")
        if not path.name.endswith("-shm")
    }
    assert dict(disk.now()) == found, "the recording misses something"
    return recording


def run(
    case: int, recordings: Sequence[Recording], work: Path, report: Report, *, lying: bool
) -> None:
    rng = generator(case)
    recording = rng.choice(recordings)
    cut = recording.cut(rng)
    disk = recording.disk()
    for event in recording.events[:cut]:
        if not (lying and event.op is Op.SYNC):
            disk.take(event)
    base = work / "case"
    base.mkdir()
    for name, content in disk.image(rng):
        if content is None:
            (base / name).mkdir()
        else:
            (base / name).write_bytes(content)
    allowed = [*recording.states[disk.marks : disk.marks + 2]]
    if recording.ready is None and disk.marks == 0:
        allowed.append({})  # half a first build is an index without documents
    report.ran += 1
    report.tally(f"{disk.marks} acknowledged")
    index = base / INDEX
    outcome = isolated(lambda: [*whole_copy(index), *faults_left(index, allowed, LARGEST)])
    if outcome.get("value") != []:
        report.complain(f"cut {case} at {cut} of {len(recording.events)}: {outcome}", case)
    shutil.rmtree(base)


def whole_copy(index: Path) -> list[str]:
    """A backup that is there is there whole."""
    return copy_is_whole(index) if index.with_name(COPY).exists() else []


def main() -> None:
    given = arguments()
    operations = prepare(given.work)
    recordings = [
        recorded(journey, given.work / f"recording{number}")
        for number, journey in enumerate(journeys(operations))
    ]
    cases = [int(given.only)] if given.only else list(range(given.cases))
    run_shards(
        cases,
        lambda case, folder, report: run(case, recordings, folder, report, lying=given.lying),
        given.work,
    )


if __name__ == "__main__":
    main()
