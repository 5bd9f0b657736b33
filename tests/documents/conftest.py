"""What the tests of documents share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

Write = Callable[[str, bytes], Path]


def _load(name: str) -> ModuleType:
    spec = util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pdfs() -> ModuleType:
    """``make_pdf`` and ``make_raw_pdf``."""
    return _load("pdf_bytes")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write bytes to a file of one's own folder."""

    def write(name: str, raw: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return path

    return write
