"""MaxSim over int8 rows, compiled: integer products in vector registers, a tile of document tokens by query tokens at a time.

A lane of a register is one query token. Dimensions go by in pairs: a pair of a document row is repeated over all lanes, multiplied
with the pairs of the query tokens and added to 32-bit sums. LLVM makes one ``vpdpwssd`` of that where the machine has AVX-512
VNNI, ``vpmaddwd`` and ``vpaddd`` on AVX2, their like elsewhere. No sum runs across lanes, the maximum is lane by lane, and a row is
read once for up to 32 query tokens. On an EPYC of the Zen 4 kind the tile alone runs at the 112 thousand million products a second
and core that the unit can do; the whole function at 80, the rest is the widening of codes to 16 bits.

Import through :mod:`ragjp.compiled`. What the arguments are, and why no sum overflows: :mod:`ragjp.rerank.maxsim_cpu`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.base import BaseContext
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numpy.typing import NDArray

_AVX512 = bool(llvm.get_host_cpu_features().get("avx512bw", False))
#: Query tokens of a whole tile: 32 registers of 512 bits hold sums for 8 rows by 32, 16 of 256 bits for 4 rows by 16.
FULL = 32 if _AVX512 else 16
#: What the last tile is rounded up to.
STEP = 8
#: Document rows of a tile.
_ROWS = 8 if _AVX512 else 4

_I16, _I32, _F32 = ir.IntType(16), ir.IntType(32), ir.FloatType()


def _load(builder: ir.IRBuilder, data: ir.Value, index: ir.Value, kind: ir.Type) -> ir.Value:
    """Load a number or a register from a pointer to numbers of the same or half the size."""
    value = builder.load(builder.bitcast(builder.gep(data, [index]), kind.as_pointer()))
    value.align = 2
    return value


def _repeat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """A register with the same number in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
    )


def _pair_products(builder: ir.IRBuilder, left: ir.Value, right: ir.Value, lanes: int) -> ir.Value:
    """Products of two int16 pairs a lane, both added, as int32: the shape in which LLVM knows ``vpmaddwd``."""
    narrow, wide = ir.VectorType(_I16, 2 * lanes), ir.VectorType(_I32, 2 * lanes)
    products = builder.mul(
        builder.sext(builder.bitcast(left, narrow), wide),
        builder.sext(builder.bitcast(right, narrow), wide),
    )
    halves = [
        ir.Constant(ir.VectorType(_I32, lanes), list(range(first, 2 * lanes, 2)))
        for first in (0, 1)
    ]
    return builder.add(*(builder.shuffle_vector(products, products, half) for half in halves))


def _add_products(
    builder: ir.IRBuilder,
    cells: Sequence[Sequence[ir.Value]],
    lanes: int,
    wide: ir.Value,
    query: ir.Value,
    pairs: ir.Value,
    start: ir.Value,
) -> None:
    """Sum the products of the rows in ``wide`` with the query tokens at ``start``; ``cells`` (_ROWS, blocks) hold the sums."""
    sums, size = ir.VectorType(_I32, lanes), 2 * lanes
    with cgutils.for_range(builder, pairs) as loop:
        step = ir.Constant(pairs.type, size * len(cells[0]))
        at = builder.add(start, builder.mul(loop.index, step))
        tokens = [
            _load(builder, query, builder.add(at, ir.Constant(pairs.type, size * block)), sums)
            for block in range(len(cells[0]))
        ]
        for row, blocks in enumerate(cells):
            index = builder.add(
                builder.mul(ir.Constant(pairs.type, 2 * row), pairs),
                builder.mul(loop.index, ir.Constant(pairs.type, 2)),
            )
            pair = _repeat(builder, _load(builder, wide, index, _I32), lanes)
            for cell, asked in zip(blocks, tokens, strict=True):
                products = _pair_products(builder, asked, pair, lanes)
                builder.store(builder.add(builder.load(cell), products), cell)


def _raise_best(
    builder: ir.IRBuilder,
    cells: Sequence[Sequence[ir.Value]],
    lanes: int,
    scales: ir.Value,
    best: ir.Value,
    place: ir.Value,
) -> None:
    """Raise ``best`` at ``place`` to the greatest of each query token's sums times the rows' scales."""
    floats = ir.VectorType(_F32, lanes)
    for block in range(len(cells[0])):
        index = builder.add(place, ir.Constant(place.type, lanes * block))
        greatest = _load(builder, best, index, floats)
        for row, blocks in enumerate(cells):
            scale = _load(builder, scales, ir.Constant(place.type, row), _F32)
            value = builder.fmul(
                builder.sitofp(builder.load(blocks[block]), floats),
                _repeat(builder, scale, lanes),
            )
            greatest = builder.select(builder.fcmp_ordered(">", value, greatest), value, greatest)
        target = builder.bitcast(builder.gep(best, [index]), floats.as_pointer())
        builder.store(greatest, target).align = 2


