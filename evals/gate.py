"""The gate: whether this program has become worse than the one whose scores were kept.

A baseline keeps the score of every question under every gated measure. A run passes unless a measure fell by more than the
baseline's tolerance *and* the fall is significant (paired randomisation, Holm over all gated measures, p < 0.05). Both are
needed: a fall of half a question on a large set is significant and nobody's loss, and a fall of two points on fifty questions
may be chance.

Some faults cost nothing that these questions could show: an encoder whose query prefix is forgotten may rank them as well as before.
So a baseline also keeps each question's best dense score, and a run under the same settings must give about the same ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from evals.indexes import Condition
from evals.measures import NDCG, R1, R5, R100, PerQuery
from evals.runner import EvaluationReport
from evals.statistics import (
    ALPHA,
    NO_INTERVAL,
    Interval,
    Scores,
    holm,
    interval,
    paired_randomization,
)
from ragjp.errors import RequestError

FORMAT: Final = 2
#: What is watched: the order of every ranking, what the candidates hold, and what people see first.
#: Few, since every further measure makes the correction dearer and the gate blinder.
GATED: Final[tuple[tuple[Condition, str], ...]] = (
    ("bm25", NDCG),
    ("dense", NDCG),
    ("fused", NDCG),
    ("fused", R100),
    ("reranked", NDCG),
    ("reranked", R1),
    ("reranked", R5),
)
TOLERANCE: Final = 0.005
#: Decimals of a kept score: finer differences are rounding, not retrieval.
_DECIMALS: Final = 4
#: Questions named for each measure that fell.
NAMED: Final = 5

#: How far the best dense scores may move on average under unchanged settings, as a share of their standard deviation. Measured with
#: multilingual-e5-small: 0.055 between int8 and fp32, 0.26 without the query prefix.
DRIFT: Final = 0.12

Gated = tuple[Condition, str]


class BaselineError(RequestError):
    """A baseline that cannot be read, or that is about something else."""

    default_code: ClassVar[str] = "bad_baseline"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The scores of N questions: ``scores`` maps (ranking, measure) to (N,) float64 in the order of ``query_ids``.

    ``dense`` (N,) are the best dense scores, empty where none were kept; ``settings`` is a digest of what they were made with.
    """

    query_ids: tuple[str, ...]
    scores: Mapping[Gated, Scores]
    dense: Scores = field(default_factory=lambda: np.zeros(0))
    settings: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What a run is held against: scores, the data they are of, and how far a mean may fall without anybody minding."""

    dataset: str
    split: str
    data_sha256: str
    commit: str
    tolerance: float
    kept: Kept


@dataclass(frozen=True, slots=True)
class Moved:
    """One question's score before and now."""

    query_id: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Change:
    """How one measure moved: means before and now, the interval of the difference, and p before and after the correction."""

    ranking: Condition
    measure: str
    before: float
    now: float
    interval: Interval
    p: float
    p_holm: float
    #: Those that fell most, the worst first.
    fell_most: tuple[Moved, ...]

    @property
    def difference(self) -> float:
        """Now minus before."""
        return self.now - self.before

    def fails(self, tolerance: float) -> bool:
        """Whether it fell significantly and by more than the tolerance."""
        return self.p_holm < ALPHA and self.difference < -tolerance


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every gated measure's change, and the tolerance they were judged with."""

    changes: tuple[Change, ...]
    tolerance: float
    #: Mean absolute move of the best dense scores under unchanged settings, as a share of their standard deviation; 0 elsewhere.
    drift: float = 0.0

    @property
    def falls(self) -> tuple[Change, ...]:
        """The changes that close the gate."""
        return tuple(change for change in self.changes if change.fails(self.tolerance))

    @property
    def passed(self) -> bool:
        """Whether nothing fell, and nothing moved that should have stayed."""
        return not self.falls and not self.drifted

    @property
    def drifted(self) -> bool:
        """Whether the vectors changed though the settings did not."""
        return self.drift > DRIFT


def keep(rows: Mapping[Condition, PerQuery]) -> Kept:
    """Take the gated scores out of a run's, rounded as a baseline rounds them.

    Parameters
    ----------
    rows
        Ranking → measure → question → score; the same questions everywhere. Rankings that were not run are not kept.
    """
    gated = [(ranking, measure) for ranking, measure in GATED if ranking in rows]
    ids = tuple(sorted(next(iter(rows.values()))[NDCG])) if rows else ()
    scores = {
        (ranking, measure): np.round([rows[ranking][measure][i] for i in ids], _DECIMALS)
        for ranking, measure in gated
    }
    return Kept(ids, scores)


