"""Something else in the place of a file of an index."""

from __future__ import annotations

from isolated import Harness


def test_no_malformed_file_crashes_hangs_or_changes_an_answer(harness: Harness, soak: bool) -> None:
    """A header that claims a terabyte, a FIFO, a catalog of somebody else, a path that leads out; with and without sound checksums."""
    cases = 10_000 if soak else 250
    report = harness("malformed_files.py", "--cases", cases)
    assert report["ran"] == cases
    assert report["counts"]["detected"] > 0.7 * cases
    assert report["counts"]["refused"] > 0.5 * cases
