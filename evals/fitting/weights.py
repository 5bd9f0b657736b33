"""Fit the fusion weights on training questions; one command, run again whenever the encoder or a ranking has changed.

::

    python -m evals.fitting.study_corpus JAQUAD ~/.cache/ragjp/study/pages --files 7 --questions 500      # once: pages like a company's
    python -m evals.fitting.weights JAQUAD ~/.cache/ragjp/study/pages --split train --model multilingual-e5-small-ja

Four numbers are searched for (the share of bigrams in BM25, of the dense ranking in the fusion, of MaxSim in the reranked
score, and of the dense ranking in the rest of it) that give the greatest nDCG@10, the mean over the datasets: a coarse grid, then
coordinate steps that halve. Only questions about articles that the encoder was not trained on are used (``--all`` takes the others
too: right for an encoder that was not trained here), at most 25 of one article. Then it prints, for each dataset and each
kind of question, every ranking beside its better parent, with the p of the difference. Splits that are measured on (dev, valid, test)
are refused.

``rerank.page_share`` is not fitted here: the fit takes it as 0, as the default is. Whether it is worth more with another encoder::

    python -m evals.fitting.features DATASET --model multilingual-e5-small-ja --sample 800    # again until it says 残り 0 件
    python -m evals.fitting.study ~/.cache/ragjp/study/features/...

The weights go into the defaults of :class:`ragjp.config.Retrieval` and :class:`ragjp.config.Reranking`.
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

from evals.dataset import DatasetError, Query, Split, open_dataset
from evals.fitting.component_scores import ComponentScores, Weights, collect
from evals.fitting.held_out import held_out_sample
from evals.indexes import default_recipe, searcher_for
from evals.runner import EVERYONE
from evals.statistics import paired_randomization
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import Recipe, load_recipe
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
#: A slice of fewer questions says nothing.
_FEWEST = 50


def value_of(
    sets: Sequence[ComponentScores], depth: int, objective: Objective, weights: Weights
) -> float:
    """Mean nDCG@10 of the fused order, of the reranked one, or the mean of the two; then the mean over the sets."""
    values = []
    for scores in sets:
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


def beside_parents(
    scores: ComponentScores, queries: Sequence[Query], weights: Weights, depth: int
) -> list[str]:
    """A line for all questions and for each kind with 50 or more: each ranking, and it less its better parent with p."""
    rankings = {
        "bm25": scores.ndcg_each(scores.bm25(weights)),
        "dense": scores.ndcg_each(np.where(scores.valid, scores.dense, -np.inf)),
        "fused": scores.ndcg_each(scores.fused(weights)),
        "reranked": scores.ndcg_each(scores.reranked(weights, depth)),
    }
    kinds = np.array([query.slices.get("kind", "") for query in queries])
    lines = []
    for kind in ["", *sorted(set(kinds.tolist()) - {""})]:
        of = (kinds == kind) if kind else np.ones(len(kinds), dtype=np.bool_)
        if of.sum() < _FEWEST:
            continue
        means = {name: float(each[of].mean()) for name, each in rankings.items()}
        line = f"  {kind or '全体'}（{int(of.sum())} 件）" + "".join(
            f" {name} {mean:.4f}" for name, mean in means.items()
        )
        parent = max(("bm25", "dense"), key=means.__getitem__)
        for name, other in (("fused", parent), ("reranked", "fused")):
            paired = rankings[name][of] - rankings[other][of]
            line += f"  {name} − {other} {100 * paired.mean():+.2f} (p {paired_randomization(paired):.3f})"
        lines.append(line)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Fit on a split and print the weights as lines of a recipe; 0 when fitted."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.fitting.weights", description="融合の重みを学習用の分割で決める"
    )
    parser.add_argument(
        "datasets",
        type=Path,
        nargs="+",
        metavar="DATASET",
        help="corpus.jsonl のある BEIR 形式のフォルダ",
    )
    parser.add_argument("--split", help="学習用の分割（train）")
    parser.add_argument("--recipe", type=Path, help="索引のレシピ")
    parser.add_argument("--model", help="埋め込みモデル（標準はレシピのもの）")
    parser.add_argument(
        "--all", action="store_true", help="埋め込みモデルの学習に使った記事の質問も使う"
    )
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


def _collected(
    path: Path, arguments: argparse.Namespace
) -> tuple[ComponentScores, list[Query], Recipe]:
    """Score the candidates of one dataset's questions."""
    dataset = open_dataset(path)
    split = dataset.read(arguments.split)
    queries = training_sample(split, arguments.sample, arguments.seed)
    if not arguments.all and dataset.corpus is not None:
        queries = held_out_sample(dataset.corpus, split, arguments.sample, arguments.seed)
    if not queries:
        raise DatasetError(
            f"{path} の分割「{split.name}」には、取り置いた記事の質問がありません。すべての質問を使うには --all を付けてください。",
            code="no_questions",
        )
    recipe = load_recipe(arguments.recipe) if arguments.recipe else default_recipe(dataset)
    if arguments.model:
        encoder = recipe.encoder.model_copy(update={"model": arguments.model})
        recipe = recipe.model_copy(update={"encoder": encoder})
    with (
        ProgressDisplay() as progress,
        searcher_for(dataset, arguments.recipe, recipe=recipe, progress=progress) as engine,
    ):
        scores = collect(split, queries, engine, view=EVERYONE, progress=progress)
    print(f"{split.dataset} / {split.name}: 質問 {len(queries)} 件")
    return scores, queries, engine.recipe


def _fit(arguments: argparse.Namespace) -> None:
    collected = [_collected(path, arguments) for path in arguments.datasets]
    sets = [scores for scores, _, _ in collected]
    recipe = collected[0][2]
    now, depth = weights_of(recipe), recipe.rerank.depth
    print("nDCG@10（融合、再順位付け）")
    _show("今の重み", collected, now, depth)
    for objective, title in TITLES.items():
        reranks = objective != "fused" and any(scores.maxsim.any() for scores in sets)
        held = {} if reranks else {"maxsim": now.maxsim, "final_dense": now.final_dense}
        best = search(partial(value_of, sets, depth, objective), held)
        _show(title, collected, best, depth)
        print(as_toml(best) + "\n")


def _show(
    title: str,
    collected: Sequence[tuple[ComponentScores, list[Query], Recipe]],
    weights: Weights,
    depth: int,
) -> None:
    sets = [scores for scores, _, _ in collected]
    fused = value_of(sets, depth, "fused", weights)
    reranked = value_of(sets, depth, "reranked", weights)
    print(f"{title}: {fused:.4f}、{reranked:.4f}  {weights}")
    for scores, queries, _ in collected:
        print(*beside_parents(scores, queries, weights, depth), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
