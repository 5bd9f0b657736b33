"""MeCab's C library, the very one that fugashi brings, for nodes without a Python object each.

fugashi's wheels carry ``libmecab`` beside the package. Where there is none (built from source) there
is no bulk path, and :class:`ragjp.japanese.morphemes.Tagger` does all the work with the same result.
"""

from __future__ import annotations

import ctypes
import importlib.util
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = ("../fugashi.libs/*mecab*.so*", ".dylibs/*mecab*.dylib", "*mecab*.dll")
#: The layout of a node is the one of this release, the last there is.
_VERSION = b"0.996"


class Model:
    """An open dictionary, and taggers on it by address.

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
        library = ctypes.CDLL(str(_find()))
        library.mecab_version.restype = ctypes.c_char_p
        if library.mecab_version() != _VERSION:
            raise OSError("libmecab of an unknown version")
        library.mecab_model_new.restype = ctypes.c_void_p
        library.mecab_model_new.argtypes = (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))
        library.mecab_model_new_tagger.restype = ctypes.c_void_p
        library.mecab_model_new_tagger.argtypes = (ctypes.c_void_p,)
        for close in (library.mecab_model_destroy, library.mecab_destroy):
            close.restype = None
            close.argtypes = (ctypes.c_void_p,)
        options = [b"mecab", b"-r", bytes(dictionary / "mecabrc"), b"-d", bytes(dictionary)]
        self._library = library
        self._model = library.mecab_model_new(
            len(options), (ctypes.c_char_p * len(options))(*options)
        )
        if not self._model:
            raise OSError("libmecab does not open the dictionary")
        self._idle: list[int] = []
        #: Address of ``mecab_sparse_tonode2(tagger, text, size)``.
        self.parse = ctypes.cast(library.mecab_sparse_tonode2, ctypes.c_void_p).value or 0
        weakref.finalize(self, _close, library, self._model, self._idle)

    @contextmanager
    def tagger(self) -> Iterator[int]:
        """Lend a ``mecab_t`` that no other thread uses meanwhile."""
        try:
            one = self._idle.pop()
        except IndexError:
            one = self._library.mecab_model_new_tagger(self._model)
        if not one:
            raise OSError("libmecab has no memory for a tagger")
        try:
            yield one
        finally:
            self._idle.append(one)


def _close(library: ctypes.CDLL, model: int, taggers: list[int]) -> None:
    for tagger in taggers:
        library.mecab_destroy(tagger)
    library.mecab_model_destroy(model)


def _find() -> Path:
    spec = importlib.util.find_spec("fugashi")
    for folder in (spec and spec.submodule_search_locations) or ():
        for place in _PLACES:
            for found in sorted(Path(folder).glob(place)):
                return found
    raise OSError("no libmecab beside fugashi")
