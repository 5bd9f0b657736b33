"""Finding pieces of a text in files without having the text: windows of bytes, known by their hashes alone.

A window is :data:`WINDOW` bytes of a page's UTF-8, anywhere in it. Its quick hash is the polynomial

    h = sum over j of byte[j] * BASE ** (WINDOW - 1 - j)   modulo 2 ** 64

which NumPy makes for every place of a file at once; where one agrees, SHA-256 with the receipt's own salt decides. The hashes tell nothing
of a text to who cannot guess 48 bytes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW = 48
MOST_PROBES = 1000
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2 ** 64
_BLOCK_BYTES = 1 << 20
_MASK = (1 << 64) - 1

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Probe:
    """A window of bytes that is known by its hashes: quick, and SHA-256 of salt and bytes."""

    quick: int
    sha256: str


def choose_windows(texts: Sequence[str], most: int = MOST_PROBES) -> list[bytes]:
    """Choose windows of some texts, spread evenly over them; all different. Texts shorter than a window give none."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    starts = [(number, len(raw) - WINDOW + 1) for number, raw in enumerate(encoded)]
    total = sum(max(n, 0) for _, n in starts)
    if not total:
        return []
    chosen: dict[bytes, None] = {}
    step = max(total / most, 1.0)
    place, wanted = 0, 0.0
    for number, n in starts:
        while wanted < place + max(n, 0) and len(chosen) < most:
            at = int(wanted) - place
            chosen[encoded[number][at : at + WINDOW]] = None
            wanted += step
        place += max(n, 0)
    return list(chosen)


def probe_of(window: bytes, salt: bytes) -> Probe:
    """Hash a window."""
    quick = 0
    for byte in window:
        quick = (quick * BASE + byte) & _MASK
    return Probe(quick, hashlib.sha256(salt + window).hexdigest())


def rolling(raw: bytes) -> Hashes:
    """The quick hash of the window at every place of some bytes, (len(raw) - WINDOW + 1,) uint64."""
    data = np.frombuffer(raw, dtype=np.uint8).astype(np.uint64)
    if len(data) < WINDOW:
        return np.empty(0, dtype=np.uint64)
    powers, inverses = _powers(max(len(data), _BLOCK_BYTES + WINDOW))
    # Sum of byte[j] / BASE ** j up to each place: a window is a difference of two of them, times a power of the base.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(data * inverses[: len(data)])])
    spans = sums[WINDOW:] - sums[:-WINDOW]
    hashes: Hashes = spans * powers[WINDOW - 1 : WINDOW - 1 + len(spans)]
    return hashes


@cache
def _powers(n: int) -> tuple[Hashes, Hashes]:
    """Powers 0 to n + WINDOW of the base and of its inverse."""
    size = n + WINDOW + 1
    tables = []
    for base in (BASE, pow(BASE, -1, 1 << 64)):
        table = np.full(size, base, dtype=np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table, dtype=np.uint64))
    return tables[0], tables[1]


def found_in_file(
    path: Path, probes: Sequence[Probe], salt: bytes
) -> Iterator[tuple[Probe, bytes]]:
    """Find probes in a file, with their bytes; each at most once a block.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    if not probes:
        return
    by_hash = {probe.quick: probe for probe in probes}
    wanted = np.array(sorted(by_hash), dtype=np.uint64)
    with path.open("rb") as file:
        kept = b""
        while block := file.read(_BLOCK_BYTES):
            raw = kept + block
            hashes = rolling(raw)
            places = np.searchsorted(wanted, hashes)
            agree = np.flatnonzero(wanted[np.minimum(places, len(wanted) - 1)] == hashes)
            seen: set[str] = set()
            for at in agree.tolist():
                probe = by_hash[int(hashes[at])]
                window = raw[at : at + WINDOW]
                if (
                    probe.sha256 not in seen
                    and hashlib.sha256(salt + window).hexdigest() == probe.sha256
                ):
                    seen.add(probe.sha256)
                    yield probe, window
            kept = raw[-(WINDOW - 1) :]


def found_in_folder(
    folder: Path, probes: Sequence[Probe], salt: bytes
) -> Iterator[tuple[Path, Probe, bytes]]:
    """Find probes, and their bytes, in every file under a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            for probe, window in found_in_file(path, probes, salt):
                yield path, probe, window
