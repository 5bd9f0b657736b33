"""Watching: every change arrives, what is being written is waited for, and nothing ends it but the operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from builds import found

from ragjp.encoders.hashing import HashingEncoder
from ragjp.index.storage.lock import writer_lock
from ragjp.jobs import watch as watch_module
from ragjp.jobs.build import Options
from ragjp.jobs.outcomes import BuildReport
from ragjp.jobs.watch import watch

RECIPE = 'name = "index"\n[[sources]]\npath = "source"\naccess = ["everyone"]\n[encoder]\nmodel = "hashing"\n'


class Watching:
    """A watch whose pauses do what a test wants: one action a pause, then the end."""

    def __init__(self, base: Path, actions: Sequence[Callable[[], object]]) -> None:
        self.base = base
        self.reports: list[BuildReport] = []
        self.sentences: list[str] = []
        self.pauses: list[float] = []
        self._actions = iter(actions)
        (base / "recipe.toml").write_text(RECIPE, encoding="utf-8")

    def run(self, interval_s: float = 1.0) -> None:
        watch(
            self.base / "recipe.toml",
            interval_s=interval_s,
            wait=self._wait,
            options=Options(),
            progress=lambda stage, done, total: None,
            told=self.reports.append,
            complain=self.sentences.append,
            encoder=HashingEncoder(),
        )

    def _wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        action = next(self._actions, None)
        if action is None:
            return True
        action()
        return False


def nothing() -> None:
    """A pause in which nothing happens."""


def test_a_change_is_taken_in_once_it_is_quiet(base: Path) -> None:
    """Half a file that is still being copied is indexed, or the change is never seen."""
    path = base / "source" / "新.md"

    def write(text: str) -> Callable[[], object]:
        return lambda: path.write_text(text, encoding="utf-8")

    watching = Watching(
        base, [nothing, write("# 半分"), write("# 全部\n\n宿泊料を改める。\n"), nothing, nothing]
    )
    watching.run()
    assert [(one.added, one.updated, one.unchanged) for one in watching.reports] == [
        (3, 0, 0),
        (1, 0, 3),
    ]
    assert found(base, "宿泊料を改める")[0][0] == "新.md"
    assert watching.sentences == []


def test_a_change_during_the_build_is_not_lost(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after a file was read and before the build ends belongs to nobody."""
    real = watch_module.build
    done = [False]

    def build(*args: object, **options: object) -> BuildReport:
        report = real(*args, **options)  # type: ignore[arg-type]
        if not done[0]:
            done[0] = True
            (base / "source" / "faq.html").write_text("<p>VPNは廃止した。</p>", encoding="utf-8")
        return report

    monkeypatch.setattr(watch_module, "build", build)
    watching = Watching(base, [nothing, nothing, nothing])
    watching.run()
    assert [one.updated for one in watching.reports] == [0, 1]


def test_a_file_that_never_rests_does_not_stop_the_others(base: Path) -> None:
    """One log file in the folder, and nothing is ever indexed again."""
    log = base / "source" / "log.txt"
    number = [0]

    def write() -> None:
        number[0] += 1
        log.write_text("記録です。" * number[0], encoding="utf-8")

    watching = Watching(base, [write] * 20)
    watching.run()
    assert len(watching.reports) >= 3


def test_a_share_that_goes_and_comes_back(base: Path) -> None:
    """An unmounted share ends the watch, fills the log, or empties the index."""
    away = base / "away"
    watching = Watching(
        base,
        [
            lambda: (base / "source").rename(away),
            nothing,
            nothing,
            lambda: away.rename(base / "source"),
            lambda: (base / "source" / "faq.html").unlink(),
            nothing,
            nothing,
        ],
    )
    watching.run()
    assert len(watching.sentences) == 1
    assert [one.removed for one in watching.reports] == [0, 1]


def test_an_index_that_is_locked_is_tried_again(base: Path) -> None:
    lock = writer_lock(base / "index", create=True)
    lock.__enter__()
    watching = Watching(base, [nothing, lambda: lock.__exit__(None, None, None), nothing, nothing])
    watching.run()
    assert len(watching.sentences) == 1
    assert "プロセス" in watching.sentences[0]
    assert [one.added for one in watching.reports] == [3]


def test_a_changed_recipe_is_a_change(base: Path) -> None:
    watching = Watching(base, [])
    changed = RECIPE + "[chunks]\ntarget_chars = 60\nmax_chars = 80\n"
    watching = Watching(
        base,
        [lambda: (base / "recipe.toml").write_text(changed, "utf-8"), nothing, nothing],
    )
    watching.run()
    assert [one.updated for one in watching.reports] == [0, 3]


def test_looking_takes_a_small_share_of_the_time(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand files on a slow share, looked at without a pause."""
    now = [0.0]
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: now[0])
    real = watch_module.look

    def slow(*args: object) -> object:
        now[0] += 30.0
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(watch_module, "look", slow)
    watching = Watching(base, [nothing])
    watching.run(interval_s=10.0)
    assert watching.pauses[-1] == pytest.approx(600.0)
