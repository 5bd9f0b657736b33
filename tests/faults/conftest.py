"""Runs the harness scripts of this folder: short by default, long under ``make soak`` (RAGJP_SOAK=1, read here and nowhere else)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from isolated import Harness  # noqa: E402

SOAK = os.environ.get("RAGJP_SOAK") == "1"
#: Memory where there is some: what a process has written is not lost by its death, so no real disk has to be waited for.
MEMORY = Path("/dev/shm")
LIMIT_S = 4 * 3600 if SOAK else 280


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether this is the long run."""
    return SOAK


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file layer that fails, kills and records, as a library to preload."""
    from filelayer import compile_shim, compiler

    if sys.platform != "linux":
        pytest.skip("the failing file layer is made for Linux")
    if compiler() is None:
        pytest.skip("no C compiler (gcc or cc) for the failing file layer")
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="ragjp-faults-") as name:
        yield Path(name)


@pytest.fixture
def harness(folder: Path) -> Harness:
    """Run a script of this folder and return its report; every complaint of it fails the test, with the way to replay it."""

    def run(script: str, *options: object, preload: Path | None = None) -> dict[str, Any]:
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": f"{HERE.parent.parent}{os.pathsep}{HERE}",
        }
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        ended = subprocess.run(
            [sys.executable, str(HERE / script), str(folder), *map(str, options)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env=environment,
        )
        assert ended.returncode == 0, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        sys.stdout.write(f"{script}: {report['ran']} cases, {report['counts']}\n")
        first = "\n".join(report["complaints"][:10])
        assert not report["complaints"], f"{len(report['complaints'])} complaints, such as\n{first}"
        return report

    return run
