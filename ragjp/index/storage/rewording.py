"""A change of the company's own words carried out where it shows: in the terms of the chunks that hold a changed word, and nowhere else.

A word's terms depend on no other word (:class:`ragjp.japanese.words.WordList`), so the terms of words that have gone are taken out of the
postings, and new words are looked for in the chunks whose bigrams say that they may hold them. Everything else of a segment is linked.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import (
    MOST_COUNTS,
    Postings,
    TermKeys,
    postings_from_arrays,
    ragged,
)
from ragjp.index.storage.batch import RENEWABLE, Manifest
from ragjp.index.storage.catalog import (
    CHUNK_COLUMNS,
    CHUNK_TABLES,
    SEGMENTS_NAME,
    chunk_of_row,
    meta_value,
)
from ragjp.index.storage.segments import FileRecord, Segment, open_segment, write_segment
from ragjp.japanese.terms import bigrams, searched_text
from ragjp.japanese.words import WordList
from ragjp.types import Chunk

#: Fields that hold words of the list, and what of a chunk each is made of.
_TEXTS: Mapping[str, Callable[[Chunk], str]] = {
    "lemma": lambda chunk: chunk.indexed_text,
    "title": lambda chunk: chunk.context,
}
_SQL_SLICE = 500

#: Row → how often.
Counts = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the list of words: terms that go, and words to be looked for. A word with another reading is both."""

    gone: frozenset[str]
    come: WordList

    @classmethod
    def between(cls, old: WordList, new: WordList) -> Change:
        """Compare two lists."""
        changed = old.words ^ new.words
        return cls(
            frozenset(word.term for word in changed), WordList(frozenset(new.words - old.words))
        )


def word_change(connection: sqlite3.Connection, manifest: Manifest) -> Change | None:
    """Say how the words of a manifest differ from an index's; None when its terms differ in more than that."""
    wanted = manifest.as_meta()
    stored = {key: meta_value(connection, key) for key in RENEWABLE}
    plain = [one["analyzer"].partition("; words ")[0] for one in (stored, wanted)]
    if plain[0] != plain[1] or stored["fields"] != wanted["fields"]:
        return None
    return Change.between(WordList.of(stored["words"]), WordList.of(manifest.words))


def reword(
    connection: sqlite3.Connection, index: Path, segment: Segment, name: str, change: Change
) -> tuple[tuple[FileRecord, ...], int]:
    """Write a segment under a new name with the words changed; returns its files, and how many of its rows have other terms now."""
    arrays = open_segment(index, segment.name, segment.sizes)
    candidates = may_hold(postings_from_arrays(arrays, "bigram"), change.come)
    found: dict[str, dict[str, dict[int, int]]] = {field: {} for field in _TEXTS}
    for row, chunk in _current(connection, segment, candidates):
        for field, text in _TEXTS.items():
            for term, count in Counter(change.come.terms(searched_text(text(chunk)))).items():
                found[field].setdefault(term, {})[row] = count
    touched: set[int] = set()
    made: dict[str, NDArray[Any]] = {}
    for field, come in found.items():
        if f"{field}.rows" in arrays:
            postings = postings_from_arrays(arrays, field)
            touched |= changed_rows(postings, change.gone, come)
            made.update(with_terms(postings, change.gone, come).arrays(field))
    folder = index / SEGMENTS_NAME / segment.name
    links = {
        folder / record.name: record
        for record in segment.files
        if record.name.removesuffix(".npy") not in made
    }
    return write_segment(index, name, made, links=links), len(touched)


def may_hold(postings: Postings, words: WordList) -> NDArray[np.int64]:
    """Rows (R,), ascending, whose bigrams are those of some word of the list: all that hold one, and few more."""
    every = np.arange(len(postings.lengths), dtype=np.int64)
    parts = [np.empty(0, np.int64)]
    for word in words.words:
        for form in word.forms():
            lists = [_rows_of(postings, term) for term in _certain(form)]
            parts.append(reduce(_both, sorted(lists, key=len)) if lists else every)
    held = np.bincount(np.concatenate(parts), minlength=len(every)) > 0
    return every[held]


def _certain(form: str) -> list[str]:
    """Bigram terms of every text that holds a form: one Japanese character alone at its edge may have neighbours there."""
    terms = bigrams(form)
    inner = [bigrams(f"{form}字")[-1:] != terms[-1:], bigrams(f"字{form}")[:1] != terms[:1]]
    if terms and len(terms[-1]) == 1 and inner[0]:
        terms = terms[:-1]
    if terms and len(terms[0]) == 1 and inner[1]:
        terms = terms[1:]
    return terms


def _rows_of(postings: Postings, term: str) -> NDArray[np.int64]:
    (number,) = postings.find([term]).tolist()
    if number < 0:
        return np.empty(0, np.int64)
    span = slice(int(postings.offsets[number]), int(postings.offsets[number + 1]))
    return postings.rows[span].astype(np.int64)