def keep_report(report: EvaluationReport) -> Kept:
    """Keep what a report says: the gated scores, the best dense scores, and a digest of the settings behind the latter."""
    kept = keep({row.condition: row.per_query for row in report.conditions})
    best = {
        one.query_id: one.scores[0] if one.scores else 0.0
        for row in report.conditions
        if row.condition == "dense"
        for one in row.asked
    }
    if set(best) != set(kept.query_ids):
        return kept
    stages = [report.recipe.get("encoder"), report.recipe.get("chunks")]
    settings = hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:16]
    dense = np.round([best[query_id] for query_id in kept.query_ids], _DECIMALS)
    return Kept(kept.query_ids, kept.scores, dense, settings)


def hold(run: Kept, baseline: Kept, tolerance: float = TOLERANCE) -> Verdict:
    """Hold a run's scores against a baseline's.

    Raises
    ------
    BaselineError
        When they are not about the same questions and measures.
    """
    if run.query_ids != baseline.query_ids:
        raise BaselineError(
            f"基準の質問（{len(baseline.query_ids)} 件）と今回の質問（{len(run.query_ids)} 件）が違います。"
            "同じデータで測るか、--write-baseline で基準を作り直してください。",
            code="baseline_other_questions",
        )
    gated = [key for key in baseline.scores if key in run.scores]
    if len(gated) < len(baseline.scores) or not gated:
        raise BaselineError(
            "基準にある指標の一部を今回は測っていません。--write-baseline で基準を作り直してください。",
            code="baseline_other_measures",
        )
    paired = [run.scores[key] - baseline.scores[key] for key in gated]
    p_values = [paired_randomization(one) for one in paired]
    adjusted = holm(p_values)
    changes = [
        _change(key, run, baseline, p, p_holm)
        for key, p, p_holm in zip(gated, p_values, adjusted, strict=True)
    ]
    return Verdict(tuple(changes), tolerance, _drift(run, baseline))


def _drift(run: Kept, baseline: Kept) -> float:
    comparable = run.settings == baseline.settings and len(run.dense) == len(baseline.dense) > 0
    spread = float(baseline.dense.std()) if comparable else 0.0
    return float(np.abs(run.dense - baseline.dense).mean()) / spread if spread else 0.0


def _change(key: Gated, run: Kept, baseline: Kept, p: float, p_holm: float) -> Change:
    before, now = baseline.scores[key], run.scores[key]
    difference = now - before
    lowest = np.argsort(difference, kind="stable")[:NAMED]
    fell = tuple(
        Moved(run.query_ids[i], float(before[i]), float(now[i]))
        for i in lowest.tolist()
        if difference[i] < 0
    )
    moved = interval(difference) if p_holm < ALPHA else NO_INTERVAL
    return Change(key[0], key[1], float(before.mean()), float(now.mean()), moved, p, p_holm, fell)


