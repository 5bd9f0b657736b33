from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The builds beside the tests, importable under pytest's importlib mode.
sys.path.insert(0, str(Path(__file__).parent))

from builds import FILES


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path
