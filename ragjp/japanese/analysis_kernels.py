"""Compiled loops of bulk analysis: folding by table, MeCab's nodes, pairs of characters, numbering.

Loaded by ``ragjp.compiled`` only. Each has its plain counterpart: ``normalize.fold`` and
``terms.Analyzer.terms``, which the tests hold them to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: What a folded character is for the second stage of folding (bits of ``fold_rows``'s classes).
JAPANESE, KATAKANA, AFTER_VOWEL, BLANK, DIGIT, BORDER, SLOW = 1, 2, 4, 8, 16, 32, 64
#: What a folded character is for the runs of ``pair_keys``.
IN_RUN, IN_WORD = 1, 2

_DASH, _VOWEL, _COMMA, _SPACE, _TAB, _LF, _CR = 0x2D, 0x30FC, 0x2C, 0x20, 0x09, 0x0A, 0x0D
#: ``mecab_node_t`` of MeCab 0.996 in words of eight bytes: next, surface, feature, the word that holds the
#: length (bits 32 to 47), the one that holds the status (its top byte; 1 is an unknown word).
_NODE_WORDS, _NEXT, _SURFACE, _FEATURE, _LENGTHS, _FLAGS = 13, 1, 6, 7, 8, 9
_UNKNOWN_WORD = 1


@intrinsic  # type: ignore[untyped-decorator]
def _at(_context: Any, address: Any) -> Any:  # noqa: ANN401
    """The pointer with this address."""

    def code(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


@intrinsic  # type: ignore[untyped-decorator]
def _call(_context: Any, function: Any, tagger: Any, text: Any, size: Any) -> Any:  # noqa: ANN401
    """Call ``const mecab_node_t *function(mecab_t *, const char *, size_t)`` by its address."""

    def code(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        word = ir.IntType(64)
        kind = ir.FunctionType(word, [word, word, word])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return types.int64(types.int64, types.int64, types.int64, types.int64), code


@njit("void(uint32[::1], uint8[::1], int64, int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _vowels_and_dashes(text: U32, classes: U8, start: int, end: int) -> None:
    before = np.uint8(0)
    for i in range(start, end):
        code = text[i]
        if code == _DASH or code == _VOWEL:
            after = classes[text[i + 1]] if i + 1 < end else np.uint8(0)
            if code == _DASH and before & KATAKANA and after & AFTER_VOWEL:
                text[i] = _VOWEL
            elif code == _VOWEL and before & DIGIT and after & DIGIT:
                text[i] = _DASH
        before = classes[code]


@njit("int64(uint32[::1], uint8[::1], int64, int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _without_blanks(text: U32, classes: U8, start: int, end: int) -> int:
    written = start
    i = start
    while i < end:
        if not classes[text[i]] & BLANK:
            text[written] = text[i]
            written += 1
            i += 1
            continue
        border = False
        lines = 0
        before_run = i
        while i < end and classes[text[i]] & BLANK:
            code = text[i]
            border |= (classes[code] & BORDER) != 0
            lines += code == _CR or (code == _LF and not (i > before_run and text[i - 1] == _CR))
            i += 1
        joins = (
            before_run > start
            and i < end
            and classes[text[written - 1]] & JAPANESE
            and classes[text[i]] & JAPANESE
        )
        if border or lines > 1:
            text[written] = _TAB
            written += 1
        elif not joins:
            text[written] = _SPACE
            written += 1
    return written


@njit("int64(uint32[::1], uint8[::1], int64, int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _without_commas(text: U32, classes: U8, start: int, end: int) -> int:
    written = start
    before = np.uint8(0)
    for i in range(start, end):
        code = text[i]
        kind = classes[code]
        groups = code == _COMMA and before & DIGIT and i + 3 < end
        if groups:
            for j in range(i + 1, i + 4):
                groups = groups and (classes[text[j]] & DIGIT) != 0
            groups = groups and not (i + 4 < end and classes[text[i + 4]] & DIGIT)
        if not groups:
            text[written] = code
            written += 1
        before = kind
    return written


@njit(  # type: ignore[untyped-decorator]
    "void(uint32[::1], int64[::1], uint32[::1], uint8[::1], uint32[::1], int64[::1], boolean[::1])",
    cache=True,
    nogil=True,
)
def fold_rows(
    codes: U32, ends: I64, one: U32, classes: U8, folded: U32, folded_ends: I64, slow: Bools
) -> None:
    """Fold each row as ``normalize.fold`` does, and take the commas out of its numbers.

    Parameters
    ----------
    codes, ends
        (C,) code points of all rows, (n,) end of each row.
    one, classes
        (65536,) what each character becomes on its own; what the folded one is.
    folded, folded_ends, slow
        Results: (C,) code points, (n,) end of each row in them, (n,) whether a row has a character
        that needs more than the table; such a row has no result.
    """
    start = 0
    written = 0
    for row in range(len(ends)):
        base = written
        end = base
        slow[row] = False
        for i in range(start, ends[row]):
            code = codes[i]
            if code < 65536:
                code = one[code]
            if code >= 65536 or classes[code] & SLOW:
                slow[row] = True
                break
            folded[end] = code
            end += 1
        start = ends[row]
        if not slow[row]:
            _vowels_and_dashes(folded, classes, base, end)
            end = _without_blanks(folded, classes, base, end)
            written = _without_commas(folded, classes, base, end)
        folded_ends[row] = written


@njit(  # type: ignore[untyped-decorator]
    "int64(int64, int64, uint8[::1], int64[::1], int64[::1], int32[::1], int32[::1], int64[::1])",
    cache=True,
    nogil=True,
)
def segment(
    parse: int,
    tagger: int,
    text: U8,
    ends: I64,
    entries: I64,
    starts: I32,
    stops: I32,
    row_ends: I64,
) -> int:
    """Have MeCab split each row and write its nodes down.

    Parameters
    ----------
    parse, tagger
        Address of ``mecab_sparse_tonode2`` and of a ``mecab_t`` that no other thread uses.
    text, ends
        (B,) UTF-8 of all rows, (n,) end of each row.
    entries, starts, stops
        Results, as long as ``text``: for each node the address of its features, less than 0 when it
        is an unknown word; its first byte and the one behind its last.
    row_ends
        Result, (n,): end of each row in them.

    Returns
    -------
    The number of nodes; -1 when MeCab failed.
    """
    base = text.ctypes.data
    found = 0
    start = 0
    for row in range(len(ends)):
        if ends[row] > start:
            node = _call(parse, tagger, base + start, ends[row] - start)
            if node == 0:
                return -1
            words = carray(_at(node), _NODE_WORDS, np.int64)
            following = words[_NEXT]
            while following != 0:
                words = carray(_at(following), _NODE_WORDS, np.int64)
                following = words[_NEXT]
                if following == 0:  # the node of the end
                    break
                first = words[_SURFACE] - base
                unknown = ((words[_FLAGS] >> 56) & 0xFF) == _UNKNOWN_WORD
                entries[found] = -words[_FEATURE] if unknown else words[_FEATURE]
                starts[found] = first
                stops[found] = first + ((words[_LENGTHS] >> 32) & 0xFFFF)
                found += 1
        start = ends[row]
        row_ends[row] = found
    return found


@njit(  # type: ignore[untyped-decorator]
    "int64(uint32[::1], int64[::1], uint8[::1], int64[::1], int64[:, ::1], int64[::1])",
    cache=True,
    nogil=True,
)
def pair_keys(codes: U32, ends: I64, classes: U8, keys: I64, words: I64, key_ends: I64) -> int:
    """Find what ``terms.bigrams`` finds.

    Parameters
    ----------
    codes, ends
        (C,) folded code points of all rows, (n,) end of each row.
    classes
        (K,) what each character is, ``IN_RUN``, ``IN_WORD`` or 0; those beyond are 0.
    keys
        Result, as long as ``codes``: 1 + (first << 21 | second) for a pair of Japanese characters, 1 + code
        for one that stands alone, 0 for any other word.
    words
        Result, (C, 3): place in ``keys``, start and end in ``codes`` of each such other word.
    key_ends
        Result, (n,): end of each row in ``keys``.

    Returns
    -------
    The number of other words.
    """
    found = 0
    n_words = 0
    i = 0
    for row in range(len(ends)):
        end = ends[row]
        while i < end:
            kind = classes[codes[i]] if codes[i] < len(classes) else np.uint8(0)
            start = i
            i += 1
            if not kind:
                continue
            while i < end and codes[i] < len(classes) and classes[codes[i]] == kind:
                if kind == IN_RUN:
                    keys[found] = 1 + ((np.int64(codes[i - 1]) << 21) | np.int64(codes[i]))
                    found += 1
                i += 1
            if kind == IN_WORD:
                keys[found] = 0
                words[n_words, 0] = found
                words[n_words, 1] = start
                words[n_words, 2] = i
                n_words += 1
                found += 1
            elif i == start + 1:
                keys[found] = 1 + np.int64(codes[start])
                found += 1
        key_ends[row] = found
    return n_words


@njit(  # type: ignore[untyped-decorator]
    "int64(int64[::1], int64, int64[::1], int32[::1], int64[::1], int64[::1], int32[::1])",
    cache=True,
    nogil=True,
)
def number(
    keys: I64, at: int, table: I64, places: I32, known: I64, count: I64, numbers: I32
) -> int:
    """Give each key its number: 0, 1, 2, … in the order in which keys are met; -1 to those ≤ 0.

    Parameters
    ----------
    keys, at
        (m,) keys; the first that has no number yet.
    table, places
        (S,) keys and (S,) their numbers, hashed with linear probing; S a power of two, 0 is free.
    known, count
        (S / 2,) the keys by number; (1,) how many there are.
    numbers
        Result, (m,).

    Returns
    -------
    Where it stopped: m, or where the table was half full.
    """
    mask = np.uint64(len(table) - 1)
    shift = np.uint64(0)
    while (np.uint64(1) << shift) < np.uint64(len(table)):
        shift += np.uint64(1)
    shift = np.uint64(64) - shift
    for i in range(at, len(keys)):
        key = keys[i]
        if key <= 0:
            numbers[i] = -1
            continue
        slot = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> shift
        while table[slot] != key and table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        if table[slot] == 0:
            if count[0] >= len(known):
                return i
            table[slot] = key
            places[slot] = count[0]
            known[count[0]] = key
            count[0] += 1
        numbers[i] = places[slot]
    return len(keys)
