"""MaxSim, the late interaction of ColBERT (Khattab and Zaharia 2020), on a CPU.

For a query of Q token vectors and a document of T, all of length 1::

    maxsim(q, d) = (1 / Q) * sum over query tokens i of max over document tokens j of q_i . d_j

Divided by Q so that scores of long and short questions lie on one scale, in [-1, 1]. A document without tokens scores 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ragjp.types import FloatArray, IntArray


def maxsim_reference(query: FloatArray, tokens: FloatArray, offsets: IntArray) -> FloatArray:
    """The formula as it is written, document by document: the oracle.

    Parameters
    ----------
    query
        (Q, D) float32, rows of length 1.
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
    return _segmented(tokens @ query.T, offsets)


def maxsim_int8(
    query: FloatArray, codes: NDArray[np.int8], scales: NDArray[np.float16], offsets: IntArray
) -> FloatArray:
    """MaxSim over int8 rows: the scale of a row is applied to its products, not to its D numbers.

    Parameters
    ----------
    query
        (Q, D) float32.
    codes, scales, offsets
        As in :class:`ragjp.index.tokens.PackedTokens`: (T, D) int8, (T,) float16, (N + 1,) int64.
    """
    products = codes.astype(np.float32) @ query.T
    products *= scales.astype(np.float32)[:, None]
    return _segmented(products, offsets)


def _segmented(products: FloatArray, offsets: IntArray) -> FloatArray:
    """Maximum over each document's rows of (T, Q) products, then the mean over Q."""
    scores = np.zeros(len(offsets) - 1, dtype=np.float32)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled) and products.shape[1]:
        # reduceat reads [start, next start): empty documents share their start with the next one and are left out.
        scores[filled] = np.maximum.reduceat(products, offsets[filled], axis=0).mean(axis=1)
    return scores
