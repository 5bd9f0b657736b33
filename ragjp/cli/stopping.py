"""Ctrl-C and SIGTERM as a request to end: the work in hand is finished and committed; a second Ctrl-C ends at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

#: 128 + the number of the signal, as a shell reports it.
_BASE = 128


class StopRequest:
    """Holds both signals while it is entered; asked by calling it."""

    def __init__(self) -> None:
        self.signal = 0
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether it has been asked to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than until it is asked to end; whether it is."""
        return self._event.wait(seconds)

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return _BASE + (self.signal or signal.SIGINT)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        self._event.set()
        sys.stderr.write(
            "\n切りのよいところで止めます。すぐに止めるには、もう一度 Ctrl-C を押してください。\n"
        )
