from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.dataset import DatasetError, Query, Split
from evals.fitting.component_scores import ComponentScores, Judged, Weights, collect
from evals.fitting.weights import (
    as_toml,
    beside_parents,
    search,
    training_sample,
    value_of,
    weights_of,
)
from evals.measures import ndcg, rank
from evals.runner import EVERYONE, evaluate
from ragjp.config import Recipe, Reranking
from ragjp.index.tokens.store import TokenStore, quantise
from ragjp.rerank.late_interaction import rerank
from ragjp.retrieval.fusion import fuse

WIDTH = 12
share = st.sampled_from([0.0, 0.2, 0.5, 0.85, 1.0])


def random_scores(rng: np.random.Generator, counts: list[int]) -> ComponentScores:
    """Candidates with random scores, four chunks to a unit at most, one or two units judged."""
    shape = (len(counts), WIDTH)
    valid = np.arange(WIDTH)[None, :] < np.array(counts)[:, None]
    parts = np.where(valid, rng.random((4, *shape)), 0.0)
    unit = np.zeros(shape, dtype=np.int64)
    rows = []
    for number, count in enumerate(counts):
        named = rng.integers(0, 3, count)
        unit[number, :count] = np.unique(named, return_inverse=True)[1]
        rows += [(number, 0 if count else -1, 2), (number, -1, 1)]
    table = np.array(rows, dtype=np.int64)
    ideal = np.full(len(counts), 2 / np.log2(2) + 1 / np.log2(3))
    judged = Judged(table[:, 0], table[:, 1], table[:, 2].astype(np.float64), ideal)
    return ComponentScores(*parts, valid, unit, judged)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(0, WIDTH), min_size=1, max_size=4),
       bigram=share, dense=share, maxsim=share, final=share, depth=st.integers(1, 15))  # fmt: skip
def test_many_questions_at_once_are_fused_and_reranked_as_the_product_does(
    seed: int,
    counts: list[int],
    bigram: float,
    dense: float,
    maxsim: float,
    final: float,
    depth: int,
) -> None:
    """Guards against weights fitted for another formula than the one that is searched with."""
    scores = random_scores(np.random.default_rng(seed), counts)
    weights = Weights(bigram, dense, maxsim, final)
    fused, reranked = scores.fused(weights), scores.reranked(weights, depth)
    for number, count in enumerate(counts):
        bm25 = (1 - bigram) * scores.lemma[number, :count] + bigram * scores.bigram[number, :count]
        expected = fuse(
            bm25.astype(np.float32), scores.dense[number, :count].astype(np.float32), dense
        )
        assert np.allclose(fused[number, :count], expected, atol=1e-5)
        assert np.all(np.isneginf(fused[number, count:]))
        assert np.all(np.isneginf(reranked[number, count:]))
        head = np.argsort(-fused[number, :count], kind="stable")[:depth]
        tail = np.setdiff1d(np.arange(count), head)
        if len(head) and len(tail):
            assert reranked[number, head].min() > reranked[number, tail].max()


def test_reranking_gives_the_scores_of_the_product() -> None:
    """Guards against a mix of the two scores other than that of ragjp.rerank."""
    rng = np.random.default_rng(3)
    scores = random_scores(rng, [WIDTH])
    tokens = rng.standard_normal((WIDTH, 8)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    store = TokenStore([quantise(tokens, np.arange(WIDTH + 1))])
    weights = Weights(0.4, 0.3, 0.6, 0.1)
    fused = scores.fused(weights)[0].astype(np.float32)
    order = np.argsort(-fused, kind="stable")
    bm25 = (0.6 * scores.lemma + 0.4 * scores.bigram)[0].astype(np.float32)
    first_stage = fuse(bm25, scores.dense[0].astype(np.float32), 0.1)
    chosen = Reranking(depth=7, maxsim_weight=0.6, dense_weight=0.1)
    done = rerank(fused[order], first_stage[order], order, tokens[:2], store, chosen)
    scores.maxsim[0, order] = np.nan_to_num(done.maxsim)
    ours = scores.reranked(weights, 7)[0]
    assert np.array_equal(np.argsort(-ours, kind="stable"), order[done.order])
    head = order[done.order][:7]
    assert np.allclose(ours[head], done.scores[:7], atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(0, WIDTH), min_size=1, max_size=4))
def test_the_value_is_ndcg_of_the_folded_units(seed: int, counts: list[int]) -> None:
    """Guards against a search that climbs another measure than the one reported."""
    scores = random_scores(np.random.default_rng(seed), counts)
    fused = scores.fused(Weights(0.5, 0.5, 0.5, 0.5))
    expected = []
    for number, count in enumerate(counts):
        units: dict[str, float] = {}
        for place in range(count):
            name = str(scores.unit[number, place])
            units[name] = max(units.get(name, -np.inf), float(fused[number, place]))
        expected.append(ndcg(rank(units), {"0" if count else "none": 2, "absent": 1}, 10))
    assert scores.ndcg(fused) == pytest.approx(np.mean(expected), abs=1e-12)


def test_the_search_finds_a_smooth_maximum_and_leaves_what_is_held() -> None:
    """Guards against a search that stops on the grid, or moves a weight that does not matter."""

    def value(weights: Weights) -> float:
        return -((weights.bigram - 0.45) ** 2) - (weights.dense - 0.325) ** 2

    best = search(value, {"maxsim": 0.5, "final_dense": 0.5})
    assert best.bigram == pytest.approx(0.45, abs=0.0126)
    assert best.dense == pytest.approx(0.325, abs=0.0126)
    assert best.maxsim == 0.5
    assert search(lambda _: 1.0, {}) == Weights(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["dev", "valid", "validation", "test", "measured"])