def to_json(baseline: Baseline) -> str:
    """Write a baseline as text: one line for each ranking and measure, so that a diff shows which moved."""
    head = {
        "format": FORMAT,
        "dataset": baseline.dataset,
        "split": baseline.split,
        "data_sha256": baseline.data_sha256,
        "commit": baseline.commit,
        "tolerance": baseline.tolerance,
        "settings": baseline.kept.settings,
        "query_ids": baseline.kept.query_ids,
    }
    lines = [f'"{key}": {_compact(value)}' for key, value in head.items()]
    lines.append(f'"best_dense": {_compact(baseline.kept.dense.tolist())}')
    rows = [
        f'"{ranking} {measure}": {_compact([_short(value) for value in scores.tolist()])}'
        for (ranking, measure), scores in baseline.kept.scores.items()
    ]
    lines.append('"scores": {\n  ' + ",\n  ".join(rows) + "\n }")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises
    ------
    BaselineError
        When the file is missing, is no baseline, or contradicts itself.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        baseline = _parsed(values)
    except OSError as error:
        raise BaselineError(
            f"基準のファイル {path} を開けません（{error.strerror}）。場所を確かめるか、--write-baseline で作ってください。",
            code="baseline_missing",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(
            f"{path} は基準のファイルとして読めません。--write-baseline で作り直してください。",
            code="baseline_malformed",
        ) from error
    return baseline


def _parsed(values: Mapping[str, object]) -> Baseline:
    if values["format"] != FORMAT:
        raise ValueError("another format")
    ids = tuple(map(str, _list(values["query_ids"])))
    scores: dict[Gated, Scores] = {}
    known = {f"{ranking} {measure}": (ranking, measure) for ranking, measure in GATED}
    rows = values["scores"]
    if not isinstance(rows, dict) or len(set(ids)) != len(ids):
        raise TypeError("scores")
    for name, row in rows.items():
        scores[known[name]] = np.array(_list(row), dtype=np.float64)
        if scores[known[name]].shape != (len(ids),):
            raise ValueError("another number of questions")
    dense = np.array(_list(values["best_dense"]), dtype=np.float64)
    if len(dense) not in (0, len(ids)):
        raise ValueError("another number of questions")
    tolerance = float(str(values["tolerance"]))
    if not (ids and scores and 0 <= tolerance < 1):
        raise ValueError("empty, or a tolerance that tolerates everything")
    return Baseline(
        str(values["dataset"]),
        str(values["split"]),
        str(values["data_sha256"]),
        str(values["commit"]),
        tolerance,
        Kept(ids, scores, dense, str(values["settings"])),
    )


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def require_same_data(baseline: Baseline, dataset: str, split: str, data_sha256: str) -> None:
    """Refuse to compare with scores on other questions, judgements or passages.

    Raises
    ------
    BaselineError
        Code ``baseline_other_data``.
    """
    if (baseline.split, baseline.data_sha256) != (split, data_sha256):
        raise BaselineError(
            f"基準は {baseline.dataset} / {baseline.split}（sha256 {baseline.data_sha256[:12]}）のもので、"
            f"今回の {dataset} / {split}（sha256 {data_sha256[:12]}）とは中身が違います。"
            "--write-baseline で基準を作り直してください。",
            code="baseline_other_data",
        )


def sentences(
    verdict: Verdict, names: Mapping[Condition, str], texts: Mapping[str, str]
) -> list[str]:
    """Say the verdict to people: what fell, by how much, and the questions that fell most.

    Parameters
    ----------
    names
        What people call each ranking.
    texts
        The questions by id.
    """
    compared = len(verdict.changes)
    if verdict.passed:
        rose = [c for c in verdict.changes if c.p_holm < ALPHA and c.difference > 0]
        note = "".join(
            f"\n  {names[c.ranking]}の {c.measure} は上がっています"
            f"（{c.before:.4f} → {c.now:.4f}、補正後 p={c.p_holm:.4f}）。"
            for c in rose
        )
        return [f"基準との比較: 合格。{compared} の指標に、有意な低下はありません。{note}"]
    lines = []
    if verdict.drifted:
        lines.append(
            "基準との比較: 不合格。設定は基準と同じなのに、質問のベクトルが変わっています"
            f"（最良の得点の動きの平均が、ばらつきの {100 * verdict.drift:.0f}%。許容は {100 * DRIFT:.0f}%）。"
            "接頭辞やモデルの取り違えがないか確かめ、意図した変更なら --write-baseline で基準を作り直してください。"
        )
    if verdict.falls:
        lines.append(
            f"基準との比較: 不合格。{compared} の指標のうち {len(verdict.falls)} が有意に下がりました。"
        )
    for fall in verdict.falls:
        lines.append(
            f"  {names[fall.ranking]}の {fall.measure} が {fall.before:.4f} から {fall.now:.4f} に、"
            f"{-fall.difference:.4f} 下がりました"
            f"（95% 区間 {-fall.interval.high:.4f}〜{-fall.interval.low:.4f}、補正後 p={fall.p_holm:.4f}）。"
            "大きく下がった質問:"
        )
        lines += [f"    {_question(moved, texts)}" for moved in fall.fell_most]
    return lines


def _question(moved: Moved, texts: Mapping[str, str]) -> str:
    return (
        f"{moved.query_id}「{texts.get(moved.query_id, '')}」 {moved.before:.4f} → {moved.now:.4f}"
    )
