"""Conditions as files: what they may say, what they refuse, and how a run is judged by them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from evals.conditions.__main__ import chosen, main
from evals.conditions.reading import ConditionError, NamedCondition, load_condition, load_conditions
from evals.conditions.running import judge
from evals.conditions.updating import update
from evals.dataset import Query, Split
from evals.gate import read
from evals.latency import Latency
from evals.measures import MEASURES, mean, per_query
from evals.runner import ConditionResult, EvaluationReport

pytest.importorskip("ir_measures", reason="the eval extra is not installed")

N = 60
TEXT = """\
# why this condition is here
dataset = "evals/data/gate"
split = "test"
tolerance = 0.01

[overrides.encoder]
model = "hashing"

[rankings.bm25]
"nDCG@10" = 0.5  # of the first run

[rankings.reranked]
"nDCG@10" = 0.9
"R@1" = 0.9

[beats]
reranked = ["bm25"]
"""


def condition(folder: Path, text: str = TEXT, name: str = "one") -> NamedCondition:
    path = folder / f"{name}.toml"
    path.write_text(text, "utf-8")
    return load_condition(path)


def report(first: Mapping[str, int]) -> EvaluationReport:
    """A run of N questions whose gold is first for so many of them and second for the rest, by ranking."""
    queries = tuple(Query(f"q{i:02d}", f"質問{i}") for i in range(N))
    qrels = {query.query_id: {"gold": 1} for query in queries}
    rows = []
    for name, n in first.items():
        run = {q.query_id: ("gold", "x") if i < n else ("x", "gold") for i, q in enumerate(queries)}
        values = per_query(qrels, run)
        means = {measure: mean(values[measure]) for measure in MEASURES}
        rows.append(ConditionResult(name, means, (), Latency(0, 0, {}), 2.0, values, ()))
    split = Split("gate", "test", "document", queries, qrels, "ab" * 32)
    return EvaluationReport(split, {}, 2, 2, 100, tuple(rows), (), None, {})


def test_a_condition_is_read_with_its_recipe(tmp_path: Path) -> None:
    """Guards against overrides that are read and not used, and against a recipe that loses what was not overridden."""
    found = condition(tmp_path)
    assert found.recipe.encoder.model == "hashing"
    assert found.recipe.name == "gate"
    demo = condition(tmp_path, TEXT.replace("split =", 'recipe = "indexes/demo.toml"\nsplit ='))
    assert demo.recipe.encoder.model == "hashing"
    assert demo.recipe.encoder.device == "cpu"
    assert demo.recipe.sources
    assert demo.base.name == "indexes"
    benchmark = condition(tmp_path, TEXT.replace("evals/data/gate", "$RAGJP_DATA/gate"))
    assert benchmark.dataset(tmp_path) == tmp_path / "gate"
    with pytest.raises(ConditionError, match="--data"):
        benchmark.dataset(None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tolerance = 0.01", "", "「tolerance」が正しくありません（書かれていません）"),
        (
            "tolerance = 0.01",
            "tolerance = 0",
            "「tolerance」が正しくありません（0 より大きくありません）",
        ),
        ("tolerance", "tolerence", "（知らない項目です）|（書かれていません）"),
        ('"R@1" = 0.9', '"R@3" = 0.9', "使えない名前です"),
        (
            '"R@1" = 0.9',
            '"R@1" = 90',
            "「rankings.reranked.R@1」が正しくありません（1 以下ではありません）",
        ),
        ("[rankings.bm25]", "[rankings.tfidf]", "使えない名前です"),
        ('["bm25"]', '["dense"]', "dense が .rankings. にありません"),
        ('["bm25"]', '["bm26"]', "使えない名前です"),
        ('model = "hashing"', "modell = 1", "overrides か recipe: .*encoder.modell"),
        ("[beats]", "[beats", "TOML として読めません"),
        ('split = "test"', "split = 1", "「split」が正しくありません（文字列ではありません）"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    """Guards against a misspelt key that switches a check off, and against tracebacks for those who edit the files."""
    assert old in TEXT
    with pytest.raises(ConditionError, match=said) as found:
        condition(tmp_path, TEXT.replace(old, new))
    assert "one.toml" in found.value.sentence


def test_rivals_elsewhere_must_be_there_and_about_the_same_questions(tmp_path: Path) -> None:
    """Guards against 'better than the untrained one' compared with nothing, or on other questions."""
    condition(tmp_path, TEXT.replace('["bm25"]', '["bm25", "two:reranked"]'))
    with pytest.raises(ConditionError, match="「two」がありません"):
        load_conditions(tmp_path)
    condition(tmp_path, TEXT.replace('"test"', '"dev"'), "two")
    with pytest.raises(ConditionError, match="別の質問"):
        load_conditions(tmp_path)
    condition(tmp_path, TEXT, "two")
    found = load_conditions(tmp_path)
    assert [c.name for c in chosen(found, ["one"], False)] == ["two", "one"]
    with pytest.raises(ConditionError, match="one、two"):
        chosen(found, ["three"], False)


def test_a_run_that_holds_has_no_problems(tmp_path: Path) -> None:
    """Guards against a judge that nothing satisfies."""
    holds = report({"bm25": 5, "reranked": 55})
    assert judge(condition(tmp_path), holds, {}).problems == ()


def test_below_the_expectation_by_more_than_the_tolerance_is_a_problem(tmp_path: Path) -> None:
    """Guards against expectations nobody holds a run against; above them is a note, not a failure."""
    told = judge(condition(tmp_path), report({"bm25": 0, "reranked": 48}), {})
    assert len(told.problems) == 1
    assert (
        "融合＋再順位付けの R@1 は 0.8000 で、期待する 0.9000（許容 0.01）を下回ります"
        in told.problems[0]
    )
    assert any("BM25 のみの nDCG@10 は 0.6309" in note for note in told.notes)


def test_what_must_be_beaten_must_be_beaten_significantly(tmp_path: Path) -> None:
    """Guards against 'better' by two questions of sixty, here and against another condition."""
    lucky = judge(condition(tmp_path), report({"bm25": 55, "reranked": 57}), {})
    assert len(lucky.problems) == 1
    assert "BM25 のみを nDCG@10 で有意に上回りません（差 +0.0123" in lucky.problems[0]
    other = condition(tmp_path, TEXT.replace('["bm25"]', '["bm25", "two:reranked"]'))
    ours = report({"bm25": 5, "reranked": 55})
    assert judge(other, ours, {"two": report({"reranked": 30})}).problems == ()
    (problem,) = judge(other, ours, {"two": ours}).problems
    assert "条件「two」の融合＋再順位付けを" in problem


def test_a_broken_never_worse_is_a_problem_only_where_it_was_promised(tmp_path: Path) -> None:
    """Guards against a promise that is printed and not kept."""
    falls = {"bm25": 60, "dense": 0, "fused": 50, "reranked": 60}
    text = TEXT.replace("[beats]\n", "").replace('reranked = ["bm25"]\n', "")
    assert judge(condition(tmp_path, text), report(falls), {}).problems == ()
    promised = text.replace("tolerance", "never_worse = true\ntolerance", 1)
    problems = judge(condition(tmp_path, promised), report(falls), {}).problems
    assert "破れています" in problems[0]


def test_the_gate_of_a_baseline_is_part_of_the_judgement(tmp_path: Path) -> None:
    """Guards against a baseline that is named and never opened; updating makes it, keeps its tolerance, and keeps the comments."""
    path = tmp_path / "kept.json"
    text = TEXT.replace("[beats]\n", "").replace('reranked = ["bm25"]\n', "")
    gated = condition(tmp_path, text.replace("tolerance", f'baseline = "{path}"\ntolerance', 1))
    update(gated, report({"bm25": 50, "reranked": 60}))
    path.write_text(path.read_text("utf-8").replace('"tolerance": 0.005', '"tolerance": 0.02'))
    written = gated.path.read_text("utf-8")
    assert '"nDCG@10" = 0.9385  # of the first run' in written
    assert '"R@1" = 1.0000' in written
    assert written.startswith("# why this condition is here\n")
    again = load_condition(gated.path)
    assert judge(again, report({"bm25": 50, "reranked": 60}), {}).problems == ()
    fallen = judge(again, report({"bm25": 50, "reranked": 40}), {}).problems
    assert any("基準との比較: 不合格" in problem for problem in fallen)
    update(again, report({"bm25": 50, "reranked": 40}))
    assert read(path).tolerance == 0.02
    assert np.mean(read(path).kept.scores["reranked", "R@1"]) == pytest.approx(40 / 60)


def test_every_committed_condition_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against a file that only fails on the day somebody measures."""
    found = load_conditions()
    assert {"gate", "gate-hashing", "demo-test", "jaquad-dev", "jsquad-valid"} <= set(found)
    for one in found.values():
        assert one.file.is_benchmark or one.dataset(None).is_dir()
    assert main(["no-such-condition"]) == 2
    assert "条件「no-such-condition」はありません" in capsys.readouterr().err
