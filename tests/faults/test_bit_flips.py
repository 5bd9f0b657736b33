"""One flipped bit in any file of a closed index."""

from __future__ import annotations

from isolated import Harness


def test_every_flipped_bit_is_reported_and_changes_no_answer(harness: Harness, soak: bool) -> None:
    """Disks and memory flip bits; an index that answers all the same answers wrongly, and a merge would make it look sound."""
    cases = 10_000 if soak else 300
    report = harness("bit_flips.py", "--cases", cases)
    assert report["ran"] == cases
    assert report["counts"]["detected"] == cases
    assert report["counts"]["refused"] > 0.5 * cases  # the flips really fell where it matters
