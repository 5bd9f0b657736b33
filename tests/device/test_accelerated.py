"""An engine over a scripted card: whatever the card does, and while the index changes, its rankings are those of an engine without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedMemory

from ragjp import Engine, View
from ragjp.accelerated import DeviceSearch, Ordered, Search, order_on_cpu
from ragjp.config import DeviceUse, load_recipe
from ragjp.device.falls import Falls
from ragjp.device.generations import Resident
from ragjp.device.ledger import Ledger
from ragjp.device.memory import ArrayPart, Part
from ragjp.errors import DeviceUnavailable
from ragjp.index.reader import Snapshot
from ragjp.jobs.build import build
from ragjp.types import Ranking

VIEW = View.of("everyone")
QUERIES = ("国内出張の日当", "社用車の鍵", "夏季休業の期間", "サーバー室の空調", "宿泊料の上限")
LONG_S = 60.0


class CopiedIndex:
    """A path that has the snapshot's vectors on the card, checks that they are there whole, and computes by the reference."""

    def __init__(self) -> None:
        self.snapshots: dict[str, Snapshot] = {}
        self.script: Callable[[Search], None] = lambda search: None
        self.n_searches = 0

    def parts(self, snapshot: Snapshot) -> Sequence[Part]:
        names = [segment.name for segment in snapshot._segments]
        self.snapshots["|".join(names)] = snapshot
        return [
            ArrayPart(f"{name}/vectors", "vectors", arrays["vectors"])
            for name, arrays in zip(names, snapshot._arrays, strict=True)
        ]

    def open(self) -> None: ...

    def prepare(self, resident: Resident[Any], ledger: Ledger[Any]) -> None: ...

    def run(
        self, resident: Resident[Any], searches: Sequence[Search], ledger: Ledger[Any]
    ) -> list[Ordered]:
        names = [name.split("/")[0] for name in resident.buffers]
        snapshot = self.snapshots["|".join(names)]
        for part in self.parts(snapshot):
            held = resident.buffers[part.name]
            np.testing.assert_array_equal(held.buffer, part.read(0, part.n_bytes))
        with ledger.take("scratch", 10 * len(searches)):
            found = []
            for search in searches:
                self.n_searches += 1
                self.script(search)
                found.append(order_on_cpu(snapshot, search))
            return found

    def forget(self, resident: Resident[Any]) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def engine(tiny_index: Path) -> Iterator[Engine]:
    with Engine.open(tiny_index) as engine:
        yield engine


def on_card(engine: Engine, memory: ScriptedMemory) -> CopiedIndex:
    path = CopiedIndex()
    settings = DeviceUse(memory_share=1.0)
    engine.device_search = DeviceSearch(path, memory, settings, path.parts, Falls())
    return path


def wait_for_the_card(engine: Engine) -> None:
    """Until what is wanted is there: a chore that is put behind it has been done."""
    assert engine.device_search is not None
    engine.device_search.follow(engine._snapshot)
    engine.device_search.accelerator.owner.chore(_nothing()).result(LONG_S)


def _nothing() -> Any:
    yield True


def shown(ranking: Ranking) -> Any:
    return ranking.query, ranking.generation, ranking.hits


def test_the_rankings_are_the_same_with_a_card_and_say_where_they_are_from(engine: Engine) -> None:
    """A card that changes an answer; a fall that the timings do not show."""
    expected = [engine.search_all(query, view=VIEW, k=3) for query in QUERIES]
    path = on_card(engine, ScriptedMemory(1 << 20))
    assert "fell_to_cpu" in engine.search(QUERIES[0], view=VIEW).timings_ms or path.n_searches
    wait_for_the_card(engine)
    before = path.n_searches
    for query, without in zip(QUERIES, expected, strict=True):
        found = engine.search_all(query, view=VIEW, k=3)
        assert {name: shown(each) for name, each in found.items()} == {
            name: shown(each) for name, each in without.items()
        }
        assert all("device" in each.timings_ms for each in found.values())
        assert all(each.timings_ms["total"] > 0 for each in found.values())
    assert path.n_searches == before + len(QUERIES) * 4
    assert engine.search("日当", view=View.of("guest")).hits == ()


def test_a_card_too_small_or_lost_changes_nothing_but_the_timings(engine: Engine) -> None:
    """An index that cannot be searched because of a card that it does not need."""
    expected = [shown(engine.search(query, view=VIEW)) for query in QUERIES]
    for size, script in ((10, "sound"), (1 << 20, "lost"), (1 << 20, "broken")):
        path = on_card(engine, ScriptedMemory(size))

        def play(search: Search, script: str = script) -> None:
            if script == "lost":
                raise DeviceUnavailable("カードが失われました。")
            if script == "broken":
                raise RuntimeError("does not compile")

        path.script = play
        wait_for_the_card(engine)
        for query, without in zip(QUERIES, expected, strict=True):
            ranking = engine.search(query, view=VIEW)
            assert shown(ranking) == without
            assert "fell_to_cpu" in ranking.timings_ms
        assert engine.device_search is not None
        assert "CPU" in "".join(engine.device_search.report(engine._snapshot)) or script == "lost"
        engine.device_search.close()


def _add(folder: Path, version: int) -> None:
    (folder / "source" / f"追加{version}.md").write_text(
        f"# 追加 {version}\n\n国内出張の日当は、{version}千円とする。", "utf-8"
    )
    build(load_recipe(folder / "tiny.toml"), base=folder, into=folder / "tiny")


def _alone(path: Path) -> dict[tuple[int, str], Any]:
    """What an engine without a card finds in the newest generation."""
    with Engine.open(path) as alone:
        return {(alone.generation, q): alone.search(q, view=VIEW, k=4).hits for q in QUERIES}


def test_searches_beside_updates_read_one_generation_each(tiny_folder: Path) -> None:
    """A ranking of one generation with the texts of another; an update that the next question does not see."""
    _add(tiny_folder, 0)
    engine = Engine.open(tiny_folder / "tiny")
    memory = ScriptedMemory(1 << 20, lambda number: number % 7 == 6)
    path = on_card(engine, memory)
    reference = _alone(engine.path)
    found: list[Ranking] = []
    done = threading.Event()

    def search() -> None:
        n = 0
        while n < 10 or not done.is_set():
            found.append(engine.search(QUERIES[n % len(QUERIES)], view=VIEW, k=4))
            n += 1

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(1, 4):
        _add(tiny_folder, version)
        fresh = engine.search(f"日当 {version}千円", view=VIEW)
        assert any(f"{version}千円" in hit.text for hit in fresh.hits)
        reference |= _alone(engine.path)
    done.set()
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    memory.refuse = lambda number: False
    _add(tiny_folder, 4)
    reference |= _alone(engine.path)
    engine.search(QUERIES[0], view=VIEW)
    wait_for_the_card(engine)
    before = path.n_searches
    found += [engine.search(query, view=VIEW, k=4) for query in QUERIES]
    assert path.n_searches == before + len(QUERIES)
    for ranking in found:
        # A commit in two steps (documents, then a merge) has a generation between those that were looked at: same hits or none to compare.
        expected = reference.get((ranking.generation, ranking.query), ranking.hits)
        assert ranking.hits == expected
    assert sum((each.generation, each.query) in reference for each in found) >= len(QUERIES)
    engine.close()
    assert memory.n_buffers == 0
