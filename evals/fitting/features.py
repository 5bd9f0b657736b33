"""Raw features of every candidate of many training questions, computed once: ``python -m evals.fitting.features DATASET``.

A formula that ranks candidates is then tried in NumPy in seconds (:mod:`evals.fitting.study`), whatever it does with them: what is kept
is not scores but what scores are made of — how often each term of a question stands in each candidate, in its page and in its
file, and how near the tokens of the question come to it. With ``--model`` the index of another encoder is asked, and only the
dense and token features change.

Questions are cut into parts of 40; a part that is there is not computed again, so a run may be stopped at any time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.dataset import Dataset, DatasetError, Query, Split, open_dataset, unit_of
from evals.fitting.held_out import held_out_sample
from evals.indexes import build_corpus, default_recipe, index_name
from evals.runner import EVERYONE
from ragjp import compiled
from ragjp.cli.arguments import positive
from ragjp.cli.progress import ProgressDisplay
from ragjp.config import Recipe, cache_folder
from ragjp.engine import Engine
from ragjp.errors import RagjpError
from ragjp.index.lexical.postings import Postings
from ragjp.index.lexical.terms import KERNELS as lexical_kernels
from ragjp.index.tokens.store import TokenStore
from ragjp.japanese.normalize import fold
from ragjp.rerank.maxsim_cpu import KERNELS as maxsim_kernels
from ragjp.rerank.maxsim_cpu import maxsim_int8
from ragjp.types import FloatArray, IntArray

PART = 40
FIELDS = ("lemma", "bigram")
#: How rows are joined: a document of the corpus is a unit; what pages and files are, :func:`joined` says.
LEVELS = ("chunk", "unit", "page")
#: Candidates whose likeness to all others is kept, for pseudo-relevance feedback.
FEEDBACK = 10
#: Candidates, the best fused, whose tokens are compared; the others have NaN.
NEAR = 100
_GRAM = 4


@dataclass(frozen=True, slots=True)
class Level:
    """How rows are joined: row → group (N,), and each group's number of terms by field (G,)."""

    group: IntArray
    lengths: Mapping[str, NDArray[np.float64]]

    @property
    def size(self) -> int:
        """G, the number of groups."""
        return len(next(iter(self.lengths.values())))


