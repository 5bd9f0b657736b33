"""The gate on made-up scores: what closes it, what does not, what it says, and how often it cries wolf."""

import json
from pathlib import Path

import numpy as np
import pytest

from evals.gate import (
    GATED,
    Baseline,
    BaselineError,
    Kept,
    hold,
    keep,
    read,
    require_same_data,
    sentences,
    to_json,
)
from evals.measures import MEASURES
from evals.report import NAMES

N = 300


def kept(seed: int = 0, n: int = N) -> Kept:
    """Scores like those of a real run: most questions right, the rest spread out; every measure its own."""
    rng = np.random.default_rng(seed)
    ids = tuple(f"q{i:03d}" for i in range(n))
    places = np.where(rng.random((len(GATED), n)) < 0.75, 1, rng.integers(1, 30, (len(GATED), n)))
    scores = {}
    for (ranking, measure), place in zip(GATED, places, strict=True):
        cut = 10 if "@10" in measure else int(measure.partition("@")[2])
        gain = 1 / np.log2(place + 1) if measure.startswith("nDCG") else np.ones(n)
        scores[ranking, measure] = np.round(np.where(place <= cut, gain, 0.0), 4)
    return Kept(ids, scores)


def lowered(scores: Kept, which: tuple[str, str], n: int) -> Kept:
    """The same with the first ``n`` questions that had a score lost under one measure."""
    changed = {key: values.copy() for key, values in scores.scores.items()}
    changed[which][np.flatnonzero(changed[which])[:n]] = 0.0
    return Kept(scores.query_ids, changed)


def test_a_rerun_passes() -> None:
    """Guards against a gate that nothing gets through."""
    verdict = hold(kept(), kept())
    assert verdict.passed
    assert {change.p for change in verdict.changes} == {1.0}
    assert "合格" in sentences(verdict, NAMES, {})[0]


@pytest.mark.parametrize("which", GATED)
def test_a_fall_of_any_gated_measure_closes_it(which: tuple[str, str]) -> None:
    """Guards against a measure that is listed and not looked at."""
    verdict = hold(lowered(kept(), which, 20), kept())
    assert [(fall.ranking, fall.measure) for fall in verdict.falls] == [which]


def test_a_rise_does_not() -> None:
    """Guards against a two-sided test read as an alarm both ways: the old program is below the new one."""
    verdict = hold(kept(), lowered(kept(), ("fused", "nDCG@10"), 40))
    assert verdict.passed
    assert "融合の nDCG@10 は上がっています" in "\n".join(sentences(verdict, NAMES, {}))


def test_chance_and_trifles_do_not() -> None:
    """Guards against a gate shut by three questions of 300, and by a significant fall that nobody would feel."""
    assert hold(lowered(kept(), ("reranked", "R@1"), 3), kept()).passed
    tiny = {key: values - 0.002 for key, values in kept().scores.items()}
    verdict = hold(Kept(kept().query_ids, tiny), kept())
    assert min(change.p_holm for change in verdict.changes) < 0.001
    assert verdict.passed
    assert not hold(Kept(kept().query_ids, tiny), kept(), tolerance=0.001).passed


