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
from ragjp.index.lexical_cpu import Bm25, FieldStatistics, bm25_scores, field_statistics
from ragjp.index.postings import Postings
from ragjp.index.reader import Snapshot
from ragjp.retrieval.candidates import _best_rows
from ragjp.types import BoolArray


@dataclass(frozen=True, slots=True)
class Ours:
    """One field of an index under one view."""

    segments: Sequence[Postings]
    allowed: BoolArray
    statistics: FieldStatistics
    resolve_ms: float

    @classmethod
    @contextmanager
    def open(cls, index: Path, field: str) -> Iterator[Ours]:
        """Open an index and see all of it."""
        snapshot = Snapshot(index)
        try:
            settle()
            yield cls._of(snapshot.fields()[field], np.ones(snapshot.n_rows, dtype=np.bool_))
        finally:
            snapshot.close()

    @classmethod
    def of_postings(cls, postings: Postings) -> Ours:
        """An index of these postings alone."""
        return cls._of([postings], np.ones(len(postings.lengths), dtype=np.bool_))

    @classmethod
    def _of(cls, segments: Sequence[Postings], allowed: BoolArray) -> Ours:
        started = time.perf_counter()
        statistics = field_statistics(segments, allowed)
        return cls(segments, allowed, statistics, (time.perf_counter() - started) * 1000)

    def restricted(self, allowed: BoolArray) -> Ours:
        """The same index for somebody who may see some of it."""
        return self._of(self.segments, allowed)

    def search(self, terms: Sequence[str], k: int) -> tuple[Sequence[int], Sequence[float]]:
        """The k best rows and their scores; of rows that tie with the last, the first ones."""
        scores = bm25_scores(self.segments, terms, self.allowed, self.statistics, Bm25(K1, B))
        rows = _best_rows(scores, k)
        order = np.lexsort((rows, -scores[rows]))
        return rows[order].tolist(), scores[rows[order]].tolist()
