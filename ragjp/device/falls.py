"""Searches that the CPU has computed although there is a GPU: how many, and why in one sentence each. Kept for the process."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fall:
    """A reason, the sentence it was last told with, and how many searches it has met."""

    code: str
    sentence: str
    count: int


class Falls:
    """The reasons so far, by code. Safe for threads; one entry for each code, however many searches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_code: dict[str, Fall] = {}

    def note(self, code: str, sentence: str) -> None:
        """Count one more."""
        with self._lock:
            known = self._by_code.get(code)
            self._by_code[code] = Fall(code, sentence, known.count + 1 if known else 1)

    def so_far(self) -> tuple[Fall, ...]:
        """The reasons, most frequent first, then by code."""
        with self._lock:
            return tuple(sorted(self._by_code.values(), key=lambda fall: (-fall.count, fall.code)))


#: Of this process: what ``ragjp doctor`` and a server's state page show.
FALLS = Falls()
