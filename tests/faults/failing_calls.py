"""Run as a script, with the shim under it: fail the N-th call of every kind, for every N, in every operation.

After each failure the operation has either done its work or raised one RagjpError; the index is in the old state or the new
one, checks clean and takes the next commit, in the same process, which has learned that the disk works again.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelayer import Mode, Op, arm, count, fired, watch
from isolated import Report, arguments, isolated, run_shards
from library import faults_left, is_sentence
from operations import LARGEST, Operation, prepare

from ragjp.errors import RagjpError

#: Kind of call, error, what happens, and whether it goes on happening.
FATES: list[tuple[Op, str, Mode, bool]] = [
    (Op.WRITE, "ENOSPC", Mode.FAIL, False),
    (Op.SYNC, "EIO", Mode.FAIL, False),
    (Op.RENAME, "EIO", Mode.FAIL, False),
    (Op.OPEN, "EMFILE", Mode.FAIL, False),
    (Op.TRUNCATE, "EIO", Mode.FAIL, False),
    (Op.MKDIR, "ENOSPC", Mode.FAIL, False),
    (Op.UNLINK, "EIO", Mode.FAIL, False),
    (Op.MMAP, "ENOMEM", Mode.FAIL, False),
    (Op.READ, "EIO", Mode.FAIL, False),
    (Op.LOCK, "ENOLCK", Mode.FAIL, False),
    (Op.WRITE, "EIO", Mode.SHORT, False),
    (Op.WRITE, "ENOSPC", Mode.SHORT, True),
    (Op.ANY, "EIO", Mode.FAIL, True),
    (Op.WRITE, "EIO", Mode.FAIL, False),
    (Op.SYNC, "ENOSPC", Mode.FAIL, True),
    (Op.RENAME, "EROFS", Mode.FAIL, True),
    (Op.OPEN, "EROFS", Mode.FAIL, False),
    (Op.OPEN, "EIO", Mode.FAIL, False),
    (Op.OPEN, "EMFILE", Mode.FAIL, True),
    (Op.TRUNCATE, "ENOSPC", Mode.FAIL, True),
    (Op.MKDIR, "EROFS", Mode.FAIL, True),
    (Op.UNLINK, "EROFS", Mode.FAIL, True),
    (Op.READ, "EIO", Mode.SHORT, True),
]


#: What must hold for every N: one failing write, fsync, rename, open, truncation, folder, removal or lock.
NAMED = {
    fate
    for fate, (op, error, mode, sticky) in enumerate(FATES)
    if mode == Mode.FAIL
    and not sticky
    and op not in (Op.READ, Op.MMAP)
    and error in ("EIO", "ENOSPC", "EMFILE", "ENOLCK")
}

#: Codes that send people to their backups: wrong while the bytes are right. (Reads are exempt: EIO is damage of the file system to SQLite.)
DAMAGE = ("segment_damaged", "segment_missing", "catalog_damaged", "catalog_unreadable")


@dataclass(frozen=True)
class Case:
    """One failure: of the ``n``-th call of a kind, in an operation."""

    operation: str
    fate: int
    n: int

    def __str__(self) -> str:
        op, error, mode, sticky = FATES[self.fate]
        return f"{self.operation}, {op.name} {self.n} {error} {mode.name}{' and on' * sticky}"


def attempt(operation: Operation, path: Path, fate: int, n: int) -> dict[str, Any]:
    """Run one operation with one call failing (n = -1: none); in a child."""
    op, error, mode, sticky = FATES[fate]
    watch(path.parent)
    arm(op, n, getattr(errno, error), mode, sticky=sticky)
    outcome: dict[str, Any] = {"done": True}
    try:
        operation.run(path)
    except RagjpError as raised:
        outcome = {"code": raised.code, "sentence": raised.sentence, "good": is_sentence(raised)}
    finally:
        outcome["fired"] = fired()
        outcome["counts"] = {kind.value: count(kind) for kind in Op if kind <= Op.LOCK}
        arm(Op.ANY, -1)
    if n > 0:
        allowed = [operation.after] if "done" in outcome else operation.allowed
        left = faults_left(path, allowed, LARGEST, thorough=n % 4 == 0)
        outcome["faults"] = [*operation.beside(path), *left]
    return outcome


def all_cases(operations: dict[str, Operation], base: Path) -> Iterator[Case]:
    """Every call that is made when nothing fails, and one more, which never comes."""
    for name, operation in operations.items():
        path = operation.start(base)
        calm = isolated(partial(attempt, operation, path, 0, -1))["value"]
        for fate, (op, *_) in enumerate(FATES):
            calls = calm["counts"][str(op.value)]
            yield from (Case(name, fate, n) for n in range(1, calls + 2) if calls)


def judge(case: Case, outcome: dict[str, Any]) -> str | None:
    """What is wrong with the outcome of a case."""
    if "value" not in outcome:
        return f"{case}: {outcome}"
    value = outcome["value"]
    if value["faults"]:
        return f"{case}: {value['faults'][0]} (after {value.get('code', 'success')})"
    if not value.get("good", True):
        return f"{case}: not a Japanese sentence with a code: {value['code']} {value['sentence']}"
    if value.get("code") in DAMAGE and FATES[case.fate][0] not in (Op.READ, Op.ANY):
        return f"{case}: a failing disk is called damage: {value['code']} {value['sentence']}"
    if not value["fired"] and "done" not in value:
        return f"{case}: failed without a fault: {value['sentence']}"
    return None


def run(case: Case, operations: dict[str, Operation], work: Path, report: Report) -> None:
    path = operations[case.operation].start(work / "case")
    outcome = isolated(partial(attempt, operations[case.operation], path, case.fate, case.n))
    report.ran += 1
    value = outcome.get("value", {})
    report.tally("fired" if value.get("fired") else "never came")
    report.tally(value.get("code", "done" if "done" in value else "bad"))
    if wrong := judge(case, outcome):
        report.complain(wrong, f"{case.operation},{case.fate},{case.n}")
    shutil.rmtree(path.parent)


def main() -> None:
    given = arguments()
    operations = prepare(given.work)
    if given.only:
        name, fate, n = given.only.split(",")
        cases = [Case(name, int(fate), int(n))]
    else:
        cases = list(all_cases(operations, given.work / "calm"))[:: given.every]
        others = [case for case in cases if case.fate not in NAMED][:: given.others]
        cases = [case for case in cases if case.fate in NAMED] + others
    run_shards(
        cases, lambda case, folder, report: run(case, operations, folder, report), given.work
    )


if __name__ == "__main__":
    main()
