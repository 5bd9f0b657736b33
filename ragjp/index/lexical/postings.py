"""Postings of one field of one segment, as arrays.

Files ``<field>.<name>.npy`` for V distinct terms, P postings and n rows::

    hashes      (V,) uint64    first 8 bytes of BLAKE2b of the term's UTF-8, ascending: the lookup key
    spellings   (B,) uint8     the terms' UTF-8, one after the other in the order of ``hashes``
    ends        (V,) int64     end of each spelling in ``spellings``
    offsets     (V + 1,) int64 postings of term v are ``[offsets[v], offsets[v + 1])``
    rows        (P,) int32     ascending within a term
    counts      (P,) uint16    how often the term stands in the row, at most 65,535
    lengths     (n,) int32     number of terms in each row

A hash that meets a query's is confirmed by the spelling, so a collision can hide nothing and add nothing.

Opening checks everything that costs O(V + n): types, sizes, order of hashes, ends and offsets. That the rows of a term ascend and
lie inside the segment costs O(P); :class:`~ragjp.index.lexical.search.LexicalIndex` checks it the first time a term is asked for, and
:func:`posting_fault` for all terms at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexCorrupt
from ragjp.japanese.columns import TermColumn

#: Name → (element type, number of entries as a function of V, P, n and B is checked in :func:`_shape_fault`).
_TYPES: Mapping[str, type[np.generic]] = {
    "hashes": np.uint64,
    "spellings": np.uint8,
    "ends": np.int64,
    "offsets": np.int64,
    "rows": np.int32,
    "counts": np.uint16,
    "lengths": np.int32,
}
ARRAY_NAMES = tuple(_TYPES)
MOST_COUNTS = 65_535

#: Postings that a merge copies at a time: what bounds its memory beyond the result.
_CHUNK = 1 << 22


def term_hash(term: str) -> int:
    """The lookup key of a term."""
    return _key(_encoded(term))


def _encoded(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")


def _key(encoded: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class TermKeys:
    """Terms as a vocabulary holds them: hashes (L,), spellings (B,) one after the other, and where each ends (L,)."""

    hashes: NDArray[np.uint64]
    spellings: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, terms: Sequence[str]) -> TermKeys:
        """Hash and spell out terms (L,)."""
        encoded = [_encoded(term) for term in terms]
        digests = [hashlib.blake2b(each, digest_size=8).digest() for each in encoded]
        return cls(
            np.frombuffer(b"".join(digests), dtype="<u8"),
            np.frombuffer(b"".join(encoded), dtype=np.uint8),
            np.array(list(accumulate(map(len, encoded))), dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Postings:
    """One field of one segment; the module's docstring describes the arrays."""

    hashes: NDArray[np.uint64]
    spellings: NDArray[np.uint8]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.int32]

    def find(self, terms: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of terms in this vocabulary, (len(terms),) int64; -1 where a term is not in it."""
        numbers = np.full(len(terms), -1, dtype=np.int64)
        if not len(self.hashes):
            return numbers
        encoded = [_encoded(term) for term in terms]
        keys = np.array([_key(each) for each in encoded], dtype=np.uint64)
        places = np.searchsorted(self.hashes, keys)
        for slot, place in enumerate(places.tolist()):
            # A spelling costs less to compare than another look at the hashes.
            if place < len(self.hashes) and self._encoded(place) == encoded[slot]:
                numbers[slot] = place
        return numbers

    def spelling(self, number: int) -> str:
        """The term that has this number."""
        return self._encoded(number).decode("utf-8", "surrogatepass")

    def _encoded(self, number: int) -> bytes:
        start = int(self.ends[number - 1]) if number else 0
        return self.spellings[start : int(self.ends[number])].tobytes()

    def arrays(self, field: str) -> dict[str, NDArray[Any]]:
        """Arrays by file stem."""
        return {f"{field}.{name}": getattr(self, name) for name in ARRAY_NAMES}


def postings_from_arrays(arrays: Mapping[str, NDArray[Any]], field: str) -> Postings:
    """Pick one field's arrays out of a mapped segment, without copying them.

    Raises
    ------
    IndexCorrupt
        When one is missing, has another type or size, or contradicts another (what O(V + n) can show).
    """
    found: dict[str, NDArray[Any]] = {}
    for name, kind in _TYPES.items():
        array = arrays.get(f"{field}.{name}")
        if array is None:
            raise _corrupt(field, f"{field}.{name} がありません", "postings_missing")
        if array.dtype != kind or array.ndim != 1 or not array.flags.c_contiguous:
            raise _corrupt(field, f"{field}.{name} の型が違います", "postings_damaged")
        plain = array.view(np.ndarray)
        plain.flags.writeable = False
        found[name] = plain
    postings = Postings(**found)
    if fault := _shape_fault(postings):
        raise _corrupt(field, fault, "postings_damaged")
    return postings


def _corrupt(field: str, fault: str, code: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"索引の語の表「{field}」が壊れています（{fault}）。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
        code=code,
    )


def _shape_fault(postings: Postings) -> str:
    """Say what contradicts itself in sizes, order and offsets; empty when nothing does. O(V + n)."""
    hashes, ends, offsets = postings.hashes, postings.ends, postings.offsets
    if len(ends) != len(hashes) or len(offsets) != len(hashes) + 1:
        return "語の数が合いません"
    if (hashes[1:] <= hashes[:-1]).any():
        return "語の見出しが順に並んでいません"
    if len(ends) and (int(ends[0]) < 0 or (ends[1:] < ends[:-1]).any()):
        return "綴りの区切りが順に並んでいません"
    if (int(ends[-1]) if len(ends) else 0) != len(postings.spellings):
        return "綴りの長さが区切りと違います"
    if int(offsets[0]) != 0 or (offsets[1:] <= offsets[:-1]).any():
        return "語の区切りが順に並んでいません"
    if not int(offsets[-1]) == len(postings.rows) == len(postings.counts):
        return "出現の数が区切りと違います"
    if len(postings.lengths) and int(postings.lengths.min()) < 0:
        return "行の語数が負です"
    return ""


def rows_fault(postings: Postings, number: int) -> str:
    """Say what is wrong with the rows and counts of one term; empty when nothing is."""
    span = slice(int(postings.offsets[number]), int(postings.offsets[number + 1]))
    rows = postings.rows[span]
    if int(rows[0]) < 0 or int(rows[-1]) >= len(postings.lengths) or (rows[1:] <= rows[:-1]).any():
        return "語の行が順に並んでいないか、存在しない行を指しています"
    if not postings.counts[span].all():
        return "語の回数が 0 です"
    return ""


def posting_fault(postings: Postings) -> str:
    """Say what contradicts itself anywhere in a field's postings, sums included; empty when nothing does. O(P)."""
    if fault := _shape_fault(postings):
        return fault
    rows, n_rows = postings.rows, len(postings.lengths)
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= n_rows):
        return "存在しない行を指しています"
    if not postings.counts.all():
        return "語の回数が 0 です"
    descends = rows[1:] <= rows[:-1]
    descends[postings.offsets[1:-1] - 1] = False
    if descends.any():
        return "語の行が順に並んでいません"
    counted = np.bincount(rows, weights=postings.counts, minlength=n_rows)
    if not (postings.counts == MOST_COUNTS).any() and not np.array_equal(counted, postings.lengths):
        return "語数の合計が合いません"
    keys = (_key(postings._encoded(number)) for number in range(len(postings.hashes)))
    if not np.array_equal(np.fromiter(keys, np.uint64, len(postings.hashes)), postings.hashes):
        return "語の見出しが綴りと合いません"
    return ""


