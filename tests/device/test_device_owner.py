"""The thread that owns a card: what askers may count on, with the thread held up where a test needs an order of things."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest
from scripted import ScriptedWorker

from ragjp.config import DeviceUse
from ragjp.device import owner as owner_module
from ragjp.device.owner import Owner
from ragjp.errors import DeviceBusy, DeviceMemoryFull, DeviceUnavailable

LONG_S = 60.0
Make = Callable[..., Owner[Any, Any]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[tuple[Owner[Any, Any], ScriptedWorker]] = []

    def make(worker: ScriptedWorker, **settings: Any) -> Owner[Any, Any]:
        made.append((Owner(worker, DeviceUse(**settings)), worker))
        return made[-1][0]

    yield make
    for owner, worker in made:
        worker.gate.set()
        assert owner.close(drain=False, timeout_s=LONG_S), "the thread did not end"


def held_up(worker: ScriptedWorker, owner: Owner[Any, Any]) -> Future[Any]:
    """Let the owner begin a batch of one and stand there, so that what comes next waits in the line."""
    worker.gate.clear()
    first = owner.submit("first", key="held up")
    worker.entered.acquire()
    return first


def test_everything_happens_on_one_thread(make: Make) -> None:
    """A context made on one thread and used on another."""
    worker = ScriptedWorker(lambda task: task * 2)
    owner = make(worker)
    assert [owner.submit(n).result(LONG_S) for n in range(3)] == [0, 2, 4]
    assert owner.close()
    assert (worker.opened, worker.closed) == (1, 1)
    assert len(worker.threads) == 1
    assert worker.threads != {threading.get_ident()}


def test_what_waits_together_is_computed_together(make: Make) -> None:
    """64 clients that wait for each other one by one; or batches over the limit, or of unlike requests."""
    worker = ScriptedWorker()
    owner = make(worker, max_batch=4)
    held_up(worker, owner)
    futures = [owner.submit(n, key=n % 2) for n in range(10)]
    worker.gate.set()
    assert [future.result(LONG_S) for future in futures] == list(range(10))
    assert worker.batches[1:] == [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]]


def test_a_full_line_answers_at_once_and_then_takes_more(make: Make) -> None:
    """Askers that pile up without bound, or a place that a cancelled one keeps."""
    worker = ScriptedWorker()
    owner = make(worker, max_queue=2)
    held_up(worker, owner)
    waiting = [owner.submit(1), owner.submit(2)]
    with pytest.raises(DeviceBusy) as refused:
        owner.submit(3)
    assert refused.value.code == "device_queue_full"
    assert "2 件" in refused.value.sentence
    assert waiting[0].cancel()
    replacement = owner.submit(4)
    worker.gate.set()
    assert [waiting[1].result(LONG_S), replacement.result(LONG_S)] == [2, 4]
    with pytest.raises(CancelledError):
        waiting[0].result(0)
    assert [task for batch in worker.batches for task in batch] == ["first", 2, 4]


def test_a_deadline_that_passes_in_the_line_is_not_computed(make: Make) -> None:
    """Work for askers who have left, while others wait."""
    worker = ScriptedWorker()
    owner = make(worker)
    held_up(worker, owner)
    late, patient = owner.submit("late", timeout_s=0.0), owner.submit("patient")
    worker.gate.set()
    assert patient.result(LONG_S) == "patient"
    with pytest.raises(DeviceBusy) as refused:
        late.result(LONG_S)
    assert refused.value.code == "device_deadline"
    assert ["late"] not in worker.batches


def test_an_error_reaches_its_own_asker_alone(make: Make) -> None:
    """One broken question that fails 63 others."""

    def work(task: int) -> int:
        if task == 5:
            raise ValueError("five")
        return -task

    worker = ScriptedWorker(work)
    owner = make(worker)
    held_up(worker, owner)
    futures = [owner.submit(n) for n in range(8)]
    worker.work = lambda task: work(task) if task != "first" else None
    worker.gate.set()
    for n, future in enumerate(futures):
        if n == 5:
            with pytest.raises(ValueError, match="five"):
                future.result(LONG_S)
        else:
            assert future.result(LONG_S) == -n
    assert owner.why_not() == ""


def test_a_batch_that_does_not_fit_shrinks(make: Make) -> None:
    """A question refused for want of memory that its neighbours took."""

    def check(tasks: Any) -> None:
        if len(tasks) > 3:
            raise DeviceMemoryFull("満杯です。")

    worker = ScriptedWorker(check=check)
    owner = make(worker, max_batch=16)
    held_up(worker, owner)
    futures = [owner.submit(n) for n in range(12)]
    worker.gate.set()
    assert [future.result(LONG_S) for future in futures] == list(range(12))
    more = [owner.submit(n) for n in range(12)]
    assert [future.result(LONG_S) for future in more] == list(range(12))
    assert max(len(batch) for batch in worker.batches[-4:]) <= 3


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DeviceUnavailable("カードが失われました。", code="device_lost"), "device_lost", "カード"),
        (SystemExit("bye"), "device_owner_dead", "SystemExit: bye"),
        (KeyboardInterrupt(), "device_owner_dead", "KeyboardInterrupt"),
    ],
)
def test_a_dead_owner_is_noticed_and_said(
    make: Make, error: BaseException, code: str, words: str
) -> None:
    """Waiters that wait for a thread that is gone; askers who come after it and hear nothing."""

    def die(task: Any) -> None:
        raise error

    worker = ScriptedWorker(die)
    owner = make(worker)
    first = held_up(worker, owner)
    waiting = [owner.submit(n) for n in range(3)]
    worker.gate.set()
    for future in (first, *waiting):
        with pytest.raises(DeviceUnavailable, match=words) as told:
            future.result(LONG_S)
        assert told.value.code == code
    with pytest.raises(DeviceUnavailable, match=words):
        owner.submit(9)
    with pytest.raises(DeviceUnavailable, match=words):
        owner.chore(_steps([]))
    assert words in owner.why_not()
    assert owner.close(timeout_s=LONG_S)
    assert worker.closed == 1


def test_a_card_that_cannot_be_opened_is_said(make: Make) -> None:
    """A process that waits for a card that was never there."""
    owner = make(ScriptedWorker(open_error=RuntimeError("no context")))
    with pytest.raises(DeviceUnavailable, match="no context"):
        owner.submit(1).result(LONG_S)


def test_a_hanging_owner_is_said_and_forgiven(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody waits behind a kernel that does not return, or nobody ever asks again once it did."""
    monkeypatch.setattr(owner_module, "HANGS_S", -1.0)  # any batch hangs
    worker = ScriptedWorker()
    owner = make(worker)
    first = held_up(worker, owner)
    assert "戻りません" in owner.why_not()
    with pytest.raises(DeviceUnavailable) as told:
        owner.submit(1)
    assert told.value.code == "device_hangs"
    worker.gate.set()
    first.result(LONG_S)
    monkeypatch.setattr(owner_module, "HANGS_S", LONG_S)
    assert owner.submit(2).result(LONG_S) == 2


