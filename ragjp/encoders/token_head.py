"""The trained head of late interaction: from a hidden state to a token vector of K numbers, and to how much a query's token counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ragjp.encoders.packing import unit_rows
from ragjp.types import FloatArray

#: Part of the encoder's fingerprint: raise it when :func:`token_vectors` gives other numbers.
HEAD_VERSION = 1
#: The head's file in a folder for sentence-transformers: ``rows`` and ``shifts``.
FILE = "token_head.safetensors"


@dataclass(frozen=True, slots=True)
class TokenHead:
    """One matrix product for both: the states of a token are ``rows @ hidden + shifts``.

    rows : (K + 1, H) float32, the projection, then the salience.
    shifts : (K + 1,) float32, zeros but for the salience's.
    """

    rows: FloatArray
    shifts: FloatArray

    @property
    def token_dim(self) -> int:
        """K, the width of a token vector."""
        return len(self.rows) - 1


def token_vectors(states: FloatArray, *, query: bool) -> FloatArray:
    """Turn a head's states into the rows that MaxSim reads.

    Parameters
    ----------
    states
        (T, K + 1) float32.
    query
        A passage's rows have length 1; a query's are multiplied by ``softplus`` of the last state, ``log(1 + exp(s))``.

    Returns
    -------
    FloatArray
        (T, K) float32.

    Examples
    --------
    >>> token_vectors(np.array([[3.0, 4.0, 0.0]], np.float32), query=False).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    >>> token_vectors(np.array([[3.0, 4.0, -100.0]], np.float32), query=True).round(3).tolist()
    [[0.0, 0.0]]
    """
    rows = unit_rows(states[:, :-1])
    if query:
        rows *= np.logaddexp(np.float32(0), states[:, -1:])
    return rows
