"""The GPU as a search uses it: whatever the scripted card does, each asker gets the serial answer, or a refusal it can act on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from scripted import ScriptedMemory, ScriptedPart, part

from ragjp.config import DeviceUse
from ragjp.device.accelerator import MOST_ERRORS, Accelerator
from ragjp.device.falls import Falls
from ragjp.device.generations import Resident
from ragjp.device.ledger import Ledger
from ragjp.errors import DeviceBusy, DeviceUnavailable, RequestError

LONG_S = 60.0
SCRATCH = 100
Make = Callable[..., Accelerator[Any, int, int]]


def reference(parts: Sequence[ScriptedPart], task: int) -> int:
    """What a search of these parts for a number finds: the oracle."""
    return sum(int(each.data[task % each.n_bytes]) << 8 * n for n, each in enumerate(parts))


@dataclass
class ScriptedPath:
    """The same from the buffers on the card, with scratch memory for each task; ``on_run`` is the script."""

    on_run: Callable[[Sequence[int]], None] = lambda tasks: None
    alive: set[int] = field(default_factory=set)
    n_runs: int = 0
    closed: int = 0
    threads: set[int] = field(default_factory=set)

    def open(self) -> None:
        self.threads.add(threading.get_ident())

    def prepare(self, resident: Resident[Any], ledger: Ledger[Any]) -> None:
        self.threads.add(threading.get_ident())
        self.alive.add(resident.epoch)
        with ledger.take("scratch", SCRATCH):
            pass

    def run(self, resident: Resident[Any], tasks: Sequence[int], ledger: Ledger[Any]) -> list[int]:
        self.threads.add(threading.get_ident())
        self.n_runs += 1
        self.alive.add(resident.epoch)
        with ledger.take("scratch", SCRATCH * len(tasks)):
            self.on_run(tasks)
            buffers = [resident.buffers[name].buffer for name in sorted(resident.buffers)]
            return [
                sum(int(b[task % len(b)]) << 8 * n for n, b in enumerate(buffers)) for task in tasks
            ]

    def forget(self, resident: Resident[Any]) -> None:
        self.alive.discard(resident.epoch)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Accelerator[Any, int, int]] = []

    def make(
        path: ScriptedPath, memory: ScriptedMemory, **settings: Any
    ) -> Accelerator[Any, int, int]:
        use = DeviceUse(**{"memory_share": 1.0, "tokens_share": 1.0, **settings})
        made.append(Accelerator(path, memory, use, Falls()))
        return made[-1]

    yield make
    for accelerator in made:
        assert accelerator.close(timeout_s=LONG_S), "the thread did not end"


def follow(accelerator: Accelerator[Any, int, int], key: Any, parts: Sequence[Any]) -> str:
    future = accelerator.follow(key, parts)
    return "no owner" if future is None else future.result(LONG_S).how


A, B, C = part("a"), part("b"), part("c", n_bytes=1900)


def test_answers_come_from_the_card_once_it_has_the_generation(make: Make) -> None:
    """A GPU that is never asked, or asked for what it does not have; a fall without a sentence."""
    path, memory = ScriptedPath(), ScriptedMemory(4000)
    accelerator = make(path, memory)
    before = accelerator.answer("1", 7, lambda: -1)
    assert before.result == -1
    assert "まだ GPU に送られていません" in before.fell
    assert follow(accelerator, "1", [A, B]) == "beside"
    after = accelerator.answer("1", 7, lambda: -1)
    assert (after.result, after.fell) == (reference([A, B], 7), "")
    other = accelerator.answer("0", 7, lambda: -2)
    assert other.result == -2
    assert "この検索が読む世代" in other.fell
    assert accelerator.report("1")[0] == "検索は GPU で計算しています。"
    assert "ベクトル" in accelerator.report("1")[1]
    assert "（2 回）" in accelerator.report("1")[2]
    assert accelerator.close()
    assert memory.n_buffers == 0
    assert path.alive == set()
    assert path.closed == 1
    assert memory.threads == path.threads
    assert len(path.threads) == 1


def test_a_card_without_scratch_memory_falls_to_the_cpu(make: Make) -> None:
    """No memory for a single question is no reason to fail it."""
    memory = ScriptedMemory(4000)
    accelerator = make(ScriptedPath(), memory)
    follow(accelerator, "1", [A])
    memory.refuse = lambda number: True
    answered = accelerator.answer("1", 7, lambda: 42)
    assert answered.result == 42
    assert "台本" in answered.fell
    memory.refuse = lambda number: False
    assert accelerator.answer("1", 7, lambda: 42).fell == ""


def test_a_lost_card_falls_to_the_cpu_for_good(make: Make) -> None:
    """Questions that fail, or wait, because of a card that is gone."""

    def lost(tasks: Sequence[int]) -> None:
        raise DeviceUnavailable("カードが失われました。", code="device_lost")

    path = ScriptedPath(lost)
    accelerator = make(path, ScriptedMemory(4000))
    follow(accelerator, "1", [A])
    for n in range(3):
        answered = accelerator.answer("1", n, lambda n=n: n)  # type: ignore[misc]
        assert answered.result == n
        assert "失われました" in answered.fell
    assert path.n_runs == 1
    assert "失われました" in accelerator.why_not("1")
    assert follow(accelerator, "2", [A]) == "no owner"


def test_an_error_of_the_path_falls_and_closes_it_after_a_few(make: Make) -> None:
    """A kernel that does not compile fails every search, or is compiled at every search for ever."""

    def broken(tasks: Sequence[int]) -> None:
        raise TimeoutError("does not compile")

    path = ScriptedPath(broken)
    accelerator = make(path, ScriptedMemory(4000))
    follow(accelerator, "1", [A])
    for n in range(MOST_ERRORS + 3):
        answered = accelerator.answer("1", n, lambda n=n: n)  # type: ignore[misc]
        assert answered.result == n
        assert "does not compile" in answered.fell
    assert path.n_runs == MOST_ERRORS
    assert "次の世代まで" in accelerator.why_not("1")
    path.on_run = lambda tasks: None
    follow(accelerator, "2", [A])
    assert accelerator.answer("2", 1, lambda: -1).fell == ""


def test_a_wrong_request_is_its_askers_error(make: Make) -> None:
    """A request computed twice, to be refused twice; or a path switched off by wrong requests."""

    def refuse(tasks: Sequence[int]) -> None:
        if -1 in tasks:
            raise RequestError("その質問はできません。")

    path = ScriptedPath(refuse)
    accelerator = make(path, ScriptedMemory(4000))
    follow(accelerator, "1", [A])
    for _ in range(MOST_ERRORS + 1):
        with pytest.raises(RequestError):
            accelerator.answer("1", -1, lambda: 0)
    assert accelerator.answer("1", 1, lambda: -1).fell == ""


def test_a_full_line_is_said_at_once_and_not_computed_by_the_cpu(make: Make) -> None:
    """Overload that moves on to the CPU, which is slower."""
    gate, entered = threading.Event(), threading.Event()

    def hold(tasks: Sequence[int]) -> None:
        entered.set()
        gate.wait()

    accelerator = make(ScriptedPath(hold), ScriptedMemory(4000), max_queue=1)
    follow(accelerator, "1", [A])
    results: list[int] = []

    def ask(task: int) -> None:
        results.append(accelerator.answer("1", task, lambda: -1).result)

    threads = [threading.Thread(target=ask, args=(5,))]
    threads[0].start()
    entered.wait()
    threads.append(threading.Thread(target=ask, args=(6,)))
    threads[1].start()
    while not len(accelerator.owner._waiting):
        pass
    with pytest.raises(DeviceBusy) as refused:
        accelerator.answer("1", 7, lambda: -1)
    assert refused.value.code == "device_queue_full"
    gate.set()
    for thread in threads:
        thread.join(LONG_S)
    assert sorted(results) == sorted(reference([A], task) for task in (5, 6))


def test_a_slow_card_costs_time_and_no_answer_unless_the_asker_has_none(make: Make) -> None:
    """A hanging GPU that fails every search; a patience that is not kept; a generation freed under the kernel that still reads it."""
    gate, entered = threading.Event(), threading.Event()
    seen: list[int] = []

    def hold(tasks: Sequence[int]) -> None:
        entered.set()
        gate.wait()

    path, memory = ScriptedPath(hold), ScriptedMemory(4000)
    accelerator = make(path, memory, timeout_ms=1)
    follow(accelerator, "1", [A])
    answered = accelerator.answer("1", 7, lambda: 42)
    assert answered.result == 42
    assert "答えませんでした" in answered.fell
    with pytest.raises(DeviceBusy) as refused:
        accelerator.answer("1", 8, lambda: seen.append(1) or 0, timeout_s=0.001)
    assert refused.value.code == "device_deadline"
    assert not seen
    assert len(accelerator.owner._waiting) == 0  # its place is free before the card comes back
    entered.wait()
    update = accelerator.follow("2", [B])
    gate.set()
    assert update is not None
    assert update.result(LONG_S).how == "beside"
    assert path.n_runs == 1  # the second was taken out of the line
    assert accelerator.close()
    assert memory.n_buffers == 0


def test_questions_of_two_generations_are_never_one_batch(make: Make) -> None:
    """A question answered from the generation that its neighbour in the line reads."""
    stops = {n: (threading.Event(), threading.Event()) for n in (0, 30)}

    def hold(tasks: Sequence[int]) -> None:
        if tasks[0] in stops:
            entered, gate = stops[tasks[0]]
            entered.set()
            gate.wait()

    accelerator = make(ScriptedPath(hold), ScriptedMemory(4000))
    follow(accelerator, "1", [A])
    found: dict[int, int] = {}

    def ask(key: str, task: int, alike: int) -> threading.Thread:
        def answer() -> None:
            found[task] = accelerator.answer(key, task, lambda: -1, alike=alike).result

        thread = threading.Thread(target=answer)
        waiting = len(accelerator.owner._waiting)
        thread.start()
        while task and len(accelerator.owner._waiting) == waiting:
            pass
        return thread

    asked = [ask("1", 0, 0)]
    stops[0][0].wait()
    # Behind the first: two slices of the update between these, and then one that stands still while both generations wait.
    asked += [ask("1", 10, 1), ask("1", 20, 2), ask("1", 30, 3), ask("1", 5, 4)]
    update = accelerator.follow("2", [B])
    assert update is not None
    stops[0][1].set()
    stops[30][0].wait()
    assert update.result(LONG_S).how == "beside"
    asked.append(ask("2", 6, 4))
    stops[30][1].set()
    for thread in asked:
        thread.join(LONG_S)
    assert found[5] == reference([A], 5)
    assert found[6] == reference([B], 6)


def _journey(make: Make, refuse: Callable[[int], bool]) -> tuple[int, int, list[str]]:
    """Generations and searches in one order; allocations made, searches that fell, how the updates went."""
    path, memory = ScriptedPath(), ScriptedMemory(3000)
    memory.refuse = refuse
    accelerator = make(path, memory, scratch_mib=1)
    big = [part("x", "tokens", 1500), part("y", n_bytes=300)]
    fell, went = 0, []
    for key, parts in enumerate(([A, B], [A, B, C], big, [A], [A, B])):
        went.append(follow(accelerator, key, parts))
        for task in range(4):
            answered = accelerator.answer(
                key,
                task,
                lambda parts=parts, task=task: reference(parts, task),  # type: ignore[misc]
            )
            assert answered.result == reference(parts, task)
            fell += bool(answered.fell)
    assert accelerator.close(timeout_s=LONG_S)
    assert memory.n_buffers == 0
    assert sum(accelerator.ledger.holdings().values()) == 0
    assert path.alive == set()
    return memory.n_allocations, fell, went


@pytest.mark.parametrize("kind", ["one", "from", "pair"])
def test_no_search_fails_whichever_allocation_does(make: Make, kind: str) -> None:
    """Injected lack of memory at every allocation (alone, from there on, in pairs): a failed search, or another answer."""
    total, fell, went = _journey(make, lambda number: False)
    assert fell == 0
    assert "refused" not in went
    assert {"beside", "replaced"} == set(went)
    felt = 0
    for n in range(total):
        scripts: list[Callable[[int], bool]] = {
            "one": [lambda number, n=n: number == n],
            "from": [lambda number, n=n: number >= n],
            "pair": [lambda number, n=n, m=m: number in (n, m) for m in range(n)],
        }[kind]  # type: ignore[assignment]
        for script in scripts:
            _, fell, changed = _journey(make, script)
            felt += fell > 0 or changed != went
    assert felt >= total // 2


def test_64_threads_over_100_swaps_answer_as_one_does(make: Make, n_searches: int) -> None:
    """An answer of another generation, of another asker, or from buffers that were given back."""
    path, memory = ScriptedPath(), ScriptedMemory(3000)
    memory.refuse = lambda number: number % 11 == 5  # and memory is short now and then
    accelerator = make(path, memory, max_batch=16, scratch_mib=1)
    versions = [
        [part("base"), part(f"v{n}", n_bytes=300 + n), part(f"w{n}", "tokens", 700)]
        for n in range(101)
    ]
    current = [0]
    done = threading.Event()
    wrong: list[Any] = []
    counts: list[tuple[int, int]] = []
    follow(accelerator, 0, versions[0])

    def search(thread: int) -> None:
        asked = fell = 0
        while asked < n_searches // 64 or not done.is_set():
            key, task = current[0], thread * 1000 + asked
            expected = reference(versions[key], task)
            answered = accelerator.answer(
                key, task, lambda key=key, task=task: reference(versions[key], task)
            )
            fell += bool(answered.fell)
            if answered.result != expected:
                wrong.append((key, task, answered))
            asked += 1
        counts.append((asked, fell))

    threads = [threading.Thread(target=search, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    went = []
    for key in range(1, 101):
        current[0] = key
        update = accelerator.follow(key, versions[key])
        assert update is not None
        if key % 3:  # every third is overtaken by the next
            went.append(update.result(LONG_S).how)
            runs = path.n_runs
            while went[-1] != "refused" and path.n_runs == runs:
                done.wait(0.001)  # until the new generation has been searched
    done.set()
    for thread in threads:
        thread.join(LONG_S)
    assert not wrong
    assert len(counts) == 64
    assert sum(asked for asked, _ in counts) >= n_searches // 64 * 64
    assert path.n_runs > 50
    assert went.count("refused") < 10
    assert accelerator.close(timeout_s=LONG_S)
    assert memory.n_buffers == 0
    assert path.alive == set()
