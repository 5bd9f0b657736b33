"""Timing on a card: contenders in turn, caches flushed, CUDA events, medians; the floor measured in the same run.

Every contender is captured in a CUDA graph when it can be, so that what is timed is the device and not Python. Before each sample the
second-level cache is overwritten, and the input set changes from round to round.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: More than any second-level cache that ragjp is for (H200: 60 MB).
FLUSH_BYTES = 256 << 20
RESULTS = Path(os.environ.get("GPU_RESULTS", "evals/results/gpu"))


@dataclass(frozen=True, slots=True)
class Timed:
    """Microseconds of one contender: median, and the quartiles about it."""

    median_us: float
    lower_us: float
    upper_us: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: what was measured beside its floor and the best of the others."""

    what: str
    timed: Timed
    floor_us: float
    peer_us: float | None = None
    peer: str = ""


def captured(cupy: Any, run: Callable[[], None]) -> Callable[[Any], None]:
    """Run once, then capture: gives what replays it on a stream."""
    stream = cupy.cuda.Stream(non_blocking=True)
    run()
    cupy.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        run()
        graph = stream.end_capture()
    return lambda on: graph.launch(on)


def in_turn(
    cupy: Any,
    contenders: dict[str, Sequence[Callable[[Any], None]]],
    *,
    rounds: int = 120,
    flush: bool = True,
) -> dict[str, Timed]:
    """Time contenders in turn; each is one callable for each input set, and is given the stream to run on."""
    stream = cupy.cuda.Stream(non_blocking=True)
    rubbish = cupy.empty(FLUSH_BYTES // 4, np.float32)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    with stream:
        for number in range(rounds + 5):
            for name, sets in contenders.items():
                if flush:
                    rubbish.fill(number)
                begin.record(stream)
                sets[number % len(sets)](stream)
                end.record(stream)
                end.synchronize()
                if number >= 5:
                    samples[name].append(1000 * cupy.cuda.get_elapsed_time(begin, end))
    return {
        name: Timed(*(float(v) for v in np.percentile(taken, [50, 25, 75])))
        for name, taken in samples.items()
    }


def copy_bandwidth(cupy: Any, n_bytes: int = 1 << 30) -> float:
    """Bytes a second of a device-to-device copy, read and written: what the floors are made of."""
    source, target = (cupy.empty(n_bytes // 4, np.float32) for _ in "ab")
    source[:] = cupy.arange(n_bytes // 4, dtype=np.float32)

    def copy(stream: Any) -> None:
        cupy.cuda.runtime.memcpyAsync(
            target.data.ptr,
            source.data.ptr,
            n_bytes,
            cupy.cuda.runtime.memcpyDeviceToDevice,
            stream.ptr,
        )

    timed = in_turn(cupy, {"copy": [copy]}, rounds=30, flush=False)["copy"]
    return 2 * n_bytes / (timed.median_us * 1e-6)


def show(title: str, lines: Sequence[Line], notes: Sequence[str] = ()) -> None:
    """Print the table and keep it in :data:`RESULTS`."""
    rows = [
        f"{line.what:<46}{line.timed.median_us:>10.1f} "
        f"({line.timed.lower_us:.1f}-{line.timed.upper_us:.1f})".ljust(76)
        + f"{line.floor_us:>9.1f}{line.timed.median_us / line.floor_us:>8.2f}"
        + (
            f"{line.peer_us:>11.1f}{line.peer_us / line.timed.median_us:>8.2f}  {line.peer}"
            if line.peer_us
            else ""
        )
        for line in lines
    ]
    head = f"{'median (quartiles), us':<76}{'floor':>9}{'/floor':>8}{'peer':>11}{'times':>8}"
    print("\n".join(["", title, head, *rows, *notes]))  # noqa: T201 - the bench's purpose
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = [
        {
            "what": line.what,
            "median_us": line.timed.median_us,
            "lower_us": line.timed.lower_us,
            "upper_us": line.timed.upper_us,
            "floor_us": line.floor_us,
            "peer_us": line.peer_us,
            "peer": line.peer,
        }
        for line in lines
    ]
    name = "".join(c if c.isalnum() else "-" for c in title.split(":")[0].lower())
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"title": title, "lines": kept, "notes": list(notes)}, indent=1) + "\n",
        encoding="utf-8",
    )
