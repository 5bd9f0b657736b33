"""Where a word stands by itself in a folded text: the rule that synonyms and the user dictionary share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragjp.japanese.characters import HIRAGANA, KANJI, KATAKANA

_OTHER = re.compile(rf"[^\W_{KANJI}{HIRAGANA}{KATAKANA}]")
_KATAKANA = re.compile(f"[{KATAKANA}]")


def stands_alone(text: str, start: int, end: int) -> bool:
    """Tell whether ``text[start:end]``, not empty, is not cut out of a longer word.

    Letters, digits and katakana run on into what is beside them: テスト is no word of コンテスト, and ai none of openai. Kanji and
    hiragana do not: 情シス stands in 情シス課.

    >>> stands_alone("コンテスト", 2, 5), stands_alone("単体テストを", 2, 5)
    (False, True)
    """
    return not (_joined(text, start) or _joined(text, end))


def _joined(text: str, border: int) -> bool:
    if not 0 < border < len(text):
        return False
    left, right = text[border - 1], text[border]
    return any(kind.match(left) and kind.match(right) for kind in (_OTHER, _KATAKANA))


def occurrences(word: str, text: str) -> Iterator[int]:
    """Yield where a word (not empty) begins in a text, wherever it stands alone; occurrences may overlap."""
    at = text.find(word)
    while at >= 0:
        if stands_alone(text, at, at + len(word)):
            yield at
        at = text.find(word, at + 1)
