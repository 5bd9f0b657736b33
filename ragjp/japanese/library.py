"""MeCab's C library, the very one that fugashi brings, for nodes without a Python object each.

fugashi's wheels carry ``libmecab`` beside the package. Where there is none (built from source) there
is no bulk path, and :class:`ragjp.japanese.morphemes.Tagger` does all the work with the same result.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

_PLACES = ("../fugashi.libs/*mecab*.so*", ".dylibs/*mecab*.dylib", "*mecab*.dll")
#: The layout of a node is the one of this release, the last there is.
_VERSION = b"0.996"


class Library:
    """Taggers of MeCab's C interface, by address.

    Parameters
    ----------
    dictionary
        Folder of the compiled dictionary.

    Raises
    ------
    OSError
        When there is no such library beside fugashi, or it does not open the dictionary.
    """

    def __init__(self, dictionary: Path) -> None:
        self._options = [b"mecab", b"-r", bytes(dictionary / "mecabrc"), b"-d", bytes(dictionary)]
        self._library = library = ctypes.CDLL(str(_find()))
        library.mecab_version.restype = ctypes.c_char_p
        if library.mecab_version() != _VERSION:
            raise OSError("libmecab of an unknown version")
        library.mecab_new.restype = ctypes.c_void_p
        library.mecab_new.argtypes = (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
        library.mecab_destroy.argtypes = (ctypes.c_void_p,)
        library.mecab_destroy.restype = None
        #: Address of ``mecab_sparse_tonode2(tagger, text, size)``.
        self.parse = ctypes.cast(library.mecab_sparse_tonode2, ctypes.c_void_p).value or 0

    def tagger(self) -> int:
        """Open a tagger, for one thread at a time; :meth:`close` it."""
        options = (ctypes.c_char_p * len(self._options))(*self._options)
        address: int | None = self._library.mecab_new(len(options), options)
        if not address:
            raise OSError("libmecab does not open the dictionary")
        return address

    def close(self, tagger: int) -> None:
        """Let go of a tagger."""
        self._library.mecab_destroy(tagger)


def _find() -> Path:
    spec = importlib.util.find_spec("fugashi")
    for folder in (spec and spec.submodule_search_locations) or ():
        for place in _PLACES:
            for found in sorted(Path(folder).glob(place)):
                return found
    raise OSError("no libmecab beside fugashi")
