"""The torch engine on tiny models written here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ragjp.encoders import bundled, local_models
from ragjp.encoders.e5_file import E5File
from ragjp.encoders.hugging_face import write_folder
from ragjp.encoders.presets import E5_SMALL, NO_PRESET
from ragjp.encoders.reference import last_hidden_state
from ragjp.encoders.tokenizer_json import build_tokenizer
from ragjp.errors import MissingExtra, RequestError

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from ragjp.encoders.sentence_transformer import (
    SentenceTransformerEncoder,
    _batches,
)

TEXTS = ["休暇を経費", "休", "経費は。経費を。休暇は。", ""]


@pytest.fixture(scope="module")
def tiny_folder_of_model(tiny_source: E5File, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf")
    write_folder(tiny_source, folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tiny_folder_of_model: Path) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder("tiny", tiny_folder_of_model, E5_SMALL, weights="tiny")


def test_vectors_and_tokens_equal_the_oracle(
    encoder: SentenceTransformerEncoder, tiny_source: E5File
) -> None:
    """Guards against padding in the mean, a lost prefix, and prefix or special tokens among the token rows."""
    encoded = encoder.encode_passages(TEXTS, tokens=True)
    tokenizer = build_tokenizer(tiny_source.pieces)
    for row, text in enumerate(TEXTS):
        ids = tokenizer.encode("passage: " + text).ids
        hidden = last_hidden_state(tiny_source, ids)
        pooled = hidden.mean(axis=0)
        np.testing.assert_allclose(encoded.vectors[row], pooled / np.linalg.norm(pooled), atol=1e-5)
        # <s> ▁passage : … </s>
        wanted = hidden[3:-1]
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
        found = encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_control_token_in_a_text_is_text(encoder: SentenceTransformerEncoder) -> None:
    """Guards against a document that writes </s> and so cuts its own tokens."""
    spelt = encoder.encode_passages(["</s>a"], tokens=True)
    assert len(spelt.tokens) == 6


def test_batches_hold_every_row_once_and_no_more_than_the_budget() -> None:
    """Guards against lost or doubled rows, and against one long text padding hundreds of short ones."""
    texts = ["長" * (length % 700) for length in range(0, 5000, 37)]
    batches = list(_batches(texts, 4))
    assert sorted(row for batch in batches for row in batch) == list(range(len(texts)))
    for batch in batches:
        longest = max(len(texts[row]) for row in batch)
        assert len(batch) <= 4 or longest * len(batch) <= 4 * 600
        assert min(len(texts[row]) for row in batch) + 16 >= longest / 2
    assert max(map(len, batches)) > 4, "short texts never share a batch"


def test_a_static_model_has_no_tokens(tiny_source: E5File, tmp_path: Path) -> None:
    """Guards against asking late interaction of a model that has no token embeddings."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    weights = np.random.default_rng(0).normal(size=(len(tiny_source.pieces.texts), 16))
    module = StaticEmbedding(
        build_tokenizer(tiny_source.pieces), embedding_weights=weights.astype(np.float32)
    )
    SentenceTransformer(modules=[module]).save(str(tmp_path / "static"))
    encoder = SentenceTransformerEncoder("static", tmp_path / "static", NO_PRESET, weights="w")
    encoded = encoder.encode_queries(TEXTS[:3], tokens=True)
    assert (encoder.dim, encoder.token_dim) == (16, 0)
    assert encoded.tokens.shape == (0, 0)
    assert encoded.offsets.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)


def test_a_damaged_folder_is_one_sentence(tiny_folder_of_model: Path, tmp_path: Path) -> None:
    """Guards against a library's traceback when a copy was cut short."""
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder_of_model, broken)
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises((RequestError, MissingExtra), match=re.escape(str(broken))) as caught:
        SentenceTransformerEncoder("broken", broken, NO_PRESET, weights="w")
    assert caught.value.code == "model_unreadable"


def test_the_folder_we_write_is_one_we_accept(tiny_folder_of_model: Path) -> None:
    """Guards against our own folder failing our own check, and against losing the prefixes when it is loaded by path."""
    local_models.check_folder(tiny_folder_of_model)
    assert local_models.base_name(tiny_folder_of_model) == bundled.HUB_NAME
