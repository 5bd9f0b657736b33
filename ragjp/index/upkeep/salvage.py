"""What can still be used of a damaged segment, row by row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.storage.catalog import SEGMENTS_NAME
from ragjp.index.storage.merging import checks_of_tokens
from ragjp.index.storage.segments import Segment, file_sha256, map_array, row_checks
from ragjp.index.upkeep.check_segments import TOKEN_FILES, CatalogRows
from ragjp.types import BoolArray


@dataclass(slots=True)
class Salvaged:
    """Arrays of a segment that may be used for the rows that are ``sound`` (n,); postings of fields in ``lost_fields`` are missing."""

    arrays: dict[str, NDArray[Any]]
    sound: BoolArray
    lost_fields: list[str]


def salvage(
    index: Path,
    meta: Mapping[str, str],
    segment: Segment,
    damaged: set[str],
    said: CatalogRows,
    fields: Sequence[str],
) -> Salvaged:
    """Take what is sound of a segment's files, and of the others the rows whose own checks say so.

    Parameters
    ----------
    damaged
        Stems of the files that are missing or not what was written.
    said
        What the catalog says of the rows; where a row map contradicts it without being damaged, the row is not sound.
    """
    folder, n_rows = index / SEGMENTS_NAME / segment.name, segment.n_rows
    intact = {
        record.name.removesuffix(".npy"): record
        for record in segment.files
        if not _is_damaged(folder / record.name, record.sha256, damaged)
    }
    arrays = {stem: map_array(folder / one.name, one.n_bytes) for stem, one in intact.items()}
    sound = _agreeing_rows(arrays, said, n_rows)
    if not {"vectors", "vector_checks"} <= arrays.keys():
        shape = (n_rows, int(meta["dim"]))
        vectors, kept = _rows_left(arrays, "vectors", folder, shape, np.dtype(np.float16))
        checks = row_checks(vectors)
        if "vectors" in arrays:
            kept = np.ones(n_rows, dtype=bool)
        elif "vector_checks" in arrays:
            kept &= checks == arrays["vector_checks"]
        else:
            kept &= False
        arrays |= {"vectors": vectors, "vector_checks": checks}
        sound &= kept
    if int(meta["token_dim"]) and not set(TOKEN_FILES) <= arrays.keys():
        sound &= _salvage_tokens(arrays, folder, segment, int(meta["token_dim"]))
    lost = [
        name
        for name in fields
        if any(stem.startswith(f"{name}.") for stem in damaged)
        or not any(stem.startswith(f"{name}.") for stem in arrays)
    ]
    return Salvaged(arrays, sound, lost)


def _is_damaged(path: Path, sha256: str, damaged: set[str]) -> bool:
    """Whether the bytes are not those written; an array that contradicts others may still be what was written."""
    if path.stem not in damaged:
        return False
    try:
        return file_sha256(path) != sha256
    except OSError:
        return True


def _agreeing_rows(arrays: Mapping[str, NDArray[Any]], said: CatalogRows, n_rows: int) -> BoolArray:
    """Rows of which the catalog and the segment's own maps (those that are intact) say the same."""
    sound = np.zeros(n_rows, dtype=bool)
    inside = (said.rows >= 0) & (said.rows < n_rows)
    sound[said.rows[inside]] = True
    for stem, numbers in (("row_chunks", said.chunks), ("row_documents", said.documents)):
        if stem in arrays and len(arrays[stem]) == n_rows:
            claimed = np.full(n_rows, -1, dtype=np.int64)
            claimed[said.rows[inside]] = numbers[inside]
            sound &= claimed == arrays[stem]
    return sound


def _rows_left(
    arrays: Mapping[str, NDArray[Any]],
    stem: str,
    folder: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> tuple[NDArray[Any], BoolArray]:
    """An array of ``shape``, and which of its rows the file still holds. Where its header is damaged, it lies where it was written."""
    if stem in arrays:
        return arrays[stem], np.ones(shape[0], dtype=bool)
    held = np.zeros(shape[0], dtype=bool)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        },
    )
    start, width = len(header.getvalue()), dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    path = folder / f"{stem}.npy"
    try:
        n_left = min(max(path.stat().st_size - start, 0) // max(width, 1), shape[0])
        if n_left == shape[0] and n_left:
            held[:] = True
            return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape), held
        rows = np.zeros(shape, dtype=dtype)
        if n_left:
            left = np.memmap(path, dtype=dtype, mode="r", offset=start, shape=(n_left, *shape[1:]))
            rows[:n_left] = left
            held[:n_left] = True
    except (OSError, ValueError):
        return np.zeros(shape, dtype=dtype), np.zeros(shape[0], dtype=bool)
    return rows, held


def _salvage_tokens(
    arrays: dict[str, NDArray[Any]], folder: Path, segment: Segment, width: int
) -> BoolArray:
    """Fill in the token arrays; returns the rows (n,) whose tokens are sound."""
    n_rows = segment.n_rows
    nothing = np.zeros(n_rows, dtype=bool)
    codes, held_codes = _rows_left(
        arrays, "tokens", folder, (segment.n_tokens, width), np.dtype(np.int8)
    )
    scales, held_scales = _rows_left(
        arrays, "token_scales", folder, (segment.n_tokens,), np.dtype(np.float16)
    )
    offsets = arrays.get("token_offsets")
    whole = "tokens" in arrays and "token_scales" in arrays
    arrays |= {"tokens": codes, "token_scales": scales}
    if offsets is None:
        arrays["token_offsets"] = np.zeros(n_rows + 1, dtype=np.int64)
        arrays["token_checks"] = np.zeros(n_rows, dtype=np.uint32)
        return nothing
    checks = checks_of_tokens(arrays)
    kept = arrays.get("token_checks")
    arrays["token_checks"] = checks
    if whole:
        return ~nothing
    if kept is None:
        return nothing
    lost = np.concatenate([[0], np.cumsum(~(held_codes & held_scales))])
    untouched: BoolArray = lost[offsets[1:]] == lost[offsets[:-1]]
    sound: BoolArray = untouched & (checks == kept)
    return sound
