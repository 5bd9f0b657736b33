"""The bundled model's tokenizer for short texts, over memory-mapped arrays: nothing to build when a process starts.

Loading ``tokenizer.json`` takes the ``tokenizers`` package 0.8 s (250,000 pieces into a trie), most of what opening an index costs;
a query needs a few hundred steps in that trie. So the trie is written once, as sorted numbers, and read in place. The ids are those
of ``tokenizers``, bit for bit: the same sums of the same float64 scores in the same order, the first of equal paths wins.

Normalisation is Python's own NFKC, and the two know different versions of Unicode: ``plain.npy`` marks the characters for which both
provably agree. A text with any other character, or a very long one, is not split here (:meth:`QueryTokenizer.split` returns None)
and goes to ``tokenizers``.

=============  ==================  ============================================================================
file           shape and dtype     holds
=============  ==================  ============================================================================
keys.npy       (M,) uint64         sorted ``parent node << 21 | code point``; entry ``i`` leads to node ``i + 1``
pieces.npy     (M,) int32          id of the piece that ends at node ``i + 1``; -1: none
scores.npy     (V + 1,) float64    the pieces' log probabilities, and that of an unknown character
special.npy    (3,) int64          ids of ``<s>``, ``</s>`` and ``<unk>``
plain.npy      (0x110000,) uint8   1: Python and ``tokenizers`` normalise this character alike
=============  ==================  ============================================================================
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragjp.encoders.tokenizer_json import BLANKS, DROPPED, FULLWIDTH_TILDE, TILDE_KEPT
from ragjp.types import IntArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Longer texts go to ``tokenizers``. As long as the longest query that a search takes.
LONGEST_CHARS = 4096
#: What SentencePiece takes off the worst score for a character that no piece holds.
_UNKNOWN_PENALTY = 10.0
_CODE_BITS = 21
_ALL_CODES = 0x110000
#: A private-use character: normalisation neither changes it nor lets anything combine across it.
_BETWEEN = "\ue000"
_SQUEEZE = re.compile(" {2,}")
_ARRAYS = ("keys", "pieces", "scores", "special", "plain")


@dataclass(frozen=True, slots=True)
class Subwords:
    """What the model reads of one text.

    ids : (T,) int64, ``<s>`` and ``</s>`` included.
    kept : (T,) bool, the tokens of the text itself: neither special nor of the prefix.
    """

    ids: IntArray
    kept: NDArray[np.bool_]


class QueryTokenizer:
    """Split short texts as ``tokenizers`` would. Safe to use from several threads.

    Parameters
    ----------
    folder
        Written by :func:`write_arrays`.
    max_tokens
        The longest input, special tokens included; the rest is cut off at the end.
    """

    def __init__(self, folder: Path, max_tokens: int) -> None:
        loaded = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        # A memoryview hands out one Python number several times faster than an array.
        views: dict[str, memoryview[Any]] = {name: memoryview(loaded[name]) for name in loaded}
        self._keys, self._pieces, self._scores = views["keys"], views["pieces"], views["scores"]
        self._plain = views["plain"]
        self._first, self._last, self._unknown = (int(id_) for id_ in loaded["special"])
        self._room = max_tokens - 2
        self._prefix = lru_cache(maxsize=4)(self._words)

    def split(self, prefix: str, text: str) -> Subwords | None:
        """Split ``prefix + text``; None when ``tokenizers`` has to.

        Parameters
        ----------
        prefix
            Empty, or words with a blank at the end: nothing in the text can then join them.
        """
        plain = self._plain
        if len(text) > LONGEST_CHARS or not all(plain[ord(char)] for char in text):
            return None
        before = self._prefix(prefix)
        own = [*before, *self._words(text)][: self._room]
        ids = np.array([self._first, *own, self._last], np.int64)
        kept = np.ones(len(ids), np.bool_)
        kept[: 1 + len(before)] = False
        kept[-1] = False
        return Subwords(ids, kept)

    def _words(self, text: str) -> list[int]:
        return [id_ for word in normalised(text).split() for id_ in self._best("▁" + word)]

    def _best(self, word: str) -> list[int]:
        """Return the ids of the likeliest pieces (Viterbi); neighbouring unknown characters are one token."""
        keys, pieces, scores = self._keys, self._pieces, self._scores
        n_keys, n_chars = len(keys), len(word)
        codes = [ord(char) for char in word]
        reached = [-np.inf] * (n_chars + 1)
        reached[0] = 0.0
        came_from = [0] * (n_chars + 1)
        chosen = [self._unknown] * (n_chars + 1)
        for start in range(n_chars):
            so_far = reached[start]
            node, single = 0, False
            for end in range(start, n_chars):
                key = node << _CODE_BITS | codes[end]
                at = bisect_left(keys, key)
                if at == n_keys or keys[at] != key:
                    break
                node = at + 1
                piece = pieces[at]
                if piece >= 0:
                    single = single or end == start
                    score = scores[piece] + so_far
                    if score > reached[end + 1]:
                        reached[end + 1], came_from[end + 1], chosen[end + 1] = score, start, piece
            if not single:
                score = scores[-1] + so_far
                if score > reached[start + 1]:
                    reached[start + 1], came_from[start + 1] = score, start
                    chosen[start + 1] = self._unknown
        return self._path(came_from, chosen)

    def _path(self, came_from: Sequence[int], chosen: Sequence[int]) -> list[int]:
        """Follow the best path back; (tokens,)."""
        ids: list[int] = []
        end = len(chosen) - 1
        while end > 0:
            if not (chosen[end] == self._unknown and ids and ids[-1] == self._unknown):
                ids.append(chosen[end])
            end = came_from[end]
        return ids[::-1]


def normalised(text: str) -> str:
    """Normalise as the normalisers of ``tokenizer.json`` do, with Python's Unicode tables."""
    folded = unicodedata.normalize("NFKC", text.translate(_before_nfkc()))
    return _SQUEEZE.sub(" ", folded.replace(TILDE_KEPT, FULLWIDTH_TILDE))


