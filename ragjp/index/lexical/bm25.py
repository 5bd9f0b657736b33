"""BM25 over term fields, with the statistics of the asker's view.

The formula is Robertson and Zaragoza's (2009) with the idf of Lucene, which is never negative and drops the constant ``k1 + 1``::

    idf(t)      = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5))
    score(q, d) = sum over t in q of idf(t) * tf / (tf + k1 * (1 - b + b * len(d) / avglen))

N, df and avglen count only the rows that the view allows: a document that somebody may not see changes nothing for them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragjp.index.lexical.postings import Postings
from ragjp.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Bm25:
    """The two constants of the formula."""

    k1: float = 0.8
    b: float = 0.75


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """What a view may know of a field: N rows and their mean length in terms."""

    n_rows: int
    mean_length: float


def field_statistics(segments: Sequence[Postings], allowed: BoolArray) -> FieldStatistics:
    """Count rows and mean length of a field over the allowed rows (N,) of all segments."""
    lengths = np.concatenate([segment.lengths for segment in segments])
    n_rows = int(np.count_nonzero(allowed))
    total = int(lengths[allowed].sum(dtype=np.int64))
    return FieldStatistics(n_rows, total / n_rows if n_rows else 0.0)


def document_frequencies(
    segments: Sequence[Postings], terms: Sequence[str], allowed: BoolArray
) -> dict[str, int]:
    """In how many allowed rows each term stands."""
    frequencies = dict.fromkeys(terms, 0)
    distinct = list(frequencies)
    base = 0
    for segment in segments:
        for term, number in zip(distinct, segment.find(distinct), strict=True):
            if number >= 0:
                rows = segment.rows[segment.offsets[number] : segment.offsets[number + 1]]
                frequencies[term] += int(np.count_nonzero(allowed[rows + base]))
        base += len(segment.lengths)
    return frequencies


def idf(n_rows: int, frequency: int) -> float:
    """Inverse document frequency as in Lucene; at least 0."""
    return math.log1p((n_rows - frequency + 0.5) / (frequency + 0.5))


def bm25_scores(
    segments: Sequence[Postings],
    query: Sequence[str],
    allowed: BoolArray,
    statistics: FieldStatistics,
    constants: Bm25,
) -> FloatArray:
    """Score every row for a query in one field.

    Parameters
    ----------
    segments
        The field's postings, segment after segment; the rows of all together are numbered on.
    query
        Terms of the query; a repeated term counts as often as it stands there.
    allowed
        (N,) bool, the rows of the view.

    Returns
    -------
    (N,) float32; 0 where no term matches and where the view does not allow the row.
    """
    weights = Counter(query)
    slot, rows, counts, lengths = _gather(segments, list(weights))
    if statistics.n_rows < len(allowed):
        seen = allowed[rows]
        slot, rows, counts, lengths = slot[seen], rows[seen], counts[seen], lengths[seen]
    if not len(rows):
        return np.zeros(len(allowed), dtype=np.float32)
    frequencies = np.bincount(slot, minlength=len(weights))
    per_term = np.array(
        [
            repeats * idf(statistics.n_rows, int(frequency))
            for repeats, frequency in zip(weights.values(), frequencies, strict=True)
        ]
    )
    tf = counts.astype(np.float64)
    norm = constants.k1 * (1 - constants.b + constants.b * lengths / statistics.mean_length)
    gain = per_term[slot] * (tf / (tf + norm))
    return np.bincount(rows, weights=gain, minlength=len(allowed)).astype(np.float32)


def _gather(segments: Sequence[Postings], terms: Sequence[str]) -> tuple[IntArray, ...]:
    """Collect the postings of some terms over all segments: (P,) each of term's place, row, count and row's length."""
    parts: list[tuple[int, Postings, slice, int]] = []
    base = 0
    for segment in segments:
        for place, number in enumerate(segment.find(terms).tolist()):
            if number >= 0:
                span = slice(int(segment.offsets[number]), int(segment.offsets[number + 1]))
                parts.append((place, segment, span, base))
        base += len(segment.lengths)
    if not parts:
        return (np.empty(0, np.int64),) * 4
    sizes = [span.stop - span.start for _, _, span, _ in parts]
    local = np.concatenate([segment.rows[span] for _, segment, span, _ in parts]).astype(np.int64)
    rows = local + np.repeat([start for *_, start in parts], sizes)
    counts = np.concatenate([segment.counts[span] for _, segment, span, _ in parts])
    lengths = np.concatenate([segment.lengths for segment in segments])[rows]
    return np.repeat([place for place, *_ in parts], sizes), rows, counts, lengths


def bm25_reference(
    rows_terms: Sequence[Sequence[str]],
    query: Sequence[str],
    allowed: Sequence[bool],
    constants: Bm25,
) -> list[float]:
    """The formula as it is written, over plain lists, in float64: the oracle of :func:`bm25_scores`."""
    visible = [terms for terms, seen in zip(rows_terms, allowed, strict=True) if seen]
    if not visible:
        return [0.0] * len(rows_terms)
    mean_length = sum(map(len, visible)) / len(visible)
    weights: Mapping[str, int] = Counter(query)
    scores = []
    for terms, seen in zip(rows_terms, allowed, strict=True):
        score = 0.0
        for term, repeats in weights.items():
            tf = terms.count(term)
            if seen and tf:
                frequency = sum(term in other for other in visible)
                norm = constants.k1 * (1 - constants.b + constants.b * len(terms) / mean_length)
                score += repeats * idf(len(visible), frequency) * tf / (tf + norm)
        scores.append(score)
    return scores
