"""Small lexical indexes of plain words, the formula over their rows, and Hypothesis strategies for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ragjp.index.lexical.bm25 import Bm25, bm25_reference
from ragjp.index.lexical.postings import build_postings
from ragjp.index.lexical.search import LexicalIndex

Rows = Sequence[Mapping[str, Sequence[str]]]

WORDS = st.sampled_from(["休暇", "有給", "出張", "旅費", "経費", "申請", "a", "b"])
ROW = st.fixed_dictionaries(
    {"lemma": st.lists(WORDS, max_size=12), "bigram": st.lists(WORDS, max_size=6)}
)
ROWS = st.lists(ROW, min_size=1, max_size=24)
QUESTION = st.fixed_dictionaries(
    {"lemma": st.lists(WORDS, max_size=6), "bigram": st.lists(WORDS, max_size=4)}
)
WEIGHTS = {"lemma": 0.8, "bigram": 0.2}


def index_of(rows: Rows, cuts: Sequence[int] = ()) -> LexicalIndex:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [rows[a:b] for a, b in pairwise(edges) if a < b]
    fields = {
        name: [build_postings([row[name] for row in part]) for part in parts] for name in WEIGHTS
    }
    return LexicalIndex(fields, len(rows))


def reference(
    rows: Rows, question: Mapping[str, Sequence[str]], allowed: NDArray[Any], constants: Bm25
) -> NDArray[np.float64]:
    """The weighted sum of the fields, over plain lists."""
    total = np.zeros(len(rows))
    for name, weight in WEIGHTS.items():
        field = [row[name] for row in rows]
        total += weight * np.array(bm25_reference(field, question[name], list(allowed), constants))
    return total
