"""The scripted device, found by its name beside these tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# Loaded before tests/conftest.py clears RAGJP_* where this folder is named on the command line, as for tests/faults.
SOAK = os.environ.get("RAGJP_SOAK") == "1"


@pytest.fixture(scope="session")
def n_searches() -> int:
    """Searches that the stress makes together: 100,000 with RAGJP_SOAK=1."""
    return 100_000 if SOAK else 4_000
