"""numba, the gate to compiled CPU kernels: whether it is there, and kernels that load beside the first answers.

Importing numba and its cached kernels costs most of a second, more than a small index needs for an answer. So one background thread
loads the modules that were asked for, and only a moment after the first was: beside the first answer it would take a core and the
interpreter from it, and a command that answers once ends before. Until :func:`ready` hands a module out, the NumPy path answers,
with the same result.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from types import ModuleType

#: Seconds from the first wish to the first import: longer than the first answer takes.
HEAD_START_S = 1.0

_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}
_failed: dict[str, str] = {}
_asked: set[str] = set()
_waiting: list[str] = []
#: The thread that loads what is waiting; none while nothing is.
_loaders: list[threading.Thread] = []
#: Ends the head start early.
_hurry = threading.Event()


def why_not() -> str:
    """Say why there are no compiled kernels, or which are missing; empty when nothing is."""
    return _no_numba() or next(iter(_failed.values()), "")


def ready(module: str) -> ModuleType | None:
    """Hand out a module of kernels when it is loaded; have it loaded when not. None means: take the NumPy path this time."""
    found = _loaded.get(module)
    if found is not None or module in _asked or _no_numba():
        return found
    with _lock:
        if module not in _asked:
            _asked.add(module)
            _waiting.append(module)
            if not _loaders:
                _loaders.append(
                    threading.Thread(target=_load_waiting, name="ragjp-kernels", daemon=True)
                )
                _loaders[0].start()
    return _loaded.get(module)


def load(module: str) -> ModuleType | None:
    """Load a module of kernels now: for bulk work, where the second it takes is nothing. None when it cannot be loaded."""
    if module not in _loaded and module not in _failed and not _no_numba():
        _load(module)
    return _loaded.get(module)


def _no_numba() -> str:
    if importlib.util.find_spec("numba") is None:
        return "numba が入っていません。pip install 'ragjp[cpu]' で入れてください。"
    return ""


def _load_waiting() -> None:
    _hurry.wait(HEAD_START_S)
    while True:
        with _lock:
            if not _waiting:
                _loaders.clear()
                return
            module = _waiting.pop(0)
        load(module)


def _load(module: str) -> None:
    try:
        _loaded[module] = importlib.import_module(module)
    except Exception as error:  # a broken installation of numba must not take search down with it
        _failed[module] = f"{module} を読み込めません（{error}）。numba を入れ直してください。"
