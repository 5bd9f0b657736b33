"""What each family of models wants before a text, and how wide its vectors are. Facts from the model cards, each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """One family of models.

    pattern : regular expression, searched in the lower-case name (hub name, folder name or ``_name_or_path``).
    query_prefix, passage_prefix : put before each text, exactly as the model was trained with.
    dim : width of a pooled vector, where the whole family has one.
    max_tokens : the longest input the model was made for, special tokens included.
    source : where these facts stand.
    """

    family: str
    pattern: str
    query_prefix: str
    passage_prefix: str
    dim: int | None
    max_tokens: int | None
    source: str


E5_SMALL = Preset(
    "multilingual-e5-small",
    r"multilingual-e5-small",
    "query: ",
    "passage: ",
    384,
    512,
    "huggingface.co/intfloat/multilingual-e5-small",
)
