from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ragjp import device
from ragjp.config import EncoderChoice
from ragjp.encoders import bundled, load_encoder, local_models
from ragjp.encoders.e5_file import E5File
from ragjp.encoders.int8_rows import Int8Rows
from ragjp.encoders.model_source import TrainedModel
from ragjp.encoders.reference import last_hidden_state, token_rows
from ragjp.encoders.tokenizer_json import build_tokenizer
from ragjp.encoders.trained_file import Facts, read_weights, write_weights
from ragjp.errors import DeviceUnavailable, MissingExtra, ModelUnknown, RagjpError, RequestError
from ragjp.types import FloatArray

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

Wheel = Callable[[bytes], Path]
TEXTS = ["休暇を経費", "休", "経費は。経費を。休暇は。", ""]


@pytest.fixture(autouse=True)
def _no_gpu_and_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cuda", lambda: device.Gate(False, "GPU はありません（試験）"))
    monkeypatch.setattr(local_models, "cached_models", dict)


@pytest.mark.usefixtures("tiny_wheel")
@pytest.mark.parametrize("name", ["multilingual-e5-small", "intfloat/multilingual-e5-small"])
def test_the_default_is_the_bundled_model_in_onnxruntime(name: str) -> None:
    """Guards against torch creeping into the CPU default, or a download for the hub's name."""
    encoder = load_encoder(EncoderChoice(model=name))
    assert type(encoder).__name__ == "OnnxEncoder"
    assert encoder.name == "multilingual-e5-small"
    assert encoder.dim == 64


@pytest.mark.usefixtures("tiny_wheel")
def test_fingerprints_tell_engines_and_precisions_apart() -> None:
    """Guards against searching an int8 index with fp32 queries, or a torch index with onnx ones."""
    pytest.importorskip("sentence_transformers")
    choices = [EncoderChoice(model="hashing")]
    for model in (bundled.NAME, bundled.TRAINED_NAME):
        choices += [
            EncoderChoice(model=model, precision="int8"),
            EncoderChoice(model=model, precision="fp32"),
            EncoderChoice(model=model, engine="torch"),
        ]
    prints = [load_encoder(choice).fingerprint for choice in choices]
    assert len(set(prints)) == len(prints) == 7
    assert load_encoder(EncoderChoice(model=bundled.NAME)).fingerprint == prints[1]


@pytest.mark.usefixtures("tiny_wheel")
def test_the_untouched_models_fingerprint_stays() -> None:
    """Guards against refusing every index that was built before there were trained weights."""
    found = load_encoder(EncoderChoice(model=bundled.NAME, precision="int8"))
    assert found.fingerprint == "9852a742252011688b880e34a5956ed1"
    assert found.token_dim == found.dim == 64


@pytest.mark.usefixtures("tiny_wheel")
def test_the_trained_model_by_name() -> None:
    """Guards against a width of tokens taken from the vector, or a name that the index would not find again."""
    encoder = load_encoder(EncoderChoice(model=bundled.TRAINED_NAME))
    assert type(encoder).__name__ == "OnnxEncoder"
    assert (encoder.name, encoder.dim, encoder.token_dim) == (bundled.TRAINED_NAME, 64, 16)
    empty = encoder.encode_passages(["休暇"])
    assert empty.tokens.shape == (0, 16)


@pytest.mark.usefixtures("tiny_wheel")
def test_other_trained_weights_are_another_encoder(
    trained_tensors: dict[str, FloatArray | Int8Rows], tiny_facts: Facts, tiny_source: E5File
) -> None:
    """Guards against an upgrade of the weights that searches old vectors, or that runs the graph of the old ones."""
    choice = EncoderChoice(model=bundled.TRAINED_NAME)
    before = load_encoder(choice)
    trained_tensors["salience.b"] = np.array([3.0], np.float32)
    facts = replace(tiny_facts, base_sha256=bundled.WEIGHTS_SHA256)
    write_weights(bundled.TRAINED_FILE, trained_tensors, facts, tiny_source.shape)
    after = load_encoder(choice)
    assert after.fingerprint != before.fingerprint
    tokens = [found.encode_queries(["休暇"], tokens=True).tokens for found in (before, after)]
    assert np.abs(tokens[0] - tokens[1]).max() > 0.1


