"""What a question looks for, as lists of postings with weights: its terms, and the lists of its groups of synonyms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.bm25 import idf
from ragjp.index.lexical.fields import Field, frozen
from ragjp.index.lexical.groups import FIELD, Counted, Group, Groups
from ragjp.index.lexical.terms import LexicalView, Span, Terms


class Wanted(NamedTuple):
    """A list of a question: its own weight (repeats times idf), that times its field's, and where its postings are.

    spans : in the field's own postings. made : segment → postings of a group's list, which no file holds.
    """

    field: Field
    own: float
    weight: float
    spans: tuple[Span, ...] = ()
    made: tuple[Counted, ...] = ()

    def lists(self) -> Iterator[tuple[int, Counted]]:
        """Yield rows and counts, with the segment that they are in."""
        for segment, start, stop in self.spans:
            postings = self.field.segments[segment]
            yield segment, (postings.rows[start:stop], postings.counts[start:stop])
        for segment, counted in enumerate(self.made):
            if len(counted[0]):
                yield segment, counted


def wanted_lists(
    fields: Mapping[str, Field],
    vocabulary: Terms,
    made: Groups,
    bases: Sequence[int],
    terms: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    view: LexicalView,
    groups: Sequence[Group] = (),
) -> list[Wanted]:
    """The lists of a question that rows of the view are in: terms in the question's order, then the others of each group.

    Parameters
    ----------
    bases
        First row of each segment.
    terms, weights
        By field. A repeated term counts as often as it stands there.
    groups
        Synonyms in the field :data:`~ragjp.index.lexical.groups.FIELD`; a term that has some gets the idf of its group.
    """
    rarities, further = _of_groups(made, bases, view, groups) if FIELD in fields else ({}, [])
    found = []
    for name, field_weight in weights.items():
        if not (0 <= field_weight < math.inf):
            raise ValueError(f"weight of field {name!r}: {field_weight}")
        if name not in fields:
            continue
        field, repeats = fields[name], _counted(terms.get(name, ()))
        known = vocabulary.seen(name, repeats, view) if repeats else {}
        for term, times in repeats.items():
            frequency, rarity, spans = known[term]
            if frequency:
                own = times * (rarities.get(term, rarity) if name == FIELD else rarity)
                found.append(Wanted(field, own, field_weight * own, spans))
        if name == FIELD:
            found += [Wanted(field, own, field_weight * own, made=lists) for own, lists in further]
    return found


class Planned(NamedTuple):
    """The lists of a question as the compiled search takes them.

    by_segment : segment → (3 * L,) field, first and last + 1 posting of each list, one after the other; (L,) their weights. every : the weight
    of each list, once. made : segment → postings and weights of the lists that no file holds.
    """

    by_segment: dict[int, tuple[list[int], list[float]]]
    every: list[float]
    made: dict[int, list[tuple[Counted, float]]]


def planned(wanted: Sequence[Wanted]) -> Planned:
    """Plan any lists."""
    by_segment: dict[int, tuple[list[int], list[float]]] = {}
    made: dict[int, list[tuple[Counted, float]]] = {}
    for one in wanted:
        for segment, start, stop in one.spans:
            keys, weights = by_segment.setdefault(segment, ([], []))
            keys += one.field.number, start, stop
            weights.append(one.weight)
        for segment, counted in enumerate(one.made):
            if len(counted[0]):
                by_segment.setdefault(segment, ([], []))
                made.setdefault(segment, []).append((counted, one.weight))
    return Planned(by_segment, [one.weight for one in wanted], made)


def planned_terms(
    fields: Mapping[str, Field],
    vocabulary: Terms,
    terms: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    view: LexicalView,
) -> Planned:
    """Plan the lists of a question without groups: ``planned(wanted_lists(…))`` in one go, most of what Python does for a search."""
    by_segment: dict[int, tuple[list[int], list[float]]] = {}
    every: list[float] = []
    for name, field_weight in weights.items():
        if not (0 <= field_weight < math.inf):
            raise ValueError(f"weight of field {name!r}: {field_weight}")
        if name not in fields or not (repeats := _counted(terms.get(name, ()))):
            continue
        number, at = fields[name].number, -1
        known = vocabulary.seen(name, repeats, view)
        for term, times in repeats.items():
            frequency, rarity, spans = known[term]
            if not frequency:
                continue
            weight = field_weight * (times * rarity)
            every.append(weight)
            for segment, start, stop in spans:
                if segment != at:
                    keys, list_weights = by_segment.setdefault(segment, ([], []))
                    at = segment
                keys += number, start, stop
                list_weights.append(weight)
    return Planned(by_segment, every, {})


def _of_groups(
    made: Groups, bases: Sequence[int], view: LexicalView, groups: Sequence[Group]
) -> tuple[dict[str, float], list[tuple[float, tuple[Counted, ...]]]]:
    """Return the idf of each term that has synonyms, and the weights and lists of the others of each group."""
    rarities: dict[str, float] = {}
    further = []
    for group in groups:
        listed = made.listed(group)
        asked, others = listed.frequency(view, bases)
        rarity = idf(view.n_rows, asked + others)
        if group.term:
            rarities[group.term] = rarity
        if others:
            further.append((group.times * group.share * rarity, listed.others))
    return rarities, further


def _counted(terms: Sequence[str]) -> dict[str, int]:
    """Count terms, in the order in which they are first met."""
    repeats: dict[str, int] = {}
    for term in terms:
        repeats[term] = repeats.get(term, 0) + 1
    return repeats


def with_made(
    arrays: tuple[tuple[NDArray[Any], ...], ...],
    place: int,
    made: Sequence[tuple[Counted, float]],
    keys: list[int],
    weights: list[float],
) -> tuple[tuple[NDArray[Any], ...], ...]:
    """Put a segment's lists that no field has into the place of a field, and name them in keys and weights.

    Parameters
    ----------
    arrays
        Rows, counts and length codes by field, as the kernels take them; the codes at ``place`` are those of the field of groups.
    made
        Lists, each with its weight.
    """
    start = 0
    for (listed, _), weight in made:
        keys += place, start, start + len(listed)
        weights.append(weight)
        start += len(listed)
    rows, counts = (frozen(np.concatenate([one[part] for one, _ in made])) for part in (0, 1))
    return (
        (*arrays[0][:place], rows, *arrays[0][place + 1 :]),
        (*arrays[1][:place], counts, *arrays[1][place + 1 :]),
        arrays[2],
    )
