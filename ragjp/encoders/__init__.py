"""Text to vectors: ``load_encoder`` turns a recipe's choice into an :class:`~ragjp.types.Encoder`."""

from __future__ import annotations

from ragjp.config import EncoderChoice
from ragjp.encoders import bundled
from ragjp.encoders.onnx_graph import Precision
from ragjp.encoders.presets import E5_SMALL
from ragjp.types import Encoder

__all__ = ["load_encoder"]


def load_encoder(choice: EncoderChoice) -> Encoder:
    """First version: the bundled model in onnxruntime."""
    from ragjp.encoders.onnx_encoder import OnnxEncoder

    precision: Precision = "fp32" if choice.precision == "fp32" else "int8"
    folder = bundled.onnx_folder(precision)
    return OnnxEncoder(
        bundled.NAME, folder, E5_SMALL, weights=bundled.WEIGHTS_SHA256, precision=precision
    )
