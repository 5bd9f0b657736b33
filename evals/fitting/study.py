"""Formulas tried on kept features (:mod:`evals.fitting.features`), each against another with a paired test; nothing here searches an index.

``python -m evals.fitting.study FOLDER ...`` asks again, of the features of another encoder, what was undecided: how much of a page's MaxSim a
chunk should have (``rerank.page_share``), which share MaxSim then deserves, and whether raw scores beat normalised ones.

Shapes: N questions, C candidates (the most of any question; padded ones have ``valid`` False), T terms of one question.
Folds are articles: a question's fold is the parity of its article's number, so that no article is in both.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evals.statistics import paired_randomization

Scores = NDArray[np.float64]
Level = Literal["chunk", "unit", "page", "file"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a formula, question by question: (N,) each."""

    ndcg: Scores
    top5: Scores
    file_first: Scores

    def __str__(self) -> str:
        means = self.ndcg.mean(), self.top5.mean(), self.file_first.mean()
        return "nDCG@10 {:.4f}  R@5 {:.4f}  file@1 {:.4f}".format(*means)


class Features:
    """All kept features of a set of questions.

    Parameters
    ----------
    folder
        What :func:`evals.fitting.features.collect` filled.
    per_article
        Questions of an article that are read at most: a few long articles have hundreds.
    """

    def __init__(self, folder: Path, *, per_article: int = 25) -> None:
        self._questions: list[dict[str, NDArray[Any]]] = []
        ids: list[str] = []
        kinds: list[str] = []
        for path in sorted(folder.glob("part-*.npz")):
            with np.load(path, allow_pickle=False) as part:
                arrays = {name: part[name] for name in part.files}
            ids += arrays["ids"].tolist()
            kinds += arrays["kind"].tolist()
            own: list[dict[str, NDArray[Any]]] = [{} for _ in arrays["ids"]]
            for name, array in arrays.items():
                place, separator, feature = name.partition("/")
                if separator:
                    own[int(place)][feature] = array
            self._questions += own
        seen: dict[int, int] = {}
        kept = []
        for place, name in enumerate(ids):
            article = int(re.sub(r"\D", "", name)[:3])
            seen[article] = seen.get(article, 0) + 1
            if seen[article] <= per_article:
                kept.append(place)
        self._questions = [self._questions[place] for place in kept]
        self.ids = np.array(ids)[kept]
        self.kind = np.array(kinds)[kept]
        self.fold = np.array([int(re.sub(r"\D", "", name)[:3]) % 2 for name in self.ids])
        counts = [len(question["row"]) for question in self._questions]
        self.valid = np.arange(max(counts))[None, :] < np.array(counts)[:, None]

    def __len__(self) -> int:
        return len(self._questions)

    def padded(self, name: str, fill: float = 0.0) -> Scores:
        """One feature of every candidate, (N, C); ``fill`` where padded."""
        return self._pad((question[name] for question in self._questions), fill)

    def _pad(self, rows: Iterable[NDArray[Any]], fill: float = 0.0) -> Scores:
        out = np.full(self.valid.shape, fill)
        for number, row in enumerate(rows):
            out[number, : len(row)] = row
        return out

    @cached_property
    def groups(self) -> Mapping[str, NDArray[np.int64]]:
        """Level → (N, C) group of each candidate, numbered from 0 in each question; -1 where padded."""
        found = {}
        for level in ("unit", "page", "file"):
            own = np.full(self.valid.shape, -1)
            for number, question in enumerate(self._questions):
                group = np.unique(question[level], return_inverse=True)[1]
                own[number, : len(group)] = group
            found[level] = own
        return found

    @cached_property
    def gold(self) -> Mapping[str, NDArray[np.bool_]]:
        """Level → (N, C) whether a candidate's group is the relevant one."""
        return {n: self.padded(f"gold_{n}").astype(np.bool_) for n in ("unit", "page", "file")}

    def bm25(
        self,
        field: str,
        k1: float,
        b: float,
        *,
        level: Level = "chunk",
        rarity: Level | None = None,
        only: re.Pattern[str] | None = None,
        without: Sequence[str] = (),
    ) -> Scores:
        """BM25 of one field (N, C), with counts and lengths of one level and document frequencies of another.

        Parameters
        ----------
        only
            Terms that count; None for all.
        without
            Terms that do not.
        """
        return self._pad(
            self._gain(q, field, k1, b, level, rarity or level, only, without)
            for q in self._questions
        )

    def _gain(
        self,
        question: Mapping[str, NDArray[Any]],
        field: str,
        k1: float,
        b: float,
        level: Level,
        rarity: Level,
        only: re.Pattern[str] | None,
        without: Sequence[str],
    ) -> Scores:
        key = f"{field}_{level}"
        tf = question[f"{key}_tf"].astype(np.float64)
        norm = k1 * (1 - b + b * question[f"{key}_len"] / question[f"{key}_mean"])
        weights = self._weights(question, field, rarity, only, without)
        return np.asarray(weights @ (tf / (tf + norm)))

    def _weights(
        self,
        question: Mapping[str, NDArray[Any]],
        field: str,
        rarity: Level,
        only: re.Pattern[str] | None,
        without: Sequence[str],
    ) -> Scores:
        """Repeats times idf of each term of a question (T,)."""
        df, n = question[f"{field}_{rarity}_df"], float(question[f"{field}_{rarity}_n"][0])
        weights = question[f"{field}_times"] * np.log1p((n - df + 0.5) / (df + 0.5))
        if only is not None or without:
            terms = json.loads(str(question[f"{field}_terms"]))
            kept = [(only is None or bool(only.search(t))) and t not in without for t in terms]
            weights = weights * np.array(kept, dtype=np.float64).reshape(len(terms))
        return np.asarray(weights, dtype=np.float64)

    def pooled_bm25(self, field: str, k1: float, level: Level) -> Scores:
        """BM25 of each candidate's group over its candidates alone, without lengths: counts are summed over them, (N, C)."""
        rows = []
        for number, question in enumerate(self._questions):
            tf = question[f"{field}_chunk_tf"].astype(np.float64)
            group = self.groups[level][number, : tf.shape[1]]
            member = group[None, :] == np.arange(group.max(initial=-1) + 1)[:, None]
            joint = (tf @ member.T)[:, group]
            rows.append(self._weights(question, field, "chunk", None, ()) @ (joint / (joint + k1)))
        return self._pad(rows)

    def self_score(self, field: str, rarity: Level = "chunk") -> Scores:
        """What a candidate would have that says every term of the question endlessly often, (N, 1)."""
        return np.array(
            [[self._weights(q, field, rarity, None, ()).sum()] for q in self._questions]
        )

    def feedback(self, size: int) -> Scores:
        """Mean likeness of each candidate to the ``size`` best fused, (N, C)."""
        return self._pad(
            q["likeness"][:size].astype(np.float64).mean(axis=0) for q in self._questions
        )

    def outcome(self, scores: Scores, level: Level = "unit") -> Outcome:
        """Fold candidates into groups by their best and measure; relevant is the question's one gold group."""
        scores = np.where(self.valid, scores, -np.inf)
        group, gold = self.groups[level], self.gold[level]
        own = np.where(gold, scores, -np.inf).max(axis=1)
        ahead = np.zeros(len(self))
        for number in range(len(self)):
            better = scores[number] > own[number]
            ahead[number] = len(np.unique(group[number][better]))
        found = gold.any(axis=1)
        place = np.where(found, ahead + 1, np.inf)
        first = self.gold["file"][np.arange(len(self)), scores.argmax(axis=1)]
        return Outcome(
            np.where(place <= 10, 1 / np.log2(place + 1), 0.0),
            (place <= 5).astype(np.float64),
            first.astype(np.float64),
        )

    def unit_range(self, scores: Scores, among: NDArray[np.bool_] | None = None) -> Scores:
        """Bring each question's scores to [0, 1] over the candidates (or some of them), as the product does."""
        among = self.valid if among is None else among & self.valid
        low = np.where(among, scores, np.inf).min(axis=1, keepdims=True)
        high = np.where(among, scores, -np.inf).max(axis=1, keepdims=True)
        span = np.where(high > low, high - low, 1.0)
        return np.where(self.valid & (high > low), (scores - low) / span, 0.0)

    def standard(self, scores: Scores) -> Scores:
        """Mean 0 and deviation 1 over each question's candidates."""
        count = self.valid.sum(axis=1, keepdims=True)
        mean = np.where(self.valid, scores, 0).sum(axis=1, keepdims=True) / count
        spread = np.where(self.valid, (scores - mean) ** 2, 0).sum(axis=1, keepdims=True) / count
        return np.where(self.valid, (scores - mean) / np.sqrt(spread + 1e-12), 0.0)

    def best_of(self, scores: Scores, level: Level, *, rank: int = 1) -> Scores:
        """The ``rank``-th best score of each candidate's group (N, C); 0 where the group has fewer candidates."""
        out = np.zeros_like(scores)
        for number in range(len(self)):
            count = int(self.valid[number].sum())
            own, group = scores[number, :count], self.groups[level][number, :count]
            order = np.lexsort((-own, group))
            starts = np.flatnonzero(np.diff(group[order], prepend=-1))
            sizes = np.diff(starts, append=count)
            taken = np.where(
                sizes >= rank, own[order][np.minimum(starts + rank - 1, count - 1)], 0.0
            )
            out[number, :count] = taken[group]
        return out


