"""What each family of models wants before a text, and how wide its vectors are: facts from the model cards, each with its source.

A model of no known family gets no prefixes, and its own configuration says the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """One family of models.

    family : what it is called in messages.
    pattern : regular expression, searched in the lower-case name (hub name, folder name or ``_name_or_path``).
    query_prefix, passage_prefix : put before each text, exactly as the model was trained with.
    dim : width of a pooled vector, where the whole family has one.
    max_tokens : the longest input the model was made for, special tokens included.
    source : where these facts stand.
    example : a hub name, offered when a name is misspelt.
    """

    family: str
    pattern: str
    query_prefix: str
    passage_prefix: str
    dim: int | None
    max_tokens: int | None
    source: str
    example: str


_E5_INSTRUCTION = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
)
_SARASHINA_INSTRUCTION = (
    "task: クエリを与えるので、与えられたWeb検索クエリに答える関連文章を検索してください。\nquery: "
)
_HUB = "https://huggingface.co/"

E5_SMALL = Preset(
    "multilingual-e5-small",
    r"multilingual-e5-small",
    "query: ",
    "passage: ",
    384,
    512,
    _HUB + "intfloat/multilingual-e5-small",
    "intfloat/multilingual-e5-small",
)
#: The first pattern that matches wins: the special before the general.
PRESETS: tuple[Preset, ...] = (
    Preset(
        "multilingual-e5-instruct",
        r"multilingual-e5-\w+-instruct",
        _E5_INSTRUCTION,
        "",
        1024,
        512,
        _HUB + "intfloat/multilingual-e5-large-instruct",
        "intfloat/multilingual-e5-large-instruct",
    ),
    E5_SMALL,
    Preset(
        "multilingual-e5-base",
        r"multilingual-e5-base",
        "query: ",
        "passage: ",
        768,
        512,
        _HUB + "intfloat/multilingual-e5-base",
        "intfloat/multilingual-e5-base",
    ),
    Preset(
        "multilingual-e5-large",
        r"multilingual-e5-large",
        "query: ",
        "passage: ",
        1024,
        512,
        _HUB + "intfloat/multilingual-e5-large",
        "intfloat/multilingual-e5-large",
    ),
    Preset(
        "ruri-v3",
        r"ruri-v3(?!-reranker)",
        "検索クエリ: ",
        "検索文書: ",
        None,
        8192,
        _HUB + "cl-nagoya/ruri-v3-310m",
        "cl-nagoya/ruri-v3-310m",
    ),
    Preset(
        "ruri (v1, v2)",
        r"ruri-(?:small|base|large)(?:-v2)?$",
        "クエリ: ",
        "文章: ",
        None,
        512,
        _HUB + "cl-nagoya/ruri-base-v2",
        "cl-nagoya/ruri-base-v2",
    ),
    Preset("bge-m3", r"bge-m3", "", "", 1024, 8192, _HUB + "BAAI/bge-m3", "BAAI/bge-m3"),
    Preset(
        "GLuCoSE v2",
        r"glucose-base-ja-v2",
        "query: ",
        "passage: ",
        768,
        512,
        _HUB + "pkshatech/GLuCoSE-base-ja-v2",
        "pkshatech/GLuCoSE-base-ja-v2",
    ),
    Preset(
        "sarashina-embedding v2",
        r"sarashina-embedding-v2",
        _SARASHINA_INSTRUCTION,
        "text: ",
        1792,
        8192,
        _HUB + "sbintuitions/sarashina-embedding-v2-1b",
        "sbintuitions/sarashina-embedding-v2-1b",
    ),
    Preset(
        "sarashina-embedding v1",
        r"sarashina-embedding-v1",
        "",
        "",
        1792,
        8192,
        _HUB + "sbintuitions/sarashina-embedding-v1-1b",
        "sbintuitions/sarashina-embedding-v1-1b",
    ),
    # Its hub folder runs code of its own (encode_query, encode_document) and is refused for that; a folder converted to plain
    # sentence-transformers would be taken without prefixes.
    Preset(
        "PLaMo-embedding",
        r"plamo-embedding",
        "",
        "",
        2048,
        4096,
        _HUB + "pfnet/plamo-embedding-1b",
        "pfnet/plamo-embedding-1b",
    ),
    Preset(
        "static-embedding-japanese",
        r"static-embedding-japanese",
        "",
        "",
        1024,
        None,
        _HUB + "hotchpotch/static-embedding-japanese",
        "hotchpotch/static-embedding-japanese",
    ),
)
NO_PRESET = Preset("", r"(?!)", "", "", None, None, "", "")


def find_preset(*names: str) -> Preset:
    """Return the first family whose pattern occurs in one of ``names``; :data:`NO_PRESET` when none does.

    Examples
    --------
    >>> find_preset("cl-nagoya/ruri-v3-30m").query_prefix
    '検索クエリ: '
    >>> find_preset("/models/my-model", "intfloat/multilingual-e5-base").passage_prefix
    'passage: '
    """
    for name in names:
        # The hub's cache spells a folder models--org--name.
        spelt = name.lower().rstrip("/").replace("--", "/")
        for preset in PRESETS:
            if re.search(preset.pattern, spelt):
                return preset
    return NO_PRESET
