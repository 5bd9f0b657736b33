"""Readers while generations are swapped under them."""

from __future__ import annotations

from isolated import Harness


def test_eight_readers_never_see_two_generations_at_once(harness: Harness, soak: bool) -> None:
    """A reader that takes rows of one generation and texts of the next mixes editions; one that keeps swept files open fails."""
    swaps = 1000 if soak else 40
    report = harness("swaps.py", "--cases", swaps)
    assert report["ran"] == swaps
    assert report["counts"]["searches beside"] > swaps
