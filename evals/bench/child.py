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
import atexit, json, pathlib, sys, time
arguments = json.loads(sys.argv[1])
def since_start():
    return time.monotonic() - arguments["started"]
def leave_status():
    pathlib.Path(arguments["status"]).write_bytes(pathlib.Path("/proc/self/status").read_bytes())
atexit.register(leave_status)
"""


@dataclass(frozen=True, slots=True)
class ChildReport:
    """What a child printed; bytes of memory, the largest seen.

    ``peak_rss``: the kernel's own account (``VmHWM``) of the largest single process, mapped file pages included. (``ru_maxrss`` will
    not do: a child inherits its parent's.)
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
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        tempfile.NamedTemporaryFile() as left,
    ):
        started = time.monotonic()
        passed = json.dumps({**arguments, "started": started, "status": left.name})
        process = subprocess.Popen(
            [sys.executable, "-c", _PREAMBLE + code, passed],
            stdout=output,
            stderr=errors,
            env=environment,
            cwd=root,
        )
        watch = _Watch(process.pid)
        process.wait()
        wall = time.monotonic() - started
        watch.stop()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(errors.read().decode(errors="replace")[-2000:])
        values = json.loads(output.read().decode().strip().splitlines()[-1])
        own = _kib(left.read().decode(), "VmHWM:")
    return ChildReport(values, wall, max(own, watch.peak_rss), watch.peak_pss, watch.peak_anonymous)


class _Watch:
    """Looks at the memory of a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self.peak_rss = 0
        self.peak_pss = 0
        self.peak_anonymous = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_PERIOD):
            family = [self._pid, *descendants(self._pid)]
            largest = max(_kib(_proc(pid, "status"), "VmHWM:") for pid in family)
            self.peak_rss = max(self.peak_rss, largest)
            rollups = [_proc(pid, "smaps_rollup") for pid in family]
            sizes = [(_kib(text, "Pss:"), _kib(text, "Pss_Anon:")) for text in rollups]
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


def _proc(pid: int, name: str) -> str:
    """A file that the kernel keeps on a process; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _kib(text: str, key: str) -> int:
    """The value of a line such as ``Pss: 1234 kB`` in bytes; 0 when there is none."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == key:
            return int(words[1]) * 1024
    return 0
