"""Exact nearest neighbours by inner product, over the mapped halves of several segments; nothing is joined or copied.

One score, whatever the path: a query's coordinates are rounded to multiples of 2⁻²⁷ (finer than their float32 for all but the
smallest). A half is a multiple of 2⁻²⁴, so every product is a multiple of 2⁻⁵¹, and as long as sums stay below 4, which vectors of
length 1 cannot exceed, a double holds each of them exactly. The sum is then the same in any order, in any block, by any library, and
rounding it to float32 gives one value. So an updated index scores as a fresh one, a view as an index of the visible part alone, and
NumPy as the compiled scan.

Segments with codes (:mod:`ragjp.index.dense.codes`) are scanned through them, the others row by row; both are exact. Where a large
segment has lists (:mod:`ragjp.index.dense.lists`) a search may ask for the approximate path: then, and only then, a row may be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.index.dense.codes import HALF_TO_DOUBLE, Codes, record_bytes, widened
from ragjp.index.dense.lists import Lists, rows_to_see
from ragjp.types import BoolArray, FloatArray, IntArray

_KERNELS = "ragjp.index.dense.kernels"
_GRID = 2.0**27
_NUMPY_ROWS = 256
#: NumPy takes longer for more rows than the kernels take to load (half a second).
_WORTH_WAITING_ROWS = 200_000
_ALL = 2**62
#: Room for candidates at first; it grows when a scan finds more.
_BUFFER_ROWS = 4096


def canonical_query(query: FloatArray) -> NDArray[np.float64]:
    """Round a query (D,) to the grid on which sums are exact.

    >>> canonical_query(np.array([0.5, 1e-12], np.float32)).tolist()
    [0.5, 0.0]
    """
    return np.rint(query.astype(np.float64) * _GRID) / _GRID


class DenseIndex:
    """The vectors of one snapshot, searchable. Safe to use from many threads: a search changes nothing.

    Parameters
    ----------
    parts
        The segments' vectors in order, each (n, D) float16 with rows of length 1, N rows in all; mapped arrays stay mapped.
    codes
        For each part its codes, or None. Empty: none at all.
    note
        A sentence on codes that are missing or refused, for :attr:`why`.
    """

    def __init__(
        self,
        parts: Sequence[NDArray[np.float16]],
        codes: Sequence[Codes | None] = (),
        note: str = "",
    ) -> None:
        self._parts = [np.asarray(part) for part in parts]
        self._bits = [part.view(np.uint16) for part in self._parts]
        self._codes = list(codes) or [None] * len(self._parts)
        self._bases = np.cumsum([0, *(len(part) for part in self._parts)])
        self._note = note
        # The kernels read where they are told to: what does not fit together must end here.
        widths = {part.shape[1] for part in self._parts}
        if len(widths) > 1:
            raise ValueError(f"parts of different widths: {sorted(widths)}")
        self._width = next(iter(widths), None)
        for part, codes_of_part in zip(self._parts, self._codes, strict=True):
            shape = (len(part), record_bytes(part.shape[1]))
            if codes_of_part is not None and codes_of_part.records.shape != shape:
                raise ValueError(f"codes of shape {codes_of_part.records.shape}, not {shape}")

    @property
    def why(self) -> str:
        """A sentence: which path a search takes, and why."""
        n_rows = int(self._bases[-1])
        coded = [codes for codes in self._codes if codes is not None]
        n_coded = sum(len(codes.records) for codes in coded)
        if missing := compiled.why_not():
            sentence = f"密ベクトル {n_rows:,} 行を NumPy で総当たりします（{missing}）"
        elif coded:
            sentence = (
                f"密ベクトル {n_rows:,} 行のうち {n_coded:,} 行を int8 の符号で絞り込み、"
                "残った行を fp16 のまま厳密に採点します（結果は総当たりと同じ）"
            )
        else:
            sentence = f"密ベクトル {n_rows:,} 行を fp16 のまま厳密に総当たりします（numba）"
        if n_listed := sum(len(codes.records) for codes in coded if codes.lists is not None):
            sentence += (
                f"。うち {n_listed:,} 行には近似索引があり、retrieval.dense が exact でなければ、"
                "質問に近い組だけを読みます（再現率 0.95 以上が目安。見える行が少ないときは厳密）"
            )
        return f"{sentence}。{self._note}"

    def search(
        self,
        query: FloatArray,
        allowed: BoolArray,
        k: int,
        mask: BoolArray | None = None,
        *,
        lists_from: int | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Best k allowed rows of one query, and every further row whose score equals the k-th.

        Parameters
        ----------
        query
            (D,) float32 of length 1.
        allowed
            (N,) bool. mask : (N,) bool, rows that a query operator keeps; None keeps all.
        lists_from
            Segments of so many rows or more may be searched through their lists, which may miss rows (about 1 in 20 at most; scores
            are exact nevertheless). None: every segment is searched exactly.

        Returns
        -------
        rows (K,) int64 and scores (K,) float32, by (−score, row). K ≥ min(k, rows that are allowed and kept).

        Raises
        ------
        ValueError
            When the query has another width than the vectors, or the view another length than the rows.
        """
        usable = np.ascontiguousarray(allowed if mask is None else allowed & mask)
        if usable.shape != (self._bases[-1],):
            raise ValueError(f"a view of {len(usable)} rows for {self._bases[-1]}")
        n_usable = int(np.count_nonzero(usable))
        if k <= 0 or not n_usable:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        grid = self._canonical(query)
        kernels = compiled.ready(_KERNELS)
        if kernels is None and n_usable > _WORTH_WAITING_ROWS:
            kernels = compiled.load(_KERNELS)
        probes = self._probes(usable, k, lists_from)
        if kernels is None:
            rows = self._seen(grid, usable, probes)
            scores = self._exact(grid, rows, None)
        else:
            rows, scores = self._candidates(grid, usable, min(k, n_usable), kernels, probes)
        return best_and_tied(rows, scores, k)

    def scores(self, query: FloatArray, rows: IntArray) -> FloatArray:
        """(R,) float32, the scores of any rows (R,): those that :meth:`search` gives them, bit for bit.

        Raises
        ------
        IndexError
            When there is no such row.
        """
        return self._exact(self._canonical(query), rows, compiled.ready(_KERNELS))

    def _probes(
        self, usable: BoolArray, k: int, lists_from: int | None
    ) -> list[tuple[Lists, int] | None]:
        """For each part the lists to go through and how many usable rows to see there; None where all are read."""
        probes: list[tuple[Lists, int] | None] = []
        for number, codes in enumerate(self._codes):
            begin, end = self._bases[number], self._bases[number + 1]
            wanted = None
            if lists_from is not None and end - begin >= lists_from and codes and codes.lists:
                wanted = rows_to_see(int(np.count_nonzero(usable[begin:end])), k)
            probes.append(None if wanted is None else (codes.lists, wanted))  # type: ignore[union-attr, arg-type]
        return probes

    def _seen(
        self,
        grid: NDArray[np.float64],
        usable: BoolArray,
        probes: Sequence[tuple[Lists, int] | None],
    ) -> IntArray:
        """Rows that a search scores: all that are usable, or in a part with a probe those of the lists it reads."""
        found = [np.empty(0, np.int64)]
        for number, probe in enumerate(probes):
            base = self._bases[number]
            part_usable = usable[base : self._bases[number + 1]]
            if probe is None:
                found.append(np.flatnonzero(part_usable) + base)
                continue
            lists, wanted = probe
            for begin, end in lists.ranges(grid):
                rows = lists.order[begin:end]
                rows = rows[part_usable[rows]]
                found.append(rows + base)
                wanted -= len(rows)
                if wanted <= 0:
                    break
        return np.concatenate(found)

    def _canonical(self, query: FloatArray) -> NDArray[np.float64]:
        if self._width is not None and query.shape != (self._width,):
            raise ValueError(f"a query of shape {query.shape} for vectors of width {self._width}")
        return canonical_query(query)

    def _exact(
        self, grid: NDArray[np.float64], rows: IntArray, kernels: ModuleType | None
    ) -> FloatArray:
        out = np.empty(len(rows), np.float32)
        owners = np.searchsorted(self._bases, rows, side="right") - 1
        # Not np.unique: its first call imports numpy.ma, which costs a process 50 ms of its first answer.
        for number in np.flatnonzero(np.bincount(owners + 1)) - 1:
            mine = np.flatnonzero(owners == number)
            local = (rows[mine] - self._bases[number]).astype(np.int64)
            if local.min() < 0 or number >= len(self._parts):
                raise IndexError(f"row outside of {self._bases[-1]}")
            if kernels is None:
                out[mine] = _numpy_scores(self._parts[number], local, grid)
            else:
                found = np.empty(len(local), np.float32)
                kernels.score_rows(self._bits[number], local, grid, found)
                out[mine] = found
        return out

    def _candidates(
        self,
        grid: NDArray[np.float64],
        usable: BoolArray,
        k: int,
        kernels: ModuleType,
        probes: Sequence[tuple[Lists, int] | None],
    ) -> tuple[IntArray, FloatArray]:
        """Rows among which are the k best and all tied with the k-th, with their scores."""
        heap = np.full(k, -np.inf)
        found: list[tuple[int, IntArray, NDArray[np.float64]]] = []
        for number, base in enumerate(self._bases[:-1]):
            part_usable = usable[base : self._bases[number + 1]]
            if part_usable.any():
                rows, uppers = self._scan(kernels, number, part_usable, grid, heap, probes[number])
                found.append((number, rows + base, uppers))
        # Only now is the heap's least what it will be: most of what was collected on the way falls.
        exact_rows, exact_scores, open_rows = [], [], []
        for number, rows, uppers in found:
            kept = uppers >= heap[0]
            if self._codes[number] is None:
                exact_rows.append(rows[kept])
                exact_scores.append(uppers[kept].astype(np.float32))
            else:
                open_rows.append(rows[kept])
        for rows in open_rows:
            exact_rows.append(rows)
            exact_scores.append(self._exact(grid, rows, kernels))
        return np.concatenate(exact_rows), np.concatenate(exact_scores)

    def _scan(
        self,
        kernels: ModuleType,
        number: int,
        usable: BoolArray,
        grid: NDArray[np.float64],
        heap: NDArray[np.float64],
        probe: tuple[Lists, int] | None,
    ) -> tuple[IntArray, NDArray[np.float64]]:
        """Scan one part with the heap of the parts before it; rows of the part, and what they score at most."""
        codes = self._codes[number]
        size = max(_BUFFER_ROWS, 2 * kernels.BLOCK)
        kept_rows, kept_uppers = np.empty(0, np.int64), np.empty(0, np.float64)
        start, cursor = 0, np.zeros(3, np.int64)
        if codes is not None:
            coarse, line = codes.draft(grid)
            order, numbers = codes.order, codes.order
            ranges, wanted = np.array([[0, len(usable)]]), _ALL
            if probe is not None:
                ranges, wanted = probe[0].ranges(grid), probe[1]
            elif len(order):
                # To read everything it is a third faster to bring the view into the records' order first.
                usable, numbers = usable[order], np.empty(0, np.int32)
        while start < (len(usable) if codes is None else len(ranges)):
            rows, uppers = np.empty(size, np.int64), np.empty(size, np.float64)
            if codes is None:
                start, n_found = kernels.scan_rows(
                    self._bits[number], usable, grid, start, heap, rows, uppers
                )
            else:
                n_found = kernels.scan_codes(
                    codes.records,
                    codes.tails,
                    numbers,
                    usable,
                    coarse,
                    line,
                    ranges,
                    wanted,
                    cursor,
                    heap,
                    rows,
                    uppers,
                )
                start = int(cursor[0])
                if len(order) > len(numbers):
                    rows = order[rows[:n_found]].astype(np.int64)
            kept_rows = np.concatenate([kept_rows, rows[:n_found]])
            kept_uppers = np.concatenate([kept_uppers, uppers[:n_found]])
            kept = kept_uppers >= heap[0]
            kept_rows, kept_uppers = kept_rows[kept], kept_uppers[kept]
            size = max(size, 2 * len(kept_rows))
        return kept_rows, kept_uppers


def best_and_tied(rows: IntArray, scores: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Keep the k best of some rows and all that are tied with the k-th, by (−score, row).

    >>> best_and_tied(np.array([7, 3, 5]), np.array([1, 2, 1], np.float32), 2)[0].tolist()
    [3, 5, 7]
    """
    if k < len(rows):
        border = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = scores >= border
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))
    return rows[order].astype(np.int64), scores[order].astype(np.float32)


def _numpy_scores(
    vectors: NDArray[np.float16], rows: IntArray, grid: NDArray[np.float64]
) -> FloatArray:
    scaled = grid * HALF_TO_DOUBLE
    out = np.empty(len(rows), np.float32)
    for begin in range(0, len(rows), _NUMPY_ROWS):
        taken = rows[begin : begin + _NUMPY_ROWS]
        in_one_run = taken[-1] - taken[0] == len(taken) - 1 and (np.diff(taken) == 1).all()
        some = vectors[taken[0] : taken[-1] + 1] if in_one_run else vectors[taken]
        out[begin : begin + _NUMPY_ROWS] = widened(some) @ scaled
    return out
