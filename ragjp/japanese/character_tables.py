"""The folding and the runs of ``terms`` as tables by code point, for the kernels of bulk analysis.

Made from the very patterns that the plain path uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp import compiled
from ragjp.japanese.characters import BLANK, HIRAGANA, JAPANESE, KANJI, KATAKANA, characters
from ragjp.japanese.normalize import AFTER_VOWEL
from ragjp.japanese.terms import KERNELS

#: Above the planes in use there is no letter and no digit.
LAST_WORD_CHARACTER = 0x3FFFF


@cache
def tables() -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8]]:
    """``one`` and ``classes`` of ``fold_rows``, ``classes`` of ``pair_keys``."""
    kernels: Any = compiled.load(KERNELS)
    table = characters(False)
    one = np.arange(0x10000, dtype=np.uint32)
    one[list(table.one)] = [ord(c) for c in table.one.values()]
    folding = [
        (kernels.JAPANESE, f"[{JAPANESE}]"),
        (kernels.KATAKANA, f"[{KATAKANA}]"),
        (kernels.AFTER_VOWEL, f"[{AFTER_VOWEL}]"),
        (kernels.BLANK, f"[{BLANK}]"),
        (kernels.DIGIT, "[0-9]"),
        (kernels.BORDER, r"[\t\f]"),
        (kernels.SLOW, f"(?:{table.many_pattern.pattern})|[\ud800-\udfff]"),
    ]
    run = f"[{KANJI}{HIRAGANA}{KATAKANA}]"
    words = [(kernels.IN_RUN, run), (kernels.IN_WORD, rf"(?!{run})[^\W_]")]
    return one, _classes(0xFFFF, folding), _classes(LAST_WORD_CHARACTER, words)


def _classes(last: int, patterns: Sequence[tuple[int, str]]) -> NDArray[np.uint8]:
    every = "".join(map(chr, range(last + 1)))
    classes = np.zeros(last + 1, np.uint8)
    for bit, pattern in patterns:
        for match in re.compile(pattern).finditer(every):
            classes[match.start() : match.end()] |= bit
    return classes
