"""A fresh process: how long until it has its first right answer, and the most memory it ever holds.

``run_child(code, …)`` starts ``python -c`` with code that ends by printing one JSON object; the memory of it and of the processes that it
starts is watched from outside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evals

#: Seconds between two looks at the memory.
_PERIOD = 0.1
#: Put before the code of every child: what time it is, on the clock that the parent read before starting it.
_PREAMBLE = """\
import json, sys, time
arguments = json.loads(sys.argv[1])
def since_start():
    return time.monotonic() - arguments["started"]
"""


@dataclass(frozen=True, slots=True)
class ChildReport:
    """What a child printed; bytes of memory, the largest seen.

    ``peak_rss``: the kernel's own account (``ru_maxrss``) of the largest single process, mapped file pages included.
    ``peak_pss``: of the process and its children together, pages that are shared counted once; sampled.
    ``peak_anonymous``: of these, what is no file: it cannot be given back without swapping.
    """

    values: Mapping[str, Any]
    wall_s: float
    peak_rss: int
    peak_pss: int
    peak_anonymous: int

    def memory(self) -> dict[str, float]:
        """The three in MiB."""
        return {
            "peak_rss_mib": round(self.peak_rss / 2**20, 1),
            "peak_pss_mib": round(self.peak_pss / 2**20, 1),
            "peak_anonymous_mib": round(self.peak_anonymous / 2**20, 1),
        }


def run_child(code: str, arguments: Mapping[str, Any]) -> ChildReport:
    """Run code in a fresh interpreter, from the root of the checkout.

    Parameters
    ----------
    code
        Finds its ``arguments`` and ``since_start()`` (seconds since the parent started it), and prints one JSON object at its end.

    Raises
    ------
    RuntimeError
        With the end of its standard error, when it fails.
    """
    root = Path(evals.__file__).resolve().parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")])),
    }
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        passed = json.dumps({**arguments, "started": started})
        process = subprocess.Popen(
            [sys.executable, "-c", _PREAMBLE + code, passed],
            stdout=output,
            stderr=errors,
            env=environment,
            cwd=root,
        )
        watch = _Watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(errors.read().decode(errors="replace")[-2000:])
        values = json.loads(output.read().decode().strip().splitlines()[-1])
    # A grandchild that was larger than the child counts too: the kernel keeps the largest of those that it waited for.
    return ChildReport(values, wall, usage.ru_maxrss * 1024, watch.peak_pss, watch.peak_anonymous)


class _Watch:
    """Looks at the memory of a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak_pss = 0
        self.peak_anonymous = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_PERIOD):
            sizes = [_rollup(pid) for pid in (self._pid, *descendants(self._pid))]
            self.peak_pss = max(self.peak_pss, sum(pss for pss, _ in sizes))
            self.peak_anonymous = max(self.peak_anonymous, sum(private for _, private in sizes))


def descendants(pid: int) -> Iterator[int]:
    """Processes that a process started, and those that they started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for task in tasks:
        try:
            listed = (task / "children").read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in map(int, listed):
            yield child
            yield from descendants(child)


def _rollup(pid: int) -> tuple[int, int]:
    """(Pss, anonymous Pss) of a process in bytes; zeros when it is gone."""
    found = {"Pss:": 0, "Pss_Anon:": 0}
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0, 0
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in found:
            found[words[0]] = int(words[1]) * 1024
    return found["Pss:"], found["Pss_Anon:"]
