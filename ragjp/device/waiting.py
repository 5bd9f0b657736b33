"""What waits for the owner thread: bounded, in the order it came, taken in batches of like requests. No thread in here.

A batch is the oldest request that waits and those behind it with the same key (the same generation, the same shape of work), up to
``max_batch``. The oldest always decides, so none starves; and as every request joins the end of its key's line, a batch keeps the
order in which its requests came.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Request(Generic[Task, Result]):
    """One task that waits.

    key : only requests with equal keys are computed together. arrived, deadline : seconds of the owner's clock; a request that is
    still waiting at its deadline is not computed any more. future : where its result goes; cancelling it takes it out of the line.
    """

    task: Task
    key: Hashable
    arrived: float
    deadline: float
    future: Future[Result] = field(default_factory=Future)
    number: int = -1


@dataclass(frozen=True, slots=True)
class Due(Generic[Task, Result]):
    """What is to be done now: ``batch`` computed, ``late`` refused; or, with both empty, nothing for ``wait_s`` seconds (None: ever)."""

    batch: tuple[Request[Task, Result], ...] = ()
    late: tuple[Request[Task, Result], ...] = ()
    wait_s: float | None = None


class Waiting(Generic[Task, Result]):
    """The line. Not safe for threads: the owner holds its lock around every call.

    Parameters
    ----------
    most
        Requests that may wait.
    max_wait_s
        What the oldest request waits for company when its batch is not full.
    """

    def __init__(self, most: int, max_wait_s: float = 0.0) -> None:
        self._most = most
        self._max_wait_s = max_wait_s
        self._lines: dict[Hashable, OrderedDict[int, Request[Task, Result]]] = {}
        self._size = 0
        self._next = 0

    def __len__(self) -> int:
        return self._size

    def offer(self, request: Request[Task, Result]) -> bool:
        """Put a request at the end; False, at once, when as many as may are waiting."""
        if self._size >= self._most:
            return False
        request.number = self._next
        self._next += 1
        self._lines.setdefault(request.key, OrderedDict())[request.number] = request
        self._size += 1
        return True

    def discard(self, request: Request[Task, Result]) -> bool:
        """Take a request out whose asker has given up; False when it is not waiting any more. Its place is free at once."""
        line = self._lines.get(request.key)
        if line is None or line.pop(request.number, None) is None:
            return False
        self._size -= 1
        if not line:
            del self._lines[request.key]
        return True

    def take(self, now: float, max_batch: int, *, hurry: bool = False) -> Due[Task, Result]:
        """Take what is due.

        Parameters
        ----------
        hurry
            Wait for no company: the owner is closing.
        """
        late: list[Request[Task, Result]] = []
        while self._size:
            line = min(self._lines.values(), key=lambda line: next(iter(line)))
            oldest = next(iter(line.values()))
            if oldest.deadline <= now:
                self.discard(oldest)
                late.append(oldest)
                continue
            company_s = oldest.arrived + self._max_wait_s - now
            if company_s > 0 and len(line) < max_batch and not hurry:
                wait_s = min(company_s, oldest.deadline - now)
                return Due(late=tuple(late), wait_s=0.0 if late else wait_s)
            batch: list[Request[Task, Result]] = []
            for request in [*line.values()]:
                if len(batch) == max_batch:
                    break
                self.discard(request)
                (late if request.deadline <= now else batch).append(request)
            return Due(tuple(batch), tuple(late))
        return Due(late=tuple(late), wait_s=0.0 if late else None)

    def clear(self) -> list[Request[Task, Result]]:
        """Take everything out, oldest first."""
        everything = [request for line in self._lines.values() for request in line.values()]
        self._lines.clear()
        self._size = 0
        return sorted(everything, key=lambda request: request.number)
