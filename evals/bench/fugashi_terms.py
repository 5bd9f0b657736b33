"""How a careful user would make a peer split Japanese: fugashi's lemmas, without particles, auxiliaries and signs."""

from __future__ import annotations

from functools import cache
from typing import Any

_GRAMMAR = {"助詞", "助動詞", "補助記号", "記号", "空白"}


@cache
def _tagger() -> Any:  # noqa: ANN401
    import fugashi

    return fugashi.Tagger()


def terms(text: str) -> list[str]:
    """Lemmas of the words of a text that carry meaning; the surface where the dictionary has no lemma."""
    return [
        word.feature.lemma or word.surface
        for word in _tagger()(text)
        if word.feature.pos1 not in _GRAMMAR
    ]


@cache
def _txtai_scoring() -> Any:  # noqa: ANN401
    from txtai.scoring.bm25 import BM25

    class FugashiBM25(BM25):  # type: ignore[misc]
        """The BM25 of txtai with :func:`terms` for its tokenizer."""

        def loadtokenizer(self) -> Any:  # noqa: ANN401
            return terms

    return FugashiBM25


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Make ``FugashiBM25`` when txtai asks for it by name; nobody else needs txtai."""
    if name == "FugashiBM25":
        return _txtai_scoring()
    raise AttributeError(name)
