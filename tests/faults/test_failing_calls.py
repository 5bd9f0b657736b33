"""The N-th write, fsync, rename, open, … fails, for every N, in every operation: also those that SQLite's C code makes."""

from __future__ import annotations

from pathlib import Path

from isolated import Harness


def test_no_failing_call_corrupts_the_index_or_goes_unnamed(
    harness: Harness, shim: Path, soak: bool
) -> None:
    """Error paths are the code that no one runs: a raw traceback, a half-made segment, a lock that is never given back."""
    share = ("--every", 1, "--others", 8) if soak else ("--every", 61)
    report = harness("failing_calls.py", *share, preload=shim)
    assert report["ran"] > (8_000 if soak else 350)
    assert report["counts"]["fired"] > 0.9 * report["ran"]
    codes = {"disk_full", "io_failed", "too_many_files", "read_only"}
    assert codes <= report["counts"].keys()
