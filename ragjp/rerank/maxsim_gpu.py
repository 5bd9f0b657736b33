"""MaxSim on a GPU: the launchers of :file:`kernels/maxsim_*.cu`. The formulas are those of :mod:`ragjp.rerank.maxsim_cpu`.

Over int8 rows a score has the same bits as on a CPU: the query becomes the same int16 codes, their products with a row's codes are
summed in integers by the tensor cores (a code is 256 * high + low, one product each), and what follows is rounded in the same order.
Over float16 rows the query is rounded to halves too; against float64 a score is off by less than one part in a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragjp.cuda.source import Source
from ragjp.cuda.toolkit import NOTHING, Toolkit, require
from ragjp.index.tokens.store import PackedTokens
from ragjp.rerank.maxsim_layout import BLOCK, mask_words, query_places
from ragjp.types import FloatArray, IntArray

#: Numbers of a token: a multiple of the first, at most the second.
WIDTH_STEP, GREATEST_WIDTH = 32, 512
_THREADS: Final = 128
_ALIGNMENT: Final = 16
_PACKAGE: Final = "ragjp.rerank.kernels"
_QUERY: Final = Source(_PACKAGE, ("maxsim_query.cu",))


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a kernel is cut for a format and a width; see :file:`maxsim.cuh`. No result depends on it.

    ``held`` planes of the query in registers, ``tiles`` of 8 tokens that a warp does together, ``blocks`` on a multiprocessor.
    """

    held: int
    tiles: int
    blocks: int


def tuning(int8: bool, width: int, *, many: bool = False) -> Tuning:
    """The cut that fits in registers without spilling (tests/kernels/test_compile.py) and keeps the most bytes on their way.

    Chosen by register counts and by arithmetic on the first-level cache's traffic; ``make bench-gpu`` measures the others beside it.
    """
    if width > 128:
        return Tuning(held=0, tiles=2, blocks=4 if int8 and not many else 3)
    if int8:
        return Tuning(held=1 if width > 96 else 2, tiles=2, blocks=3 if many else 4)
    return Tuning(held=1, tiles=2 if width <= 64 else 1, blocks=3 if many else 4)


def scoring_source(
    int8: bool, width: int, *, masked: bool = False, many: bool = False, cut: Tuning | None = None
) -> Source:
    """The text of the scoring kernel for rows of ``width`` numbers; ``many``: several queries, or one of more than 32 tokens."""
    cut = cut or tuning(int8, width, many=many or masked)
    return Source(
        _PACKAGE,
        ("maxsim.cuh", f"maxsim_{'i8' if int8 else 'f16'}.cu"),
        (
            ("WIDTH", width),
            ("MASKED", int(masked)),
            ("MANY", int(many)),
            ("HELD", cut.held),
            ("TILES", cut.tiles),
            ("BLOCKS", cut.blocks),
        ),
    )


#: What the tests compile for every architecture.
SOURCES: Final = (
    _QUERY,
    *(
        scoring_source(int8, width, masked=masked, many=many)
        for int8 in (False, True)
        for width in (64, 96, 128, 384)
        for masked, many in ((False, False), (False, True), (True, True))
    ),
)


@dataclass(frozen=True, slots=True)
class DeviceTokens:
    """The token rows of N documents on a device.

    Parameters
    ----------
    rows
        (T, D) float16, or int8 codes. T is below 2^32.
    offsets
        (N + 1,) int64, never falling, from 0 to T: tokens of document n are ``rows[offsets[n]:offsets[n + 1]]``.
    scales
        (T,) float16, the value of a code's 1; None with float16 rows.
    mask
        (ceil(T / 32),) uint32, bit ``t % 32`` of word ``t // 32`` says whether row t counts; None: all do.
    """

    rows: Any
    offsets: Any
    scales: Any | None = None
    mask: Any | None = None

    @property
    def int8(self) -> bool:
        """Whether the rows are codes."""
        return self.scales is not None

    @property
    def width(self) -> int:
        """D, numbers of a token."""
        return int(self.rows.shape[1])

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class DeviceQueries:
    """Queries as the tensor cores want them: made by :meth:`MaxSim.prepare`, for rows of one format and width.

    ``table`` (B, 2) int32: of each query its first block of 32 tokens, and its tokens.
    """

    fragments: Any
    scales: Any
    table: Any
    int8: bool
    width: int
    #: Whether there are several, or one of more than 32 tokens.
    many: bool

    def __len__(self) -> int:
        return len(self.table)


