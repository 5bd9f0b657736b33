"""Synonyms in BM25: a word of a question and the others of its group count as one term.

Let A be the rows that hold what was asked for and B the rows that hold one of the others and not it. Then::

    df(group) = |A ∪ B|, in the view
    row in A: idf(group) * tf / (tf + norm), with the tf of what was asked for     (when it is one term; several keep their own idf)
    row in B: share * idf(group) * tf / (tf + norm), with the tf of the others summed

A row gains at most once a group, from what was asked for where it has that: a text that spells a thing in three ways is not three
times about it, and a rare synonym of a common word is not taken for a rare word. The shares of A and B in one list each, disjoint, are
what keeps the sums exact; whether a row is in them depends on the row alone, so views and segments change nothing but the count.

No positions are stored. Words in sequence are found as rows that hold each of them and, at every joint, the bigram across it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.bm25 import Bm25, idf
from ragjp.index.lexical.fields import Field, frozen
from ragjp.index.lexical.numpy_path import places_in
from ragjp.index.lexical.terms import LexicalView, Terms

#: The term field whose words have synonyms.
FIELD = "lemma"
#: Bytes of lists that a snapshot keeps; beyond them it starts anew.
_MOST_BYTES = 64 << 20

#: Terms, each with its field, that a row must hold all of.
Way = tuple[tuple[str, str], ...]
#: Rows of one segment, ascending (p,) int32, and how often each holds something (p,) uint16.
Counted = tuple[NDArray[np.int32], NDArray[np.uint16]]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A word or several in sequence: as it is spelled, and the ways a row may hold it, any of which is enough."""

    text: str
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What a question asked for, and what counts as the same.

    term : the lemma of ``asked``, when it is one; "" when it is several, which are terms of the question in their own right.
    times : how often it stands in the question. share : of the others' gain, below 1.
    """

    asked: Phrase
    term: str
    others: tuple[Phrase, ...]
    share: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class Listed:
    """The lists A and B of a group, segment by segment; disjoint."""

    asked: tuple[Counted, ...]
    others: tuple[Counted, ...]

    def frequency(self, view: LexicalView, bases: Sequence[int]) -> tuple[int, int]:
        """Count the rows of a view in A, and in B."""
        return _count(self.asked, view, bases), _count(self.others, view, bases)


class Groups:
    """The lists of groups over all segments of a snapshot, made when first asked for. May be asked from many threads."""

    def __init__(self, fields: Mapping[str, Field], vocabulary: Terms) -> None:
        self._fields = fields
        self._vocabulary = vocabulary
        self._n_segments = max((len(field.segments) for field in fields.values()), default=0)
        self._known: dict[tuple[Phrase, tuple[Phrase, ...]], Listed] = {}
        self._bytes = 0

    def listed(self, group: Group) -> Listed:
        """Make a group's lists, or remember them."""
        key = group.asked, group.others
        found = self._known.get(key)
        if found is None:
            asked = tuple(self._counted(group.asked, n) for n in range(self._n_segments))
            others = tuple(
                _without(_united([self._counted(one, n) for one in group.others], np.add), asked[n])
                for n in range(self._n_segments)
            )
            found = Listed(asked, others)
            self._bytes += 1024 + sum(a.nbytes + b.nbytes for a, b in (*asked, *others))
            if self._bytes > _MOST_BYTES:  # what other threads hold stays valid
                self._known, self._bytes = {}, 0
            self._known[key] = found
        return found

    def _counted(self, phrase: Phrase, segment: int) -> Counted:
        """Rows of a segment that hold a phrase in any way; as often as in the way that says most."""
        return _united([self._way(way, segment) for way in phrase.ways], np.maximum)

    def _way(self, way: Way, segment: int) -> Counted:
        lists = [self._list(field, term, segment) for field, term in dict.fromkeys(way)]
        return reduce(_shared, sorted(lists, key=lambda one: len(one[0])))

    def _list(self, field: str, term: str, segment: int) -> Counted:
        if field in self._fields:
            for at, start, stop in self._vocabulary.located(field, [term])[term]:
                if at == segment:
                    postings = self._fields[field].segments[segment]
                    return postings.rows[start:stop], postings.counts[start:stop]
        return _NOTHING


def _shared(one: Counted, other: Counted) -> Counted:
    """Rows of both lists, as often as in the one that has them less often."""
    if not len(other[0]):
        return _NOTHING
    mine, its = places_in(other[0], one[0])
    return one[0][mine], np.minimum(one[1][mine], other[1][its])


def _united(lists: Sequence[Counted], counted: np.ufunc) -> Counted:
    """Rows of any list, ascending; the counts of a row that several have are put together."""
    rows = np.concatenate([np.empty(0, np.int32), *(one[0] for one in lists)])
    counts = np.concatenate([np.empty(0, np.uint16), *(one[1] for one in lists)])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    if not len(first):
        return _NOTHING
    together = counted.reduceat(counts[order].astype(np.int64), first)
    return frozen(rows[first]), frozen(np.minimum(together, 65_535).astype(np.uint16))


def _without(one: Counted, other: Counted) -> Counted:
    rows, counts = one
    if not len(other[0]):
        return rows, counts
    kept = np.ones(len(rows), np.bool_)
    kept[places_in(other[0], rows)[0]] = False
    return frozen(rows[kept]), frozen(counts[kept])


def _count(lists: Sequence[Counted], view: LexicalView, bases: Sequence[int]) -> int:
    if not view.restricted:
        return sum(len(rows) for rows, _ in lists)
    return sum(
        int(np.count_nonzero(view.rows[rows + np.int64(base)]))
        for (rows, _), base in zip(lists, bases, strict=False)
    )


_NOTHING: Counted = frozen(np.empty(0, np.int32)), frozen(np.empty(0, np.uint16))


def group_reference(
    rows_terms: Sequence[Mapping[str, Sequence[str]]],
    group: Group,
    allowed: Sequence[bool],
    constants: Bm25,
) -> list[float]:
    """What a group gives each row, as the formula is written, over plain lists: the oracle of the search.

    Where several terms were asked for, without what they give by themselves.
    """

    def count(phrase: Phrase, row: Mapping[str, Sequence[str]]) -> int:
        return max(
            (min(list(row[field]).count(term) for field, term in way) for way in phrase.ways),
            default=0,
        )

    visible = [row for row, seen in zip(rows_terms, allowed, strict=True) if seen]
    phrases = (group.asked, *group.others)
    frequency = sum(any(count(one, row) for one in phrases) for row in visible)
    mean = sum(len(row[FIELD]) for row in visible) / max(len(visible), 1)
    scores = []
    for row, seen in zip(rows_terms, allowed, strict=True):
        weight, tf = (1.0 if group.term else 0.0), count(group.asked, row)
        if not tf:
            weight, tf = group.share, sum(count(one, row) for one in group.others)
        norm = constants.k1 * (1 - constants.b + constants.b * len(row[FIELD]) / (mean or 1.0))
        gain = weight * group.times * idf(len(visible), frequency) * tf / (tf + norm)
        scores.append(gain if seen and tf else 0.0)
    return scores