@pytest.mark.parametrize("drain", [True, False])
def test_closing_leaves_nobody_waiting(make: Make, drain: bool) -> None:
    """A server that does not end because somebody still waits, or that drops what it could have answered."""
    worker = ScriptedWorker()
    owner = make(worker)
    first = held_up(worker, owner)
    second = owner.submit("second", key="other")
    closer = threading.Thread(target=owner.close, kwargs={"drain": drain})
    closer.start()
    while owner.why_not() == "":
        pass
    with pytest.raises(DeviceUnavailable, match="終わりました"):
        owner.submit("third")
    worker.gate.set()
    closer.join(LONG_S)
    assert not closer.is_alive()
    assert first.result(0) == "first"
    if drain:
        assert second.result(0) == "second"
    else:
        with pytest.raises(DeviceUnavailable):
            second.result(0)
    assert worker.closed == 1
    assert owner.close()


def test_closing_what_never_began_begins_nothing(make: Make) -> None:
    """A thread and a context for an index that nobody has searched."""
    worker = ScriptedWorker()
    owner = make(worker)
    assert owner.close()
    assert (worker.opened, worker.closed) == (0, 0)


def _steps(said: list[Any], n: int = 3, result: str = "done") -> Generator[bool, None, str]:
    try:
        for number in range(n):
            said.append(number)
            yield True
    finally:
        said.append("closed")
    return result