class Collector:
    """What an open index knows of the candidates of a question.

    Parameters
    ----------
    engine
        The open index; its recipe's weights decide who is a candidate.
    split
        Says what is judged (documents or pages) and what is relevant.
    """

    def __init__(self, engine: Engine, split: Split) -> None:
        for kernels in (lexical_kernels, maxsim_kernels):
            compiled.load(kernels)
        self._engine = engine
        self._split = split
        snapshot = engine._snapshot  # a study reads what no search needs
        self._snapshot = snapshot
        self._postings: dict[str, list[Postings]] = {
            name: snapshot.postings(name) for name in FIELDS
        }
        rows = range(snapshot.n_rows)
        chunks = snapshot.chunks(rows)
        self.units = [unit_of(split.unit, chunk.doc_id, chunk.page) for chunk in chunks]
        self._places = {unit: row for row, unit in enumerate(self.units)}
        self.pages, self.files = joined(
            [(unit, c.title) for unit, c in zip(self.units, chunks, strict=True)]
        )
        self._texts = [fold(chunk.indexed_text) for chunk in chunks]
        self._first = np.array([chunk.start == 0 for chunk in chunks])
        lengths = {
            name: np.concatenate([part.lengths for part in parts]).astype(np.float64)
            for name, parts in self._postings.items()
        }
        self._levels = {"chunk": Level(np.arange(len(chunks)), lengths)}
        for level, names in (("unit", self.units), ("page", self.pages), ("file", self.files)):
            _, group = np.unique(names, return_inverse=True)
            sums = {
                name: np.bincount(group, weights=own).astype(np.float64)
                for name, own in lengths.items()
            }
            self._levels[level] = Level(group, sums)

    def features(self, query: Query) -> dict[str, NDArray[Any]]:
        """Features of one question by name; C candidates, T distinct terms of a field, Q tokens of the question.

        ``<field>_<level>_tf`` (T, C) counts, ``_df`` (T,), ``_len`` (C,), ``_mean`` (1,), ``_n`` (1,), ``<field>_times`` (T,)
        repeats in the question; ``dense`` (C,); ``maxsim_<level>`` (C,), over the candidates of the same group; ``likeness``
        (10, C) to the best fused; ``unit``, ``page``, ``file`` (C,) groups; ``gold_<level>`` (C,).
        """
        question, _ = self._engine.question(query.text)
        depth = self._engine.recipe.retrieval.n_candidates
        snapshot, found = self._engine.candidates(question, view=EVERYONE, depth=depth)
        rows = found.rows
        judged = self._split.qrels[query.query_id]
        out: dict[str, NDArray[Any]] = {
            **{level: self._levels[level].group[rows] for level in ("unit", "page", "file")},
            "row": rows,
            "dense": found.dense,
            "fused": found.fused,
            "title": found.fields["title"],
            "first": self._first[rows],
            "gram": self._grams(query.text, rows),
        }
        for level, names in (("unit", self.units), ("page", self.pages), ("file", self.files)):
            gold = {names[self._places[unit]] for unit in judged if unit in self._places}
            out[f"gold_{level}"] = np.array([names[row] in gold for row in rows])
        for name in FIELDS:
            out |= self._counts(name, question.terms[name], rows)
        head = rows[np.argsort(-found.fused, kind="stable")[:FEEDBACK]]
        vectors = snapshot.vectors(rows)
        out["likeness"] = (snapshot.vectors(head) @ vectors.T).astype(np.float16)
        out["head"] = np.searchsorted(rows, head)
        if snapshot.tokens is not None and len(question.tokens) and len(rows):
            near = np.sort(np.argsort(-found.fused, kind="stable")[:NEAR])
            groups = [self._levels[level].group[rows[near]] for level in LEVELS]
            scores = nested_maxsim(question.tokens, snapshot.tokens, rows[near], groups)
            for level, own in zip(LEVELS, scores, strict=True):
                out[f"maxsim_{level}"] = np.full(len(rows), np.nan, dtype=np.float32)
                out[f"maxsim_{level}"][near] = own
        return out

    def _counts(self, name: str, terms: Sequence[str], rows: IntArray) -> dict[str, NDArray[Any]]:
        distinct = list(dict.fromkeys(terms))
        out: dict[str, NDArray[Any]] = {
            f"{name}_times": np.array([terms.count(term) for term in distinct], dtype=np.int16),
            f"{name}_terms": np.array(json.dumps(distinct, ensure_ascii=False)),
        }
        for key, level in self._levels.items():
            where = level.group[rows]
            tf = np.zeros((len(distinct), len(rows)), dtype=np.float32)
            df = np.zeros(len(distinct))
            for place, term in enumerate(distinct):
                counts = np.zeros(level.size)
                base = 0
                for part in self._postings[name]:
                    number = int(part.find([term])[0])
                    if number >= 0:
                        span = slice(int(part.offsets[number]), int(part.offsets[number + 1]))
                        own = level.group[part.rows[span] + base]
                        counts += np.bincount(own, part.counts[span], level.size)
                    base += len(part.lengths)
                tf[place] = counts[where]
                df[place] = np.count_nonzero(counts)
            lengths = level.lengths[name]
            out |= {
                f"{name}_{key}_tf": np.minimum(tf, 60000).astype(np.uint16),
                f"{name}_{key}_df": df,
                f"{name}_{key}_len": lengths[where].astype(np.float32),
                f"{name}_{key}_mean": np.array([lengths.mean()]),
                f"{name}_{key}_n": np.array([level.size]),
            }
        return out

    def _grams(self, text: str, rows: IntArray) -> FloatArray:
        """Share of the question's distinct runs of 4 characters that stand in each candidate."""
        folded = fold(text)
        grams = {folded[i : i + _GRAM] for i in range(len(folded) - _GRAM + 1)}
        shares = [sum(gram in self._texts[row] for gram in grams) for row in rows]
        return (np.array(shares) / max(1, len(grams))).astype(np.float32)


