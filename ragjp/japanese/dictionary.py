"""MeCab's compiled dictionary, read where MeCab itself is slow: the features of one word.

MeCab finds the words of a text at 1.3 million characters a second; printing their features (a CSV
line of 26 fields each) halves that. So the tagger has it print what names a dictionary entry — the
surface, the connection id and the cost — and asks here, once per entry, for the features.

That name is enough: two entries with the same surface, id and cost are equal to the Viterbi search
at every position, which then always keeps the one listed first; so does :meth:`Dictionary.features`.

Layout (``mecab/src/dictionary.cpp``, version 102), little endian: ten uint32 (magic, version, type,
entries, left size, right size, bytes of the trie, of the tokens, of the features, unused), 32 bytes
of charset, then a double-array trie (int32 base, uint32 check), the tokens (uint16 left id, uint16
right id, uint16 part of speech, int16 cost, uint32 offset of the feature, uint32 unused) and the
features as zero-terminated strings. A trie value holds the first token's number and, in the low
eight bits, how many follow.
"""

from __future__ import annotations

import errno
import mmap
import struct
from pathlib import Path

import numpy as np

from ragjp.errors import IndexMismatch, StorageFailed

_HEADER = struct.Struct("<10I32s")
_MAGIC = 0xEF718F77
_VERSION = 102
_TRIE = np.dtype([("base", "<i4"), ("check", "<u4")])
_TOKEN = np.dtype(
    [
        ("left", "<u2"),
        ("right", "<u2"),
        ("part", "<u2"),
        ("cost", "<i2"),
        ("feature", "<u4"),
        ("unused", "<u4"),
    ]
)


class Dictionary:
    """One compiled dictionary file, mapped into memory and shared between processes.

    Parameters
    ----------
    path
        ``sys.dic`` or ``unk.dic`` of a UniDic folder, in UTF-8.

    Raises
    ------
    IndexMismatch
        When the file is not a MeCab dictionary of version 102 with equal left and right ids.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            header = _HEADER.unpack_from(self._bytes)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise StorageFailed(
                    f"同時に開けるファイルの数の上限に達し、辞書 {path} を開けません。ほかの処理を終えるか、ulimit -n で上限を上げてください。",
                    code="too_many_files",
                ) from error
            raise _unreadable(path) from error
        except (ValueError, struct.error) as error:
            raise _unreadable(path) from error
        magic, version, _, _, _, _, trie_bytes, token_bytes, feature_bytes, _, charset = header
        start = _HEADER.size
        whole = start + trie_bytes + token_bytes + feature_bytes
        if magic ^ _MAGIC != whole or version != _VERSION or not charset.lower().startswith(b"utf"):
            raise _unreadable(path)
        self._trie = np.frombuffer(self._bytes, _TRIE, trie_bytes // _TRIE.itemsize, start)
        start += trie_bytes
        self.tokens = np.frombuffer(self._bytes, _TOKEN, token_bytes // _TOKEN.itemsize, start)
        self._features_start = start + token_bytes
        # UniDic has one connection id a word. Another dictionary may not, and needs a longer name.
        if not np.array_equal(self.tokens["left"], self.tokens["right"]):
            raise _unreadable(path)

    def features(self, surface: str, context: int, cost: int) -> str | None:
        """Return the CSV line of the entry that MeCab chose, or None when there is no such entry."""
        first, count = self._find(surface.encode("utf-8", "surrogatepass"))
        for token in self.tokens[first : first + count]:
            if token["left"] == context and token["cost"] == cost:
                return self.feature(int(token["feature"]))
        return None

    def feature(self, offset: int) -> str:
        """Return the CSV line that starts ``offset`` bytes into the features."""
        start = self._features_start + offset
        return self._bytes[start : self._bytes.find(b"\0", start)].decode("utf-8")

    def _find(self, key: bytes) -> tuple[int, int]:
        """Walk the trie: number of the first token of ``key``, and how many it has."""
        trie = self._trie
        base, _ = trie[0].item()
        for byte in key:
            at = base + byte + 1
            if at >= len(trie):
                return 0, 0
            following, check = trie[at].item()
            if check != base:
                return 0, 0
            base = following
        value, check = trie[base].item()
        if check != base or value >= 0:
            return 0, 0
        return (-value - 1) >> 8, (-value - 1) & 0xFF


def _unreadable(path: Path) -> IndexMismatch:
    return IndexMismatch(
        f"辞書 {path} は MeCab の UTF-8 辞書(版102)として読めません。"
        "`pip install --force-reinstall unidic-lite==1.0.8` で入れ直してください。",
        code="dictionary_unreadable",
    )
