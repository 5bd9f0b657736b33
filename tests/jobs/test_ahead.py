"""Reading ahead of the encoder: the same batches however fast the readers are, nothing unbounded, nothing left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from builds import FILES, recipe

from ragjp.documents import DocumentReader
from ragjp.documents import reader as reader_module
from ragjp.documents.contents import Contents, Finding
from ragjp.japanese.columns import TermColumn, column_of
from ragjp.jobs import ahead
from ragjp.jobs.ahead import Prepared, prepared_ahead
from ragjp.jobs.pace import EMBED, PREPARE, READ, Pace
from ragjp.jobs.planning import Change
from ragjp.jobs.sources import FileItem
from ragjp.types import Chunk, Document, Page


@dataclass(frozen=True)
class SlowItem:
    """Takes a while to read, each item another while."""

    doc_id: str
    delay_s: float = 0.0
    code: str = ""
    started: list[str] = field(default_factory=list, compare=False)
    access: tuple[str, ...] = ("everyone",)

    def content_hash(self) -> str:
        return self.doc_id

    def load(self, reader: DocumentReader) -> Contents:
        self.started.append(self.doc_id)
        time.sleep(self.delay_s)
        if self.code:
            return Contents((), (Finding(self.doc_id, "refused", self.code, "読めません。"),))
        text = f"{self.doc_id}の規程は、全社員に適用する。"
        document = Document(self.doc_id, self.doc_id, (Page(1, text),), "text")
        return Contents((document,), (Finding(self.doc_id, "indexed"),))


def changes(items: Sequence[SlowItem]) -> list[Change]:
    return [Change(item, item.doc_id, item.doc_id, ()) for item in items]


def analyse(chunks: Sequence[Chunk]) -> Mapping[str, TermColumn]:
    return {"lemma": column_of([[chunk.doc_id] for chunk in chunks])}


def batches_of(
    items: Sequence[SlowItem],
    n_readers: int,
    *,
    batch_chunks: int = 5,
    stop: Callable[[], bool] = lambda: False,
    taken: Callable[[Prepared], None] = lambda batch: None,
) -> list[Prepared]:
    pace = Pace(len(items), len(items), n_readers)
    chosen = recipe(jobs={"readers": n_readers})
    found = []
    with prepared_ahead(
        changes(items), chosen, analyse, batch_chunks=batch_chunks, pace=pace, stop=stop
    ) as batches:
        for batch in batches:
            taken(batch)
            found.append(batch)
    return found


def ids(batches: Sequence[Prepared]) -> list[list[str]]:
    return [[file.change.item.doc_id for file in batch.files] for batch in batches]


def test_batches_do_not_depend_on_which_reader_is_faster() -> None:
    """An index that differs from run to run: nobody can compare two builds any more."""
    delays = [0.03, 0.0, 0.02, 0.01]
    items = [SlowItem(f"{n:02}", delays[n % 4], "empty" if n % 7 == 3 else "") for n in range(23)]
    serial = batches_of(items, 1)
    assert [len(batch.documents) for batch in serial] == [5, 5, 5, 5]
    for n_readers in (2, 4):
        parallel = batches_of(items, n_readers)
        assert ids(parallel) == ids(serial)
        assert [batch.documents for batch in parallel] == [batch.documents for batch in serial]
        assert [[f.findings for f in b.files] for b in parallel] == [
            [f.findings for f in b.files] for b in serial
        ]
    assert [name for batch in ids(serial) for name in batch] == [item.doc_id for item in items]


def test_readers_go_on_while_a_batch_is_embedded() -> None:
    """The encoder waits for the disk and the disk for the encoder, by turns."""
    started: list[str] = []
    items = [SlowItem(f"{n:02}", started=started) for n in range(20)]
    seen: list[int] = []

    def embed(batch: Prepared) -> None:
        if not seen:
            while len(started) < 10:  # the next batch is being read while this one is in hand
                time.sleep(0.005)
        seen.append(len(started))

    batches_of(items, 2, taken=embed)
    assert seen[0] >= 10


def test_what_is_read_ahead_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow encoder, and the whole share in memory."""
    monkeypatch.setattr(ahead, "_FILES_EACH", 2)
    started: list[str] = []
    items = [SlowItem(f"{n:03}", started=started) for n in range(100)]
    most: list[int] = []
    taken = [0]

    def embed(batch: Prepared) -> None:
        time.sleep(0.05)
        taken[0] += len(batch.files)
        most.append(len(started) - taken[0])

    batches_of(items, 2, taken=embed)
    # One batch ready, one being filled, and what the readers may be ahead.
    assert max(most) <= 5 + 5 + 2 * 2


def test_a_large_file_is_not_read_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_AHEAD_BYTES", 100)
    monkeypatch.setattr(Change, "n_bytes", property(lambda change: 80))
    running: list[str] = []
    together: list[int] = []

    class Watched(SlowItem):
        def load(self, reader: DocumentReader) -> Contents:
            running.append(self.doc_id)
            together.append(len(running))
            time.sleep(0.01)
            running.remove(self.doc_id)
            return super().load(reader)

    batches_of([Watched(f"{n}") for n in range(6)], 4)
    assert max(together) == 1


def test_an_error_while_preparing_is_raised_where_it_is_waited_for() -> None:
    """A thread that dies in silence, and a job that waits for it for ever."""

    def broken(chunks: Sequence[Chunk]) -> Mapping[str, TermColumn]:
        raise MemoryError

    pace = Pace(1, 1)
    with (
        pytest.raises(MemoryError),
        prepared_ahead(
            changes([SlowItem("1")]),
            recipe(),
            broken,
            batch_chunks=1,
            pace=pace,
            stop=lambda: False,
        ) as batches,
    ):
        list(batches)


def test_leaving_ends_a_reader_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that takes as long as the slowest file may."""
    hanging = ["sh", "-c", "printf '\\0\\0\\0\\0\\0\\0\\0\\002{}'; sleep 600"]
    monkeypatch.setattr(reader_module, "worker_command", lambda: hanging)
    (tmp_path / "a.txt").write_text(FILES["規程/休暇.txt"], "utf-8")
    item = FileItem("a.txt", (), tmp_path / "a.txt", 1000)
    asked = threading.Event()
    real = DocumentReader.read_all

    def read_all(self: DocumentReader, path: Path, doc_id: str) -> Contents:
        asked.set()
        return real(self, path, doc_id)

    monkeypatch.setattr(DocumentReader, "read_all", read_all)
    threads = threading.active_count()
    with prepared_ahead(
        [Change(item, "", "", ())],
        recipe(limits={"seconds": 500}),
        analyse,
        batch_chunks=1,
        pace=Pace(1, 1),
        stop=asked.is_set,
    ) as batches:
        assert list(batches) == []
    assert threading.active_count() == threads


def test_the_pace_names_the_slowest_stage_and_the_time_left() -> None:
    now = [0.0]
    pace = Pace(10, 1000, 2, clock=lambda: now[0])
    assert pace.text() == ""
    for stage, spent in ((READ, 30.0), (PREPARE, 5.0), (EMBED, 20.0)):
        with pace.at(stage):
            now[0] += spent
    pace.done_files, pace.done_bytes = 5, 250.0
    assert pace.slowest == EMBED  # two readers share what reading takes
    assert pace.seconds_left() == pytest.approx(3 * 55.0)
    assert pace.encoder_share == pytest.approx(20 / 55)
    assert "残り約 3 分" in pace.text()
    assert EMBED in pace.text()
