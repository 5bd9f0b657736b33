from __future__ import annotations

import re

import pytest

from ragjp.encoders.presets import NO_PRESET, PRESETS, find_preset


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("multilingual-e5-small", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("cl-nagoya/ruri-v3-30m", "検索クエリ: ", "検索文書: "),
        ("/models/ruri-base-v2/", "クエリ: ", "文章: "),
        ("models--cl-nagoya--ruri-large", "クエリ: ", "文章: "),
        ("pkshatech/GLuCoSE-base-ja-v2", "query: ", "passage: "),
        ("BAAI/bge-m3", "", ""),
        ("hotchpotch/static-embedding-japanese", "", ""),
        ("sbintuitions/sarashina-embedding-v1-1b", "", ""),
    ],
)
def test_prefixes(name: str, query: str, passage: str) -> None:
    """Guards against a family falling through to no prefixes, which costs points of nDCG in silence."""
    preset = find_preset(name)
    assert (preset.query_prefix, preset.passage_prefix) == (query, passage)
    assert preset is not NO_PRESET


def test_instruct_is_not_taken_for_its_plain_sibling() -> None:
    """Guards against the order of the patterns: multilingual-e5-large matches the instruct model's name too."""
    preset = find_preset("intfloat/multilingual-e5-large-instruct")
    assert preset.query_prefix.startswith("Instruct: ")
    assert preset.passage_prefix == ""


@pytest.mark.parametrize(
    "name", ["my-own-model", "", "cl-nagoya/ruri-v3-reranker-310m", "pkshatech/GLuCoSE-base-ja"]
)
def test_strangers_get_nothing(name: str) -> None:
    """Guards against prefixes for a model that was not trained with them."""
    assert find_preset(name) is NO_PRESET


def test_the_configuration_speaks_when_the_folder_is_renamed() -> None:
    """Guards against losing the prefixes when a model is copied to a folder of another name."""
    assert find_preset("/srv/model-42", "cl-nagoya/ruri-v3-310m").family == "ruri-v3"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.family)
def test_every_preset_finds_itself_and_names_its_source(preset: object) -> None:
    """Guards against a pattern that never matches, or one shadowed by an earlier one."""
    assert isinstance(preset, type(NO_PRESET))
    assert find_preset(preset.example) is preset
    assert re.match(r"https://huggingface\.co/[\w-]+/[\w.-]+$", preset.source)
