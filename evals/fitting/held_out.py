"""The articles that training never saw: what constants are fitted on once the encoder has been trained on the others.

The draw is that of :func:`evals.train.material.prepare`: the same articles for the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evals.dataset import Query, Split, read_corpus

#: Share of the articles that is held out.
SHARE = 0.08
SEED = 1
#: Questions of one article that a sample may hold; an article is what precedes the last two parts of a question's id.
PER_ARTICLE = 25


def held_out_documents(corpus: Path, split: Split, *, seed: int = SEED) -> dict[str, str]:
    """Document → title of the held-out articles, in the order of the corpus."""
    wanted = {
        doc for query in split.queries if query.answerable for doc in split.qrels[query.query_id]
    }
    titles: dict[str, int] = {}
    rows = [row for row in read_corpus(corpus) if row.doc_id in wanted]
    for row in rows:
        titles.setdefault(row.title, len(titles))
    held = np.random.default_rng(seed).random(len(titles)) < SHARE
    return {row.doc_id: row.title for row in rows if held[titles[row.title]]}


def held_out_questions(corpus: Path, split: Split, *, seed: int = SEED) -> list[Query]:
    """Questions about held-out articles alone, in the split's order."""
    documents = held_out_documents(corpus, split, seed=seed)
    return [
        query
        for query in split.queries
        if query.answerable and all(name in documents for name in split.qrels[query.query_id])
    ]


def held_out_sample(corpus: Path, split: Split, size: int, seed: int) -> list[Query]:
    """Draw questions about articles that no encoder was trained on; from a made corpus, whose questions are all such, any.

    No more than :data:`PER_ARTICLE` of one article: a few long ones (a war, with a date in every question) have hundreds.
    """
    made = any("#p" in unit for judged in split.qrels.values() for unit in judged)
    answerable = [query for query in split.queries if query.answerable]
    queries = answerable if made else held_out_questions(corpus, split)
    return spread(queries, size, seed)


def spread(queries: Sequence[Query], size: int, seed: int) -> list[Query]:
    """Draw questions, no more than :data:`PER_ARTICLE` of one article, and leave them in their order."""
    chosen: list[int] = []
    taken: dict[str, int] = {}
    for number in np.random.default_rng(seed).permutation(len(queries)).tolist():
        article = queries[number].query_id.rpartition("-")[0].rpartition("-")[0]
        if taken.get(article, 0) < PER_ARTICLE and len(chosen) < size:
            taken[article] = taken.get(article, 0) + 1
            chosen.append(number)
    return [queries[number] for number in sorted(chosen)]
