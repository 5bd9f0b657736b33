"""MaxSim, the late interaction of ColBERT (Khattab and Zaharia 2020), on a CPU.

For a query of Q token vectors and a document of T::

    maxsim(q, d) = (1 / Q) * sum over query tokens i of max over document tokens j of q_i . d_j

A document's vectors have length 1. So have a query's, or their length is what an encoder with trained weights says that the token
counts; the formula is the same. Divided by Q so that scores of long and short questions lie on one scale, with lengths of 1 in
[-1, 1]. A document without tokens scores 0.

Over int8 rows the products are summed in integers (see :func:`maxsim_int8`), so a score is the same number whichever path computes
it, on whichever machine, and whatever other candidates stand beside the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.types import FloatArray, IntArray

KERNELS = "ragjp.rerank.maxsim_kernels"
_GREATEST_CODE = 128
_GREATEST_QUERY = 32767
#: Products that a thread must have to itself before it is worth its start (about 4 ms).
_SHARE = 300_000_000
#: Rows that the NumPy path widens to float64 at a time: 6 MB at 384 dimensions, within the second-level cache's reach.
_BLOCK_ROWS = 2048


def maxsim_reference(query: FloatArray, tokens: FloatArray, offsets: IntArray) -> FloatArray:
    """The formula as it is written, document by document: the oracle.

    Parameters
    ----------
    query
        (Q, D) float32.
    tokens
        (T, D) float32, the N documents' tokens packed one after the other.
    offsets
        (N + 1,) int64, tokens of document n are ``tokens[offsets[n]:offsets[n + 1]]``.

    Returns
    -------
    (N,) float32.
    """
    scores = np.zeros(len(offsets) - 1, dtype=np.float32)
    for number in range(len(scores)):
        document = tokens[offsets[number] : offsets[number + 1]]
        if len(document) and len(query):
            scores[number] = (query @ document.T).max(axis=1).mean()
    return scores


def maxsim(query: FloatArray, tokens: FloatArray, offsets: IntArray) -> FloatArray:
    """The same over all documents at once: one matrix product, then one segmented maximum. See :func:`maxsim_reference`."""
    scores = np.zeros(len(offsets) - 1, dtype=np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled) and len(query):
        scores[filled] = _greatest(tokens @ query.T, offsets, filled).mean(axis=1)
    return scores


def maxsim_int8(
    query: FloatArray,
    codes: NDArray[np.int8],
    scales: NDArray[np.float16],
    offsets: IntArray,
    *,
    threads: int = 1,
) -> FloatArray:
    """MaxSim over int8 rows, with the query in 16-bit integers: compiled when the kernels are loaded, in NumPy until then.

    Both give the same bits: sums of integers are exact in any order, and what follows them is done in one order by both. Against
    :func:`maxsim_reference` over the same rows in float32 a score is off by no more than half a step of :func:`query_codes` times
    the greatest absolute sum of a row; on e5 tokens of 384 numbers by 5e-7.

    No sum overflows: with the scale of :func:`query_codes` a query token's codes c have ``128 * sum |c_i| < 2^31``, and a
    document's codes lie in [-128, 127], so every partial sum of ``c_i * d_i``, in whatever order, fits an int32. (In NumPy they
    are float64, exact up to 2^53.)

    Parameters
    ----------
    query
        (Q, D) float32, finite.
    codes, scales, offsets
        As in :class:`ragjp.index.tokens.store.PackedTokens`: (T, D) int8, (T,) float16, (N + 1,) int64.
    threads
        Threads that the compiled path may take. It takes one for the 50 candidates of a question (1 ms), the second for a thousand.

    Returns
    -------
    (N,) float32.
    """
    kernels = compiled.ready(KERNELS)
    if kernels is None:
        return maxsim_int8_numpy(query, codes, scales, offsets)
    return maxsim_int8_compiled(kernels, query, codes, scales, offsets, threads)


def maxsim_int8_numpy(
    query: FloatArray, codes: NDArray[np.int8], scales: NDArray[np.float16], offsets: IntArray
) -> FloatArray:
    """The NumPy path of :func:`maxsim_int8`, and the reference for its kernels."""
    scores = np.zeros(len(offsets) - 1, dtype=np.float32)
    if not len(query):
        return scores
    asked, query_scales = query_codes(query)
    columns = asked.T.astype(np.float64)
    for first, last in _blocks(offsets):
        start, stop = offsets[first], offsets[last]
        products = (codes[start:stop].astype(np.float64) @ columns).astype(np.float32)
        products *= scales[start:stop].astype(np.float32)[:, None]
        filled = np.flatnonzero(np.diff(offsets[first : last + 1]))
        best = _greatest(products, offsets[first : last + 1] - start, filled)
        # cumsum adds from left to right, as the kernel does; sum would not.
        total = np.cumsum(best * query_scales, axis=1)[:, -1]
        scores[first + filled] = total / len(query)
    return scores


def maxsim_int8_compiled(
    kernels: ModuleType,
    query: FloatArray,
    codes: NDArray[np.int8],
    scales: NDArray[np.float16],
    offsets: IntArray,
    threads: int = 1,
) -> FloatArray:
    """The compiled path of :func:`maxsim_int8`; ``kernels`` is the module that :mod:`ragjp.compiled` hands out."""
    n_documents = len(offsets) - 1
    scores = np.zeros(n_documents, dtype=np.float32)
    if not len(query):
        return scores
    asked, query_scales = query_codes(query)
    arguments = (
        np.ascontiguousarray(codes),
        scales.astype(np.float32),
        np.ascontiguousarray(offsets, dtype=np.int64),
        _tiles(asked, kernels.FULL, kernels.STEP),
        query_scales,
    )
    threads = min(threads, n_documents, codes.size * len(query) // _SHARE)
    if threads <= 1:
        kernels.score(*arguments, 0, n_documents, scores)
        return scores
    shares = np.searchsorted(offsets, np.linspace(0, offsets[-1], threads + 1)[1:-1])
    borders = [0, *(min(int(share), n_documents) for share in shares), n_documents]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda span: kernels.score(*arguments, *span, scores), pairwise(borders)))
    return scores


def query_codes(query: FloatArray) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Query tokens (Q, D) as int16 codes (Q, D) and scales (Q,): ``codes * scales`` is the query to within half a step.

    The step is the smallest at which the greatest code is 32,767 and the codes' absolute sum times 128 is below 2^31. Rounding
    adds at most D / 2 to that sum, which is set aside beforehand.
    """
    query = query.astype(np.float64)
    size = np.abs(query)
    room = (2**31 - 1) / _GREATEST_CODE - query.shape[1] / 2 - 1
    scales = np.maximum(size.max(axis=1, initial=0.0) / _GREATEST_QUERY, size.sum(axis=1) / room)
    codes = np.rint(query / np.where(scales > 0, scales, 1.0)[:, None])
    return np.clip(codes, -_GREATEST_QUERY, _GREATEST_QUERY).astype(np.int16), scales