@lru_cache(maxsize=1)
def _before_nfkc() -> dict[int, str | None]:
    dropped = re.compile(_python_class(DROPPED))
    blanks = re.compile(_python_class(BLANKS))
    table: dict[int, str | None] = {ord(FULLWIDTH_TILDE): TILDE_KEPT}
    for code in range(0x10000):
        if dropped.match(chr(code)):
            table[code] = None
        elif blanks.match(chr(code)):
            table[code] = " "
    return table


def _python_class(pattern: str) -> str:
    r"""Turn ``\x{3000}`` (Oniguruma) into what :mod:`re` reads."""
    return re.sub(r"\\x\{([0-9A-F]+)\}", lambda found: f"\\u{int(found[1], 16):04x}", pattern)


def write_arrays(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the arrays of the module's table; a few seconds, once per machine.

    Parameters
    ----------
    tokenizer
        As loaded from ``tokenizer.json``: reading JSON may have rounded its scores, and those are the ones that count.
    """
    model = json.loads(tokenizer.to_str())["model"]
    texts = [text for text, _ in model["vocab"]]
    scores = [score for _, score in model["vocab"]]
    keys, pieces = _trie(texts)
    specials = [tokenizer.token_to_id(name) for name in ("<s>", "</s>")]
    arrays: dict[str, NDArray[np.generic]] = {
        "keys": keys,
        "pieces": pieces,
        "scores": np.array([*scores, min(scores) - _UNKNOWN_PENALTY], np.float64),
        "special": np.array([*specials, model["unk_id"]], np.int64),
        "plain": _agreed(tokenizer),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _trie(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Number the nodes level by level, so that sorting the edges by (parent, code point) numbers their ends; see the module."""
    codes = [np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint64) for text in texts]
    lengths = np.array([len(code) for code in codes])
    parents = np.zeros(len(texts), np.uint64)
    keys: list[NDArray[np.uint64]] = []
    ends: list[NDArray[np.int32]] = []
    n_nodes = 0
    for depth in range(int(lengths.max())):
        alive = np.flatnonzero(lengths > depth)
        step = np.array([codes[piece][depth] for piece in alive], np.uint64)
        level, node = np.unique(parents[alive] << np.uint64(_CODE_BITS) | step, return_inverse=True)
        parents[alive] = (n_nodes + 1 + node).astype(np.uint64)
        n_nodes += len(level)
        last = lengths[alive] == depth + 1
        end = np.full(len(level), -1, np.int32)
        end[node[last]] = alive[last]
        keys.append(level)
        ends.append(end)
    return np.concatenate(keys), np.concatenate(ends)


def _agreed(tokenizer: Tokenizer) -> NDArray[np.uint8]:
    """Mark the characters that Python and ``tokenizers`` normalise alike wherever they stand; (0x110000,) uint8.

    What Unicode 3.2 assigned has kept its normalisation in every version since. A later character must come out the same alone, and
    must neither combine nor be a part of a composed character, so that its neighbours do not matter.
    """
    parts = {
        int(part, 16)
        for code in range(_ALL_CODES)
        if (found := unicodedata.decomposition(chr(code))) and not found.startswith("<")
        for part in found.split()
    }
    chars = [
        char
        for char in map(chr, range(_ALL_CODES))
        if unicodedata.category(char) not in {"Cn", "Cs"} and char != _BETWEEN
    ]
    joined = _BETWEEN.join(chars)
    theirs = tokenizer.normalizer.normalize_str(joined).split(_BETWEEN)
    ours = normalised(joined).split(_BETWEEN)
    agreed = np.zeros(_ALL_CODES, np.uint8)
    for char, one, other in zip(chars, theirs, ours, strict=True):
        old = unicodedata.ucd_3_2_0.category(char) != "Cn"
        inert = not unicodedata.combining(char) and ord(char) not in parts
        agreed[ord(char)] = (old or inert) and one == other
    return agreed
