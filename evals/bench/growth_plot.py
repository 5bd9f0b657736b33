"""``python -m evals.bench.growth_plot``: draw ``docs/figures/growth.svg`` from the benchmark's JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import evals
from evals.bench.results import FOLDER

FIGURE = Path(evals.__file__).resolve().parents[1] / "docs" / "figures" / "growth.svg"
#: Stage of a search → its name and colour in the picture.
_STAGES = {
    "encode": ("embedding", "#8da0cb"),
    "bm25": ("BM25", "#e78ac3"),
    "dense": ("dense", "#66c2a5"),
    "rerank": ("MaxSim, 50 candidates", "#fc8d62"),
    "load": ("loading the hits", "#b3b3b3"),
}


def draw(points: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw two pictures side by side: milliseconds of a search by stage, and bytes and memory, against the rows."""
    import matplotlib

    matplotlib.use("svg")
    # The same points must give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "ragjp", "svg.fonttype": "path", "font.size": 9})
    from matplotlib import pyplot

    rows = [point["rows"] for point in points]
    figure, (times, space) = pyplot.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    times.plot(rows, [p["warm"]["whole"]["p50"] for p in points], "k-o", ms=4, label="whole query")
    for stage, (name, colour) in _STAGES.items():
        values = [max(p["warm"]["stages_p50"].get(stage, 0.0), 1e-3) for p in points]
        times.plot(rows, values, "-o", ms=3, color=colour, label=name)
    times.set_ylabel("ms, median of a question")
    space.plot(rows, [p["memory"]["peak_rss_mib"] / 1024 for p in points], "k-o", ms=4,
               label="peak resident memory, serving")  # fmt: skip
    for kind, colour in (("tokens", "#fc8d62"), ("postings", "#e78ac3"), ("vectors", "#66c2a5"), ("derived", "#a6d854"),
                         ("catalog", "#b3b3b3")):  # fmt: skip
        space.plot(rows, [p["bytes"][kind] / 2**30 or float("nan") for p in points], "-o", ms=3, color=colour,
                   label=f"{kind} on disk")  # fmt: skip
    space.plot(rows, [p["opening"]["answered_s"] for p in points], "k--s", ms=3,
               label="seconds from start to first answer")  # fmt: skip
    space.set_ylabel("GiB (seconds for the dashed line)")
    for axes in (times, space):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("passages")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=7, frameon=False
        )
    n_real = max(point["real_rows"] for point in points)
    times.axvline(n_real, color="#999999", lw=0.8, ls=":")
    times.annotate("real | resampled", (n_real, 1.0), xycoords=("data", "axes fraction"),
                   xytext=(0, 2), textcoords="offset points", ha="center", fontsize=7)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def main() -> int:
    """Draw from the committed result."""
    source = FOLDER / "growth.json"
    points = json.loads(source.read_text(encoding="utf-8"))["measured"]["points"]
    print(draw(points, FIGURE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