def _tiles(codes: NDArray[np.int16], full: int, step: int) -> NDArray[np.int16]:
    """Query codes (Q, D) as the kernel reads them: tiles of ``full`` tokens, in each the dimensions in pairs, in each the tokens.

    The last tile is filled up with zeros to a multiple of ``step`` tokens, an odd width to an even one. Starts on a cache line.
    """
    n_query, width = codes.shape
    padded = np.zeros((-(-n_query // step) * step, width + width % 2), dtype=np.int16)
    padded[:n_query, :width] = codes
    room = np.empty(padded.size + 32, dtype=np.int16)
    tiles = room[-room.ctypes.data % 64 // 2 :][: padded.size]
    at = 0
    for first in range(0, len(padded), full):
        tile = padded[first : first + full]
        tiles[at : at + tile.size] = tile.reshape(len(tile), -1, 2).swapaxes(0, 1).ravel()
        at += tile.size
    return tiles


def _blocks(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Runs of documents [first, last) of about ``_BLOCK_ROWS`` rows; a longer document is a block of its own."""
    first, n_documents = 0, len(offsets) - 1
    while first < n_documents:
        last = int(np.searchsorted(offsets, offsets[first] + _BLOCK_ROWS, side="right")) - 1
        last = min(max(last, first + 1), n_documents)
        yield first, last
        first = last


def _greatest(products: FloatArray, offsets: IntArray, filled: IntArray) -> FloatArray:
    """Greatest of each filled document's rows of (T, Q) products: (len(filled), Q)."""
    # reduceat reads [start, next start): empty documents share their start with the next one and are left out.
    return np.maximum.reduceat(products, offsets[filled], axis=0) if len(filled) else products[:0]
