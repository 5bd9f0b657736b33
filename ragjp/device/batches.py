"""One batch, many askers: it shrinks when memory is short, and no asker pays for another's error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ragjp.errors import DeviceMemoryFull, DeviceUnavailable

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Full batches in a row after which a limit that has shrunk is doubled again.
_GROW_AFTER = 16


class BatchLimit:
    """How many tasks to compute together: halved where memory was short, doubled after some batches that went well."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = most
        self._well = 0

    def went_well(self, n_tasks: int) -> None:
        """Count a batch that fitted; only one as large as allowed says that there is room."""
        if n_tasks < self.now:
            return
        self._well += 1
        if self._well >= _GROW_AFTER:
            self._well = 0
            self.now = min(self.most, self.now * 2)

    def was_too_much(self, n_tasks: int) -> None:
        """Learn from a batch that did not fit."""
        self._well = 0
        self.now = max(1, min(self.now, n_tasks // 2))


def run_apart(
    tasks: Sequence[Task], run: Callable[[Sequence[Task]], Sequence[Result]], limit: BatchLimit
) -> list[Result | Exception]:
    """Compute tasks together; where that fails, in halves, down to each alone.

    Parameters
    ----------
    run
        Computes some of the tasks, one result for each, in their order. May be called again with tasks that it has failed for, so
        it changes nothing but scratch memory.
    limit
        Learns what fits.

    Returns
    -------
    For each task its result, or the error that it ends in when it is computed alone.

    Raises
    ------
    DeviceUnavailable
        The card is lost: nothing that follows can be computed there.
    """
    outcomes: list[Result | Exception] = []
    left = [list(tasks)]
    while left:
        some = left.pop()
        try:
            results = run(some)
            if len(results) != len(some):
                raise RuntimeError(f"{len(some)} tasks gave {len(results)} results")
        except DeviceUnavailable:
            raise
        except Exception as error:
            if isinstance(error, DeviceMemoryFull):
                limit.was_too_much(len(some))
            if len(some) == 1:
                outcomes.append(error)
                continue
            half = len(some) // 2
            left += [some[half:], some[:half]]
        else:
            limit.went_well(len(some))
            outcomes += results
    return outcomes
