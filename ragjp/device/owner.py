"""The one thread that owns a card.

GPU indexes are not safe for two threads even to read, contexts and streams belong to threads, and memory pools to streams: so one
thread does everything that touches the card. Others hand it requests, which it computes in batches, and chores (sending a new
generation, freeing an old one), which it does a slice at a time between two batches, so that an update never blocks a search.

What an asker may count on:

- a full line answers at once (:class:`~ragjp.errors.DeviceBusy`, ``device_queue_full``), and so does a request after its deadline;
- a request that is given up while it waits (``future.cancel()``) is never computed and its place is free at once;
- an error of one request reaches nobody else; a batch that does not fit is computed in halves;
- an owner that has died, was closed, belongs to another process or hangs says so (:meth:`Owner.why_not`), and nobody waits for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from ragjp.config import DeviceUse
from ragjp.device.batches import BatchLimit, run_apart
from ragjp.device.waiting import Due, Request, Result, Task, Waiting
from ragjp.errors import DeviceBusy, DeviceUnavailable

Asked = TypeVar("Asked", contravariant=True)
Given = TypeVar("Given", covariant=True)
Done = TypeVar("Done")
#: A chore in slices. It yields True after a slice, False when it can only wait (it is looked at again when something has
#: happened, and at the latest after :data:`IDLE_S`); what it returns is the result.
Chore = Generator[bool, None, Done]
#: How long a chore that can only wait is left alone, in seconds.
IDLE_S = 0.02
#: Running longer than this on one batch or slice, in seconds, the owner counts as hanging.
HANGS_S = 10.0


class Worker(Protocol[Asked, Given]):
    """What the thread does. All of it is called on the owner thread, and nothing of it on any other."""

    def open(self) -> None:
        """Make the card this thread's own: context, stream, scratch memory.

        Raises
        ------
        DeviceUnavailable
            When it cannot be used; the owner ends with this sentence.
        """
        ...

    def run(self, tasks: Sequence[Asked]) -> Sequence[Given]:
        """Compute tasks with one key, one result for each, in their order; finished, not only enqueued, when it returns.

        Called again with halves of the same tasks when it fails, so it changes nothing but scratch memory.

        Raises
        ------
        DeviceMemoryFull
            When they do not fit together. Fewer may.
        DeviceUnavailable
            When the card is lost: the owner ends.
        Exception
            Anything else is the fault of one of the tasks; it is found by computing them apart.
        """
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Owner(Generic[Task, Result]):
    """A thread, its line and its chores. Starts with the first request; every method is safe from any thread.

    Parameters
    ----------
    worker
        What is done on the thread.
    settings
        Sizes of line and batches.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        worker: Worker[Task, Result],
        settings: DeviceUse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._clock = clock
        self._limit = BatchLimit(settings.max_batch)
        self._waiting: Waiting[Task, Result] = Waiting(
            settings.max_queue, settings.max_wait_ms / 1000
        )
        self._chores: deque[tuple[Chore[Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._ended: DeviceUnavailable | None = None
        self._closing = False
        self._busy_since: float | None = None

    def why_not(self) -> str:
        """Say why nothing can be asked of the card through this owner now; empty when it can."""
        refused = self._refusal()
        return refused.sentence if refused else ""

    def _refusal(self) -> DeviceUnavailable | None:
        if os.getpid() != self._process:
            return DeviceUnavailable(
                "GPU は別のプロセスが受け持っています（fork のあとでは使えません）。CPU で計算します。",
                code="device_forked",
            )
        if self._ended is not None:
            return self._ended
        since = self._busy_since
        if since is not None and self._clock() - since > HANGS_S:
            return DeviceUnavailable(
                f"GPU を受け持つスレッドが {HANGS_S:.0f} 秒を超えて戻りません。CPU で計算します。続くなら ragjp を起動し直してください。",
                code="device_hangs",
            )
        if self._closing:
            return DeviceUnavailable(
                "GPU を受け持つスレッドは終わりました。CPU で計算します。", code="device_closed"
            )
        return None

    def submit(
        self, task: Task, key: Hashable = None, timeout_s: float | None = None
    ) -> Future[Result]:
        """Put a task in the line.

        Parameters
        ----------
        key
            Tasks with equal keys may be computed together.
        timeout_s
            Not computed any more when it has waited as long; the future then fails with ``device_deadline``.

        Returns
        -------
        A future that the asker may wait for, from a thread or through ``asyncio.wrap_future``, and cancel.

        Raises
        ------
        DeviceBusy
            When the line is full, at once; code ``device_queue_full``.
        DeviceUnavailable
            When the owner cannot be asked; see :meth:`why_not`.
        """
        self._require_alive()  # before the lock: a forked child would find it held for ever
        now = self._clock()
        deadline = float("inf") if timeout_s is None else now + timeout_s
        request: Request[Task, Result] = Request(task, key, now, deadline)
        with self._changed:
            self._require_started()
            if not self._waiting.offer(request):
                raise DeviceBusy(
                    f"GPU の順番を待つ質問が上限（{self._settings.max_queue} 件）に達しています。少し待ってからもう一度お試しください。",
                    code="device_queue_full",
                )
            self._changed.notify_all()
        request.future.add_done_callback(lambda future: self._given_up(request, future))
        return request.future

    def _given_up(self, request: Request[Task, Result], future: Future[Result]) -> None:
        if future.cancelled():
            with self._changed:
                self._waiting.discard(request)

    def chore(self, steps: Chore[Done]) -> Future[Done]:
        """Have a chore done, after those before it, in slices between the batches.

        It is closed on the owner thread when the owner ends before it does.

        Raises
        ------
        DeviceUnavailable
            When the owner cannot be asked; see :meth:`why_not`.
        """
        self._require_alive()
        future: Future[Done] = Future()
        future.set_running_or_notify_cancel()
        with self._changed:
            self._require_started()
            self._chores.append((steps, future))
            self._changed.notify_all()
        return future

    def wake(self) -> None:
        """Have a chore that can only wait looked at again."""
        if os.getpid() == self._process:
            with self._changed:
                self._changed.notify_all()

    def close(self, *, drain: bool = True, timeout_s: float = 10.0) -> bool:
        """End the thread: no new requests; those that wait are computed, or refused without ``drain``. May be called again.

        Returns
        -------
        Whether the thread has ended within ``timeout_s``.
        """
        if os.getpid() != self._process:
            return True
        with self._changed:
            self._closing = True
            refused = [] if drain else self._waiting.clear()
            self._changed.notify_all()
            thread = self._thread
        _refuse(refused, self._refusal())
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout_s)
        return not thread.is_alive()

    def _require_alive(self) -> None:
        refused = self._refusal()
        if refused is not None:
            # A new one for each asker: an exception that is raised collects the tracebacks of all that raise it.
            raise DeviceUnavailable(refused.sentence, code=refused.code)

    def _require_started(self) -> None:
        self._require_alive()
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="ragjp-device", daemon=True)
            self._thread.start()

    # ------------------------------------------------------------------------------------------------ on the owner thread

    def _live(self) -> None:
        ended: BaseException | None = None
        try:
            self._worker.open()
            self._serve()
        except BaseException as error:  # whatever ends the thread is told to everybody who waits
            ended = error
        finally:
            self._end(ended)

    def _serve(self) -> None:
        idle = False
        while True:
            due, chore = self._next(idle)
            if due is None:
                return
            _refuse(due.late, _too_late())
            if due.batch:
                self._compute(due.batch)
            idle = chore is not None and self._advance(*chore)

    def _next(
        self, idle: bool
    ) -> tuple[Due[Task, Result] | None, tuple[Chore[Any], Future[Any]] | None]:
        """Wait until there is something to do; the batch that is due and the chore whose turn it is. No batch at all: the end."""
        with self._changed:
            self._busy_since = None
            while True:
                due = self._waiting.take(self._clock(), self._limit.now, hurry=self._closing)
                chore = self._chores[0] if self._chores else None
                if due.batch or due.late or (chore and not idle and not self._closing):
                    self._busy_since = self._clock()
                    return due, chore
                if self._closing:
                    return None, None
                waits = [s for s in (due.wait_s, IDLE_S if chore else None) if s is not None]
                self._changed.wait(min(waits, default=None))
                idle = False

    def _compute(self, batch: Sequence[Request[Task, Result]]) -> None:
        running = [request for request in batch if request.future.set_running_or_notify_cancel()]
        if not running:
            return
        try:
            outcomes = run_apart([r.task for r in running], self._worker.run, self._limit)
        except BaseException as error:
            _refuse(running, _dead(error), started=True)
            raise
        for request, outcome in zip(running, outcomes, strict=True):
            if isinstance(outcome, Exception):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(outcome)

    def _advance(self, steps: Chore[Any], future: Future[Any]) -> bool:
        """One slice of a chore; True when it can only wait."""
        try:
            return not next(steps)
        except StopIteration as finished:
            self._chores.popleft()
            future.set_result(finished.value)
        except DeviceUnavailable:
            raise
        except Exception as error:
            self._chores.popleft()
            future.set_exception(error)
        return False

    def _end(self, error: BaseException | None) -> None:
        """Leave nobody waiting. Chores are closed before the worker: they give back what they hold."""
        with self._changed:
            if error is not None:
                self._ended = _dead(error)
            self._closing = True
            self._busy_since = None
            refused = self._waiting.clear()
            chores = [*self._chores]
            self._chores.clear()
        reason = self._refusal()
        _refuse(refused, reason)
        for steps, future in chores:
            try:
                steps.close()
            except Exception as broken:
                future.set_exception(broken)
            else:
                future.set_exception(reason or _dead(error))
        try:
            self._worker.close()
        except Exception as broken:
            self._ended = self._ended or _dead(broken)


def _refuse(
    requests: Sequence[Request[Task, Result]],
    reason: DeviceUnavailable | DeviceBusy | None,
    *,
    started: bool = False,
) -> None:
    for request in requests:
        if reason is not None and (started or request.future.set_running_or_notify_cancel()):
            request.future.set_exception(type(reason)(reason.sentence, code=reason.code))


def _too_late() -> DeviceBusy:
    return DeviceBusy(
        "GPU の順番を待つ間に、質問の期限が過ぎました。少し待ってからもう一度お試しください。",
        code="device_deadline",
    )


def _dead(error: BaseException | None) -> DeviceUnavailable:
    if isinstance(error, DeviceUnavailable):
        return DeviceUnavailable(error.sentence, code=error.code)
    what = f"{type(error).__name__}: {error}" if error else "理由は分かりません"
    return DeviceUnavailable(
        f"GPU を受け持つスレッドが止まりました（{what}）。CPU で計算を続けます。ragjp を起動し直すと GPU をまた使います。",
        code="device_owner_dead",
    )
