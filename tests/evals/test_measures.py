import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.measures import MEASURES, mean, per_query, rank, reference

ir_measures = pytest.importorskip("ir_measures", reason="the eval extra is not installed")

UNITS = [f"d{n}" for n in range(130)]
QUERIES = ["q1", "q2", "q3"]

grades = st.dictionaries(st.sampled_from(UNITS), st.integers(0, 3), min_size=1, max_size=12)
# Six score values over up to 130 units: ties everywhere.
scores = st.dictionaries(
    st.sampled_from(UNITS), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), max_size=130
)
some_qrels = st.fixed_dictionaries({}, optional=dict.fromkeys(QUERIES, grades)).filter(bool)
some_scores = st.fixed_dictionaries({}, optional=dict.fromkeys([*QUERIES, "stray"], scores))


@settings(deadline=None, max_examples=150)
@given(qrels=some_qrels, scored=some_scores)
def test_the_reference_equals_ir_measures(
    qrels: dict[str, dict[str, int]], scored: dict[str, dict[str, float]]
) -> None:
    """Guards against a figure that trec_eval would not print: ties, missing and stray questions."""
    run = {query_id: rank(of_query) for query_id, of_query in scored.items()}
    theirs, ours = per_query(qrels, run), reference(qrels, run)
    assert set(theirs) == set(ours) == set(MEASURES)
    for name in MEASURES:
        assert set(theirs[name]) == set(ours[name]) == set(qrels)
        for query_id in qrels:
            assert abs(theirs[name][query_id] - ours[name][query_id]) <= 1e-9


def test_ten_thousand_random_runs_agree_to_a_billionth() -> None:
    """Guards against the rare combination: grades to 3, ties in the scores, runs of nothing, gold beyond every cut-off."""
    rng = np.random.default_rng(2023)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, tuple[str, ...]] = {}
    for number in range(10_000):
        judged = rng.choice(len(UNITS), size=rng.integers(1, 15), replace=False)
        grades = rng.integers(0, 4, size=len(judged))
        name = f"q{number}"
        qrels[name] = {UNITS[i]: int(g) for i, g in zip(judged, grades, strict=True)}
        found = rng.permutation(len(UNITS))[: rng.integers(0, len(UNITS) + 1)]
        scores = rng.integers(0, rng.choice([3, 1000]), size=len(found)) / 8
        run[name] = rank({UNITS[i]: float(s) for i, s in zip(found, scores, strict=True)})
    theirs, ours = per_query(qrels, run), reference(qrels, run)
    apart = [abs(theirs[m][name] - ours[m][name]) for m in MEASURES for name in qrels]
    assert len(apart) == 60_000
    assert max(apart) <= 1e-9
    assert 0.02 < np.mean(list(ours["R@10"].values())) < 0.5


@settings(deadline=None, max_examples=100)
@given(qrels=some_qrels, scored=some_scores)
def test_tied_scores_read_as_trec_eval_reads_them_give_the_same(
    qrels: dict[str, dict[str, int]], scored: dict[str, dict[str, float]]
) -> None:
    """Guards against an adapter that reorders: tied scores go straight into trec_eval.

    Its own rule for ties is by name, last first.
    """
    measures = {"nDCG@10": ir_measures.nDCG @ 10, "R@5": ir_measures.R @ 5}
    direct = {
        (str(m.query_id), str(m.measure)): m.value
        for m in ir_measures.pytrec_eval.iter_calc(list(measures.values()), qrels, scored)
    }
    run = {
        query_id: sorted(sorted(of_query, reverse=True), key=lambda unit: -of_query[unit])
        for query_id, of_query in scored.items()
    }
    ours = reference(qrels, run)
    for name in measures:
        for query_id in qrels:
            assert abs(direct[query_id, name] - ours[name][query_id]) <= 1e-9


def test_a_question_without_results_counts_zero_and_stays_in_the_denominator() -> None:
    """Guards against a system that looks better by answering fewer questions."""
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}, "q4": {"d": 1}}
    for compute in (per_query, reference):
        values = compute(qrels, {"q1": ["a"], "q2": [], "not judged": ["a"]})
        for name in MEASURES:
            assert mean(values[name]) == pytest.approx(0.25)


def test_the_order_given_is_the_order_measured() -> None:
    """Guards against the library's own tie rule deciding who comes first."""
    qrels = {"q": {"a": 1}}
    for order, expected in ((["a", "b"], 1.0), (["b", "a"], 1 / np.log2(3))):
        assert per_query(qrels, {"q": order})["nDCG@10"]["q"] == pytest.approx(expected, abs=1e-12)


def test_the_cutoffs_cut() -> None:
    """Guards against MRR@10 looking at place 11, or R@100 at place 101."""
    order = [f"x{n}" for n in range(10)] + ["late"] + [f"y{n}" for n in range(89)] + ["last"]
    for compute in (per_query, reference):
        values = compute({"q": {"late": 1, "last": 1}}, {"q": order})
        assert values["MRR@10"]["q"] == 0.0
        assert values["nDCG@10"]["q"] == 0.0
        assert values["R@100"]["q"] == 0.5
