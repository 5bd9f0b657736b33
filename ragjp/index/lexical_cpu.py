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

from ragjp.index.postings import Postings
from ragjp.types import BoolArray, FloatArray


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
    scores = np.zeros(len(allowed), dtype=np.float32)
    weights = Counter(query)
    distinct = list(weights)
    if not distinct or not statistics.n_rows:
        return scores
    everything = statistics.n_rows == len(allowed)
    found = [(segment, segment.find(distinct)) for segment in segments]
    for slot, term in enumerate(distinct):
        matches = []
        base = 0
        for segment, numbers in found:
            number = int(numbers[slot])
            if number >= 0:
                part = slice(int(segment.offsets[number]), int(segment.offsets[number + 1]))
                local, counts = segment.rows[part], segment.counts[part]
                if not everything:
                    kept = allowed[local + base]
                    local, counts = local[kept], counts[kept]
                matches.append((local, counts, segment.lengths, base))
            base += len(segment.lengths)
        frequency = sum(len(local) for local, _, _, _ in matches)
        weight = weights[term] * idf(statistics.n_rows, frequency)
        for local, counts, lengths, start in matches:
            tf = counts.astype(np.float32)
            norm = constants.k1 * (
                1 - constants.b + constants.b * lengths[local] / statistics.mean_length
            )
            scores[local + start] += np.float32(weight) * (tf / (tf + norm.astype(np.float32)))
    return scores


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
