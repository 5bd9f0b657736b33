"""Progress of a long piece of work, on standard error: a moving bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

#: Off a terminal, no more than one line in this time: what is over sooner needs none, and no log grows long.
QUIET_S = 1.0


class ProgressDisplay:
    """Draws the stages of a build as they report; a context manager, so that a bar is always closed.

    Calling it with a stage's name, the pieces done and the pieces in all, both counted from 0, is the
    :data:`ragjp.jobs.build.Progress` protocol. Off a terminal each finished tenth of a stage is a line, but for those that
    come within a second of the line before.

    Parameters
    ----------
    clock
        Seconds from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at = clock()
        self._moving = sys.stderr.isatty()
        self._stage = ""
        self._tenth = 0
        self._note = ""
        self._bar: Any = None

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` pieces of ``stage`` are finished."""
        if stage != self._stage:
            self._close()
            self._stage, self._tenth, self._note = stage, 0, ""
        if self._moving:
            self._move(done, total)
        else:
            self._write(done, total)

    def note(self, line: str) -> None:
        """Say something beside the stage's numbers from now on: rate, time left."""
        self._note = line

    def _move(self, done: int, total: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=self._stage, file=sys.stderr, dynamic_ncols=True)
        self._bar.set_postfix_str(self._note, refresh=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _write(self, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 10
        if tenth > self._tenth and self._clock() - self._written_at >= QUIET_S:
            self._tenth, self._written_at = tenth, self._clock()
            note = f" {self._note}" if self._note else ""
            sys.stderr.write(f"{self._stage}: {done}/{total}（{10 * tenth}%）{note}\n")
            sys.stderr.flush()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
