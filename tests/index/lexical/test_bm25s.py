"""The lexical index against bm25s, an outside implementation of the same formula."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.postings import build_postings
from ragjp.index.lexical.search import LexicalIndex

#: Every test runs on all paths.
pytestmark = pytest.mark.usefixtures("path")


def test_rankings_equal_bm25s() -> None:
    """An outside implementation of the same formula gives the same rankings and scores."""
    bm25s = pytest.importorskip("bm25s", reason="bm25s is not installed")
    rng = np.random.default_rng(7)
    vocabulary = [f"語{number}" for number in range(300)]
    chances = 1 / np.arange(1, 301)
    rows = [
        [
            str(word)
            for word in rng.choice(vocabulary, size=rng.integers(3, 60), p=chances / chances.sum())
        ]
        for _ in range(700)
    ]
    questions = [[str(w) for w in rng.choice(vocabulary, size=6, replace=False)] for _ in range(30)]
    _compare_with(bm25s, rows, questions, Bm25(1.2, 0.6))


def _compare_with(
    bm25s: Any, rows: list[list[str]], questions: list[list[str]], constants: Bm25
) -> None:
    theirs = bm25s.BM25(k1=constants.k1, b=constants.b, method="lucene")
    theirs.index(rows, show_progress=False)
    index = LexicalIndex({"f": [build_postings(rows)]}, len(rows))
    view = index.view(np.ones(len(rows), dtype=bool))
    compared = 0
    for question in questions:
        known = list(dict.fromkeys(word for word in question if word in theirs.vocab_dict))
        if not known:
            continue
        expected = theirs.get_scores(known)
        own = index.scores({"f": known}, {"f": 1.0}, view, constants, np.arange(len(rows)))
        np.testing.assert_allclose(own.total, expected, rtol=1e-5, atol=1e-7)
        found, scores = index.search({"f": known}, {"f": 1.0}, view, constants, 20)
        np.testing.assert_allclose(scores, expected[found], rtol=1e-5)
        np.testing.assert_allclose(
            scores[:20], np.sort(expected)[::-1][: len(scores[:20])], rtol=1e-5
        )
        compared += len(found)
    assert compared > 20


@pytest.mark.data
def test_rankings_equal_bm25s_on_japanese_passages() -> None:
    bm25s = pytest.importorskip("bm25s", reason="bm25s is not installed")
    folder = Path(os.environ.get("RAGJP_DATA", "../shared/data")) / "jsquad"
    if not (folder / "corpus.jsonl").is_file():
        pytest.skip(f"no jsquad in {folder}")
    from ragjp.japanese.terms import Analyzer

    analyzer = Analyzer()
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines[:400]]
    rows = [analyzer.terms(text)["lemma"] for text in texts]
    _compare_with(bm25s, rows, [row[:9] for row in rows[::20]], Bm25(0.8, 0.75))
