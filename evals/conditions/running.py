"""Running a condition, and judging what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evals import gate
from evals.conditions.reading import NamedCondition, Rival
from evals.dataset import Dataset, open_dataset
from evals.indexes import Condition as RankingName
from evals.indexes import Progress, build_corpus, content_of
from evals.measures import NDCG
from evals.never_worse import NeverWorse, never_worse
from evals.never_worse import lines as never_worse_lines
from evals.report import NAMES
from evals.runner import ConditionResult, EvaluationReport, evaluate
from evals.statistics import ALPHA, differences, holm, paired_randomization
from ragjp.config import cache_folder
from ragjp.errors import RagjpError

if TYPE_CHECKING:
    from ragjp.engine import Engine


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a condition's run is worth: what is wrong (empty: nothing), and what is worth knowing."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


def measure(
    condition: NamedCondition,
    *,
    data: Path | None = None,
    answers: bool = False,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Run a condition: build its index or bring it up to date, and ask every question.

    Parameters
    ----------
    data
        Where the benchmarks are.
    answers
        Whether to write answers too, where the condition has them.

    Raises
    ------
    RagjpError
        When the data are not there, or the index cannot be built.
    """
    dataset = open_dataset(condition.dataset(data))
    split = dataset.read(condition.file.split)
    with _opened(condition, dataset, progress) as engine:
        return evaluate(
            split, engine, answers=answers and condition.file.answers, progress=progress
        )


@contextmanager
def _opened(
    condition: NamedCondition, dataset: Dataset, progress: Progress | None
) -> Iterator[Engine]:
    from ragjp.engine import Engine

    if dataset.corpus is not None:
        folder = build_corpus(dataset, dataset.corpus, condition.recipe, progress=progress)
    else:
        folder = _build_sources(condition, progress)
    with Engine.open(folder, recipe=condition.recipe) as engine:
        yield engine


def _build_sources(condition: NamedCondition, progress: Progress | None) -> Path:
    """Index the recipe's own sources, into the cache folder."""
    from ragjp.jobs.build import build

    name = hashlib.sha256(content_of(condition.recipe).encode()).hexdigest()[:16]
    folder = cache_folder() / "evals" / f"{condition.recipe.name}-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    report = build(condition.recipe, base=condition.base, into=folder, progress=progress)
    if report.failures:
        first = report.failures[0]
        raise RagjpError(
            f"条件「{condition.name}」の文書 {len(report.failures)} 件を索引にできませんでした"
            f"（最初は「{first.doc_id}」: {first.sentence}）。文書を直してからやり直してください。",
            code="sources_incomplete",
        )
    return folder


def stages_of(report: EvaluationReport) -> NeverWorse:
    """The never-worse table of a report."""
    asked = [query for query in report.split.queries if query.answerable]
    return never_worse(asked, {row.condition: row.per_query for row in report.conditions})


def judge(
    condition: NamedCondition,
    report: EvaluationReport,
    others: Mapping[str, EvaluationReport],
    *,
    stages: NeverWorse | None = None,
) -> Judgement:
    """Hold a run against what its condition says.

    Parameters
    ----------
    others
        Reports of the conditions that it is compared with, by name.
    stages
        The never-worse table, where it was made already.
    """
    rows = {row.condition: row for row in report.conditions}
    problems, notes = _against_expectations(condition, rows)
    problems += _unbeaten(condition, rows, others)
    table = stages or stages_of(report)
    said = never_worse_lines(table, NAMES)
    if condition.file.never_worse and not table.holds:
        problems += said
    else:
        notes += said
    verdict = _gate(condition, report)
    if verdict is not None:
        texts = {query.query_id: query.text for query in report.split.queries}
        (notes if verdict.passed else problems).extend(gate.sentences(verdict, NAMES, texts))
    return Judgement(tuple(problems), tuple(notes))


def _against_expectations(
    condition: NamedCondition, rows: Mapping[RankingName, ConditionResult]
) -> tuple[list[str], list[str]]:
    below, above = [], []
    tolerance = condition.file.tolerance
    for ranking, expected in condition.file.rankings.items():
        for name, score in expected.items():
            found = rows[ranking].measures[name]
            said = f"{NAMES[ranking]}の {name} は {found:.4f} で、期待する {score:.4f}（許容 {tolerance:g}）"
            if found < score - tolerance:
                below.append(f"{said}を下回ります。")
            elif found > score + tolerance:
                above.append(f"{said}を上回ります。--update で期待値を上げられます。")
    return below, above


def _unbeaten(
    condition: NamedCondition,
    rows: Mapping[RankingName, ConditionResult],
    others: Mapping[str, EvaluationReport],
) -> list[str]:
    """Rivals that are not significantly below; p is corrected over all of the condition's rivals."""
    pairs = [(better, rival) for better, rivals in condition.file.beats.items() for rival in rivals]
    paired = [
        differences(rows[better].per_query[NDCG], _rival(rival, rows, others).per_query[NDCG])
        for better, rival in pairs
    ]
    adjusted = holm([paired_randomization(one) for one in paired])
    return [
        f"{NAMES[better]}は {_name(rival)}を {NDCG} で有意に上回りません（差 {one.mean():+.4f}、補正後 p={p:.4f}）。"
        for (better, rival), one, p in zip(pairs, paired, adjusted, strict=True)
        if p >= ALPHA or one.mean() <= 0
    ]


def _rival(
    rival: Rival,
    rows: Mapping[RankingName, ConditionResult],
    others: Mapping[str, EvaluationReport],
) -> ConditionResult:
    if rival.condition is None:
        return rows[rival.ranking]
    return next(r for r in others[rival.condition].conditions if r.condition == rival.ranking)


def _name(rival: Rival) -> str:
    own = NAMES[rival.ranking]
    return f"条件「{rival.condition}」の{own}" if rival.condition else own


def _gate(condition: NamedCondition, report: EvaluationReport) -> gate.Verdict | None:
    if condition.baseline is None:
        return None
    baseline = gate.read(condition.baseline)
    split = report.split
    gate.require_same_data(baseline, split.dataset, split.name, split.digest)
    return gate.hold(gate.keep_report(report), baseline.kept, baseline.tolerance)
