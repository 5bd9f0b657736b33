"""Power cuts: what was not forced to the disk is lost, torn or out of order; what was acknowledged is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from isolated import Harness


def test_a_power_cut_leaves_the_old_state_or_the_new_one(
    harness: Harness, shim: Path, soak: bool
) -> None:
    """A missing fsync of a file, or of the folder after a rename, would show only when the lights go out."""
    cases = 500 if soak else 60
    report = harness("power_cuts.py", "--cases", cases, preload=shim)
    assert report["ran"] == cases
    assert len(report["counts"]) > 3  # cuts fell before and after every kind of operation


def test_the_cuts_would_show_a_missing_fsync(harness: Harness, shim: Path) -> None:
    """The test above would pass on any code if its images lost nothing: with every fsync ignored it must complain."""
    with pytest.raises(AssertionError, match="complaints"):
        harness("power_cuts.py", "--cases", 20, "--lying", preload=shim)
