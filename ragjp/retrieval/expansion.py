"""Synonyms of a question's words, found as a question is asked: nothing is embedded or indexed again for them.

A word of the list is recognised in a question as it is spelled, or as the dictionary spells its words (サーバの → サーバー). Words of the
company's own list are analysed too, so that any spelling that the dictionary unifies will do (申し込み書 for 申込書). Where words overlap
the longest is taken. What counts as a synonym is looked for in the index by its terms and their joints, or verbatim: see
:mod:`ragjp.index.lexical.groups` for how it counts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ragjp.config import Japanese, read_words
from ragjp.errors import RecipeError
from ragjp.index.lexical.groups import FIELD, Group, Phrase, Way
from ragjp.japanese.spelling import stands_alone
from ragjp.japanese.synonyms import Synonyms, builtin_synonyms, parse_synonyms
from ragjp.japanese.terms import Analyzer, bigrams, lemma_term, searched_text
from ragjp.retrieval.filters import certain_terms

#: A verbatim phrase shorter than this is found by its terms alone: one bigram stands in too many other words.
_VERBATIM_CHARS = 3
#: Morphemes that a word of the list may be.
_MOST_WORDS = 10
_HEAD_CHARS = 2
#: Terms in sequence; "" for a particle or a sign between two.
Key = tuple[str, ...]


class _Placed(NamedTuple):
    """A morpheme: its term ("" when it has none) and where it stands in the folded text."""

    term: str
    start: int
    end: int


class _Found(NamedTuple):
    """A word of the list in a question."""

    start: int
    end: int
    key: Key
    word: str


class Expansion:
    """Lists of synonyms, ready to be asked. May be shared between threads.

    Parameters
    ----------
    own
        The company's list: its words are analysed as the first question comes.
    builtin
        The list that comes with ragjp, in the dictionary's spelling: none of its words costs anything before it is met.
    share
        What a synonym counts, below 1.
    """

    def __init__(self, own: Synonyms, builtin: Synonyms, analyzer: Analyzer, share: float) -> None:
        self._links = own.joined(builtin).links
        self._own = tuple(own.links)
        self._analyzer = analyzer
        self._share = share
        self._lock = threading.Lock()
        self._by_key: dict[Key, list[str]] | None = None
        self._heads: dict[str, list[str]] = {}
        for word in self._links:
            self._heads.setdefault(word[:_HEAD_CHARS], []).append(word)
        self._phrases: dict[str, Phrase] = {}
        self._keys: dict[str, Key] = {}

    def groups(self, text: str) -> tuple[Group, ...]:
        """Return the groups of the words in a question, in its order; none that would add nothing."""
        if not (self._links and self._share):
            return ()
        words: dict[Key, dict[str, int]] = {}
        for one in self._recognised(searched_text(text)):
            said = words.setdefault(one.key, {})
            said[one.word] = said.get(one.word, 0) + 1
        groups = []
        for key, said in words.items():
            leads = dict.fromkeys(other for word in said for other in self._links[word])
            others = tuple(self.phrase(one) for one in leads if not self._is_said(one, key, words))
            if others:
                term = key[0] if len(key) == 1 else ""
                asked = self.phrase(next(iter(said)))
                groups.append(Group(asked, term, others, self._share, sum(said.values())))
        return tuple(groups)

    def _is_said(self, other: str, key: Key, words: Mapping[Key, object]) -> bool:
        """Whether a synonym counts already: it stands in the question itself, or is a part of the word that it is a synonym of."""
        own = self._key(other)
        inside = any(key[at : at + len(own)] == own for at in range(len(key)))
        return own in words or inside or not own

    def phrase(self, word: str) -> Phrase:
        """Say how a row may hold a word: by its terms with the bigrams at their joints; verbatim, when it is several terms."""
        known = self._phrases.get(word)
        if known is None:
            known = self._phrases[word] = Phrase(word, tuple(self._ways(word)))
        return known

    def _ways(self, word: str) -> Iterator[Way]:
        if term := self._analyzer.word_list.term_of(word):
            yield ((FIELD, term),)
            return
        # Wi-Fi is wi and fi, and wifi beside them; hidden forms of dates and numbers say too little of a word to be it.
        if whole := [one for one in self._analyzer.further_terms(word) if one[0].isalnum()]:
            yield tuple((FIELD, one) for one in whole)
        placed = self._placed(word)
        terms = [(FIELD, one.term) for one in placed if one.term]
        if terms:
            yield (*terms, *_joints(word, placed))
        if len(terms) != 1 and len(word) >= _VERBATIM_CHARS:
            certain = certain_terms(word)
            if len(certain) > 1:
                yield tuple(("bigram", one) for one in certain)

    def _analysed(self) -> Mapping[Key, list[str]]:
        """Words of the company's list by their terms."""
        with self._lock:
            if self._by_key is None:
                self._by_key = {}
                for word in self._own:
                    self._by_key.setdefault(self._key(word), []).append(word)
            return self._by_key

    def _key(self, word: str) -> Key:
        """Terms of a word of the lists, without what is no term at its ends."""
        known = self._keys.get(word)
        if known is not None:
            return known
        terms = [one.term for one in self._placed(word)]
        while terms and not terms[-1]:
            terms.pop()
        while terms and not terms[0]:
            terms.pop(0)
        key = self._keys[word] = tuple(terms)
        return key

    def _placed(self, folded: str) -> list[_Placed]:
        placed, at = [], 0
        for word in self._analyzer.words(folded):
            start = folded.index(word.surface, at)
            at = start + len(word.surface)
            placed.append(_Placed(lemma_term(word), start, at))
        return placed

    def _recognised(self, folded: str) -> list[_Found]:
        """Find words of the lists in a folded text, in its order; they do not overlap."""
        placed = self._placed(folded)
        found = {*self._by_terms(folded, placed), *self._by_spelling(folded, placed)}
        taken: list[_Found] = []
        for one in sorted(found, key=lambda one: (one.start - one.end, one)):
            if all(one.end <= other.start or other.end <= one.start for other in taken):
                taken.append(one)
        return sorted(taken)

    def _by_terms(self, folded: str, placed: list[_Placed]) -> Iterator[_Found]:
        analysed = self._analysed()
        for first in range(len(placed)):
            for last in range(first, min(first + _MOST_WORDS, len(placed))):
                run = placed[first : last + 1]
                if not (run[0].term and run[-1].term):
                    continue
                key = tuple(one.term for one in run)
                spelled = "".join(one.term or folded[one.start : one.end] for one in run)
                words = analysed.get(key, []) + [spelled] * (spelled in self._links)
                for word in words[:1]:
                    yield _Found(run[0].start, run[-1].end, key, word)

    def _by_spelling(self, folded: str, placed: list[_Placed]) -> Iterator[_Found]:
        starts, ends = {one.start for one in placed}, {one.end for one in placed}
        for start in range(len(folded)):
            for word in self._heads.get(folded[start : start + _HEAD_CHARS], ()):
                end = start + len(word)
                if folded.startswith(word, start) and stands_alone(folded, start, end):
                    key = self._key(word)
                    # What is one word of the dictionary must be one here: 有給 is none in 保有給付.
                    if len(key) > 1 or (key and start in starts and end in ends):
                        yield _Found(start, end, key, word)


