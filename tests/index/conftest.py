from __future__ import annotations

import sys
from pathlib import Path

# What the tests of several folders share lies here, importable under pytest's importlib mode.
sys.path.insert(0, str(Path(__file__).parent))
