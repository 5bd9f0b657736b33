"""The company's own words as a file: what the dictionary splits wrong is one term more.

::

    見出し語,読み
    情シス,ジョウシス
    ハチ公プロジェクト

The words are laid over what the segmenter finds and change none of it: wherever a word stands in a folded text, ``=情シス`` is a term
beside 情 and シス. A word compiled into MeCab's dictionary would move the borders of its neighbours in ways that nobody can foresee,
would need a cost that nobody can give, and would take away the terms by which a text was found before; this way old matches stay, a word's
terms depend on that word alone, and a change of the list concerns just the texts that hold what was changed.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from operator import add
from typing import NamedTuple

from ragjp.errors import RecipeError
from ragjp.japanese.spelling import occurrences

#: What a term of this list begins with; no term of the dictionary does.
MARK = "="
MOST_LINES = 50_000
MOST_CHARS = 64
#: A reading in hiragana runs on into particles: a shorter one would be found in too many places.
_HIRAGANA_CHARS = 4

_TITLE = "見出し語"
_KANA = re.compile("[ぁ-ゖァ-ヺー]+")
_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_TO_HIRAGANA = {katakana: hiragana for hiragana, katakana in _TO_KATAKANA.items()}


class Word(NamedTuple):
    """A folded word and its reading in katakana ("" for none)."""

    text: str
    reading: str = ""

    @property
    def term(self) -> str:
        """The term that it is in the index."""
        return MARK + self.text

    def forms(self) -> Iterator[str]:
        """What it is found by in a folded text: as it is spelled, and by its reading."""
        yield self.text
        if self.reading and self.reading != self.text:
            yield self.reading
            if len(self.reading) >= _HIRAGANA_CHARS:
                yield self.reading.translate(_TO_HIRAGANA)


class WordList:
    """The words of an index. Immutable; two lists with the same words and readings are the same list, whatever their files looked like."""

    def __init__(self, words: frozenset[Word] = frozenset()) -> None:
        self.words = words

    @classmethod
    def of(cls, canonical: str) -> WordList:
        """Read what :attr:`canonical` wrote."""
        rows = (line.split("\t") for line in canonical.splitlines())
        return cls(frozenset(Word(*row) for row in rows))

    @cached_property
    def canonical(self) -> str:
        """The list as it is stored with an index; "" when it is empty."""
        return "".join(f"{word.text}\t{word.reading}\n" for word in sorted(self.words))

    @property
    def digest(self) -> str:
        """Names the list; "" when it is empty."""
        stated = hashlib.sha256(self.canonical.encode()).hexdigest()
        return stated[:16] if self.words else ""

    def terms(self, folded: str) -> list[str]:
        """Return the term of each word wherever it stands in a folded text: a word's terms depend on no other word."""
        if not self.words or len(folded) < 2:
            return []
        heads = self._heads.keys() & set(map(add, folded, folded[1:]))
        return [
            term
            for head in sorted(heads)
            for form, term in self._heads[head]
            for _ in occurrences(form, folded)
        ]

    def term_of(self, folded: str) -> str:
        """The term of a word or reading of the list, "" for any other text."""
        return self._forms.get(folded, "")

    @cached_property
    def _forms(self) -> dict[str, str]:
        return {
            form: word.term for word in sorted(self.words, reverse=True) for form in word.forms()
        }

    @cached_property
    def _heads(self) -> dict[str, list[tuple[str, str]]]:
        heads: dict[str, list[tuple[str, str]]] = {}
        for word in sorted(self.words):
            for form in word.forms():
                heads.setdefault(form[:2], []).append((form, word.term))
        return heads


def parse_words(text: str, *, where: str) -> WordList:
    """Read a list of words: one a line, its reading in kana after a comma if it has one; ``#`` begins a line of comment.

    >>> sorted(parse_words("情シス,じょうしす", where="test").words)
    [Word(text='情シス', reading='ジョウシス')]

    Raises
    ------
    RecipeError
        One sentence with ``where`` and the line; code ``bad_words``.
    """
    from ragjp.japanese.terms import searched_text  # which reads this module

    lines = text.removeprefix("\ufeff").splitlines()
    if len(lines) > MOST_LINES:
        raise _wrong(where, MOST_LINES + 1, f"{MOST_LINES:,} 行を超えています。減らしてください")
    found: dict[str, tuple[int, Word]] = {}
    for number, line in enumerate(lines, 1):
        cells = [searched_text(cell).strip() for cell in next(csv.reader([line]), [])]
        if not any(cells) or cells[0].startswith("#") or (not found and cells[0] == _TITLE):
            continue
        word = _word(cells, where, number)
        first, _ = found.setdefault(word.text, (number, word))
        if first != number:
            raise _wrong(
                where, number, f"「{word.text}」は {first} 行目にもあります。一つにしてください"
            )
    return WordList(frozenset(word for _, word in found.values()))


def _word(cells: list[str], where: str, number: int) -> Word:
    text, reading, *further = [*cells, ""]
    if any(further):
        raise _wrong(where, number, "項目が三つ以上あります。「見出し語,読み」の形にしてください")
    if not text:
        raise _wrong(where, number, "見出し語がありません。読みの前に書いてください")
    if not any(map(str.isalnum, text)) or not 2 <= len(text) <= MOST_CHARS:
        raise _wrong(
            where,
            number,
            f"「{text[:MOST_CHARS]}」は見出し語にできません。2 文字から {MOST_CHARS} 文字のことばにしてください",
        )
    if reading and not (_KANA.fullmatch(reading) and 2 <= len(reading) <= MOST_CHARS):
        raise _wrong(
            where,
            number,
            f"読み「{reading[:MOST_CHARS]}」が正しくありません。2 文字以上のかなで書いてください",
        )
    return Word(text, reading.translate(_TO_KATAKANA))


def _wrong(where: str, number: int, problem: str) -> RecipeError:
    return RecipeError(f"辞書のファイル {where} の {number} 行目: {problem}。", code="bad_words")
