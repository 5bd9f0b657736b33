"""The whole query on JaQuAD's 11,144 passages, and what of it is not embedding; split by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evals.bench.lines import Line, Target
from evals.bench.material import EVERYONE, prepare
from evals.bench.resampled import warm
from evals.bench.results import Options, Result
from evals.bench.timing import settle, summary, without_collector
from evals.dataset import Query
from ragjp.types import View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragjp.engine import Engine

K = 10
_WARM = 30


def run(options: Options) -> Result:
    """Ask about 500 questions of the dev split, one at a time; three times, the median counts. The index is in the page cache."""
    from ragjp.engine import Engine

    material = prepare("jaquad", "dev", 20 if options.quick else 500)
    warm(material.index)
    with Engine.open(material.index, recipe=material.recipe) as engine:
        measured = stages(engine, material.questions, rounds=3)
        n_chunks, n_documents = (
            engine.document_count(view=EVERYONE),
            len(engine.documents(view=EVERYONE)),
        )
    whole, search = measured["whole"], measured["without_embedding"]
    size = f"{n_documents:,} 文書"
    lines = [
        Line(f"検索の全体 p50（{size}）", "ms", whole["p50"], target=Target("ours", "at most", 30.0)),
        Line(f"検索の全体 p95（{size}）", "ms", whole["p95"], target=Target("ours", "at most", 60.0)),
        Line(f"埋め込みを除く検索 p50（{size}）", "ms", search["p50"], target=Target("ours", "at most", 10.0)),
        Line(f"埋め込みを除く検索 p95（{size}）", "ms", search["p95"]),
    ]  # fmt: skip
    return Result(
        "query",
        lines,
        {
            "documents": n_documents,
            "chunks": n_chunks,
            "questions": len(material.questions),
            "k": K,
        },
        measured,
        [
            "whole: analysis, embedding, lexical and dense search, fusion, MaxSim over the candidates, loading of the hits; warm",
            "without_embedding: the same less the encoder's time, question by question",
        ],
    )


def stages(
    engine: Engine,
    questions: Sequence[Query],
    *,
    rounds: int = 2,
    view: View = EVERYONE,
    before: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Milliseconds of the whole query, of all but the embedding, and of each stage (medians of each stage's own time).

    ``before`` is called before each question, outside of its time.
    """
    for query in questions[:_WARM]:
        engine.search(query.text, view=view, k=K)
    settle()
    for query in questions[:_WARM]:
        engine.search(query.text, view=view, k=K)
    timings: list[list[dict[str, float]]] = []
    with without_collector():
        for _ in range(rounds):
            timings.append([])
            for query in questions:
                before()
                timings[-1].append(dict(engine.search(query.text, view=view, k=K).timings_ms))
    names = list(dict.fromkeys(name for part in timings for times in part for name in times))
    table = {
        name: np.median([[times.get(name, 0.0) for times in part] for part in timings], axis=0)
        for name in names
    }
    return {
        "whole": summary(table["total"]),
        "without_embedding": summary(table["total"] - table["encode"]),
        "stages_p50": {name: float(np.median(table[name])) for name in names},
        "stages_p95": {name: float(np.percentile(table[name], 95)) for name in names},
    }