def test_splits_to_measure_on_are_refused(name: str) -> None:
    """Guards against tuning on the questions that are reported."""
    split = Split("set", name, "document", (Query("q", "質問"),), {"q": {"a": 1}}, "")
    with pytest.raises(DatasetError, match="学習には使えません"):
        training_sample(split, 10, 1)


def test_the_sample_is_drawn_without_repetition_and_stays_the_same() -> None:
    """Guards against figures that nobody can get again."""
    queries = (*(Query(f"q{n}", "質問") for n in range(50)), Query("no", "？", answerable=False))
    split = Split("set", "train", "document", queries, {}, "")
    first, again = training_sample(split, 20, 7), training_sample(split, 20, 7)
    assert first == again
    assert len({query.query_id for query in first}) == 20
    assert training_sample(split, 20, 8) != first
    assert len(training_sample(split, 500, 7)) == 50


def test_the_weights_of_a_recipe_go_out_and_in_again() -> None:
    """Guards against printed weights that a recipe reads as others."""
    import tomllib

    weights = Weights(0.4, 0.35, 0.6, 0.15)
    recipe = Recipe.model_validate({"name": "r", **tomllib.loads(as_toml(weights))})
    assert weights_of(recipe) == weights


def test_collected_scores_measure_as_the_engine_does(tmp_path: Path) -> None:
    """Guards against weights fitted on other candidates or units than the evaluation sees."""
    pytest.importorskip("ir_measures", reason="the eval extra is not installed")
    from ragjp.engine import Engine
    from ragjp.jobs.build import build

    topics = ["旅費", "休暇", "慶弔", "育児", "購買", "文書", "車両", "防災"]
    (tmp_path / "docs").mkdir()
    for number, topic in enumerate(topics):
        other = topics[(number + 1) % len(topics)]
        text = f"{topic}の規程である。{other}については別に定める。第{number}条による。\n" * 12
        (tmp_path / "docs" / f"{topic}.txt").write_text(text, "utf-8")
    recipe = Recipe.model_validate(
        {
            "name": "small",
            "encoder": {"model": "hashing"},
            "sources": [{"path": "docs", "access": ["everyone"]}],
            "chunks": {"target_chars": 60, "max_chars": 90},
            "rerank": {"depth": 9},
        }
    )
    build(recipe, base=tmp_path, into=tmp_path / "small")
    queries = tuple(Query(topic, f"{topic}について定める規程") for topic in topics)
    qrels = {topic: {f"{topic}.txt#p1": 1} for topic in topics}
    split = Split("small", "train", "page", queries, qrels, "")
    with Engine.open(tmp_path / "small") as engine:
        report = evaluate(split, engine, conditions=["fused", "reranked"])
        scores = collect(split, queries, engine, view=EVERYONE)
    now = weights_of(recipe)
    assert (scores.valid.sum(axis=1) > len(topics)).all()
    for row, objective in zip(report.conditions, ("fused", "reranked"), strict=True):
        found = value_of([scores], 9, objective, now)
        assert found == pytest.approx(row.measures["nDCG@10"], abs=1e-9)
        assert 0.0 < found


def test_a_sample_of_held_out_articles_holds_no_trained_question_and_few_of_one_article(
    tmp_path: Path,
) -> None:
    """Guards against constants fitted on what the encoder has learned by heart, or on one long article."""
    import json

    from evals.fitting.held_out import PER_ARTICLE, held_out_documents, held_out_sample

    rows = [{"_id": f"d{n}", "title": f"記事{n // 2}", "text": "本文"} for n in range(200)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    queries = [
        Query(f"tr-{n // 2:03d}-{n % 2:02d}-{m:03d}", "質問") for n in range(200) for m in range(20)
    ]
    qrels = {q.query_id: {f"d{place // 20}": 1} for place, q in enumerate(queries)}
    split = Split("set", "train", "document", tuple(queries), qrels, "")
    held = held_out_documents(tmp_path / "corpus.jsonl", split)
    assert 0 < len(set(held.values())) < 30
    assert {held[f"d{n ^ 1}"] for n in range(200) if f"d{n}" in held} == set(held.values())
    sample = held_out_sample(tmp_path / "corpus.jsonl", split, 5000, 1)
    assert all(set(qrels[query.query_id]) <= set(held) for query in sample)
    articles = [query.query_id[:6] for query in sample]
    assert {articles.count(name) for name in articles} == {PER_ARTICLE}


def test_a_fall_below_the_better_parent_is_printed_for_its_kind() -> None:
    """Guards against a mean over all questions that hides a slice where the fusion is worse."""
    scores = random_scores(np.random.default_rng(2), [WIDTH] * 120)
    scores.dense[:60] = -scores.lemma[:60]
    queries = [
        Query(f"q{n}", "質問", slices={"kind": "表" if n < 60 else "文"}) for n in range(120)
    ]
    lines = beside_parents(scores, queries, Weights(0.0, 0.9, 0.0, 0.0), 50)
    assert len(lines) == 3
    table = next(line for line in lines if "表（60 件）" in line)
    fused = scores.ndcg_each(scores.fused(Weights(0.0, 0.9, 0.0, 0.0)))[:60].mean()
    assert f"fused {fused:.4f}" in table
