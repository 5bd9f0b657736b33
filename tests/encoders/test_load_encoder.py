from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ragjp import device
from ragjp.config import EncoderChoice
from ragjp.encoders import bundled, load_encoder, local_models
from ragjp.errors import DeviceUnavailable, MissingExtra, ModelUnknown, RequestError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

Wheel = Callable[[bytes], Path]


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
    choices = [
        EncoderChoice(precision="int8"),
        EncoderChoice(precision="fp32"),
        EncoderChoice(engine="torch"),
        EncoderChoice(model="hashing"),
    ]
    prints = [load_encoder(choice).fingerprint for choice in choices]
    assert len(set(prints)) == len(prints)
    assert load_encoder(EncoderChoice()).fingerprint == prints[0]


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
        load_encoder(EncoderChoice())


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards against ModuleNotFoundError for a model folder on a machine with the light install."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"torch.*ragjp\[torch\]"):
        load_encoder(EncoderChoice(model=str(tmp_path)))
