"""The GPU as a search uses it: ask it, and where it cannot answer take the CPU's answer, which is the same, and keep a sentence.

What a search path on the GPU provides is a :class:`SearchPath`; what an engine does is::

    accelerator = Accelerator(path, memory, recipe.device)
    accelerator.follow(generation, parts)                       # at open, and after each move to a newer generation
    answered = accelerator.answer(generation, task, reference)  # reference: computes the same on the CPU
    accelerator.close()

The policy is in one place, :meth:`Accelerator.answer`:

================================================  =======================================================
the generation is not (yet) on the card           CPU
no memory for the question, even alone            CPU
the owner died, hangs, was closed, was forked     CPU
no answer within ``device.timeout_ms``            CPU
an error of the path that is none of ragjp's own  CPU; after three in a row the path stays off
the line is full                                  DeviceBusy, at once: the CPU would drown in what the GPU cannot do
the asker's own deadline has passed               DeviceBusy
any other error of ragjp's (a wrong request)      that error
================================================  =======================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ragjp.config import DeviceUse
from ragjp.device.falls import FALLS, Falls
from ragjp.device.generations import Generations, Loaded, Pin, Resident
from ragjp.device.ledger import Budget, Ledger
from ragjp.device.memory import Buffer, DeviceMemory, Part
from ragjp.device.owner import Owner
from ragjp.device.troubles import translated
from ragjp.device.waiting import Result, Task
from ragjp.errors import DeviceBusy, DeviceMemoryFull, DeviceUnavailable, RagjpError

Asked = TypeVar("Asked", contravariant=True)
Given = TypeVar("Given", covariant=True)
#: Errors in a row that are none of ragjp's own, after which the path is not asked any more.
MOST_ERRORS = 3


class SearchPath(Protocol[Buffer, Asked, Given]):
    """A search on the GPU. Called on the owner thread alone."""

    def open(self) -> None:
        """Make the card this thread's own; see :meth:`ragjp.device.owner.Worker.open`."""
        ...

    def prepare(self, resident: Resident[Buffer], ledger: Ledger[Buffer]) -> None:
        """Do what the first search of a generation would wait for (kernels are compiled), while the CPU still answers.

        Raises
        ------
        DeviceMemoryFull
            When there is no room to search it. Any other error switches the GPU off for this generation, with a sentence.
        """
        ...

    def run(
        self, resident: Resident[Buffer], tasks: Sequence[Asked], ledger: Ledger[Buffer]
    ) -> Sequence[Given]:
        """Search one generation for several askers, whose ``alike`` was equal; see :meth:`ragjp.device.owner.Worker.run`.

        Parameters
        ----------
        resident
            Where the arrays lie. Pinned until this returns, and no longer.
        ledger
            Where scratch memory is taken from, with ``with ledger.take("scratch", n)``: what does not fit there raises
            DeviceMemoryFull, and this is called again with fewer tasks.

        Returns
        -------
        The same that the reference computes: equal scores within the written tolerance, equal ids outside ties.
        """
        ...

    def forget(self, resident: Resident[Buffer]) -> None:
        """The buffers of a generation go now: so do the graphs captured over them. Also of one that was never prepared."""
        ...

    def close(self) -> None:
        """Give everything back that the path itself holds."""
        ...


@dataclass(frozen=True, slots=True)
class Answered(Generic[Result]):
    """A result; ``fell`` is empty, or says why the CPU has computed it. ``device_ms``: what was spent on asking the GPU."""

    result: Result
    fell: str
    device_ms: float


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Buffer, Task]):
    pin: Pin[Buffer]
    task: Task