def test_it_says_what_fell_by_how_much_and_where() -> None:
    """Guards against a red light without a reason: the measure, both means, and the five worst questions, worst first."""
    run = lowered(kept(), ("reranked", "nDCG@10"), 25)
    texts = {query_id: f"質問 {query_id}" for query_id in run.query_ids}
    said = sentences(hold(run, kept()), NAMES, texts)
    assert said[0] == "基準との比較: 不合格。7 の指標のうち 1 が有意に下がりました。"
    assert said[1].startswith("  融合＋再順位付けの nDCG@10 が 0.")
    assert "下がりました（95% 区間 0.0" in said[1]
    assert len(said) == 2 + 5
    (fall,) = hold(run, kept()).falls
    depths = [moved.before - moved.now for moved in fall.fell_most]
    assert depths == sorted(depths, reverse=True) == [1.0] * 5
    assert f"「質問 {fall.fell_most[0].query_id}」 1.0000 → 0.0000" in said[2]


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Guards against rounding that turns a rerun into a difference, and against files as large as the runs."""
    rows = {
        ranking: {name: {f"q{i}": 1 / np.log2(i % 12 + 2) for i in range(N)} for name in MEASURES}
        for ranking in ("bm25", "dense", "fused", "reranked")
    }
    scores = keep(rows)
    path = tmp_path / "baseline.json"
    path.write_text(to_json(Baseline("d", "test", "ab" * 32, "1234567", 0.01, scores)), "utf-8")
    found = read(path)
    assert (found.dataset, found.split, found.commit, found.tolerance) == (
        "d",
        "test",
        "1234567",
        0.01,
    )
    assert list(found.kept.scores) == list(GATED)
    assert hold(keep(rows), found.kept).passed
    assert path.stat().st_size < 7.5 * N * len(GATED) + 8 * N + 400
    assert len(json.loads(path.read_text("utf-8"))["scores"]) == len(GATED)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    """Guards against a verdict about other questions, other data, or measures that were not run."""
    with pytest.raises(BaselineError, match="質問"):
        hold(kept(n=299), kept())
    fewer = Kept(kept().query_ids, dict(list(kept().scores.items())[:3]))
    with pytest.raises(BaselineError, match="測っていません"):
        hold(fewer, kept())
    assert hold(kept(), fewer).passed  # a baseline of three measures gates three
    baseline = Baseline("d", "test", "ab" * 32, "1234567", 0.01, kept())
    require_same_data(baseline, "renamed", "test", "ab" * 32)
    for other in (("d", "dev", "ab" * 32), ("d", "test", "cd" * 32)):
        with pytest.raises(BaselineError, match="中身が違います"):
            require_same_data(baseline, *other)
    with pytest.raises(BaselineError, match="開けません"):
        read(tmp_path / "none.json")


def test_vectors_that_moved_under_the_same_settings_close_it() -> None:
    """Guards against a fault that these questions do not feel; rounding passes, and so does another encoder that says so."""
    base = kept()
    rng = np.random.default_rng(3)
    dense = rng.normal(0.87, 0.02, N)

    def run(moved: np.ndarray, settings: str = "same") -> Kept:
        return Kept(base.query_ids, base.scores, moved, settings)

    before = run(dense)
    assert hold(run(dense + rng.normal(0, 0.0012, N)), before).passed
    shifted = run(dense + 0.005)
    verdict = hold(shifted, before)
    assert not verdict.passed
    assert verdict.falls == ()
    (said,) = sentences(verdict, NAMES, {})
    assert "設定は基準と同じなのに、質問のベクトルが変わっています" in said
    assert hold(run(dense + 0.005, "other"), before).passed
    assert hold(base, before).passed  # a run without dense scores has nothing to compare


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 2', '"format": 1'),
        ('"best_dense": []', '"best_dense": [0.5]'),
        ('"tolerance": 0.01', '"tolerance": 1.5'),
        ('"reranked R@1"', '"reranked R@2"'),
        ('["q000",', '["q001",'),
        ('["q000",', "["),
        ('"scores": {', '"scores": [{'),
    ],
)
def test_a_damaged_baseline_is_no_baseline(tmp_path: Path, old: str, new: str) -> None:
    """Guards against a file edited by hand that lets everything through."""
    text = to_json(Baseline("d", "test", "ab" * 32, "1234567", 0.01, kept()))
    assert old in text
    (tmp_path / "b.json").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(BaselineError, match="読めません"):
        read(tmp_path / "b.json")


# ---- A/A: runs of which neither is better
#
# ragjp is deterministic, so a plain rerun differs nowhere and proves nothing. What could make two runs of equal worth differ is
# simulated in two ways, both with differences as large as they come in practice:
#   swapped   each question's scores under two different systems are dealt to run and baseline by the toss of a coin. Neither
#             side is better by construction, whatever the two systems are, and the differences are those of real systems.
#   jittered  every score of every candidate moves by noise (other thread counts, other processors, other rounding), so that
#             ties and near ties fall out differently; both sides are such runs.


def passed(run: Kept, baseline: Kept) -> bool:
    return hold(run, baseline).passed


def test_runs_with_swapped_questions_pass() -> None:
    """Guards against a gate that cries wolf when two systems of equal worth differ much: a third of the questions moves."""
    rng = np.random.default_rng(17)
    one, other = kept(1), kept(2)
    times = 200
    through = 0
    for _ in range(times):
        heads = rng.random(N) < 0.5  # one coin a question: its measures belong together
        run = {key: np.where(heads, one.scores[key], other.scores[key]) for key in one.scores}
        base = {key: np.where(heads, other.scores[key], one.scores[key]) for key in one.scores}
        through += passed(Kept(one.query_ids, run), Kept(one.query_ids, base))
    assert through / times >= 0.95


def test_runs_with_jittered_scores_pass() -> None:
    """Guards against a gate that cries wolf over ties: candidate scores with noise, ranked anew on both sides."""
    rng = np.random.default_rng(23)
    gold_lead = rng.normal(1.5, 1.2, N)  # how far gold is above the typical best rival
    rivals = rng.normal(0.0, 1.0, (N, 40))

    def run() -> Kept:
        noise = 0.1
        gold = gold_lead + rng.normal(0, noise, N)
        place = 1 + ((rivals + rng.normal(0, noise, rivals.shape)) > gold[:, None]).sum(axis=1)
        ndcg = np.where(place <= 10, 1 / np.log2(place + 1), 0.0)
        by_measure = {"nDCG@10": ndcg, "R@1": place <= 1, "R@5": place <= 5, "R@100": place <= 100}
        scores = {key: np.round(by_measure[key[1]].astype(float), 4) for key in GATED}
        return Kept(kept().query_ids, scores)

    first, second = run(), run()
    assert (
        first.scores["reranked", "nDCG@10"] != second.scores["reranked", "nDCG@10"]
    ).mean() > 0.1
    assert np.mean([passed(run(), run()) for _ in range(120)]) >= 0.95
