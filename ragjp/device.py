"""What this machine has: cores and, maybe, a GPU. The only file that asks.

The answer is a :class:`Gate`: yes or no, and why in words, which ``ragjp doctor`` prints and every refusal repeats.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a CUDA device can be used.

    available : there is at least one.
    reason : one sentence in Japanese, true in both cases.
    name : the device's name; empty when there is none.
    total_bytes, free_bytes : its memory when it was asked; 0 when there is none (or it would not tell).
    """

    available: bool
    reason: str
    name: str = ""
    total_bytes: int = 0
    free_bytes: int = 0


def usable_cores() -> int:
    """Return the number of CPU cores this process may use (its affinity, not the machine's total)."""
    return len(os.sched_getaffinity(0)) or 1