class Accelerator(Generic[Buffer, Task, Result]):
    """One search path on one card for one index. Safe for threads. See the module docstring.

    Parameters
    ----------
    path
        The search.
    memory
        The card's memory. What is free now is divided as ``settings`` say.
    falls
        Where falls are noted.
    """

    def __init__(
        self,
        path: SearchPath[Buffer, Task, Result],
        memory: DeviceMemory[Buffer],
        settings: DeviceUse,
        falls: Falls = FALLS,
    ) -> None:
        self._path = path
        self._settings = settings
        self._falls = falls
        self.ledger = Ledger(memory, Budget.of(settings, memory.free_bytes()))
        self.generations = Generations(memory, self.ledger, self._later, self._prepare, path.forget)
        self.owner: Owner[_Asked[Buffer, Task], Result] = Owner(
            _Work(path, self.generations, self.ledger), settings
        )
        self._errors = 0
        self._off = ""

    def follow(self, key: Hashable, parts: Sequence[Part]) -> Future[Loaded] | None:
        """Bring a generation to the card, behind the searches, and answer from it once it is there.

        Returns
        -------
        How it went, for who wants to wait for it; None when the card cannot be asked (:meth:`why_not`).
        """
        self._errors, self._off = 0, ""
        try:
            return self.owner.chore(self.generations.load(key, parts))
        except DeviceUnavailable:
            return None

    def answer(
        self,
        key: Hashable,
        task: Task,
        reference: Callable[[], Result],
        *,
        alike: Hashable = None,
        timeout_s: float | None = None,
    ) -> Answered[Result]:
        """Search one generation, on the GPU or, where that cannot be, on the CPU.

        Parameters
        ----------
        key
            The generation that the asker reads.
        task
            What the path is asked.
        reference
            Computes the same on the CPU, on the asker's thread.
        alike
            Tasks of one generation with equal values of it may be computed together.
        timeout_s
            The asker's own patience. Without it a GPU that is too slow costs time and no answer.

        Raises
        ------
        DeviceBusy
            The line is full, or the asker's patience is at its end.
        """
        started = time.perf_counter()
        try:
            result = self._ask(key, task, alike, timeout_s)
        except DeviceBusy:
            raise
        except (DeviceMemoryFull, DeviceUnavailable) as cannot:
            code, sentence = cannot.code, cannot.sentence
        except RagjpError:
            raise
        except Exception as error:
            code, sentence = "device_error", self._broken(error)
        else:
            self._errors = 0
            return Answered(result, "", _since(started))
        device_ms = _since(started)
        self._falls.note(code, sentence)
        return Answered(reference(), sentence, device_ms)

    def _ask(self, key: Hashable, task: Task, alike: Hashable, timeout_s: float | None) -> Result:
        if self._off:
            raise DeviceUnavailable(self._off, code="device_off")
        pin = self.generations.pin(key)
        if pin is None:
            why = self.owner.why_not() or self.generations.why_not(key)
            raise DeviceUnavailable(why, code="generation_elsewhere")
        patience_s = self._settings.timeout_ms / 1000 if timeout_s is None else timeout_s
        try:
            future = self.owner.submit(_Asked(pin, task), (pin.resident.epoch, alike), patience_s)
        except BaseException:
            pin.release()
            raise
        # Not when the asker leaves: the owner may be reading the generation for it then.
        future.add_done_callback(lambda _: pin.release())
        try:
            error = future.exception(patience_s)
        except FutureTimeoutError as late:
            future.cancel()
            raise _too_late(timeout_s, patience_s) from late
        except BaseException:  # the asker is interrupted
            future.cancel()
            raise
        if isinstance(error, DeviceBusy):
            raise _too_late(timeout_s, patience_s) from error
        return future.result()

    def _broken(self, error: Exception) -> str:
        """Count an error that is a fault of the path; one that keeps coming would cost every search its time."""
        what = f"GPU の計算が失敗しました（{type(error).__name__}: {error}）。CPU で計算します。"
        self._errors += 1
        if self._errors >= MOST_ERRORS:
            self._off = f"{what}続けて失敗したので、索引の次の世代まで GPU を使いません。"
        return self._off or what

    def _prepare(self, resident: Resident[Buffer]) -> None:
        with translated():
            self._path.prepare(resident, self.ledger)

    def _later(self, chore: Generator[bool, None, None]) -> None:
        try:
            self.owner.chore(chore)
        except DeviceUnavailable:
            chore.close()  # the owner frees everything as it ends

    def why_not(self, key: Hashable) -> str:
        """Say why searches of this generation are computed by the CPU now; empty when they are not."""
        return self._off or self.owner.why_not() or self.generations.why_not(key)

    def report(self, key: Hashable) -> list[str]:
        """Sentences for a person: where searches are computed, who holds what, and what has fallen to the CPU so far."""
        where = self.why_not(key) or "検索は GPU で計算しています。"
        falls = [f"{fall.sentence}（{fall.count} 回）" for fall in self._falls.so_far()]
        return [where, self.ledger.sentence(), *falls]

    def close(self, *, timeout_s: float = 10.0) -> bool:
        """Compute what waits, free everything, end the thread; whether it has ended. May be called again."""
        return self.owner.close(timeout_s=timeout_s)


class _Work(Generic[Buffer, Task, Result]):
    """What the owner thread does: the path, over the generation that its tasks have pinned."""

    def __init__(
        self,
        path: SearchPath[Buffer, Task, Result],
        generations: Generations[Buffer],
        ledger: Ledger[Buffer],
    ) -> None:
        self._path = path
        self._generations = generations
        self._ledger = ledger

    def open(self) -> None:
        with translated():
            self._path.open()

    def run(self, tasks: Sequence[_Asked[Buffer, Task]]) -> Sequence[Result]:
        resident = tasks[0].pin.resident  # they have the same: its epoch is part of their key
        with translated():
            return self._path.run(resident, [asked.task for asked in tasks], self._ledger)

    def close(self) -> None:
        try:
            self._generations.drop()
        finally:
            self._path.close()


def _too_late(timeout_s: float | None, patience_s: float) -> DeviceBusy | DeviceUnavailable:
    """The asker's own patience ends in an error, that of the recipe in an answer by the CPU."""
    if timeout_s is not None:
        return DeviceBusy(
            "GPU の答えが期限に間に合いませんでした。少し待ってからもう一度お試しください。",
            code="device_deadline",
        )
    return DeviceUnavailable(
        f"GPU が {patience_s:g} 秒のうちに答えませんでした。CPU で計算します。",
        code="device_slow",
    )


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
