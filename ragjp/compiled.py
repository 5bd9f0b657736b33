"""numba, the gate to compiled CPU kernels: whether it is there, and kernels that load beside the first answers.

Importing numba and its cached kernels costs most of a second, more than a small index needs for an answer. So a module of kernels
is loaded in a background thread: until :func:`ready` hands it out, the NumPy path answers, with the same result.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from types import ModuleType

_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}
_loading: dict[str, threading.Thread] = {}
_failed: dict[str, str] = {}


def why_not() -> str:
    """Say why there are no compiled kernels; empty when there are."""
    if importlib.util.find_spec("numba") is None:
        return "numba が入っていません。pip install 'ragjp[cpu]' で入れてください。"
    return next(iter(_failed.values()), "")


def ready(module: str) -> ModuleType | None:
    """Hand out a module of kernels when it is loaded; start loading it when not. None means: take the NumPy path this time."""
    found = _loaded.get(module)
    if found is not None or why_not():
        return found
    with _lock:
        if module not in _loading:
            _loading[module] = threading.Thread(
                target=_load, args=(module,), name=f"load {module}", daemon=True
            )
            _loading[module].start()
    return _loaded.get(module)


def load(module: str) -> ModuleType | None:
    """Wait for a module of kernels: for bulk work, where the second it takes is nothing. None when there is no numba."""
    found = ready(module)
    if found is None and module in _loading:
        _loading[module].join()
    return _loaded.get(module)


def _load(module: str) -> None:
    try:
        _loaded[module] = importlib.import_module(module)
    except Exception as error:  # a broken installation of numba must not take search down with it
        _failed[module] = f"{module} を読み込めません（{error}）。numba を入れ直してください。"
