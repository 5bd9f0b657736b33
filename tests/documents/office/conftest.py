"""What the tests of Office files share."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = util.module_from_spec(spec)  # dataclasses look their module up
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def parts() -> ModuleType:
    """``word``, ``workbook``, ``zipped`` and what they are made of."""
    return _load("office_parts")


@pytest.fixture(scope="session")
def forms() -> ModuleType:
    """``make_form`` and ``counts``: forms on grid paper with known fields."""
    return _load("grid_forms")