def build_postings(rows_terms: Sequence[Sequence[str]]) -> Postings:
    """Count the terms of each row.

    Parameters
    ----------
    rows_terms
        For each row the terms of the field, repeats included.
    """
    if isinstance(rows_terms, TermColumn):
        return postings_from_ids(rows_terms.terms, rows_terms.numbers, np.diff(rows_terms.offsets))
    numbers = _Numbers()
    lengths = np.fromiter(map(len, rows_terms), np.int64, len(rows_terms))
    flat = np.fromiter(
        map(numbers.__getitem__, chain.from_iterable(rows_terms)), np.int64, int(lengths.sum())
    )
    return postings_from_ids(list(numbers), flat, lengths)


class _Numbers(dict[str, int]):
    """Numbers terms in the order in which they are first met."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


def postings_from_ids(
    vocabulary: Sequence[str], ids: NDArray[np.integer[Any]], lengths: NDArray[np.integer[Any]]
) -> Postings:
    """Count the terms of each row, given as numbers.

    Parameters
    ----------
    vocabulary
        (V,) distinct terms. Those that stand in no row are left out.
    ids
        (T,) places in ``vocabulary``: the terms of all rows, row after row, repeats included.
    lengths
        (n,) number of terms in each row; their sum is T.
    """
    used = np.flatnonzero(np.bincount(ids, minlength=len(vocabulary)))
    encoded = [_encoded(vocabulary[number]) for number in used.tolist()]
    hashes = np.fromiter(map(_key, encoded), np.uint64, len(encoded))
    order = np.argsort(hashes)
    hashes = hashes[order]
    if (hashes[1:] == hashes[:-1]).any():
        raise _collision()
    rank = np.zeros(len(vocabulary), dtype=np.int64)
    rank[used[order]] = np.arange(len(order))
    # One number for (term, row): sorting it is the whole inversion.
    width = max(len(lengths), 1)
    keys = rank[ids] * width
    keys += np.repeat(np.arange(len(lengths)), lengths)
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    counts = np.diff(first, append=len(keys))
    terms, rows = np.divmod(keys[first], width)
    spelled = [encoded[number] for number in order.tolist()]
    return Postings(
        hashes=hashes,
        spellings=np.frombuffer(b"".join(spelled), dtype=np.uint8),
        ends=np.cumsum([len(word) for word in spelled], dtype=np.int64),
        offsets=_offsets(np.bincount(terms, minlength=len(order))),
        rows=rows.astype(np.int32),
        counts=np.minimum(counts, MOST_COUNTS).astype(np.uint16),
        lengths=lengths.astype(np.int32),
    )


def _offsets(sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _collision() -> IndexCorrupt:
    return IndexCorrupt(
        "二つの語の見出しが同じ番号になりました。この文書群を報告してください。",
        code="term_hash_collision",
    )


def merge_postings(parts: Sequence[tuple[Postings, NDArray[np.int64]]]) -> Postings:
    """Join fields of several segments, keeping some rows of each. Memory beyond the result is bounded, time is O(P + V log V).

    Parameters
    ----------
    parts
        Pairs of postings and the rows to keep of them (ascending); the kept rows are numbered on, in this order.

    Raises
    ------
    IndexCorrupt
        When a part's rows lie outside its segment, or two terms have the same hash.
    """
    hashes, spellings, ends, places = _joined_vocabulary([postings for postings, _ in parts])
    sizes = np.zeros((len(parts), len(hashes)), dtype=np.int64)
    for slot, (postings, keep) in enumerate(parts):
        alive = np.zeros(len(postings.lengths), dtype=bool)
        alive[keep] = True
        for terms, span in _chunks(postings):
            kept = alive[_inside(postings, span)]
            cuts = postings.offsets[terms] - span.start
            sizes[slot, places[slot][terms]] = np.add.reduceat(kept, cuts, dtype=np.int64)
    offsets = _offsets(sizes.sum(axis=0))
    rows = np.empty(int(offsets[-1]), dtype=np.int32)
    counts = np.empty(int(offsets[-1]), dtype=np.uint16)
    starts = offsets[:-1] + np.cumsum(sizes, axis=0) - sizes
    base = 0
    for slot, (postings, keep) in enumerate(parts):
        renumber = np.full(len(postings.lengths), -1, dtype=np.int32)
        renumber[keep] = np.arange(base, base + len(keep), dtype=np.int32)
        base += len(keep)
        for terms, span in _chunks(postings):
            numbered = renumber[postings.rows[span]]
            kept = numbered >= 0
            into = ragged(starts[slot, places[slot][terms]], sizes[slot, places[slot][terms]])
            rows[into] = numbered[kept]
            counts[into] = postings.counts[span][kept]
    used = np.flatnonzero(np.diff(offsets))
    spelled = np.diff(ends, prepend=0)[used]
    lengths = [np.empty(0, np.int32), *(postings.lengths[keep] for postings, keep in parts)]
    return Postings(
        hashes=hashes[used],
        spellings=spellings[ragged(ends[used] - spelled, spelled)],
        ends=np.cumsum(spelled, dtype=np.int64),
        offsets=np.concatenate([[0], offsets[used + 1]]).astype(np.int64),
        rows=rows,
        counts=counts,
        lengths=np.concatenate(lengths).astype(np.int32),
    )


def _joined_vocabulary(
    parts: Sequence[Postings],
) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int64], list[NDArray[np.int64]]]:
    """Unite vocabularies: hashes, spellings and ends of the whole, and for each part the places of its terms in it."""
    if not parts:
        return np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.int64), []
    hashes, first, places = np.unique(
        np.concatenate([part.hashes for part in parts]), return_index=True, return_inverse=True
    )
    spelled = np.concatenate([np.diff(part.ends, prepend=0) for part in parts])
    bases = np.cumsum([0, *(len(part.spellings) for part in parts)])
    starts = np.concatenate(
        [
            part.ends - np.diff(part.ends, prepend=0) + base
            for part, base in zip(parts, bases, strict=False)
        ]
    )
    everything = np.concatenate([part.spellings for part in parts])
    spellings = everything[ragged(starts[first], spelled[first])]
    ends = np.cumsum(spelled[first], dtype=np.int64)
    same = np.array_equal(spelled, spelled[first][places])
    begins = ends - spelled[first]
    if not same or not np.array_equal(spellings[ragged(begins[places], spelled)], everything):
        raise _collision()
    cuts = np.cumsum([len(part.hashes) for part in parts])[:-1]
    return hashes, spellings, ends, np.split(places.astype(np.int64), cuts)


def _chunks(postings: Postings) -> Iterator[tuple[slice, slice]]:
    """Cut a field into runs of whole terms of some millions of postings: the terms and their postings."""
    offsets, start = postings.offsets, 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, int(offsets[start]) + _CHUNK, side="right")) - 1
        stop = max(stop, start + 1)
        yield slice(start, stop), slice(int(offsets[start]), int(offsets[stop]))
        start = stop


def _inside(postings: Postings, span: slice) -> NDArray[np.int32]:
    """Rows of a span, all of which exist."""
    rows = postings.rows[span]
    if int(rows.min()) < 0 or int(rows.max()) >= len(postings.lengths):
        raise IndexCorrupt(
            "索引の語の表が存在しない行を指しています。ragjp check で調べ、控えから戻すか ragjp index で作り直してください。",
            code="postings_damaged",
        )
    return rows


def ragged(starts: NDArray[np.integer[Any]], sizes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Write out runs of numbers: ``starts[0], starts[0] + 1, …`` (``sizes[0]`` of them), then the next.

    >>> ragged(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()), dtype=np.int64)
