"""A kill at every durable step of build, update, delete and merge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Memory where there is some: a killed process loses nothing that it has written, so no disk has to be waited for.
MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def test_a_kill_at_any_step_leaves_the_old_state_or_the_new_one(folder: Path) -> None:
    """Peers lose or wedge data here: rows without vectors, an empty first commit, a merge that forgets."""
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, str(here / "kill_points.py"), str(folder)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here.parent}",
        },
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["complaints"] == []
    assert report["steps"] > 100  # the countdown really was in the way of fsync, rename and SQL
