from __future__ import annotations

import sys
from pathlib import Path

# The toy indexes beside the tests, importable under pytest's importlib mode.
sys.path.insert(0, str(Path(__file__).parent))
