import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evals.command import add_arguments, run
from evals.dataset import DatasetError, open_dataset
from evals.exchange.formats import read_collection, write_collection
from evals.indexes import index_name
from evals.provenance import commit
from ragjp.config import Recipe, cache_folder
from ragjp.errors import MissingExtra, RequestError

CORPUS = {
    "休暇": "年次有給休暇は、入社から六か月の継続勤務の後に十日を与える。",
    "旅費": "出張の日当は一日につき二千五百円とし、宿泊費は実費を払う。",
    "情報": "パスワードは十二文字以上とし、他人に教えてはならない。",
    "慶弔": "結婚した社員には、祝金として三万円を贈る。",
}
QUESTIONS = {
    "旅費": "出張の日当はいくらですか",
    "休暇": "有給休暇は何日もらえますか",
    "慶弔": "結婚の祝金はいくらですか",
}
RECIPE = 'name = "toy"\n[encoder]\nmodel = "hashing"\n'


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A BEIR folder of four passages and three questions, and a cache folder of its own."""
    monkeypatch.setenv("RAGJP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "toy"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": key, "title": key, "text": text} for key, text in CORPUS.items()]
    queries = [
        {"_id": f"q-{key}", "text": text, "metadata": {"answers": [], "kind": "条文"}}
        for key, text in QUESTIONS.items()
    ]
    queries.append({"_id": "q-none", "text": "社長の犬の名前は", "metadata": {"answerable": False}})
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    rows = "".join(f"q-{key}\t{key}\t1\n" for key in QUESTIONS)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}", "utf-8")
    (tmp_path / "toy.toml").write_text(RECIPE, encoding="utf-8")
    return folder


def evaluate(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(arguments)))


def test_a_corpus_is_indexed_measured_and_reported(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against the whole way from a BEIR folder to a report, and against building twice."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    report = tmp_path / "report.json"
    pages = tmp_path / "report.html"
    options = ["--recipe", str(tmp_path / "toy.toml"), "--json", str(report), "--html", str(pages)]
    assert evaluate(str(toy), *options, "--answers") == 0
    values = json.loads(report.read_text("utf-8"))
    assert (values["n_queries"], values["n_unanswerable"], values["n_documents"]) == (3, 1, 4)
    rows = {row["condition"]: row["measures"] for row in values["conditions"]}
    assert list(rows) == ["bm25", "dense", "fused", "reranked"]
    assert rows["bm25"]["R@1"] == 1.0
    assert values["conditions"][0]["slices"][0]["value"] == "条文"
    assert values["answers"]["n_unanswerable"] == 1
    assert values["answers"]["n_verbatim"] == values["answers"]["n_citations"] > 0
    lines = (tmp_path / "report.queries.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 3 * 4 + 4
    assert "融合＋再順位付け" in capsys.readouterr().out
    hard = json.loads((tmp_path / "report.hardest.json").read_text("utf-8"))
    assert hard["ranking"] == "reranked"
    assert all(
        CORPUS[gold["unit"]] == gold["beginning"] for q in hard["questions"] for gold in q["gold"]
    )
    assert "段ごとの成績" in pages.read_text("utf-8")
    (built,) = (
        folder for folder in (cache_folder() / "evals").iterdir() if folder.name != "results"
    )
    before = {path: path.stat().st_mtime_ns for path in built.rglob("segments/*")}
    assert before
    assert evaluate(str(toy), *options) == 0
    assert {path: path.stat().st_mtime_ns for path in built.rglob("segments/*")} == before


def test_a_run_is_kept_and_held_against(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against a gate that a rerun does not pass, and one that compares with scores on other questions."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    options = [str(toy), "--recipe", str(tmp_path / "toy.toml")]
    kept = tmp_path / "baseline.json"
    assert evaluate(*options, "--write-baseline", str(kept)) == 0
    assert evaluate(*options, "--gate", str(kept)) == 0
    assert "基準との比較: 合格。7 の指標に、有意な低下はありません。" in capsys.readouterr().out
    with pytest.raises(RequestError) as refused:
        evaluate(*options, "--limit", "2", "--gate", str(kept))
    assert refused.value.code == "baseline_other_questions"
    (toy / "qrels" / "test.tsv").write_text("q-旅費\t休暇\t1\n", "utf-8")
    with pytest.raises(RequestError) as refused:
        evaluate(*options, "--gate", str(kept))
    assert refused.value.code == "baseline_other_data"


def test_a_result_says_what_it_is_of(toy: Path, tmp_path: Path) -> None:
    """Guards against a figure that cannot be traced: commit, data, recipe, versions, and the measures of each stage."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    report = tmp_path / "r.json"
    assert evaluate(str(toy), "--recipe", str(tmp_path / "toy.toml"), "--json", str(report)) == 0
    values = json.loads(report.read_text("utf-8"))
    assert values["commit"] == commit()
    assert len(values["data_sha256"]) == 64
    assert values["recipe"]["encoder"]["model"] == "hashing"
    assert set(values["stages"]["candidates"]) == {"R@100"}
    assert set(values["stages"]["rerank"]) == {"nDCG@10", "R@1", "R@5", "R@10", "MRR@10"}
    assert [row["group"] for row in values["never_worse_by_slice"]["rows"]] == ["全体"] * 3
    named = cache_folder() / "evals" / "results" / f"toy-test@{commit()}.json"
    assert json.loads(named.read_text("utf-8")) == values


