"""Fit the fusion weights on a training split: ``python -m evals.fit DATASET --split train --sample 2000``.

Four numbers are searched for (the share of bigrams in BM25, of the dense ranking in the fusion, of MaxSim in the reranked
score, and of the dense ranking in the rest of it) that give the greatest mean nDCG@10 on a sample of training questions: a coarse grid, then coordinate steps that
halve. Splits that are measured on (dev, valid, test) are refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from evals.component_scores import ComponentScores, Weights, collect
from evals.dataset import DatasetError, Query, Split, open_dataset
from evals.indexes import searcher_for
from evals.runner import EVERYONE
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import Recipe
from ragjp.errors import RagjpError

Objective = Literal["fused", "reranked", "both"]
NAMES: tuple[Literal["bigram", "dense", "maxsim", "final_dense"], ...] = (
    "bigram",
    "dense",
    "maxsim",
    "final_dense",
)
TITLES: Mapping[Objective, str] = {
    "fused": "融合を最良に",
    "reranked": "再順位付けを最良に",
    "both": "両方の平均を最良に",
}
GRID = tuple(np.linspace(0.0, 1.0, 5).tolist())
STEPS = (0.1, 0.05, 0.025)


def value_of(scores: ComponentScores, depth: int, objective: Objective, weights: Weights) -> float:
    """Mean nDCG@10 of the fused order, of the reranked one, or the mean of the two."""
    values = []
    if objective != "reranked":
        values.append(scores.ndcg(scores.fused(weights)))
    if objective != "fused":
        values.append(scores.ndcg(scores.reranked(weights, depth)))
    return float(np.mean(values))


def search(measure: Callable[[Weights], float], held: Mapping[str, float]) -> Weights:
    """Find the weights in [0, 1] with the greatest value: a grid, then coordinate steps that get smaller.

    Deterministic. Ties go to what was tried first, so that a weight that does not matter stays low.

    Parameters
    ----------
    measure
        What is to be as great as possible.
    held
        Weights that are not searched for, and their values.
    """
    ranges = [(held[name],) if name in held else GRID for name in NAMES]
    tried: dict[Weights, float] = {}

    def value(weights: Weights) -> float:
        if weights not in tried:
            tried[weights] = measure(weights)
        return tried[weights]

    best = max((Weights(*point) for point in product(*ranges)), key=value)
    free = [name for name in NAMES if name not in held]
    for step in STEPS:
        while (better := max([best, *_neighbours(best, step, free)], key=value)) != best:
            best = better
    return best


def _neighbours(weights: Weights, step: float, names: Sequence[str]) -> list[Weights]:
    around = []
    for name in names:
        for change in (-step, step):
            moved = round(min(1.0, max(0.0, getattr(weights, name) + change)), 6)
            around.append(replace(weights, **{name: moved}))
    return around


def training_sample(split: Split, size: int, seed: int) -> list[Query]:
    """Draw answerable questions of a training split, without repetition.

    Raises
    ------
    DatasetError
        When the split's name does not begin with ``train``: weights fitted on what is measured measure nothing.
    """
    if not split.name.startswith("train"):
        raise DatasetError(
            f"分割「{split.name}」は測定用なので、重みの学習には使えません。--split train のような学習用の分割を指定してください。",
            code="split_not_for_training",
        )
    queries = [query for query in split.queries if query.answerable]
    chosen = np.random.default_rng(seed).permutation(len(queries))[:size]
    return [queries[number] for number in sorted(chosen.tolist())]


def weights_of(recipe: Recipe) -> Weights:
    """The weights that a recipe has now."""
    stage = recipe.retrieval
    both = stage.lemma_weight + stage.bigram_weight
    bigram = stage.bigram_weight / both if both else 0.0
    last = recipe.rerank
    return Weights(bigram, stage.dense_weight, last.maxsim_weight, last.dense_weight)


def as_toml(weights: Weights) -> str:
    """The weights as lines of a recipe."""
    return (
        "[retrieval]\n"
        f"lemma_weight = {1 - weights.bigram:.4g}\nbigram_weight = {weights.bigram:.4g}\n"
        f"dense_weight = {weights.dense:.4g}\n\n[rerank]\nmaxsim_weight = {weights.maxsim:.4g}\n"
        f"dense_weight = {weights.final_dense:.4g}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Fit on a split and print the weights as lines of a recipe; 0 when fitted."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.fit", description="融合の重みを学習用の分割で決める"
    )
    parser.add_argument(
        "dataset", type=Path, metavar="DATASET", help="corpus.jsonl のある BEIR 形式のフォルダ"
    )
    parser.add_argument("--split", help="学習用の分割（train）")
    parser.add_argument("--recipe", type=Path, help="索引のレシピ")
    parser.add_argument(
        "--sample", type=positive, default=2000, metavar="N", help="使う質問の数（標準は 2000）"
    )
    parser.add_argument("--seed", type=int, default=1, help="質問を選ぶ乱数の種")
    arguments = parser.parse_args(argv)
    try:
        _fit(arguments)
    except RagjpError as error:
        print(error.sentence, file=sys.stderr)
        return error.exit_code
    return 0


def _fit(arguments: argparse.Namespace) -> None:
    dataset = open_dataset(arguments.dataset)
    split = dataset.read(arguments.split)
    queries = training_sample(split, arguments.sample, arguments.seed)
    with (
        ProgressDisplay() as progress,
        searcher_for(dataset, arguments.recipe, progress=progress) as engine,
    ):
        scores = collect(split, queries, engine, view=EVERYONE, progress=progress)
        now, depth = weights_of(engine.recipe), engine.recipe.rerank.depth
    print(f"{split.dataset} / {split.name}: 質問 {len(queries)} 件、nDCG@10（融合、再順位付け）")
    _show("今の重み", scores, now, depth)
    for objective, title in TITLES.items():
        reranks = objective != "fused" and scores.maxsim.any()
        held = {} if reranks else {"maxsim": now.maxsim, "final_dense": now.final_dense}
        best = search(partial(value_of, scores, depth, objective), held)
        _show(title, scores, best, depth)
        print(as_toml(best) + "\n")


def _show(title: str, scores: ComponentScores, weights: Weights, depth: int) -> None:
    fused = value_of(scores, depth, "fused", weights)
    reranked = value_of(scores, depth, "reranked", weights)
    print(f"{title}: {fused:.4f}、{reranked:.4f}  {weights}")


if __name__ == "__main__":
    sys.exit(main())
