"""One term field over all segments of a snapshot: what does not depend on who asks or for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.lexical.postings import Postings, postings_from_arrays

#: Counts below have their ratios in a table; nearly all have.
RATIOS = 16


@dataclass(frozen=True, slots=True)
class Field:
    """One field over all segments; lengths of rows are kept as places in a short table.

    codes : (N,) uint16 places in table. table : (C,) float64, the distinct lengths, ascending. mean : over all rows.
    """

    number: int
    segments: tuple[Postings, ...]
    codes: NDArray[np.uint16]
    table: NDArray[np.float64]
    mean: float


def joined_field(number: int, name: str, parts: tuple[Postings, ...]) -> Field:
    """Check a field's arrays, make them read-only, and join the segments' lengths.

    Raises
    ------
    IndexCorrupt
        When arrays contradict themselves, or rows have more than 65,536 different lengths: no index of chunks has.
    """
    parts = tuple(postings_from_arrays(part.arrays(name), name) for part in parts)
    lengths = np.concatenate([part.lengths for part in parts])
    if not len(lengths) or int(lengths.max()) < 1 << 20:
        table = np.flatnonzero(np.bincount(lengths))
        codes = np.zeros(int(table[-1]) + 1 if len(table) else 1, np.int64)
        codes[table] = np.arange(len(table))
        codes = codes[lengths]
    else:
        table, codes = np.unique(lengths, return_inverse=True)
    if len(table) > 1 << 16:
        raise damaged(name, "行の語数の種類が多すぎます")
    mean = float(lengths.mean(dtype=np.float64)) if len(lengths) else 0.0
    return Field(
        number, parts, frozen(codes.astype(np.uint16)), frozen(table.astype(np.float64)), mean
    )


def damaged(field: str, fault: str) -> IndexCorrupt:
    """Say that a field's postings contradict themselves."""
    return IndexCorrupt(
        f"索引の語の表「{field}」が壊れています（{fault}）。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
        code="postings_damaged",
    )


def norms_of(table: NDArray[np.float64], mean: float, constants: Bm25) -> NDArray[np.float64]:
    """The formula's ``k1 * (1 - b + b * len / avglen)`` for each distinct length (C,)."""
    relative = table / (mean or 1.0)
    return frozen(constants.k1 * (1 - constants.b + constants.b * relative))


def with_ratios(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put ``tf / (tf + norm)`` for each tf below 16 behind the norms of C codes (16 * C,): in place of tf = 0 stand the norms."""
    tf = np.arange(1.0, RATIOS)[:, np.newaxis]
    return frozen(np.concatenate([norms, (tf / (tf + norms)).ravel()]))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only: what the kernels are compiled for."""
    array.flags.writeable = False
    return array