class MaxSim:
    """MaxSim on one device. One thread at a time, one stream: launches share a queue of work.

    Parameters
    ----------
    toolkit
        The device: :class:`ragjp.cuda.toolkit.CupyToolkit`.
    """

    def __init__(self, toolkit: Toolkit) -> None:
        self._toolkit = toolkit
        self._xp = toolkit.xp
        self._queue = toolkit.xp.zeros(2, np.int32)

    def upload(
        self,
        rows: NDArray[Any],
        offsets: IntArray,
        scales: NDArray[np.float16] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> DeviceTokens:
        """Copy token rows to the device; see :class:`DeviceTokens`, but ``mask`` is (T,) bool here.

        Raises
        ------
        ValueError, TypeError
            As :meth:`check` does, and when the offsets do not cover the rows.
        """
        offsets = np.ascontiguousarray(offsets, dtype=np.int64)
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(rows):
            raise ValueError(f"offsets do not go from 0 to the {len(rows)} rows")
        if (np.diff(offsets) < 0).any():
            raise ValueError("offsets fall: a document would have less than no tokens")
        xp = self._xp
        words = None
        if mask is not None:
            if mask.shape != (len(rows),):
                raise ValueError(f"mask has the shape {mask.shape}, not ({len(rows)},)")
            words = xp.asarray(mask_words(mask))
        tokens = DeviceTokens(
            xp.asarray(np.ascontiguousarray(rows)),
            xp.asarray(offsets),
            None if scales is None else xp.asarray(np.ascontiguousarray(scales)),
            words,
        )
        self.check(tokens)
        return tokens

    def check(self, tokens: DeviceTokens) -> None:
        """Refuse rows that the kernels would misread. The offsets' values are believed: they are on the device.

        Raises
        ------
        TypeError
            When an array is not on the device or of another dtype.
        ValueError
            When shapes do not agree, an array has gaps or begins at an odd address, or the width is no multiple of 32 up to 512.
        """
        width = tokens.width
        if width % WIDTH_STEP or not 0 < width <= GREATEST_WIDTH:
            raise ValueError(
                f"tokens of {width} numbers: not a multiple of {WIDTH_STEP} up to {GREATEST_WIDTH}"
            )
        n_rows = int(tokens.rows.shape[0])
        if n_rows >= 2**32:
            raise ValueError(f"{n_rows} token rows: the kernels number them in 32 bits")
        kind = np.int8 if tokens.int8 else np.float16
        require(self._toolkit, tokens.rows, "rows", kind, (n_rows, width), alignment=_ALIGNMENT)
        require(self._toolkit, tokens.offsets, "offsets", np.int64, (None,))
        if tokens.scales is not None:
            require(self._toolkit, tokens.scales, "scales", np.float16, (n_rows,))
        if tokens.mask is not None:
            require(self._toolkit, tokens.mask, "mask", np.uint32, (-(-n_rows // 32),))

    def prepare(self, queries: Sequence[Any], *, int8: bool) -> DeviceQueries:
        """Bring queries into the order of the tensor cores' fragments.

        Parameters
        ----------
        queries
            B arrays (Q, D) float32, finite, Q at least 1, on the host or on the device; of any lengths of token vectors.
        int8
            Whether they meet int8 rows; else float16 rows.

        Raises
        ------
        ValueError
            When there is no query, one has no token, or widths differ.
        """
        shapes = [tuple(query.shape) for query in queries]
        if not shapes or any(len(shape) != 2 or not shape[0] for shape in shapes):
            raise ValueError(f"queries have the shapes {shapes}, not (tokens, width)")
        width = shapes[0][1]
        if any(shape[1] != width for shape in shapes):
            raise ValueError(f"queries have different widths: {sorted({s[1] for s in shapes})}")
        if width % WIDTH_STEP or not 0 < width <= GREATEST_WIDTH:
            raise ValueError(f"queries of {width} numbers: not a multiple of {WIDTH_STEP}")
        sources, table = query_places([shape[0] for shape in shapes])
        xp, planes = self._xp, 2 if int8 else 1
        joined = [xp.asarray(query, dtype=np.float32) for query in queries]
        query = xp.ascontiguousarray(joined[0] if len(joined) == 1 else xp.concatenate(joined))
        row_bytes = width if int8 else 2 * width
        fragments = xp.empty(len(sources) * planes * row_bytes, np.uint8)
        scales = xp.empty(len(sources), np.float64)
        kernel = self._toolkit.kernel(_QUERY, f"maxsim_query_{'i8' if int8 else 'f16'}")
        arguments = (query, xp.asarray(sources), np.int32(width), fragments, scales)
        kernel((len(sources) * 32 // _THREADS,), (_THREADS,), arguments)
        return DeviceQueries(
            fragments, scales, xp.asarray(table), int8, width, len(sources) > BLOCK
        )

    def score(
        self,
        queries: DeviceQueries,
        tokens: DeviceTokens,
        candidates: Any,  # noqa: ANN401 - CuPy's arrays have no types
        scores: Any,  # noqa: ANN401
        *,
        owners: Any | None = None,  # noqa: ANN401
        count: Any | None = None,  # noqa: ANN401
        cut: Tuning | None = None,
    ) -> None:
        """Launch the scoring of candidates: nothing is allocated, copied or waited for, so a graph can capture it.

        Parameters
        ----------
        queries, tokens
            Of the same format and width.
        candidates
            (C,) int32 numbers of documents, on the device, in any order, with repetitions as they please. What is outside [0, N)
            scores minus infinity.
        scores
            (C,) float32 on the device: where the scores go. A document without tokens that count scores 0.
        owners
            (C,) int32, the query of each candidate, in [0, B); those of one query side by side is fastest. None: the first query.
        count
            (1,) int32 on the device: only so many candidates count, the other scores stay as they are. None: all.

        Raises
        ------
        TypeError, ValueError
            When an array is not as described, or queries and tokens do not go together.
        """
        if queries.int8 != tokens.int8 or queries.width != tokens.width:
            raise ValueError(
                f"queries for {'int8' if queries.int8 else 'float16'} rows of {queries.width} meet "
                f"{'int8' if tokens.int8 else 'float16'} rows of {tokens.width}"
            )
        toolkit, n_candidates = self._toolkit, len(candidates)
        require(toolkit, candidates, "candidates", np.int32, (n_candidates,))
        require(toolkit, scores, "scores", np.float32, (n_candidates,))
        if owners is not None:
            require(toolkit, owners, "owners", np.int32, (n_candidates,))
        if count is not None:
            require(toolkit, count, "count", np.int32, (1,))
        if not n_candidates:
            return
        # A mask is rare: its kernels know many queries too, or there would be twice as many of them.
        masked = tokens.mask is not None
        many = masked or queries.many
        cut = cut or tuning(tokens.int8, tokens.width, many=many)
        source = scoring_source(tokens.int8, tokens.width, masked=masked, many=many, cut=cut)
        kernel = toolkit.kernel(source, "maxsim_i8" if tokens.int8 else "maxsim_f16")
        blocks = min(n_candidates, cut.blocks * toolkit.multiprocessors)
        arguments = (
            tokens.rows,
            *(() if tokens.scales is None else (tokens.scales,)),
            NOTHING if tokens.mask is None else tokens.mask,
            tokens.offsets,
            np.int32(len(tokens)),
            queries.fragments,
            queries.scales,
            queries.table,
            candidates,
            NOTHING if owners is None else owners,
            NOTHING if count is None else count,
            np.int32(n_candidates),
            scores,
            self._queue,
        )
        kernel((blocks,), (_THREADS,), arguments)

    def maxsim(self, query: FloatArray, tokens: FloatArray, offsets: IntArray) -> FloatArray:
        """:func:`ragjp.rerank.maxsim_cpu.maxsim` with the tokens rounded to float16, from the host and back to it."""
        return self._from_host(query, tokens.astype(np.float16), offsets, None)

    def maxsim_int8(
        self,
        query: FloatArray,
        codes: NDArray[np.int8],
        scales: NDArray[np.float16],
        offsets: IntArray,
    ) -> FloatArray:
        """:func:`ragjp.rerank.maxsim_cpu.maxsim_int8`, the same bits, from the host and back to it."""
        return self._from_host(query, codes, offsets, scales)

    def upload_packed(self, packed: PackedTokens) -> DeviceTokens:
        """Copy a store's rows to the device."""
        return self.upload(packed.codes, packed.offsets, packed.scales)

    def _from_host(
        self,
        query: FloatArray,
        rows: NDArray[Any],
        offsets: IntArray,
        scales: NDArray[np.float16] | None,
    ) -> FloatArray:
        n_documents = len(offsets) - 1
        if not len(query) or not n_documents or not len(rows):
            return np.zeros(n_documents, dtype=np.float32)
        # A part of a store begins where it lies there.
        first, last = int(offsets[0]), int(offsets[-1])
        part = None if scales is None else scales[first:last]
        tokens = self.upload(rows[first:last], offsets - first, part)
        scores = self._xp.empty(n_documents, np.float32)
        numbers = self._xp.arange(n_documents, dtype=np.int32)
        self.score(self.prepare([query], int8=tokens.int8), tokens, numbers, scores)
        found: FloatArray = self._xp.asnumpy(scores)
        return found