@pytest.mark.usefixtures("tiny_wheel")
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_damaged_trained_weights_are_one_sentence(
    damage: str, engine: Literal["onnx", "torch"]
) -> None:
    """Guards against the untouched model standing in for the trained one, and against computing with half a file."""
    pytest.importorskip("sentence_transformers")
    place = bundled.TRAINED_FILE
    raw = bytearray(place.read_bytes())
    if damage == "missing":
        place.unlink()
    elif damage == "cut":
        place.write_bytes(raw[:-100])
    else:
        raw[-100] ^= 1
        place.write_bytes(raw)
    with pytest.raises(RagjpError, match=re.escape(str(place))) as caught:
        load_encoder(EncoderChoice(model=bundled.TRAINED_NAME, engine=engine))
    assert caught.value.code == "model_damaged"
    assert not list(bundled.cache_folder().rglob("model.*"))


@pytest.mark.usefixtures("tiny_wheel")
def test_engines_of_the_trained_model_agree_with_the_oracle(
    tiny_source: E5File, tiny_facts: Facts
) -> None:
    """Guards against a head applied before pooling, salience on the wrong side, or a prefix's tokens among the rows."""
    pytest.importorskip("sentence_transformers")
    weights = read_weights(bundled.TRAINED_FILE, bundled.WEIGHTS_SHA256, tiny_source.shape)
    model = TrainedModel(tiny_source, weights)
    tokenizer = build_tokenizer(tiny_source.pieces)
    engines: list[EncoderChoice] = [
        EncoderChoice(model=bundled.TRAINED_NAME, engine="onnx", precision="fp32"),
        EncoderChoice(model=bundled.TRAINED_NAME, engine="torch"),
    ]
    for choice in engines:
        encoder = load_encoder(choice)
        for query in (True, False):
            encode = encoder.encode_queries if query else encoder.encode_passages
            found = encode(TEXTS, tokens=True)
            assert found.tokens.dtype == np.float32
            for row, text in enumerate(TEXTS):
                prefix = "query: " if query else "passage: "
                hidden = last_hidden_state(model, tokenizer.encode(prefix + text).ids)
                pooled = hidden.mean(axis=0)
                np.testing.assert_allclose(
                    found.vectors[row], pooled / np.linalg.norm(pooled), atol=2e-5
                )
                wanted = token_rows(model, hidden[3:-1], query=query)
                rows = found.tokens[found.offsets[row] : found.offsets[row + 1]]
                np.testing.assert_allclose(rows, wanted, atol=5e-5)


def test_a_hub_name_in_the_cache_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Guards against the 4-bit copy standing in for full weights that are there."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(
        local_models, "cached_models", lambda: {bundled.HUB_NAME: tmp_path / "empty"}
    )
    with pytest.raises(ModelUnknown, match="empty"):
        load_encoder(EncoderChoice(model=bundled.HUB_NAME))


def test_an_unknown_name_lists_what_is_close_and_what_is_here() -> None:
    """Guards against a hub error, or a wait for a network that is not there."""
    with pytest.raises(ModelUnknown) as caught:
        load_encoder(EncoderChoice(model="intfloat/multilingal-e5-base"))
    assert "intfloat/multilingual-e5-base" in caught.value.sentence
    assert "今使えるのは multilingual-e5-small" in caught.value.sentence


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        (EncoderChoice(model="some/model", engine="onnx"), "engine_unsupported"),
        (EncoderChoice(precision="fp16"), "precision_unsupported"),
        (EncoderChoice(engine="torch", precision="fp16"), "precision_unsupported"),
        (EncoderChoice(engine="torch", precision="int8"), "precision_unsupported"),
    ],
)
def test_combinations_that_do_not_exist(choice: EncoderChoice, code: str) -> None:
    """Guards against silently computing in another precision or engine than was asked for."""
    with pytest.raises(RequestError) as caught:
        load_encoder(choice)
    assert caught.value.code == code


def test_a_gpu_by_name_where_there_is_none() -> None:
    """Guards against a fall back to the CPU in silence."""
    with pytest.raises(DeviceUnavailable, match="試験"):
        load_encoder(EncoderChoice(device="cuda"))


@pytest.mark.usefixtures("tiny_wheel")
@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Guards against ModuleNotFoundError where the extra was not installed."""
    bundled.onnx_folder("int8")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package}.*ragjp\[offline\]"):
        load_encoder(EncoderChoice(model=bundled.NAME))


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards against ModuleNotFoundError for a model folder on a machine with the light install."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"torch.*ragjp\[torch\]"):
        load_encoder(EncoderChoice(model=str(tmp_path)))
