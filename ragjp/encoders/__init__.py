"""Text to vectors: :func:`load_encoder` turns a recipe's choice into an :class:`~ragjp.types.Encoder`.

Engines: ``onnx`` (the bundled model on a CPU, no torch), ``torch`` (any model on this machine, CPU or GPU), and ``hashing``
(tests). An index remembers the encoder's fingerprint, and it holds the engine and the precision: vectors of two engines agree to a
cosine of 0.999 or better, but are not mixed.
"""

from __future__ import annotations

import difflib
import importlib.util
from typing import Literal

from ragjp import device as devices
from ragjp.config import EncoderChoice
from ragjp.encoders import bundled, local_models
from ragjp.encoders.presets import E5_SMALL, PRESETS, find_preset
from ragjp.encoders.unpacking import Notify
from ragjp.errors import ModelUnknown, RequestError
from ragjp.types import Encoder

__all__ = ["load_encoder"]

Device = Literal["cpu", "cuda"]


def load_encoder(choice: EncoderChoice, notify: Notify | None = None) -> Encoder:
    """Load the encoder of a recipe.

    ``multilingual-e5-small-ja`` and ``multilingual-e5-small`` are the bundled models: with our trained layers, and untouched.
    ``intfloat/multilingual-e5-small`` is what the Hugging Face cache holds under that name, and the untouched bundled model when
    it holds nothing. Any other name is a folder or a name in that cache.

    Parameters
    ----------
    choice
        Model, device, engine, precision. ``auto``: a GPU when there is one and torch can use it; on a CPU the bundled model runs
        in onnxruntime, in int8 (0.03 points of nDCG@10 below fp32 on jsquad, twice as fast).
    notify
        Told in Japanese when the bundled model has to be unpacked, which takes seconds, once.

    Raises
    ------
    ModelUnknown
        No such model on this machine.
    MissingExtra
        A package is not installed; the sentence names the extra.
    DeviceUnavailable
        ``device = "cuda"`` and there is no GPU.
    RequestError
        A combination that does not exist, or a model folder that is refused.
    RagjpError
        ``model_damaged``: a bundled model's file is missing or altered.
    """
    if choice.model == "hashing":
        from ragjp.encoders.hashing import HashingEncoder

        return HashingEncoder()
    device = _device(choice)
    model = _bundled_model(choice.model)
    if model is not None:
        if _engine(choice, device) == "onnx":
            return _bundled_onnx(choice, model, notify)
        return _torch(choice, model, device, notify)
    if choice.engine == "onnx":
        raise RequestError(
            f"ONNX で動くのは同梱の {'、'.join(bundled.names())} だけで、{choice.model} は動きません。"
            'レシピの encoder.engine を "torch" にしてください。',
            code="engine_unsupported",
        )
    return _torch(choice, None, device, notify)


def _bundled_model(name: str) -> bundled.Model | None:
    if name == bundled.TRAINED_NAME:
        return bundled.trained_model()
    hub = name == bundled.HUB_NAME and name not in local_models.cached_models()
    return bundled.base_model() if hub or name == bundled.NAME else None


def _device(choice: EncoderChoice) -> Device:
    if choice.device == "cuda":
        devices.require_cuda()
        return "cuda"
    if choice.device == "cpu" or choice.engine == "onnx" or choice.precision == "int8":
        return "cpu"
    return "cuda" if devices.cuda().available and _torch_sees_cuda() else "cpu"


def _torch_sees_cuda() -> bool:
    """Ask torch itself: its build may be for CPUs only. Only reached where the driver reports a GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _engine(choice: EncoderChoice, device: Device) -> Literal["onnx", "torch"]:
    if choice.engine != "auto":
        if choice.engine == "onnx" and choice.device == "cuda":
            raise RequestError(
                'ONNX のエンコーダーは CPU だけで動きます。encoder.device を "cpu" か "auto" に、'
                'または encoder.engine を "torch" にしてください。',
                code="engine_unsupported",
            )
        return choice.engine
    return "torch" if device == "cuda" else "onnx"


def _bundled_onnx(choice: EncoderChoice, model: bundled.Model, notify: Notify | None) -> Encoder:
    from ragjp.encoders.onnx_encoder import OnnxEncoder

    if choice.precision == "fp16":
        raise RequestError(
            'fp16 は GPU だけで使えます。encoder.precision を "int8" か "fp32" にしてください。',
            code="precision_unsupported",
        )
    precision: Literal["fp32", "int8"] = "fp32" if choice.precision == "fp32" else "int8"
    return OnnxEncoder(
        model.name,
        bundled.onnx_folder(precision, notify, model),
        E5_SMALL,
        weights=model.weights,
        precision=precision,
        pieces=bundled.query_pieces_folder(notify),
    )


def _torch(
    choice: EncoderChoice, model: bundled.Model | None, device: Device, notify: Notify | None
) -> Encoder:
    from ragjp.encoders.sentence_transformer import SentenceTransformerEncoder

    precision = _torch_precision(choice, device)
    if model is not None:
        name, weights, preset = model.name, model.weights, E5_SMALL
        folder = bundled.hugging_face_folder(notify, model)
    else:
        found = local_models.find_folder(choice.model)
        if found is None:
            raise _unknown(choice.model)
        local_models.check_folder(found)
        name, folder, weights = choice.model, found, local_models.weights_id(found)
        preset = find_preset(choice.model, local_models.base_name(found))
    return SentenceTransformerEncoder(
        name,
        folder,
        preset,
        weights=weights,
        device=device,
        precision=precision,
        batch_size=choice.batch_size,
    )


def _torch_precision(choice: EncoderChoice, device: Device) -> Literal["fp32", "fp16"]:
    if choice.precision == "int8" or (choice.precision == "fp16" and device == "cpu"):
        where = "ONNX（同梱モデル）" if choice.precision == "int8" else "GPU"
        raise RequestError(
            f'{choice.precision} は{where}だけで使えます。encoder.precision を "auto" にしてください。',
            code="precision_unsupported",
        )
    if choice.precision == "auto":
        return "fp16" if device == "cuda" else "fp32"
    return "fp32" if choice.precision == "fp32" else "fp16"


def _unknown(model: str) -> ModelUnknown:
    cached = list(local_models.cached_models())
    here = [*bundled.names(), *cached]
    known = [*here, *(preset.example for preset in PRESETS)]
    close = difflib.get_close_matches(model, dict.fromkeys(known), n=3, cutoff=0.6)
    hint = f"似た名前: {'、'.join(close)}。" if close else ""
    return ModelUnknown(
        f"埋め込みモデル {model} はこの計算機にありません。{hint}"
        f"今使えるのは {'、'.join(here)} です。ほかのモデルは、取り寄せたフォルダーのパスを encoder.model に書いてください。"
    )