def compared(better: Outcome, worse: Outcome) -> str:
    """Difference of the means of nDCG@10, in points, and its p."""
    paired = better.ndcg - worse.ndcg
    return f"{100 * paired.mean():+.2f} (p {paired_randomization(paired):.4f})"


def fit_linear(
    features: Scores,
    gold: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    *,
    ridge: float = 1e-3,
    positive: bool = False,
) -> Scores:
    """Weights (F,) of a linear score under which the relevant candidates stand first: a softmax over each question's candidates.

    Parameters
    ----------
    features
        (N, C, F).
    positive
        No weight below 0.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped,unused-ignore]

    asked = (gold & valid).any(axis=1)
    features, gold, valid = features[asked], gold[asked], valid[asked]
    flat = np.where(valid[:, :, None], features, 0.0)

    def loss(weights: Scores) -> tuple[float, Scores]:
        scores = np.where(valid, flat @ weights, -1e9)
        scores -= scores.max(axis=1, keepdims=True)
        mass = np.exp(scores)
        share = mass / mass.sum(axis=1, keepdims=True)
        right = np.where(gold, mass, 0.0)
        total = right.sum(axis=1, keepdims=True) + 1e-300
        value = -np.log(total / mass.sum(axis=1, keepdims=True)).mean()
        slope = ((share - right / total)[:, None, :] @ flat)[:, 0, :].mean(axis=0)
        return value + ridge * weights @ weights, slope + 2 * ridge * weights

    size = features.shape[2]
    bounds = [(0.0, None)] * size if positive else None
    done = minimize(loss, np.full(size, 0.5), jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(done.x)


def crossed(
    data: Features,
    features: Scores,
    *,
    level: Level = "unit",
    ridge: float = 1e-3,
    positive: bool = False,
) -> tuple[Scores, list[Scores]]:
    """Score each fold (N, C) with the weights fitted on the other; and those weights."""
    scores = np.zeros(features.shape[:2])
    weights = []
    for fold in (0, 1):
        mine, other = data.fold == fold, data.fold != fold
        gold = data.gold[level]
        weights.append(
            fit_linear(
                features[other], gold[other], data.valid[other], ridge=ridge, positive=positive
            )
        )
        scores[mine] = features[mine] @ weights[-1]
    return scores, weights


class Product:
    """The formulas of the product on kept features, with its default constants; scores are (N, C)."""

    def __init__(self, data: Features, level: Level) -> None:
        self.data = data
        self.bm25 = 0.8 * data.bm25("lemma", 0.5, 0.4) + 0.2 * data.bm25("bigram", 0.5, 0.4)
        self.dense = data.padded("dense")
        own = data.padded("maxsim_chunk", np.nan)
        self.near = np.isfinite(own) & data.valid
        self.maxsim = np.where(self.near, own, 0.0)
        self.page = np.where(self.near, data.padded(f"maxsim_{level}", np.nan), 0.0)

    def fused(self, dense: float = 0.3) -> Scores:
        """What :func:`ragjp.retrieval.fusion.fuse` gives."""
        scale = self.data.unit_range
        return (1 - dense) * scale(self.bm25) + dense * scale(self.dense)

    def _head(self, depth: int = 50) -> NDArray[np.bool_]:
        order = np.argsort(-np.where(self.near, self.fused(), -np.inf), axis=1, kind="stable")
        head = np.zeros_like(self.near)
        np.put_along_axis(head, order[:, :depth], True, axis=1)
        return head & self.near

    def reranked(self, maxsim: float = 0.5, page: float = 0.0, dense: float = 0.1) -> Scores:
        """What the reranking gives; a page's MaxSim is over the 100 best candidates here, over the 50 that are reranked there."""
        head, scale = self._head(), self.data.unit_range
        first = scale(self.fused(dense), head)
        late = scale((1 - page) * self.maxsim + page * self.page, head)
        return np.where(head, (1 - maxsim) * first + maxsim * late, self.fused() - 5.0)

    def raw(self, dense: float, maxsim: float) -> Scores:
        """Raw scores summed with global factors, instead of normalised ones."""
        mixed = self.bm25 + dense * self.dense + maxsim * self.maxsim
        return np.where(self._head(), mixed, self.fused() - 1000.0)


def main() -> int:
    """Print the comparisons for each folder of features."""
    for name in sys.argv[1:]:
        data = Features(Path(name))
        levels: tuple[Level, ...] = ("unit", "page")
        for level in levels[: 1 + bool((data.groups["unit"] != data.groups["page"]).any())]:
            own = Product(data, level)
            now = data.outcome(own.reranked(), level)
            print(f"{name} {level} {len(data)}")
            for what, scores in (("bm25", own.bm25), ("dense", own.dense), ("fused", own.fused())):
                print(f"  {what} {data.outcome(scores, level)}")
            print(f"  reranked {now}  less fused {compared(now, data.outcome(own.fused(), level))}")
            for page in (0.0, 0.5, 1.0):
                for weight in (0.4, 0.5, 0.6, 0.7, 0.8):
                    found = data.outcome(own.reranked(weight, page), level)
                    print(f"  page_share {page} maxsim_weight {weight}: {compared(found, now)}")
            for factors in ((15.0, 50.0), (15.0, 100.0), (0.0, 150.0), (0.0, 300.0)):
                found = data.outcome(own.raw(*factors), level)
                print(f"  raw, dense and MaxSim times {factors}: {compared(found, now)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
