"""Batches of passages that are mistaken for each other, with their questions: every passage is some question's hard negative."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evals.train.material import Material
from ragjp.types import BoolArray, FloatArray, IntArray

CHUNKS = 40
#: A passage and those that harm its questions most, at most so many together: the rest of a batch are strangers.
CLUSTER = 3
QUESTIONS_A_CHUNK = 4
#: A chunk is hard when a wrong one reaches this share of its own BM25 score for one of its questions.
_HARD = 0.85
#: How many of the others begin a cluster in an epoch.
_EASY_SHARE = 0.6
#: A wrong chunk that BM25 puts this far above the gold is likely no worse an answer: it is left alone.
_SUSPECT = 1.5
#: How often a chunk or a question is taken roughened.
_ROUGH_CHUNKS, _ROUGH_QUESTIONS = 0.3, 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """P chunks and Q questions.

    chunks, questions : rows of the material. chunk_texts, question_texts : rows of its texts, plain or roughened.
    target : (Q,) int64, the place of each question's gold among the chunks. left_out : (Q, P) bool, other chunks of the gold's
    passage, which may hold the answer too. bm25 : (Q, P) float32.
    """

    chunks: IntArray
    questions: IntArray
    chunk_texts: IntArray
    question_texts: IntArray
    target: IntArray
    left_out: BoolArray
    bm25: FloatArray


class Batches:
    """Endless batches, epoch after epoch, the same for the same seed."""

    def __init__(self, material: Material, near: IntArray, *, seed: int) -> None:
        """``near`` (C, 10): the chunks of other passages whose pooled vectors are nearest to each chunk's."""
        self._material = material
        self._near = near
        self._seed = seed
        held_articles = np.unique(material.article[material.gold[material.held_out]])
        self._usable = ~np.isin(material.article, held_articles)
        self._questions: dict[int, list[int]] = defaultdict(list)
        self._harm: dict[int, Counter[int]] = defaultdict(Counter)
        self._hard = np.zeros(len(material.names), bool)
        for question in np.flatnonzero(~material.held_out).tolist():
            self._note(question)

    def _note(self, question: int) -> None:
        """Remember a question under its chunk, and how near the wrong chunks come to it."""
        material = self._material
        gold, wrong = int(material.gold[question]), material.confused[question]
        self._questions[gold].append(question)
        rows = np.concatenate([[gold], wrong[self._usable[wrong]]])
        asked = material.question_terms[[question]]
        scores = (asked @ material.chunk_terms[rows].T).toarray()[0]
        ratio = scores[1:] / max(float(scores[0]), 1e-6)
        self._hard[gold] |= bool((ratio > _HARD).any())
        for chunk, near in zip(rows[1:].tolist(), ratio.tolist(), strict=True):
            if near < _SUSPECT:
                self._harm[gold][chunk] += max(near - 0.5, 0.0)

    def __iter__(self) -> Iterator[Batch]:
        epoch = 0
        while True:
            rng = np.random.default_rng([self._seed, epoch])
            chance = np.where(self._hard, 1.0, _EASY_SHARE)
            starts = np.array([chunk for chunk in self._questions if rng.random() < chance[chunk]])
            rng.shuffle(starts)
            batch: dict[int, None] = {}
            for chunk in starts.tolist():
                batch[chunk] = None
                fresh = [
                    other for other, _ in self._harm[chunk].most_common(6) if other not in batch
                ]
                batch.update(dict.fromkeys(fresh[: CLUSTER - 1]))
                if len(batch) >= CHUNKS:
                    yield self._batch(list(batch), rng)
                    batch = {}
            epoch += 1

    def _batch(self, chunks: list[int], rng: np.random.Generator) -> Batch:
        material = self._material
        questions: list[int] = []
        target: list[int] = []
        for place, chunk in enumerate(chunks):
            own = self._questions.get(chunk, [])
            if len(own) > QUESTIONS_A_CHUNK:
                own = rng.choice(own, QUESTIONS_A_CHUNK, replace=False).tolist()
            questions += own
            target += [place] * len(own)
        rows, asked, place_of = np.array(chunks), np.array(questions, int), np.array(target, int)
        same = material.passage[rows][None] == material.passage[rows[place_of]][:, None]
        same[np.arange(len(asked)), place_of] = False
        bm25 = (material.question_terms[asked] @ material.chunk_terms[rows].T).toarray()
        rough_chunks = rows + len(material.names) * (rng.random(len(rows)) < _ROUGH_CHUNKS)
        rough_questions = asked + len(material.gold) * (rng.random(len(asked)) < _ROUGH_QUESTIONS)
        return Batch(
            rows, asked, rough_chunks, rough_questions, place_of, same, bm25.astype(np.float32)
        )


def nearest(vectors: FloatArray, passage: IntArray, *, n: int = 10) -> IntArray:
    """(C, n) the chunks of other passages with the greatest inner product, nearest first."""
    found = np.empty((len(vectors), n), np.int64)
    for begin in range(0, len(vectors), 1024):
        scores = vectors[begin : begin + 1024] @ vectors.T
        scores[passage[begin : begin + 1024, None] == passage[None]] = -1
        found[begin : begin + 1024] = np.argsort(-scores, axis=1)[:, :n]
    return found