def test_a_chore_is_done_between_batches(make: Make) -> None:
    """An update that keeps searches waiting until it is through, or searches that keep an update waiting for ever."""
    worker = ScriptedWorker()
    owner = make(worker)
    held_up(worker, owner)
    said: list[Any] = []
    worker.work = said.append
    searches = [owner.submit(f"search {n}", key=n) for n in range(3)]
    chore = owner.chore(_steps(said))
    worker.gate.set()
    wait(searches, LONG_S)
    assert chore.result(LONG_S) == "done"
    order = [entry for entry in said if entry != "first"]
    assert order.index("search 1") < order.index(2)
    assert order.index(0) < order.index("search 2")
    assert said[-1] == "closed"


def test_a_chore_that_can_only_wait_is_looked_at_again(make: Make) -> None:
    """A chore that waits for a search to end, and is forgotten (or burns a core) meanwhile."""
    owner = make(ScriptedWorker())
    may_end = threading.Event()
    looks = []

    def waits() -> Generator[bool, None, int]:
        while not may_end.is_set():
            looks.append(1)
            yield False
        return len(looks)

    chore = owner.chore(waits())
    assert owner.submit(1).result(LONG_S) == 1
    may_end.set()
    owner.wake()
    assert chore.result(LONG_S) >= 1


def test_a_chore_that_fails_fails_alone_and_one_that_is_cut_short_is_closed(make: Make) -> None:
    """A bad file that ends the owner; a buffer that a half-done chore keeps."""

    def fails() -> Generator[bool, None, None]:
        yield True
        raise OSError("gone")

    def endless(said: list[str]) -> Generator[bool, None, None]:
        try:
            while True:
                yield True
        finally:
            said.append("closed")

    owner = make(ScriptedWorker())
    with pytest.raises(OSError, match="gone"):
        owner.chore(fails()).result(LONG_S)
    said: list[str] = []
    cut_short = owner.chore(endless(said))
    assert owner.submit(1).result(LONG_S) == 1
    assert owner.close(timeout_s=LONG_S)
    assert said == ["closed"]
    with pytest.raises(DeviceUnavailable):
        cut_short.result(0)


def test_a_forked_child_is_told_and_does_not_wait(make: Make) -> None:
    """A child that waits for a thread which only its parent has."""
    owner = make(ScriptedWorker())
    owner.submit(1).result(LONG_S)
    assert owner.why_not() == ""
    owner._process = os.getpid() + 1  # as a child sees it; forking a process with threads warns
    assert "別のプロセス" in owner.why_not()
    told: Future[Any] = Future()

    def ask() -> None:
        try:
            told.set_result(owner.submit(2))
        except DeviceUnavailable as error:
            told.set_result(error.code)

    with owner._changed:  # as fork may have left the lock
        threading.Thread(target=ask).start()
        assert told.result(LONG_S) == "device_forked"
    owner._process = os.getpid()


def test_64_threads_with_cancellations_and_errors_each_get_their_own(make: Make) -> None:
    """An answer given to another thread's question; a thread that never gets one; a place that is lost with each cancellation."""

    def work(task: tuple[int, int]) -> tuple[int, int]:
        if task[1] % 7 == 3:
            raise ValueError(f"{task}")
        return task

    worker = ScriptedWorker(work)
    owner = make(worker, max_batch=8, max_queue=64)
    found: list[tuple[tuple[int, int], Any]] = []

    def ask(thread: int) -> None:
        for number in range(40):
            task = (thread, number)
            future = owner.submit(task, key=number % 3)
            if number % 5 == 4 and future.cancel():
                found.append((task, "cancelled"))
                continue
            try:
                found.append((task, future.result(LONG_S)))
            except ValueError as error:
                found.append((task, str(error)))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert len(found) == 64 * 40
    for task, got in found:
        assert got == "cancelled" or got == (f"{task}" if task[1] % 7 == 3 else task)
    assert sum(got != "cancelled" for _, got in found) >= 64 * 32
    assert all(len(batch) <= 8 for batch in worker.batches)
    assert len(owner._waiting) == 0
