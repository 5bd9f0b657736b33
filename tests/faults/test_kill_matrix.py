"""Kills before, after and amid every call to the file system, and at random times, in every operation that changes an index."""

from __future__ import annotations

from pathlib import Path

from isolated import Harness


def test_no_kill_loses_a_committed_document_or_leaves_half_of_one(
    harness: Harness, shim: Path, soak: bool
) -> None:
    """Peers lose rows, keep rows without vectors, or refuse to start after a kill; SQLite's own calls are killed here too."""
    cases = 2000 if soak else 200
    report = harness("kill_matrix.py", "--cases", cases, preload=shim)
    assert report["ran"] == cases
    killed = sum(number for what, number in report["counts"].items() if what.endswith(": killed"))
    assert killed > 0.75 * cases  # the kills really came in the middle
