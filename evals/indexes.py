"""What is measured: an index built from a dataset's corpus and kept, or one that exists already."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from evals.dataset import Dataset, DatasetError, digest
from ragjp.config import Recipe, cache_folder, load_recipe
from ragjp.errors import RagjpError
from ragjp.types import Answer, Ranking, View

if TYPE_CHECKING:
    from ragjp.engine import Engine

Condition = Literal["bm25", "dense", "fused", "reranked"]

#: Fields of the encoder's stage that change how fast an index is built and not what is in it.
_SPEED_ONLY = {"batch_size", "device"}


class Progress(Protocol):
    """Told how far a stage is; the command line draws it."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note of ``done`` of ``total``."""
        ...


class DocumentInfo(Protocol):
    """What an index says of one of its documents, as far as an evaluation needs it."""

    @property
    def n_pages(self) -> int:
        """Number of pages."""
        ...

    @property
    def n_chunks(self) -> int:
        """Number of indexed chunks."""
        ...


class Searcher(Protocol):
    """The part of :class:`ragjp.engine.Engine` that an evaluation asks."""

    @property
    def recipe(self) -> Recipe:
        """What the index was built from and is searched with."""
        ...

    def search_all(
        self, query: str, *, view: View, k: int, rankings: Sequence[Condition]
    ) -> dict[Condition, Ranking]:
        """Rank the chunks that ``view`` may see in several ways, sharing the work."""
        ...

    def ask(self, question: str, *, view: View) -> Answer:
        """Answer with citations, or say that there is no answer."""
        ...

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        """Give the source text of a page."""
        ...

    def documents(self, *, view: View) -> Sequence[DocumentInfo]:
        """List what ``view`` may see."""
        ...


@contextmanager
def searcher_for(
    dataset: Dataset,
    recipe_path: Path | None,
    *,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> Iterator[Engine]:
    """Open the index that ``dataset`` is about, building it first when the dataset brings a corpus.

    With a corpus, the recipe says how to index and search it (its own sources are not used), and the index is kept in the
    cache folder under a name that follows the corpus and what of the recipe decides an index's content (``recipe``, where it
    is given, instead of the file). Without one, the
    recipe names an index that ``ragjp index`` has built beside it; it is searched as the recipe says now.

    Raises
    ------
    DatasetError
        No corpus and no recipe, or an index built with other chunks or another encoder than the recipe says.
    RagjpError
        Whatever stops the index from being built or opened.
    """
    if dataset.corpus is None:
        opened = _existing(dataset, recipe_path)
    else:
        if recipe is None:
            recipe = load_recipe(recipe_path) if recipe_path else default_recipe(dataset)
        folder = build_corpus(dataset, dataset.corpus, recipe, progress=progress)
        from ragjp.engine import Engine

        opened = Engine.open(folder, recipe=recipe)
    with opened as engine:
        yield engine


def _existing(dataset: Dataset, recipe_path: Path | None) -> Engine:
    if recipe_path is None:
        raise DatasetError(
            f"データセット {dataset.path} には corpus.jsonl がありません。"
            "--recipe で、評価する索引のレシピを指定してください。",
            code="recipe_needed",
        )
    from ragjp.engine import Engine

    recipe = load_recipe(recipe_path)
    folder = recipe_path.parent / recipe.name
    with Engine.open(folder) as built:
        encoder = built.encoder
        if content_of(built.recipe) != content_of(recipe):
            raise DatasetError(
                f"索引 {folder} は、今のレシピ {recipe_path} と違う chunks か encoder で作られています。"
                f"ragjp index {recipe_path} で作り直してください。",
                code="index_outdated",
            )
    return Engine.open(folder, recipe=recipe, encoder=encoder)


def default_recipe(dataset: Dataset) -> Recipe:
    """The default recipe, under the dataset's name."""
    return Recipe(name=_file_name(dataset.name))


def build_corpus(
    dataset: Dataset, corpus: Path, recipe: Recipe, *, progress: Progress | None = None
) -> Path:
    """Build or bring up to date the index of ``corpus``; the folder it is in.

    Raises
    ------
    RagjpError
        When a document of the corpus could not be indexed for another reason than that it holds no text. Empty pages are
        part of real corpora: they stay in the index's report, and a question whose gold page is empty counts as missed.
    """
    from ragjp.jobs.build import build
    from ragjp.jobs.sources import CorpusSource

    folder = cache_folder() / "evals" / index_name(dataset.name, corpus, recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    report = build(
        recipe, base=dataset.path, into=folder, sources=[CorpusSource(corpus)], progress=progress
    )
    failures = [failure for failure in report.failures if failure.code != "no_text"]
    if failures:
        first = failures[0]
        raise RagjpError(
            f"{corpus} の文書 {len(failures)} 件を索引にできませんでした"
            f"（最初は「{first.doc_id}」: {first.sentence}）。文書を直してからやり直してください。",
            code="corpus_incomplete",
        )
    return folder


def index_name(name: str, corpus: Path, recipe: Recipe) -> str:
    """Name an index after the dataset and what decides the index's content: corpus, chunking, encoder.

    Fusion weights, rerank depths and the like are not in it: they are tried on the same index.
    """
    state = hashlib.sha256(digest(corpus).encode())
    state.update(content_of(recipe).encode())
    return f"{_file_name(name)[:40]}-{state.hexdigest()[:16]}"


def content_of(recipe: Recipe) -> str:
    """Say, as text, what of a recipe decides the content of an index of given documents."""
    stages = {
        "chunks": recipe.chunks.model_dump(mode="json"),
        "encoder": recipe.encoder.model_dump(mode="json", exclude=_SPEED_ONLY),
    }
    if recipe.japanese.dictionary_text:
        stages["words"] = {"text": recipe.japanese.dictionary_text}
    return json.dumps(stages, sort_keys=True)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:64] or "dataset"
