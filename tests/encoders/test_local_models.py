from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragjp.encoders import local_models
from ragjp.errors import ModelUnknown, RequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tmp_path / "model"
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (base / "model.safetensors").write_bytes(b"weights")
    (base / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Transformer", "path": ""}])
    )
    return base


def test_a_plain_folder_passes(folder: Path) -> None:
    """Guards against refusing what is fine: a trainer's script or training state beside the weights is never run."""
    (folder / "trainer.py").write_text("raise SystemExit")
    (folder / "training_args.bin").write_bytes(b"")
    (folder / "openvino").mkdir()
    (folder / "openvino" / "openvino_model.bin").write_bytes(b"")
    local_models.check_folder(folder)


def test_pickled_weights_are_refused(folder: Path) -> None:
    """Guards against unpickling, which runs whatever the file says."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(RequestError, match=r"pytorch_model\.bin") as caught:
        local_models.check_folder(folder)
    assert caught.value.code == "model_pickled"


def test_pickled_weights_of_a_later_module_are_refused(folder: Path) -> None:
    """Guards against looking at the first module only: a Dense layer has weights of its own."""
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RequestError, match="2_Dense"):
        local_models.check_folder(folder)


@pytest.mark.parametrize("where", ["auto_map", "modules"])
def test_code_of_its_own_is_refused(folder: Path, where: str) -> None:
    """Guards against running a model's code (PLaMo-embedding's hub folder asks for it)."""
    if where == "auto_map":
        (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "m.Model"}}))
    else:
        (folder / "modules.json").write_text(json.dumps([{"type": "custom.Module", "path": ""}]))
    with pytest.raises(RequestError, match="コード") as caught:
        local_models.check_folder(folder)
    assert caught.value.code == "model_has_code"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    """Guards against a library's own message about a missing file."""
    with pytest.raises(ModelUnknown, match=r"modules\.json"):
        local_models.check_folder(tmp_path)


def test_weights_id_follows_content_and_not_place(folder: Path, tmp_path: Path) -> None:
    """Guards against an index refused because its model moved, or accepted because only the weights changed."""
    first = local_models.weights_id(folder)
    moved = folder.rename(tmp_path / "elsewhere")
    assert local_models.weights_id(moved) == first
    (moved / "README.md").write_text("words")
    assert local_models.weights_id(moved) == first
    (moved / "model.safetensors").write_bytes(b"other weights")
    assert local_models.weights_id(moved) != first


def test_names_in_the_hub_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against reaching for the network for a model that is here; and against an old snapshot."""
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--cl-nagoya--ruri-v3-30m"
    for revision in ("aaa", "bbb"):
        (repo / "snapshots" / revision).mkdir(parents=True)
        (repo / "snapshots" / revision / "config.json").write_text("{}")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("aaa")
    (tmp_path / "models--org--half" / "snapshots" / "ccc").mkdir(parents=True)
    assert local_models.cached_models() == {"cl-nagoya/ruri-v3-30m": repo / "snapshots" / "aaa"}
    for name in ("cl-nagoya/ruri-v3-30m", "ruri-v3-30m"):
        assert local_models.find_folder(name) == repo / "snapshots" / "aaa"
    assert local_models.find_folder("org/half") is None
