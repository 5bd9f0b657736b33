"""What a process loads before its first answer: every module here is time that each `ragjp search` would pay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NOT_YET = (
    "faiss",
    "langchain_core",
    "numba",
    "numpy.ma",
    "pypdfium2",
    "ragjp.documents",
    "ragjp.jobs",
    "streamlit",
    "tokenizers",
    "torch",
)
CODE = f"""
import sys
from ragjp.engine import Engine
from ragjp.types import View
with Engine.open(sys.argv[1]) as engine:
    hits = engine.search("有給休暇は何日", view=View.unrestricted_by_operator()).hits
print(len(hits), *sorted(set({NOT_YET!r}) & set(sys.modules)))
"""


def test_a_first_answer_loads_only_what_it_uses(
    tiny_index: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Guards: an import that comes back into the way of the first answer (numpy.ma through np.unique, kernels, readers)."""
    pytest.importorskip("fugashi")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tiny_index)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hits, *loaded = done.stdout.split()
    assert int(hits) > 0
    assert loaded == []
