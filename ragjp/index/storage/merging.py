"""Arrays of a segment: of new documents, and of rows of older segments joined in order.

Joined rows keep their bytes and their row checks: damage to a token row that nobody has noticed is not given a new checksum that
would hide it. Tokens are passed through without being held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import (
    Postings,
    merge_postings,
    postings_from_arrays,
    postings_from_ids,
)
from ragjp.index.storage.batch import Batch
from ragjp.index.storage.segments import Arrays, release, row_checks
from ragjp.index.tokens.store import PackedTokens, token_checks
from ragjp.japanese.columns import TermColumn, column_of
from ragjp.types import IntArray

#: A segment's mapped arrays, and the rows of it to keep (ascending).
Part = tuple[Mapping[str, NDArray[Any]], IntArray]
#: Tokens whose bytes are held at a time.
_BLOCK_TOKENS = 1 << 17
#: Field → the terms of each of some chunks, in order.
Terms = Mapping[str, Sequence[Sequence[str]]]


def new_arrays(batch: Batch, chunk_numbers: IntArray, document_numbers: IntArray) -> Arrays:
    """Make the arrays of a batch's segment; the numbers are those that its chunks and documents will have in the catalog."""
    vectors = batch.vectors.astype(np.float16)
    arrays: dict[str, NDArray[Any]] = {
        "vectors": vectors,
        "vector_checks": row_checks(vectors),
        "row_chunks": chunk_numbers,
        "row_documents": document_numbers,
    }
    for name, rows_terms in batch.terms.items():
        arrays.update(postings_of(rows_terms).arrays(name))
    if batch.tokens is not None:
        arrays["tokens"] = batch.tokens.codes
        arrays["token_scales"] = batch.tokens.scales
        arrays["token_offsets"] = batch.tokens.offsets
        arrays["token_checks"] = token_checks(batch.tokens)
    return arrays


def postings_of(
    rows_terms: Sequence[Sequence[str]], rows: IntArray | None = None, n_rows: int = 0
) -> Postings:
    """Count the terms of some texts.

    Parameters
    ----------
    rows
        (m,) ascending: the row of each text, among ``n_rows``; the other rows have no terms. None: one row a text.
    """
    column = rows_terms if isinstance(rows_terms, TermColumn) else column_of(rows_terms)
    lengths = np.diff(column.offsets)
    if rows is not None:
        sparse = np.zeros(n_rows, dtype=np.int64)
        sparse[rows] = lengths
        lengths = sparse
    return postings_from_ids(column.terms, column.numbers, lengths)


def checks_of_tokens(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
    """The row checks of a segment's token arrays, (n,) uint32, some rows at a time."""
    codes, scales, offsets = arrays["tokens"], arrays["token_scales"], arrays["token_offsets"]
    checks = [np.empty(0, np.uint32)]
    first, n_rows = 0, len(offsets) - 1
    while first < n_rows:
        last = int(np.searchsorted(offsets, offsets[first] + _BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), n_rows)
        span = slice(int(offsets[first]), int(offsets[last]))
        block = PackedTokens(
            codes[span], scales[span], np.asarray(offsets[first : last + 1]) - span.start
        )
        checks.append(token_checks(block))
        release(codes)
        release(scales)
        first = last
    return np.concatenate(checks)


def joined_arrays(
    parts: Sequence[Part], fields: Sequence[str], numbers: tuple[IntArray, IntArray]
) -> Arrays:
    """Join segments into the arrays of one.

    Parameters
    ----------
    parts
        Segments and the rows to keep of each; kept rows are numbered on, in this order.
    fields
        Names of the term fields.
    numbers
        The catalog's numbers of the kept rows' chunks (n,) and documents (n,).
    """
    arrays: dict[str, NDArray[Any] | Sequence[NDArray[Any]]] = {
        "row_chunks": numbers[0],
        "row_documents": numbers[1],
    }
    stems = ["vectors", "vector_checks"]
    if "tokens" in parts[0][0]:
        stems.append("token_checks")
        runs = [(old, *run) for old, rows in parts for run in _token_runs(old, rows)]
        for stem in ("tokens", "token_scales"):
            arrays[stem] = [old[stem][start:stop] for old, start, stop in runs] or [
                parts[0][0][stem][:0]
            ]
        lengths = np.concatenate([np.diff(old["token_offsets"])[rows] for old, rows in parts])
        arrays["token_offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    for stem in stems:
        arrays[stem] = [old[stem][rows] for old, rows in parts]
    for name in fields:
        postings = merge_postings([(postings_from_arrays(old, name), rows) for old, rows in parts])
        arrays.update(postings.arrays(name))
    return arrays


def _token_runs(old: Mapping[str, NDArray[Any]], rows: IntArray) -> list[tuple[int, int]]:
    """Spans of the token arrays that hold the kept rows, neighbours joined."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    offsets = old["token_offsets"]
    return [(int(offsets[run[0]]), int(offsets[run[-1] + 1])) for run in np.split(rows, breaks)]


def count_tokens(parts: Sequence[Part]) -> int:
    """How many token rows the kept rows have."""
    return sum(
        int(np.diff(old["token_offsets"])[rows].sum())
        for old, rows in parts
        if "token_offsets" in old
    )