def _both(few: NDArray[np.int64], many: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(many):
        return many
    places = np.minimum(np.searchsorted(many, few), len(many) - 1)
    shared: NDArray[np.int64] = few[many[places] == few]
    return shared


def _current(
    connection: sqlite3.Connection, segment: Segment, rows: NDArray[np.int64]
) -> Iterator[tuple[int, Chunk]]:
    """Load the current chunks among some rows of a segment."""
    wanted = rows.tolist()
    for start in range(0, len(wanted), _SQL_SLICE):
        part = wanted[start : start + _SQL_SLICE]
        marks = ",".join("?" * len(part))
        for row in connection.execute(
            f"SELECT row, {CHUNK_COLUMNS} FROM {CHUNK_TABLES} "
            f"WHERE died IS NULL AND segment_no = ? AND row IN ({marks})",
            (segment.number, *part),
        ):
            yield row[0], chunk_of_row(row[1:])


def changed_rows(postings: Postings, gone: Iterable[str], come: Mapping[str, Counts]) -> set[int]:
    """Rows in which some term stands another number of times than before."""
    rows: set[int] = set()
    for term in {*gone, *come}:
        before = _counts_of(postings, term)
        after = come.get(term, {})
        rows |= {row for row in {*before, *after} if before.get(row) != after.get(row)}
    return rows


def _counts_of(postings: Postings, term: str) -> dict[int, int]:
    (number,) = postings.find([term]).tolist()
    if number < 0:
        return {}
    span = slice(int(postings.offsets[number]), int(postings.offsets[number + 1]))
    return dict(zip(postings.rows[span].tolist(), postings.counts[span].tolist(), strict=True))


def with_terms(postings: Postings, gone: Iterable[str], come: Mapping[str, Counts]) -> Postings:
    """Take terms out of postings (those of ``come`` too) and put others in; the rest is copied as it is.

    Parameters
    ----------
    come
        Term → row → how often it stands there, at least once.
    """
    lengths = postings.lengths.astype(np.int64)
    kept = np.ones(len(postings.hashes), np.bool_)
    for number in postings.find(sorted({*gone, *come})).tolist():
        if number >= 0:
            kept[number] = False
            span = slice(int(postings.offsets[number]), int(postings.offsets[number + 1]))
            lengths[postings.rows[span]] -= postings.counts[span]
    names = sorted(term for term, rows in come.items() if rows)
    new = [sorted(come[term].items()) for term in names]
    for rows in new:
        for row, count in rows:
            lengths[row] += count
    keys = TermKeys.of(names)
    old = np.flatnonzero(kept)
    order = np.argsort(np.concatenate([postings.hashes[old], keys.hashes]), kind="stable")
    return Postings(
        hashes=np.concatenate([postings.hashes[old], keys.hashes])[order],
        **_spelled(postings, old, keys, order),
        **_listed(postings, old, new, order),
        lengths=lengths.astype(np.int32),
    )


def _spelled(
    postings: Postings, old: NDArray[np.int64], keys: TermKeys, order: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Spellings and ends of the terms that stay and the new ones, in order."""
    sizes = np.concatenate(
        [np.diff(postings.ends, prepend=0)[old], np.diff(keys.ends, prepend=0)]
    ).astype(np.int64)
    starts = np.concatenate(
        [
            (postings.ends - np.diff(postings.ends, prepend=0))[old],
            keys.ends - np.diff(keys.ends, prepend=0) + len(postings.spellings),
        ]
    ).astype(np.int64)
    everything = np.concatenate([postings.spellings, keys.spellings])
    return {
        "spellings": everything[ragged(starts[order], sizes[order])],
        "ends": np.cumsum(sizes[order], dtype=np.int64),
    }


def _listed(
    postings: Postings,
    old: NDArray[np.int64],
    new: Sequence[Sequence[tuple[int, int]]],
    order: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Offsets, rows and counts of the terms that stay and the new ones, in order."""
    pairs = np.array([pair for rows in new for pair in rows], np.int64).reshape(-1, 2)
    new_sizes = np.array([len(rows) for rows in new], np.int64)
    sizes = np.concatenate([np.diff(postings.offsets)[old], new_sizes])
    starts = np.concatenate(
        [
            postings.offsets[:-1][old],
            len(postings.rows) + np.cumsum(new_sizes) - new_sizes,
        ]
    )
    places = ragged(starts[order], sizes[order])
    counts = np.minimum(pairs[:, 1], MOST_COUNTS).astype(np.uint16)
    return {
        "offsets": np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64),
        "rows": np.concatenate([postings.rows, pairs[:, 0].astype(np.int32)])[places],
        "counts": np.concatenate([postings.counts, counts])[places],
    }
