"""Progress of a long piece of work, on standard error: a moving bar on a terminal, a line each tenth elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class ProgressDisplay:
    """Draws the stages of a build as they report; a context manager, so that a bar is always closed.

    Calling it with a stage's name, the pieces done and the pieces in all, both counted from 0, is the
    :class:`ragjp.jobs.build.Progress` protocol.
    """

    def __init__(self) -> None:
        self._moving = sys.stderr.isatty()
        self._stage = ""
        self._tenth = 0
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
            self._stage, self._tenth = stage, 0
        if self._moving:
            self._move(done, total)
        else:
            self._write(done, total)

    def _move(self, done: int, total: int) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=self._stage, file=sys.stderr, dynamic_ncols=True)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _write(self, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 10
        if tenth > self._tenth:
            self._tenth = tenth
            sys.stderr.write(f"{self._stage}: {done}/{total}（{10 * tenth}%）\n")
            sys.stderr.flush()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
