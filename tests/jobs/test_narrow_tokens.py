"""The whole journey of an encoder whose tokens are narrower than its vectors and whose query tokens have weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ragjp.config import load_recipe
from ragjp.encoders.hashing import HashingEncoder
from ragjp.engine import Engine
from ragjp.index.upkeep.check import check
from ragjp.jobs.build import build
from ragjp.jobs.upkeep import compact
from ragjp.rerank.maxsim_cpu import maxsim_reference
from ragjp.types import Encoded, View

EVERYTHING = View.unrestricted_by_operator()


class Narrow:
    """Vectors of 64 and tokens of 24 numbers; a question's tokens weigh more and more towards its end, the first nothing."""

    name, fingerprint, dim, token_dim = "narrow", "narrow-1", 64, 24

    def __init__(self) -> None:
        self._wide, self._narrow = HashingEncoder(64), HashingEncoder(24)

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed passages."""
        found = self._narrow.encode_passages(texts, tokens=tokens)
        return replace(found, vectors=self._wide.encode_passages(texts).vectors)

    def encode_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed queries."""
        found = self._narrow.encode_queries(texts, tokens=tokens)
        weights = np.concatenate([np.arange(n) for n in np.diff(found.offsets)] or [np.arange(0)])
        return replace(
            found,
            vectors=self._wide.encode_queries(texts).vectors,
            tokens=found.tokens * weights[: len(found.tokens), None].astype(np.float32),
        )


def test_tokens_narrower_than_vectors_from_build_to_answer(tiny_folder: Path) -> None:
    """Guards against one width taken for the other when tokens are stored, checked, merged or reranked."""
    encoder = Narrow()
    index = tiny_folder / "tiny"
    recipe = load_recipe(tiny_folder / "tiny.toml")
    assert build(recipe, base=tiny_folder, into=index, encoder=encoder).failures == ()
    (tiny_folder / "source" / "追加.md").write_text("# 追加\n\n出張の日当を改める。\n", "utf-8")
    build(recipe, base=tiny_folder, into=index, encoder=encoder)
    before = _scores(index, encoder)
    assert check(index).problems == ()
    compact(index)
    assert check(index).problems == ()
    assert _scores(index, encoder) == before


def _scores(index: Path, encoder: Narrow) -> dict[str, float]:
    query = "国内出張の日当はいくらですか"
    with Engine.open(index, encoder=encoder) as engine:
        hits = engine.search(query, view=EVERYTHING, k=5).hits
        asked = encoder.encode_queries([query], tokens=True).tokens
        assert len(hits) == 5
        for hit in hits:
            heading = " ".join(
                dict.fromkeys(part for part in (hit.title, *hit.heading_path) if part)
            )
            text = f"{heading}\n{hit.text}" if heading else hit.text
            stored = encoder.encode_passages([text], tokens=True)
            (expected,) = maxsim_reference(asked, stored.tokens, stored.offsets)
            np.testing.assert_allclose(hit.scores["maxsim"], expected, rtol=0.02)
    return {hit.chunk_id: hit.scores["maxsim"] for hit in hits}