def _tile(lanes: int, blocks: int) -> Callable[..., None]:
    """Make ``tile(wide, pairs, query, start, scales, best, place)`` for ``lanes * blocks`` query tokens, unrolled.

    wide
        (_ROWS * 2 * pairs,) int16: the document rows.
    query, start
        int16, and where in it the tile's query tokens begin: pair after pair, the tokens' two numbers side by side.
    scales
        (_ROWS,) float32, of the document rows.
    best, place
        float32, and where in it the greatest products of these query tokens stand; raised in place.
    """

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: Sequence[ir.Value]
    ) -> ir.Value:
        wide, query, scales, best = (
            cgutils.create_struct_proxy(signature.args[number])(context, builder, args[number]).data
            for number in (0, 2, 4, 5)
        )
        nothing = ir.Constant(ir.VectorType(_I32, lanes), None)
        # Cells on the stack that LLVM turns into registers.
        cells = [
            [cgutils.alloca_once_value(builder, nothing) for _ in range(blocks)]
            for _ in range(_ROWS)
        ]
        _add_products(builder, cells, lanes, wide, query, args[1], args[3])
        _raise_best(builder, cells, lanes, scales, best, args[6])
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(
        typing: BaseContext,
        wide: types.Type,
        pairs: types.Type,
        query: types.Type,
        start: types.Type,
        scales: types.Type,
        best: types.Type,
        place: types.Type,
    ) -> tuple[Signature, Callable[..., ir.Value]]:
        signature = types.void(wide, types.intp, query, types.intp, scales, best, types.intp)
        return signature, generate

    return tile  # type: ignore[no-any-return]


_tile_full = _tile(16, 2) if _AVX512 else _tile(8, 2)
_tile_24 = _tile(8, 3)
_tile_16 = _tile(16, 1) if _AVX512 else _tile(8, 2)
_tile_8 = _tile(8, 1)


@njit(inline="never", nogil=True)  # type: ignore[untyped-decorator]
def _widen(codes: NDArray[np.int8], wide: NDArray[np.int16]) -> None:
    # A function of its own: here LLVM knows that indices are in range and moves 32 codes at a time.
    for place in range(len(codes)):
        wide[place] = codes[place]


@njit(inline="never", nogil=True)  # type: ignore[untyped-decorator]
def _tiles(
    wide: NDArray[np.int16],
    pairs: int,
    query: NDArray[np.int16],
    whole: int,
    rest: int,
    scales: NDArray[np.float32],
    best: NDArray[np.float32],
) -> None:
    for number in range(whole):
        _tile_full(wide, pairs, query, number * 2 * pairs * FULL, scales, best, number * FULL)
    at = whole * 2 * pairs * FULL
    if rest == 8:
        _tile_8(wide, pairs, query, at, scales, best, whole * FULL)
    elif rest == 16:
        _tile_16(wide, pairs, query, at, scales, best, whole * FULL)
    elif rest == 24:
        _tile_24(wide, pairs, query, at, scales, best, whole * FULL)


@njit(  # type: ignore[untyped-decorator]
    types.void(
        types.Array(types.int8, 2, "C", readonly=True),
        types.Array(types.float32, 1, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.int16, 1, "C", readonly=True),
        types.Array(types.float64, 1, "C", readonly=True),
        types.int64,
        types.int64,
        types.float32[::1],
    ),
    cache=True,
    nogil=True,
)
def score(
    codes: NDArray[np.int8],
    scales: NDArray[np.float32],
    offsets: NDArray[np.int64],
    query: NDArray[np.int16],
    query_scales: NDArray[np.float64],
    first: int,
    last: int,
    scores: NDArray[np.float32],
) -> None:
    """Score documents ``first`` to ``last`` (exclusive) into ``scores`` (N,).

    Parameters
    ----------
    codes, scales, offsets
        (T, D) int8, (T,) float32, (N + 1,) int64.
    query
        Tiles of ``FULL`` query tokens, the last one rounded up to a multiple of ``STEP``, each as the tile wants it.
    query_scales
        (Q,) float64.
    """
    n_query = len(query_scales)
    pairs = (codes.shape[1] + 1) // 2
    whole = n_query // FULL
    rest = (n_query % FULL + STEP - 1) // STEP * STEP
    if rest == FULL:
        whole, rest = whole + 1, 0
    wide = np.zeros(_ROWS * 2 * pairs, np.int16)
    row_scales = np.empty(_ROWS, np.float32)
    best = np.empty(whole * FULL + rest, np.float32)
    for document in range(first, last):
        start, stop = offsets[document], offsets[document + 1]
        scores[document] = 0.0
        if stop <= start or not n_query:
            continue
        best[:] = -np.inf
        for top in range(start, stop, _ROWS):
            for place in range(_ROWS):
                # The last tile repeats the last row: a maximum does not mind.
                row = min(top + place, stop - 1)
                row_scales[place] = scales[row]
                _widen(codes[row], wide[place * 2 * pairs : (place + 1) * 2 * pairs])
            _tiles(wide, pairs, query, whole, rest, row_scales, best)
        total = 0.0
        for token in range(n_query):
            total += best[token] * query_scales[token]
        scores[document] = total / n_query
