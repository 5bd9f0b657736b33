"""Knowing that the answer is not there: the measure, and the fit of the model that knows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evals.answerable import (
    Asked,
    answerability,
    auroc,
    calibration,
    collect,
    family_of,
    measure,
    refused_at,
    report_text,
    report_values,
)
from evals.dataset import Query, Split
from evals.fitting.answerable import (
    fit_logistic,
    fit_model,
    main,
    read_signals_file,
    save_signals,
    write_models,
)
from ragjp.config import EncoderChoice, Recipe
from ragjp.engine import Engine
from ragjp.jobs.build import build
from ragjp.jobs.sources import CorpusSource
from ragjp.retrieval.confidence import SIGNALS, model_of
from ragjp.types import View

EVERYONE = View.of("everyone")


def drawn(n: int, seed: int = 1) -> list[Asked]:
    """Questions whose best passage has signals that tell, three passages each; the last three signals are noise."""
    rng = np.random.default_rng(seed)

    def side(shift: float) -> NDArray[np.float64]:
        signals = rng.normal(0, 0.1, size=(3, len(SIGNALS)))
        signals[rng.integers(3), :3] += shift + rng.normal(0, 0.1)
        return signals

    return [Asked(f"q{i}", f"f{i // 3}", side(0.4), side(0.2), 2.0, 1.0) for i in range(n)]


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    yes, no = np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0])
    pairs = [(a > b) + 0.5 * (a == b) for a in yes for b in no]
    assert auroc(yes, no) == pytest.approx(np.mean(pairs))
    assert auroc(np.array([]), no) == 0.5


def test_refusals_are_counted_where_enough_is_kept() -> None:
    """Guards against a threshold that keeps one question too few."""
    yes, no = np.arange(100.0), np.arange(100.0) - 50
    assert refused_at(yes, no, keep=0.95) == pytest.approx((no < 5).mean())
    assert (yes >= 5).mean() == 0.95
    assert refused_at(yes, no, keep=1.0) == pytest.approx((no < 0).mean())


def test_calibration_is_0_for_the_truth_and_not_for_the_overconfident() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 40_000)
    is_yes = rng.random(40_000) < 1 / (1 + np.exp(-logits))
    right, bins = calibration(logits[is_yes], logits[~is_yes])
    wrong, _ = calibration(3 * logits[is_yes], 3 * logits[~is_yes])
    assert right < 0.01 < 0.05 < wrong
    assert sum(one.n for one in bins) == 40_000


def test_the_fit_is_the_minimum_under_weights_of_at_least_0() -> None:
    """Guards against a solver that stops short: no small step that the bounds allow makes the loss less."""
    rng = np.random.default_rng(3)
    signals = rng.normal(size=(400, 3))
    truth = (signals @ [1.5, 0.5, -1.0] + rng.logistic(size=400) > 0.3).astype(np.float64)

    def loss(at: NDArray[np.float64]) -> float:
        logits = signals @ at[:3] + at[3]
        fit = np.logaddexp(0, -logits * (2 * truth - 1)).mean()
        return float(fit + 0.5e-3 * (at[:3] ** 2).sum())

    found = fit_logistic(signals, truth)
    assert found[0] > found[1] > 0 == found[2]
    for place in range(4):
        for step in (-0.01, 0.01):
            moved = found.copy()
            moved[place] += step
            if place == 3 or moved[place] >= 0:
                assert loss(moved) > loss(found)


def test_a_fitted_model_is_calibrated_on_questions_it_has_not_seen() -> None:
    model = fit_model(drawn(600), "lexical")
    report = measure(drawn(600, seed=9), model, keep=0.9, hide="file")
    assert report.ece < 0.05
    assert report.kept_as_set.value == pytest.approx(0.9, abs=0.04)
    assert report.auroc.low < report.auroc.value < report.auroc.high
    assert report.auroc.value > 0.85
    assert report.bm25_auroc.value == 1.0
    assert "AUROC" in report_text(report)
    json.dumps(report_values(report))


def test_models_and_signals_survive_their_files(tmp_path: Path) -> None:
    """Guards against a fit that loses the model of another encoder, or that cannot be read by who answers."""
    asked = drawn(60)
    save_signals(tmp_path / "signals.npz", asked)
    again = read_signals_file(tmp_path / "signals.npz")
    assert [one.query_id for one in again] == [one.query_id for one in asked]
    np.testing.assert_array_equal(again[5].hidden, asked[5].hidden)
    models = {"lexical": fit_model(asked, "lexical"), "dense": fit_model(asked, "dense")}
    for encoder in ("first", "second"):
        write_models(tmp_path / "c.json", encoder, models, {"dataset": "drawn"})
    written = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["encoders"]
    assert set(written) == {"*", "first", "second"}
    assert model_of(written["second"]["dense"]) == models["dense"]


def test_what_is_hidden_together() -> None:
    assert family_of(("a.pdf#p3", "題"), "file") == "a.pdf"
    assert family_of(("a.pdf#p3", "題"), "document") == "a.pdf#p3"
    assert family_of(("a.pdf#p3", "題"), "title") == "題"
    assert family_of(("a.pdf#p3", ""), "title") == "a.pdf"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Split]:
    """Forty notices of two pages each as a corpus, and a question on each notice."""
    base = tmp_path_factory.mktemp("answerable")
    things = "空調 印刷機 会議室 社用車 名札 携帯電話 倉庫 制服 食堂 駐輪場 掲示板 金庫 書庫 受付 玄関 屋上 工具 薬品 台車 梯子".split()
    lines, queries, qrels = [], [], {}
    for number, thing in enumerate(things):
        for page in (1, 2):
            text = f"{thing}の管理責任者は第{number + page}課の者とする。{thing}の点検は{number + 1}か月ごとに行う。"
            lines.append({"_id": f"{number}.pdf#p{page}", "title": "", "text": text})
        queries.append(Query(f"q{number}", f"{thing}の点検は何か月ごとですか"))
        qrels[f"q{number}"] = {f"{number}.pdf#p1": 1}
    corpus = base / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8"
    )
    recipe = Recipe(name="x", encoder=EncoderChoice(model="hashing"))
    build(recipe, base=base, into=base / "x", sources=[CorpusSource(corpus)])
    return base / "x", Split("notices", "train", "document", tuple(queries), qrels, "")


def test_hiding_the_file_hides_its_other_pages(measured: tuple[Path, Split]) -> None:
    """Guards against an answer left on the next page: hiding a page alone must leave more than hiding its file."""
    index, split = measured
    with Engine.open(index) as engine:
        file = collect(split, split.queries, engine, view=EVERYONE, hide="file")
        page = collect(split, split.queries, engine, view=EVERYONE, hide="document")
        report = answerability(split, engine, view=EVERYONE, hide="file")
    assert len(file) == len(split.queries)
    covered = SIGNALS.index("covered")
    for one, other in zip(file, page, strict=True):
        assert one.hidden[:, covered].max() < other.hidden[:, covered].max()
        np.testing.assert_array_equal(one.visible, other.visible)
    assert report.n_questions == 20
    assert report.auroc.value == 1.0


def test_splits_for_measuring_are_not_fitted_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Guards against tuning on what is measured."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq\td\t1\n", encoding="utf-8"
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "問"}\n', encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "d", "title": "", "text": "文"}\n', encoding="utf-8"
    )
    assert main([str(tmp_path), "--split", "test"]) == 1
    assert "test" in capsys.readouterr().err