def _joints(text: str, placed: list[_Placed]) -> Iterator[tuple[str, str]]:
    """Yield the bigrams across the joints of words that touch, from the first term to the last."""
    last = max((n for n, one in enumerate(placed) if one.term), default=0)
    first = next((n for n, one in enumerate(placed) if one.term), 0)
    for left, right in pairwise(placed[first : last + 1]):
        pair = text[left.end - 1 : right.start + 1]
        if len(pair) == 2 and bigrams(pair) == [pair]:
            yield "bigram", pair


class SynonymFile:
    """The synonyms of an index: those of its recipe, read anew whenever the file beside the index has changed.

    Parameters
    ----------
    base
        Folder to look for the recipe's file in; None: what the recipe brought is all there is. An index that was carried away without
        the file answers by what was stored with it.
    """

    def __init__(self, choice: Japanese, base: Path | None, analyzer: Analyzer) -> None:
        self._choice = choice
        self._analyzer = analyzer
        self._path = base / choice.synonyms if base and choice.synonyms else None
        self._seen: tuple[int, ...] | None = None
        self._expansion = self._made(choice.synonyms_text)
        self._refresh()

    def groups(self, text: str) -> tuple[Group, ...]:
        """Return the groups of a question's words; see :meth:`Expansion.groups`.

        Raises
        ------
        RecipeError
            When the file has been changed into something that is no list of synonyms.
        """
        self._refresh()
        return self._expansion.groups(text)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
        except OSError:
            return
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if identity != self._seen:
            try:
                text = read_words(self._path)
            except RecipeError as error:
                if error.code == "words_missing" and not self._path.exists():
                    return  # removed since
                raise
            self._expansion = self._made(text)
            self._seen = identity

    def _made(self, text: str) -> Expansion:
        where = self._choice.synonyms or "synonyms"
        own = parse_synonyms(text, where=where) if text else Synonyms()
        builtin = builtin_synonyms() if self._choice.builtin_synonyms else Synonyms()
        return Expansion(own, builtin, self._analyzer, self._choice.synonym_weight)
