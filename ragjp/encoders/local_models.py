"""Models that lie on this machine: folders and the Hugging Face cache; what may be loaded, and under which identity.

Nothing here reaches for the network. A folder that would run its own code, or whose weights are pickled, is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ragjp.encoders.unpacking import sha256_of
from ragjp.errors import ModelUnknown, RequestError

_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
#: Beside the weights and never loaded by us.
_IGNORED_FOLDERS = {"onnx", "openvino", "tflite", "coreml"}
_IGNORED_FILES = {"training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"}


def find_folder(model: str) -> Path | None:
    """Return the folder of a model: a path, or a name in the Hugging Face cache (``org/name``, or ``name`` when it is unique)."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    for name, folder in cached_models().items():
        if model in (name, name.split("/")[-1]):
            return folder
    return None


def cached_models() -> dict[str, Path]:
    """Return hub name → snapshot folder for what the Hugging Face cache holds; empty where that package is absent."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return {}
    found = {}
    for repo in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        name = repo.name.removeprefix("models--").replace("--", "/", 1)
        snapshots = [path for path in (repo / "snapshots").glob("*") if path.is_dir()]
        main = repo / "refs" / "main"
        wanted = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
        chosen = [path for path in snapshots if path.name == wanted] or snapshots[-1:]
        if chosen and _is_model(chosen[0]):
            found[name] = chosen[0]
    return found


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot or should not be loaded.

    Raises
    ------
    ModelUnknown
        ``model_unknown``: neither ``modules.json`` nor ``config.json`` is there.
    RequestError
        ``model_has_code``: it asks for code of its own; ``model_pickled``: weights that are not safetensors.
    """
    if not _is_model(folder):
        raise ModelUnknown(
            f"フォルダー {folder} に modules.json も config.json もないので、モデルとして読めません。"
            "sentence-transformers の形式で保存したフォルダーを指定してください。"
        )
    if wanted := _own_code(folder):
        raise RequestError(
            f"モデル {folder} は独自のコード（{wanted}）の実行を求めるので読み込みません。"
            "標準の形式に変換したフォルダーか、別のモデルを指定してください。",
            code="model_has_code",
        )
    if pickled := _pickled_weights(folder):
        raise RequestError(
            f"モデル {folder} の {pickled} は pickle 形式なので読み込みません。"
            "safetensors 形式の重みを入れたフォルダーを指定してください。",
            code="model_pickled",
        )


def base_name(folder: Path) -> str:
    """Return ``_name_or_path`` of the folder's configuration, or an empty string."""
    return str(_json(folder / "config.json", {}).get("_name_or_path", ""))


def weights_id(folder: Path) -> str:
    """Return a SHA-256 over weights, tokenizer and configuration: the same files, wherever they lie, give the same id."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and _decides(path, name):
            lines.append(f"{name} {_content_id(path.resolve(), path.stat().st_mtime_ns)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _decides(path: Path, name: str) -> bool:
    if _IGNORED_FOLDERS.intersection(Path(name).parts[:-1]) or path.name == "MANIFEST.json":
        return False
    return path.suffix in {".safetensors", ".json", ".model", ".txt"}


@lru_cache(maxsize=256)
def _content_id(path: Path, _mtime_ns: int) -> str:
    # The hub's cache names a large file by its SHA-256 already.
    return path.name if re.fullmatch(r"[0-9a-f]{64}", path.name) else sha256_of(path)


def _is_model(folder: Path) -> bool:
    return (folder / "modules.json").is_file() or (folder / "config.json").is_file()


def _own_code(folder: Path) -> str:
    """Name what asks for code outside the installed packages; empty when nothing does."""
    for path in [*folder.glob("config.json"), *folder.glob("*/config.json")]:
        if "auto_map" in _json(path, {}):
            return f"{path.relative_to(folder)} の auto_map"
    for module in _json(folder / "modules.json", []):
        kind = str(module.get("type", "")) if isinstance(module, dict) else str(module)
        if not kind.startswith("sentence_transformers."):
            return f"modules.json の {kind}"
    return ""


def _pickled_weights(folder: Path) -> str:
    """Name a pickled weight that no safetensors file beside it replaces; empty when there is none."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        ignored = path.name in _IGNORED_FILES or _IGNORED_FOLDERS.intersection(relative.parts[:-1])
        if path.suffix not in _PICKLED or ignored:
            continue
        if not any(path.parent.glob("*.safetensors")):
            return str(relative)
    return ""


def _json(path: Path, default: Any) -> Any:  # noqa: ANN401
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default
    return found if isinstance(found, type(default)) else default
