"""Which program a figure is of: the commit that it was measured at, and whether anything was changed since."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
#: What a report says where there is no repository: an installed wheel, an archive.
UNKNOWN: Final = "unknown"


def commit(root: Path = ROOT) -> str:
    """Name the commit of the program's own repository: ``98a3b84``, ``98a3b84-dirty`` with changes to tracked files, or ``unknown``.

    Results and baselines that a measurement writes are no changes to the program.
    """
    if not (root / ".git").exists():
        return UNKNOWN
    named = _git(root, "rev-parse", "--short", "HEAD")
    changed = _git(
        root, "status", "--porcelain", "--untracked-files=no", "--", ".",
        ":!evals/results", ":!evals/baselines", ":!evals/conditions/*.toml", ":!*.md",
    )  # fmt: skip
    if not named or changed is None:
        return UNKNOWN
    return f"{named}-dirty" if changed else named


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
