"""Arrays of a merged segment: rows kept in order, tokens passed through without being held, terms merged or made anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.postings import build_postings, merge_postings, postings_from_arrays
from ragjp.index.segments import Arrays
from ragjp.types import IntArray

#: A segment's mapped arrays, and the rows of it to keep (ascending).
Part = tuple[dict[str, NDArray[Any]], IntArray]
#: Field → the terms of each kept row, over all parts in order.
Terms = Mapping[str, Sequence[Sequence[str]]]


def merged_arrays(parts: Sequence[Part], fields: Sequence[str], terms: Terms | None) -> Arrays:
    """Join segments into the arrays of one.

    Parameters
    ----------
    parts
        Segments and the rows to keep of each; kept rows are numbered on, in this order.
    fields
        Names of the term fields.
    terms
        New terms of the kept rows; None keeps the postings that they have.
    """
    arrays: dict[str, NDArray[Any] | Sequence[NDArray[Any]]] = {
        "vectors": [old["vectors"][rows] for old, rows in parts]
    }
    for name in fields:
        if terms is None:
            postings = merge_postings(
                [(postings_from_arrays(old, name), rows) for old, rows in parts]
            )
        else:
            postings = build_postings(terms[name])
        arrays.update(postings.arrays(name))
    if "tokens" in parts[0][0]:
        spans = [
            (old, slice(int(old["token_offsets"][row]), int(old["token_offsets"][row + 1])))
            for old, rows in parts
            for row in rows
        ]
        arrays["tokens"] = [old["tokens"][span] for old, span in spans]
        arrays["token_scales"] = [old["token_scales"][span] for old, span in spans]
        lengths = [span.stop - span.start for _, span in spans]
        arrays["token_offsets"] = np.cumsum([0, *lengths], dtype=np.int64)
    return arrays


def count_tokens(parts: Sequence[Part]) -> int:
    """How many token rows the kept rows have."""
    return sum(
        int(np.diff(old["token_offsets"])[rows].sum())
        for old, rows in parts
        if "token_offsets" in old
    )
