"""The page that error messages point to names every key of a recipe, with the default that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from ragjp.config import Recipe, Source

PAGE = (Path(__file__).parents[1] / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    name: type(getattr(Recipe(name="x"), name))
    for name in Recipe.model_fields
    if isinstance(getattr(Recipe(name="x"), name), BaseModel)
}


@pytest.mark.parametrize(
    "key",
    [f"sources.{name}" for name in Source.model_fields]
    + [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields],
)
def test_every_key_of_a_recipe_is_described(key: str) -> None:
    """A refused recipe sends its author to this table."""
    assert f"`{key}`" in PAGE


def test_the_fitted_numbers_in_the_table_are_the_codes() -> None:
    """A table that lags behind the code misleads whoever tunes by it."""
    recipe = Recipe(name="x")
    fitted = recipe.retrieval
    assert f"| {fitted.k1}, {fitted.b} |" in PAGE
    assert f"| {fitted.lemma_weight}, {fitted.bigram_weight} |" in PAGE
    assert f"| true, {recipe.rerank.depth}, {recipe.rerank.maxsim_weight} |" in PAGE
