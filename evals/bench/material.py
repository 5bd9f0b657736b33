"""What is measured on: the evaluation data and its indexes, built once and kept in the cache folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import evals
from evals.dataset import Dataset, DatasetError, Query, Split, open_dataset
from evals.indexes import build_corpus, default_recipe
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import Recipe, cache_folder
from ragjp.types import View

#: Who may read the passages of a corpus.
EVERYONE = View.of("everyone")


@dataclass(frozen=True, slots=True)
class Material:
    """A corpus of ``n_documents``, its index, and questions spread evenly over a split."""

    dataset: Dataset
    recipe: Recipe
    index: Path
    n_documents: int
    split: Split
    questions: tuple[Query, ...]


def data_folder() -> Path:
    """Where the evaluation data is: ``RAGJP_DATA``, else ``../shared/data`` beside the checkout.

    Raises
    ------
    DatasetError
        When there is no such folder.
    """
    beside = Path(evals.__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RAGJP_DATA") or beside)
    if not folder.is_dir():
        raise DatasetError(
            f"評価用データ {folder} がありません。置き場所を RAGJP_DATA で指定してください。",
            code="dataset_missing",
        )
    return folder


def scratch() -> Path:
    """Where benchmarks keep what they build: ``bench`` in the cache folder."""
    folder = cache_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prepare(name: str, split: str, n_questions: int) -> Material:
    """Open a dataset and bring its index up to date (the first time, that is minutes of embedding)."""
    dataset = open_dataset(data_folder() / name)
    if dataset.corpus is None:
        raise DatasetError(f"データセット {dataset.path} には corpus.jsonl がありません。")
    recipe = default_recipe(dataset)
    with ProgressDisplay() as progress:
        index = build_corpus(dataset, dataset.corpus, recipe, progress=progress)
    with dataset.corpus.open(encoding="utf-8") as lines:
        n_documents = sum(1 for line in lines if line.strip())
    read = dataset.read(split)
    return Material(dataset, recipe, index, n_documents, read, spread(read.queries, n_questions))


def spread(queries: Sequence[Query], wanted: int) -> tuple[Query, ...]:
    """Take ``wanted`` answerable questions at equal distances (all of them when there are fewer)."""
    answerable = [query for query in queries if query.answerable]
    if wanted >= len(answerable):
        return tuple(answerable)
    return tuple(answerable[number * len(answerable) // wanted] for number in range(wanted))
