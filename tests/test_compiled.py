from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragjp import compiled

pytest.importorskip("numba")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A broken and a sound module of kernels, and a gate that knows neither."""
    names = ["ragjp_test_broken_kernels", "ragjp_test_sound_kernels"]
    (tmp_path / f"{names[0]}.py").write_text("raise OSError('LLVM')\n")
    (tmp_path / f"{names[1]}.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for state in ("_loaded", "_failed"):
        monkeypatch.setattr(compiled, state, {})
    monkeypatch.setattr(compiled, "_asked", set())
    monkeypatch.setattr(compiled, "_waiting", [])
    monkeypatch.setattr(compiled, "_loaders", [])
    monkeypatch.setattr(compiled, "HEAD_START_S", 0.0)
    hurry = threading.Event()
    monkeypatch.setattr(compiled, "_hurry", hurry)
    loaders = compiled._loaders
    yield names
    # A thread that sleeps on would be waited for by every test that forks.
    hurry.set()
    for thread in list(loaders):
        thread.join()
    for name in names:
        sys.modules.pop(name, None)


def test_a_broken_module_does_not_keep_others_from_loading(modules: list[str]) -> None:
    """Guards: one kernel that cannot be read turning every other fast path off."""
    broken, sound = modules
    assert compiled.load(broken) is None
    assert "LLVM" in compiled.why_not()
    assert compiled.load(sound) is sys.modules[sound]
    assert "LLVM" in compiled.why_not(), "what is missing is still said"


def test_the_thread_goes_on_after_a_broken_module(
    modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards: the background thread ending with the first failure, so that a server stays on NumPy for ever."""
    broken, sound = modules
    done = threading.Event()
    load = compiled.load

    def watched(module: str) -> None:
        load(module)
        if module == sound:
            done.set()

    monkeypatch.setattr(compiled, "load", watched)
    assert compiled.ready(broken) is None
    compiled.ready(sound)
    assert done.wait(30)
    assert compiled.ready(sound) is sys.modules[sound]
    assert compiled.ready(broken) is None


def test_a_wish_alone_imports_nothing(modules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards: kernels loading beside the first answer, and `ragjp search` paying for what it never uses."""
    monkeypatch.setattr(compiled, "HEAD_START_S", 3600.0)
    _, sound = modules
    assert compiled.ready(sound) is None
    assert compiled.ready(sound) is None
    assert sound not in sys.modules
    assert compiled.load(sound) is sys.modules[sound], (
        "who cannot wait does not wait for the thread"
    )
    assert compiled.ready(sound) is sys.modules[sound]
