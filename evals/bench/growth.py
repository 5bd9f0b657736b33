"""Time, bytes and memory against the number of passages, from a thousand to a million: real ones, then resampled ones."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from evals.bench import growth_plot
from evals.bench.child import run_child
from evals.bench.lines import Line, Target
from evals.bench.material import Material, prepare, scratch
from evals.bench.opening import first_answer
from evals.bench.resampled import SHARES, Built, Plan, build_resampled, sizes, warm
from evals.bench.results import Options, Result
from evals.bench.source import Source, read_source

_STAGES = """
from pathlib import Path
from evals.bench.query import stages
from evals.bench.resampled import drop_from_cache
from evals.dataset import Query
from ragjp.engine import Engine
from ragjp.types import View
index = Path(arguments["index"])
questions = [Query(str(n), text) for n, text in enumerate(arguments["questions"])]
with Engine.open(index) as engine:
    found = {"warm": stages(engine, questions, rounds=arguments["rounds"])}
    found["rows"] = engine.document_count(view=View.of("everyone"))
    for name in arguments["views"]:
        found[name] = stages(engine, questions, rounds=1, view=View.of(name))
    if arguments["cold"]:
        cold = questions[: arguments["cold"]]
        found["cold_tokens"] = stages(engine, cold, rounds=1, before=lambda: drop_from_cache(index, "tokens"))
print(json.dumps(found))
"""
#: The largest plan that is kept for later runs, and for the benchmark of BM25.
LARGEST = Plan(0, (11,) * 7)


def plans(n_source: int, *, quick: bool = False) -> list[Plan]:
    """Sizes from a thousand to a million; the blocks of tokens are of 1 and 11 times the source, and no other.

    >>> [plan.n_rows(13058) for plan in plans(13058)]
    [1000, 3000, 13058, 39174, 104464, 300334, 1018524]
    """
    real = n_source
    found = [
        Plan(min(1000, real)),
        Plan(min(3000, real)),
        Plan(real),
        Plan(real, (1,) * 2),
        Plan(real, (1,) * 7),
        Plan(real, (11,) * 2),
        Plan(real, LARGEST.copies),
    ]
    return found[:4] if quick else found


def run(options: Options) -> Result:
    """Build each size, measure it, forget it (but for the largest); draw the curves."""
    material = prepare("jaquad", "dev", 300)
    source = read_source(material.index)
    points = [
        _point(material, source, plan, options) for plan in plans(len(source), quick=options.quick)
    ]
    largest = points[-1]
    size = f"{largest['rows']:,} 段落"
    lines = [
        Line(f"検索の全体 p50（{size}）", "ms", largest["warm"]["whole"]["p50"],
             target=Target("ours", "at most", 80.0)),
        Line(f"検索の全体 p95（{size}）", "ms", largest["warm"]["whole"]["p95"]),
        Line(f"埋め込みを除く検索 p50（{size}）", "ms", largest["warm"]["without_embedding"]["p50"]),
        Line(f"起動から最初の正しい答えまで（{size}）", "s", largest["opening"]["answered_s"],
             target=Target("ours", "at most", 5.0),
             differs="" if largest["opening"]["right"] else "最初の答えが、温まった索引の答えと違う"),
        Line(f"検索中の最大メモリー（{size}）", "MiB", largest["memory"]["peak_rss_mib"]),
    ]  # fmt: skip
    result = Result(
        "growth",
        lines,
        {"real_rows": len(source), "real_documents": material.n_documents},
        {"points": points},
        [
            "the first rows are real passages; beyond them, resampled ones (evals/bench/resampled.py says how)",
            "build_s: without analysis and embedding; derived_s: of that, what ends a build (the codes of large segments)",
            "tokens are hard links to one file per size of block, so reading them hits a warmer page cache than a real index of that size "
            "would; cold_tokens drops them from the cache before each question",
            "bytes.tokens is what the index would take without the links",
        ],
    )
    growth_plot.draw(points, growth_plot.FIGURE if not options.quick else scratch() / "growth.svg")
    return result


def large_index(source: Source) -> Path:
    """The largest index, built when it is not there (minutes)."""
    return _build(source, Plan(len(source), LARGEST.copies)).path


def _build(source: Source, plan: Plan) -> Built:
    folder = scratch() / f"resampled-{plan.n_rows(len(source))}"
    return build_resampled(
        source, plan, folder, blocks=scratch(), tell=lambda line: print(line, file=sys.stderr)
    )


def _point(material: Material, source: Source, plan: Plan, options: Options) -> dict[str, Any]:
    built = _build(source, plan)
    index = built.path
    n_rows = plan.n_rows(len(source))
    large = n_rows > 200_000
    texts = [query.text for query in material.questions]
    n_questions = 20 if options.quick else 100 if large else 200
    warm(index)
    opening = first_answer(index, texts[0], repeats=2 if options.quick else 3)
    report = run_child(
        _STAGES,
        {
            "index": str(index),
            "questions": texts[:: max(1, len(texts) // n_questions)][:n_questions],
            "rounds": 2,
            "views": list(SHARES) if len(plan.copies) > 1 else [],
            "cold": 0 if plan.n_real < len(source) else 10 if options.quick else 40,
        },
    )
    values = dict(report.values)
    assert values["rows"] == n_rows
    point = {
        **values,
        "real_rows": plan.n_real,
        "segments": 1 + len(plan.copies),
        "bytes": sizes(index),
        "build_s": built.seconds,
        "derived_s": built.derived_s,
        "opening": opening,
        "memory": report.memory(),
    }
    if plan.copies != LARGEST.copies and not options.keep:
        shutil.rmtree(index, ignore_errors=True)
    return point
