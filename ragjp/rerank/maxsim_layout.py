"""How queries and masks lie for MaxSim's kernels: what the launcher lays out, and the reference for what the device does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Query tokens that one pass over a document takes.
BLOCK: Final = 32


def query_places(lengths: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lay queries of so many tokens out in blocks of 32.

    Returns
    -------
    sources
        (blocks * 32,) of each place its token, counted over all queries; -1 where a query's last block is filled up.
    table
        (B, 2) of each query its first block, and its tokens.

    Examples
    --------
    >>> sources, table = query_places([2, 33])
    >>> sources.reshape(3, 32)[:, :3].tolist(), table.tolist()
    ([[0, 1, -1], [2, 3, 4], [34, -1, -1]], [[0, 2], [1, 33]])
    """
    table = np.zeros((len(lengths), 2), dtype=np.int32)
    places: list[NDArray[np.int32]] = []
    first = block = 0
    for number, length in enumerate(lengths):
        n_blocks = -(-length // BLOCK)
        place = np.full(n_blocks * BLOCK, -1, dtype=np.int32)
        place[:length] = np.arange(first, first + length)
        places.append(place)
        table[number] = block, length
        first, block = first + length, block + n_blocks
    return np.concatenate(places), table


def mask_words(mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """(T,) bool as (ceil(T / 32),) uint32, the lowest bit first."""
    padded = np.zeros(-(-len(mask) // 32) * 32, dtype=np.bool_)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view(np.uint32)


def fragments_reference(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What each lane holds of 32 query tokens: the order of ``fragments`` in :file:`maxsim_query.cu`, read from the lanes' side.

    A document's token is loaded by four lanes, ``t`` of them 16 bytes at ``64 * i + 16 * t`` (8 bytes at ``32 * i + 8 * t`` where a
    row is no multiple of 64 bytes); 8 bytes serve one product of 32 bytes, the first four as its lower half of k. The query's lanes
    hold the same bytes of their rows.

    Parameters
    ----------
    plane
        (32, B) uint8, the bytes of 32 tokens' rows.

    Returns
    -------
    (2, B / 32, 32, 4, 4) uint8: tile, step, lane, register, byte.
    """
    n_bytes = plane.shape[1]
    out = np.zeros((2, n_bytes // 32, 32, 4, 4), dtype=np.uint8)
    for tile, step, lane in np.ndindex(2, n_bytes // 32, 32):
        g, t = divmod(lane, 4)
        wide = n_bytes % 64 == 0
        at = 64 * (step // 2) + 16 * t + 8 * (step % 2) if wide else 32 * step + 8 * t
        upper_row, lower_row = plane[16 * tile + g], plane[16 * tile + g + 8]
        out[tile, step, lane] = (
            upper_row[at : at + 4],
            lower_row[at : at + 4],
            upper_row[at + 4 : at + 8],
            lower_row[at + 4 : at + 8],
        )
    return out