def joined(places: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Name the page and the file of each unit and title (N).

    ``FILE#pN`` says both. Other units are paragraphs: 3 to 6 that follow one another under one title are a page, all of them a file.
    """
    pages: list[str] = []
    files: list[str] = []
    seen: dict[str, dict[str, int]] = {}
    for unit, title in places:
        file, separator, _ = unit.rpartition("#p")
        if separator:
            pages.append(unit)
            files.append(file)
            continue
        order = seen.setdefault(title, {})
        number = order.setdefault(unit, len(order))
        size = 3 + int.from_bytes(hashlib.sha256(title.encode()).digest()[:2], "big") % 4
        pages.append(f"{title}#{number // size}")
        files.append(title)
    return pages, files


def nested_maxsim(
    tokens: FloatArray, store: TokenStore, rows: IntArray, groups: Sequence[IntArray]
) -> list[FloatArray]:
    """MaxSim of each row's (C,) group over the tokens of all given rows in it; for groups, each inside one of the next, (C,) each."""
    order = np.lexsort(groups)
    packed = store.take(rows[order])
    found = []
    for group in groups:
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        offsets = np.append(packed.offsets[starts], packed.offsets[-1])
        scores = maxsim_int8(tokens, packed.codes, packed.scales, offsets)
        own = np.empty(len(rows), dtype=np.float32)
        own[order] = np.repeat(scores, np.diff(starts, append=len(rows)))
        found.append(own)
    return found


def part_path(folder: Path, number: int) -> Path:
    """Where part ``number`` of a feature set is kept."""
    return folder / f"part-{number:03d}.npz"


def folder_for(name: str, sample: int, seed: int, recipe: Recipe) -> Path:
    """The folder of a feature set in the cache: dataset, questions and encoder are in its name."""
    kind = hashlib.sha256(recipe.encoder.model_dump_json().encode()).hexdigest()[:8]
    return cache_folder() / "study" / "features" / f"{name}-{sample}-{seed}-{kind}"


def collect(
    engine: Engine, split: Split, queries: Sequence[Query], folder: Path, *, until: float
) -> int:
    """Compute the parts that are missing; how many questions are still missing when time is up.

    Parameters
    ----------
    until
        Seconds of processor time of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [n for n in range(-(-len(queries) // PART)) if not part_path(folder, n).exists()]
    missing = sum(len(queries[n * PART : (n + 1) * PART]) for n in numbers)
    if not missing:
        return 0
    collector = Collector(engine, split)
    with ProgressDisplay() as progress:
        for number in numbers:
            part = queries[number * PART : (number + 1) * PART]
            arrays: dict[str, NDArray[Any]] = {"ids": np.array([q.query_id for q in part])}
            arrays["kind"] = np.array([q.slices.get("kind", "") for q in part])
            arrays["gold_units"] = np.array([len(split.qrels[q.query_id]) for q in part])
            for place, query in enumerate(part):
                if time.process_time() > until:
                    return missing
                own = collector.features(query)
                arrays |= {f"{place}/{name}": array for name, array in own.items()}
                progress("特徴量", place + 1, len(part))
            path = part_path(folder, number)
            with path.with_suffix(".new").open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            path.with_suffix(".new").rename(path)
            missing -= len(part)
    return missing


def _opened(dataset: Dataset, recipe: Recipe) -> Engine:
    """Open the kept index of a dataset as it is; built first when there is none."""
    corpus = dataset.corpus
    if corpus is None:
        raise DatasetError(f"データセット {dataset.path} には corpus.jsonl がありません。")
    path = cache_folder() / "evals" / index_name(dataset.name, corpus, recipe)
    if not path.exists():
        with ProgressDisplay() as progress:
            build_corpus(dataset, corpus, recipe, progress=progress)
    return Engine.open(path, recipe=recipe)


def main(argv: Sequence[str] | None = None) -> int:
    """Compute the features of a dataset's training questions; 0 when none is missing, 75 when time was up."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.fitting.features",
        description="学習用の質問の候補について、素の特徴量を計算する",
    )
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument(
        "--model", help="埋め込みモデル（標準はレシピの標準。hashing なら語の特徴量だけ）"
    )
    parser.add_argument("--sample", type=positive, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=positive, default=80, help="CPU時間がこの秒数になったら一区切りにする"
    )
    arguments = parser.parse_args(argv)
    until = time.process_time() + arguments.seconds
    try:
        dataset = open_dataset(arguments.dataset)
        split = dataset.read("train")
        if dataset.corpus is None:
            raise DatasetError(f"データセット {dataset.path} には corpus.jsonl がありません。")
        queries = held_out_sample(dataset.corpus, split, arguments.sample, arguments.seed)
        recipe = default_recipe(dataset)
        if arguments.model:
            encoder = recipe.encoder.model_copy(
                update={"model": arguments.model, "tokens": arguments.model != "hashing"}
            )
            recipe = recipe.model_copy(update={"encoder": encoder})
        folder = folder_for(dataset.name, arguments.sample, arguments.seed, recipe)
        with _opened(dataset, recipe) as engine:
            missing = collect(engine, split, queries, folder, until=until)
    except RagjpError as error:
        print(error.sentence, file=sys.stderr)
        return error.exit_code
    print(f"{folder}: 残り {missing} 件")
    return 75 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
