"""Kept features give the scores of the product, and the made corpus is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evals.dataset import Query, Split, open_dataset
from evals.fitting.features import collect, joined
from evals.fitting.study import Features, Product, compared
from evals.fitting.study_corpus import make
from evals.runner import EVERYONE
from ragjp.config import Recipe
from ragjp.engine import Engine
from ragjp.jobs.build import build

TOPICS = ["旅費", "休暇", "慶弔", "育児", "購買", "文書", "車両", "防災"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Split]:
    """A small index, features of a question about each topic, and the questions."""
    base = tmp_path_factory.mktemp("study")
    (base / "docs").mkdir()
    for number, topic in enumerate(TOPICS):
        other = TOPICS[(number + 1) % len(TOPICS)]
        text = f"{topic}の規程である。{other}については別に定める。第{number}条による。\n" * 9
        (base / "docs" / f"{topic}.txt").write_text(text, "utf-8")
    recipe = Recipe.model_validate(
        {
            "name": "small",
            "encoder": {"model": "hashing"},
            "sources": [{"path": "docs", "access": ["everyone"]}],
            "chunks": {"target_chars": 60, "max_chars": 90},
        }
    )
    build(recipe, base=base, into=base / "small")
    queries = tuple(Query(f"tr-{n:03d}-00-000", f"{t}の規程") for n, t in enumerate(TOPICS))
    qrels = {q.query_id: {f"{t}.txt#p1": 1} for q, t in zip(queries, TOPICS, strict=True)}
    split = Split("small", "train", "page", queries, qrels, "")
    with Engine.open(base / "small") as engine:
        assert collect(engine, split, queries, base / "features", until=float("inf")) == 0
    return base / "small", base / "features", split


def test_kept_features_give_the_scores_of_the_product(searched: tuple[Path, Path, Split]) -> None:
    """Guards against a formula chosen on other scores than those it will be used on."""
    index, folder, split = searched
    data = Features(folder)
    own = Product(data, "unit")
    rows = data.padded("row").astype(np.int64)
    with Engine.open(index) as engine:
        for number, query in enumerate(split.queries):
            question, _ = engine.question(query.text)
            _, found = engine.candidates(question, view=EVERYONE, depth=100)
            count = len(found.rows)
            assert rows[number, :count].tolist() == found.rows.tolist()
            assert np.allclose(own.bm25[number, :count], found.bm25, atol=1e-4)
            assert np.allclose(own.fused()[number, :count], found.fused, atol=1e-4)
    assert data.gold["unit"].any(axis=1).all()
    assert compared(data.outcome(own.bm25), data.outcome(own.bm25)).startswith("+0.00 (p 1.0000)")


def test_paragraphs_of_one_title_are_joined_and_pages_of_a_file_are_not() -> None:
    """Guards against pages that reach over two articles, or a file's pages taken for one."""
    pages, files = joined([("d1", "甲"), ("d1", "甲"), ("d2", "甲"), ("d3", "乙")])
    assert pages[0] == pages[1] == pages[2] != pages[3]
    assert files == ["甲", "甲", "甲", "乙"]
    assert joined([("a.pdf#p1", "表題 (p.1/2)"), ("a.pdf#p2", "表題 (p.2/2)")]) == (
        ["a.pdf#p1", "a.pdf#p2"],
        ["a.pdf", "a.pdf"],
    )


def test_the_made_corpus_holds_no_measured_article_and_asks_about_held_out_ones(
    tmp_path: Path,
) -> None:
    """Guards against formulas chosen on what is measured, and against gold pages that are not in the corpus."""
    source = tmp_path / "source"
    (source / "qrels").mkdir(parents=True)
    sentence = "この記事の第{n}段落は、川の流れと橋の歴史を述べ、長さは{n}メートルである。"
    rows = [
        {"_id": f"d{n:03d}", "title": f"記事{n // 4}", "text": sentence.format(n=n) * 6}
        for n in range(400)
    ]
    (source / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    questions = [{"_id": f"tr-{n // 4:03d}-{n % 4:02d}-000", "text": f"{n}？"} for n in range(400)]
    (source / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)), "utf-8")
    for name, of in (("dev", range(40)), ("train", range(40, 400))):
        lines = [f"{questions[n]['_id']}\td{n:03d}\t1" for n in of]
        header = "query-id\tcorpus-id\tscore\n"
        (source / "qrels" / f"{name}.tsv").write_text(header + "\n".join(lines), "utf-8")
    for target in ("one", "again"):
        make(source, tmp_path / target, n_files=3, n_questions=50, seed=1)
    made = open_dataset(tmp_path / "one").read("train")
    text = (tmp_path / "one" / "corpus.jsonl").read_text("utf-8")
    assert text == (tmp_path / "again" / "corpus.jsonl").read_text("utf-8")
    titles = {json.loads(line)["title"].rpartition("等に")[0] for line in text.splitlines()}
    assert titles.isdisjoint(f"記事{n}" for n in range(10))
    assert made.queries
    assert all(int(query.query_id[3:6]) >= 10 for query in made.queries)