def test_a_commit_is_named_where_there_is_a_repository(root: Path, tmp_path: Path) -> None:
    """Guards against results without a name in an archive of the sources, and against calling a changed program by its commit."""
    assert commit(tmp_path) == "unknown"
    assert re.fullmatch(r"unknown|[0-9a-f]{7,}(-dirty)?", commit(root))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    (tmp_path / "program.py").write_text("1\n", "utf-8")
    for step in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *step], check=True)
    clean = commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{7,}", clean)
    (tmp_path / "program.py").write_text("2\n", "utf-8")
    assert commit(tmp_path) == f"{clean}-dirty"


def test_the_run_that_is_written_scores_what_we_say(toy: Path, tmp_path: Path) -> None:
    """Guards against an outsider who measures our run with ir-measures and finds other figures."""
    ir_measures = pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    run, report = tmp_path / "run.trec", tmp_path / "report.json"
    options = ["--recipe", str(tmp_path / "toy.toml"), "--json", str(report)]
    assert evaluate(str(toy), *options, "--run-out", str(run)) == 0
    write_collection(read_collection(toy, "beir"), tmp_path / "trec", "trec")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "trec" / "qrels.test.txt")))
    found = list(ir_measures.read_trec_run(str(run)))
    assert len(qrels) == 3
    assert len({line.query_id for line in found}) == 3
    measured = ir_measures.pytrec_eval.calc_aggregate(
        [ir_measures.nDCG @ 10, ir_measures.R @ 1, ir_measures.R @ 5], qrels, found
    )
    (ours,) = (
        row["measures"]
        for row in json.loads(report.read_text("utf-8"))["conditions"]
        if row["condition"] == "reranked"
    )
    assert {str(name): value for name, value in measured.items()} == pytest.approx(
        {name: ours[name] for name in ("nDCG@10", "R@1", "R@5")}, abs=1e-5
    )


def test_weights_are_tried_on_the_same_index_and_chunks_are_not(toy: Path) -> None:
    """Guards against an old index measured under a new name, and against rebuilding for a weight."""
    corpus = toy / "corpus.jsonl"
    base = Recipe(name="one")

    def name(**stages: object) -> str:
        return index_name("toy", corpus, Recipe.model_validate({"name": "two", **stages}))

    same = index_name("toy", corpus, base)
    assert name() == name(retrieval={"dense_weight": 0.9}) == name(rerank={"depth": 3}) == same
    assert name(encoder={"batch_size": 4, "device": "cpu"}) == same
    assert name(encoder={"model": "hashing"}) != same
    assert name(chunks={"target_chars": 100}) != same
    corpus.write_text(corpus.read_text("utf-8") + '{"_id": "x", "text": "あ"}\n', "utf-8")
    assert name() != same


def test_without_a_corpus_the_index_must_be_named(toy: Path) -> None:
    """Guards against a default index measured by accident."""
    (toy / "corpus.jsonl").unlink()
    rows = "query-id\tcorpus-id\tscore\nq-旅費\t旅費.md#p1\t1\n"
    (toy / "qrels" / "test.tsv").write_text(rows, "utf-8")
    assert open_dataset(toy).unit == "page"
    with pytest.raises(DatasetError, match="--recipe"):
        evaluate(str(toy))


def test_fitting_prints_a_recipe_and_refuses_what_is_measured(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against weights tuned on the test questions from the command line."""
    from evals.fitting.weights import main

    options = [str(toy), "--recipe", str(tmp_path / "toy.toml")]
    assert main(options) == 2
    assert "学習には使えません" in capsys.readouterr().err
    (toy / "qrels" / "test.tsv").rename(toy / "qrels" / "train.tsv")
    assert main([*options, "--sample", "3"]) == 2
    assert "--all" in capsys.readouterr().err
    assert main([*options, "--sample", "3", "--all"]) == 0
    printed = capsys.readouterr().out
    assert "質問 3 件" in printed
    assert printed.count("dense_weight = ") == 6


def test_a_missing_extra_is_said_before_any_work(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be said after every question had been searched."""
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtra, match="eval"):
        evaluate(str(toy), "--recipe", str(toy.parent / "toy.toml"))
    assert not (cache_folder() / "evals").exists()


def test_importing_evals_is_light() -> None:
    """Guards against `ragjp eval --help`, and a test run's collection, paying for engines and models."""
    heavy = (
        "faiss",
        "torch",
        "onnxruntime",
        "fugashi",
        "langchain_core",
        "streamlit",
        "ir_measures",
    )
    modules = [
        f"evals.{path.stem}" for path in Path("evals").glob("*.py") if path.stem != "__init__"
    ]
    assert "evals.runner" in modules
    lines = [
        *(f"import {name}" for name in modules),
        f"print([m for m in {heavy} if m in sys.modules])",
    ]
    program = "import sys\n" + "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
