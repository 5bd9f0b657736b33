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


@dataclass(frozen=True, slots=True)
class Bm25:
    """The two constants of the formula."""

    k1: float = 0.8
    b: float = 0.75


def idf(n_rows: int, frequency: int) -> float:
    """Inverse document frequency as in Lucene; at least 0."""
    return math.log1p((n_rows - frequency + 0.5) / (frequency + 0.5))


def bm25_reference(
    rows_terms: Sequence[Sequence[str]],
    query: Sequence[str],
    allowed: Sequence[bool],
    constants: Bm25,
) -> list[float]:
    """The formula as it is written, over plain lists, in float64: the oracle of :class:`~ragjp.index.lexical.search.LexicalIndex`."""
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
