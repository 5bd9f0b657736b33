"""One index held open: which generation of it is read, and what must follow when that changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from ragjp.config import Recipe, parse_recipe
from ragjp.encoders import load_encoder
from ragjp.errors import IndexCorrupt, IndexMismatch
from ragjp.index.reader import Snapshot
from ragjp.japanese.terms import Analyzer
from ragjp.japanese.words import WordList
from ragjp.retrieval.expansion import SynonymFile
from ragjp.types import Encoder

#: Reason codes of a generation that a merge has forgotten, and how often a reader moves on to a newer one.
_FORGOTTEN = ("chunk_missing", "generation_gone")
_ATTEMPTS = 30
Read = TypeVar("Read")


class OpenIndex:
    """The generation of an index that is read, with the recipe, encoder, analyzer and synonyms that fit it.

    :class:`ragjp.engine.Engine` is one that can be searched and asked. Safe to read from many threads.

    Parameters
    ----------
    path
        Folder of the index.
    recipe
        What the index was built from, with changes to how it is searched and answered (not to what it holds).
    encoder
        The encoder it was built with.
    analyzer
        The analyzer it was built with.
    """

    def __init__(
        self, path: Path, snapshot: Snapshot, recipe: Recipe, encoder: Encoder, analyzer: Analyzer
    ) -> None:
        self.path = path
        self.recipe = recipe
        self.encoder = encoder
        self._analyzer = analyzer
        self._synonyms = SynonymFile(recipe.japanese, None, analyzer)
        self._snapshot = snapshot
        self._swap = threading.Lock()
        self._follows_recipe = False

    @classmethod
    def open(
        cls, path: Path | str, *, encoder: Encoder | None = None, recipe: Recipe | None = None
    ) -> Self:
        """Open an index.

        Parameters
        ----------
        encoder
            Use this encoder instead of loading the one that the recipe names; its fingerprint must be the index's.
        recipe
            Search and answer by this recipe instead of the one stored with the index.

        Raises
        ------
        IndexMissing, IndexCorrupt
            When there is no index at ``path``, or it cannot be read.
        IndexMismatch
            When it was built with another dictionary, folding or encoder than are installed here.
        ModelUnknown, MissingExtra
            When its encoder is not on this machine.
        """
        path = Path(path)
        snapshot = Snapshot(path)
        try:
            chosen = recipe or stored_recipe(snapshot.meta, path)
            analyzer = Analyzer(words=_words(snapshot))
            _require_same(path, "辞書", snapshot.meta["analyzer"], analyzer.fingerprint)
            model = encoder or load_encoder(chosen.encoder)
            _require_same(path, "埋め込みモデル", snapshot.meta["encoder"], model.fingerprint)
            engine = cls(path, snapshot, chosen, model, analyzer)
            if recipe is None:
                engine._follows_recipe = True
                engine._synonyms = SynonymFile(chosen.japanese, _beside(path), analyzer)
        except BaseException:
            snapshot.close()
            raise
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index's files."""
        self._snapshot.close()

    @property
    def generation(self) -> int:
        """The generation that the next search would read, unless a newer one is committed meanwhile."""
        return self._snapshot.generation

    @property
    def analyzer(self) -> Analyzer:
        """What turns texts into terms here."""
        return self._analyzer

    def refresh(self) -> bool:
        """Move to the newest generation, or to the index that was built in this one's place; True when there was one.

        Raises
        ------
        IndexMismatch
            When a newer program has given it terms, or another encoder vectors, that this engine cannot search.
        IndexMissing, IndexCorrupt, IndexUnreadable
            When it is gone, or cannot be read.
        """
        with self._swap:
            if self._snapshot.is_current():
                return False
            newer = Snapshot(self.path, thorough=False)
            try:
                analyzer = self._require_fit(newer)
            except BaseException:
                newer.close()
                raise
            # The old snapshot is not closed: another thread may be reading it. It goes when nobody holds it.
            self._snapshot = newer
            if analyzer is not self._analyzer:
                self._analyzer = analyzer
                base = _beside(self.path) if self._follows_recipe else None
                self._synonyms = SynonymFile(self.recipe.japanese, base, analyzer)
            if self._follows_recipe:
                self._follow(stored_recipe(newer.meta, self.path))
            return True

    def _follow(self, recipe: Recipe) -> None:
        """Search and answer by what the index's recipe says now."""
        if recipe != self.recipe:
            if recipe.japanese != self.recipe.japanese:
                self._synonyms = SynonymFile(recipe.japanese, _beside(self.path), self._analyzer)
            self.recipe = recipe

    def _require_fit(self, snapshot: Snapshot) -> Analyzer:
        """Return the analyzer for a newer generation: its own words may have changed, nothing else."""
        analyzer = self._analyzer
        if snapshot.meta["analyzer"] != analyzer.fingerprint:
            analyzer = analyzer.with_words(_words(snapshot))
        _require_same(self.path, "辞書", snapshot.meta["analyzer"], analyzer.fingerprint)
        _require_same(
            self.path, "埋め込みモデル", snapshot.meta["encoder"], self.encoder.fingerprint
        )
        return analyzer

    def _newest(self, read: Callable[[Snapshot], Read]) -> Read:
        """Read the newest generation; where a merge forgets it meanwhile, the one that is newest then."""
        for left in reversed(range(_ATTEMPTS)):
            self.refresh()
            snapshot = self._snapshot
            try:
                return read(snapshot)
            except IndexCorrupt as error:
                if error.code not in _FORGOTTEN or not left:
                    raise
                self.refresh()
                if self._snapshot is snapshot:  # it is damage, not a merge
                    raise
        raise AssertionError("unreachable")


def _beside(index: Path) -> Path:
    """Where the recipe of an index is, and the files that it names."""
    return index.absolute().parent


def _words(snapshot: Snapshot) -> WordList:
    """The company's own words that the terms of an index were made with."""
    return WordList.of(snapshot.meta.get("words", ""))


def stored_recipe(meta: Mapping[str, str], path: Path) -> Recipe:
    """Read the recipe that an index was built from out of its manifest."""
    return parse_recipe(json.loads(meta.get("recipe") or '{"name": "index"}'), where=f"索引 {path}")


def _require_same(path: Path, what: str, stored: str, installed: str) -> None:
    if stored != installed:
        raise IndexMismatch(
            f"索引 {path} は別の{what}で作られています（索引: {stored}、この環境: {installed}）。"
            f"同じ{what}を入れるか、ragjp index で作り直してください。"
        )
