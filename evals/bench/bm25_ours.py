"""Our BM25 over one field, as the benchmarks ask for it: terms in, rows and scores out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.bench.bm25_peers import K1, B
from evals.bench.timing import settle
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.postings import Postings
from ragjp.index.lexical.search import LexicalIndex
from ragjp.index.lexical.terms import LexicalView
from ragjp.index.reader import Snapshot
from ragjp.types import BoolArray

FIELD = "lemma"


@dataclass(frozen=True, slots=True)
class Ours:
    """One field of an index under one view."""

    segments: Sequence[Postings]
    index: LexicalIndex
    view: LexicalView
    resolve_ms: float

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Ours]:
        """Open the field of an index on the disk, and see all of it."""
        snapshot = Snapshot(path)
        try:
            yield cls.of_postings(snapshot.postings(FIELD))
        finally:
            snapshot.close()

    @classmethod
    def of_postings(cls, segments: Sequence[Postings]) -> Ours:
        """An index of these postings alone, kernels loaded, files verified."""
        n_rows = sum(len(each.lengths) for each in segments)
        index = LexicalIndex({FIELD: segments}, n_rows)
        index.plan()
        settle()
        return cls._seen(segments, index, np.ones(n_rows, dtype=np.bool_))

    @classmethod
    def _seen(cls, segments: Sequence[Postings], index: LexicalIndex, allowed: BoolArray) -> Ours:
        started = time.perf_counter()
        view = index.view(allowed)
        return cls(segments, index, view, (time.perf_counter() - started) * 1000)

    def restricted(self, allowed: BoolArray) -> Ours:
        """The same index for somebody who may see some of it."""
        return self._seen(self.segments, self.index, allowed)

    def search(self, terms: Sequence[str], k: int) -> tuple[Sequence[int], Sequence[float]]:
        """The k best rows and their scores; of rows that tie with the last, the first ones."""
        rows, scores = self.index.search({FIELD: terms}, {FIELD: 1.0}, self.view, Bm25(K1, B), k)
        return rows[:k].tolist(), scores[:k].tolist()
