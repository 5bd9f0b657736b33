"""Query operators resolved to rows: a phrase is looked up by its bigrams, then verified on the folded text itself.

Rows are restricted before anything is scored, so that k hits come back whenever k chunks fit; the statistics stay the view's.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from ragjp.errors import RequestError
from ragjp.index.reader import Allowed, Snapshot
from ragjp.japanese.characters import HIRAGANA, KANJI, KATAKANA
from ragjp.japanese.normalize import fold
from ragjp.japanese.terms import Analyzer
from ragjp.retrieval.operators import ParsedQuery
from ragjp.types import BoolArray, IntArray

_JAPANESE = f"{KANJI}{HIRAGANA}{KATAKANA}"
_OTHER = rf"[^\W_{_JAPANESE}]"
_RUN = re.compile(rf"([{_JAPANESE}]+)|{_OTHER}+")
#: Chunks whose text is loaded at once.
_SLICE = 512


def rows_to_keep(
    snapshot: Snapshot, query: ParsedQuery, allowed: Allowed, analyzer: Analyzer
) -> BoolArray | None:
    """Mark the rows that fit every operator; None when there is none.

    Parameters
    ----------
    allowed
        The view: texts of other rows are not even read.

    Raises
    ------
    RequestError
        When a phrase holds no two characters that could be looked up; code ``phrase_too_short``.
    """
    if not query.restricts:
        return None
    keep = allowed.rows.copy()
    for words in query.titles:
        keep &= _rows_with(snapshot, "title", analyzer.lemmas(words))
    for phrase in query.phrases:
        keep &= _rows_with_phrase(snapshot, phrase, keep, required=True)
    for words in query.excluded:
        keep &= ~_rows_with_words(snapshot, words, keep, analyzer)
    return keep


def _rows_with(snapshot: Snapshot, field: str, terms: list[str]) -> BoolArray:
    """Rows that hold all the terms; none when there is no term."""
    mask = np.zeros(snapshot.n_rows, dtype=np.bool_)
    if terms:
        mask[snapshot.lexical.rows_with(field, terms)] = True
    return mask


def _rows_with_words(
    snapshot: Snapshot, words: str, among: BoolArray, analyzer: Analyzer
) -> BoolArray:
    """Rows to exclude: those with the words as written and, for a single word, in another spelling (申込, 申し込み)."""
    found = _rows_with_phrase(snapshot, words, among, required=False)
    lemmas = analyzer.lemmas(words)
    if len(lemmas) == 1:
        found |= _rows_with(snapshot, "lemma", lemmas)
    return found


def _rows_with_phrase(
    snapshot: Snapshot, phrase: str, among: BoolArray, *, required: bool
) -> BoolArray:
    folded = fold(phrase).strip()
    terms = certain_terms(folded)
    mask = np.zeros(snapshot.n_rows, dtype=np.bool_)
    if not terms:
        if required:
            raise RequestError(
                f"「{phrase}」はそのままの形では探せません。二文字以上のことばを引用符で囲んでください。",
                code="phrase_too_short",
            )
        return mask
    rows = np.flatnonzero(_rows_with(snapshot, "bigram", terms) & among)
    mask[_verified(snapshot, folded, rows)] = True
    return mask


def certain_terms(folded: str) -> list[str]:
    """Bigram terms that every text with this phrase must have.

    A Japanese character alone at an edge of the phrase may have neighbours in the text: nothing is certain about it. Other letters and
    digits count whole: "AI" stands in 生成AI活用, not in OpenAI.

    >>> certain_terms("第23条の規定")
    ['23', '条の', 'の規', '規定']
    """
    terms: list[str] = []
    for match in _RUN.finditer(folded):
        run = match[0]
        inside = match.start() > 0 and match.end() < len(folded)
        if match[1] and len(run) > 1:
            terms += [a + b for a, b in pairwise(run)]
        elif not match[1] or inside:
            terms.append(run)
    return terms


def phrase_pattern(folded: str) -> re.Pattern[str]:
    """Compile what a folded text must match to hold the phrase; letters and digits at its edges count whole."""
    before = rf"(?<!{_OTHER})" if re.match(_OTHER, folded) else ""
    after = rf"(?!{_OTHER})" if re.match(_OTHER, folded[-1]) else ""
    return re.compile(before + re.escape(folded) + after)


def _verified(snapshot: Snapshot, folded: str, rows: IntArray) -> list[int]:
    pattern = phrase_pattern(folded)
    found: list[int] = []
    for start in range(0, len(rows), _SLICE):
        part = [int(row) for row in rows[start : start + _SLICE]]
        chunks = snapshot.chunks(part)
        found += [
            row
            for row, chunk in zip(part, chunks, strict=True)
            if pattern.search(fold(chunk.indexed_text))
        ]
    return found
