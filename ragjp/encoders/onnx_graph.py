"""The BERT of multilingual-e5-small as an ONNX graph, written straight from the packed 4-bit file; no torch on the way.

One graph takes ``input_ids`` (B, S) int64 *without padding* and gives ``last_hidden_state`` (B, S, H) float32 and, for a model with
a :class:`~ragjp.encoders.token_head.TokenHead`, that head's ``token_states`` (B, S, K + 1) float32. There is no mask: texts go one by one (or with others of exactly their length), so no vector can depend on its neighbours, and onnxruntime may take
its flash attention. Positions start at 0, token type is 0, as in the wheel's own engine.

Precisions
----------
fp32
    The layers' weights as float32 (the 4-bit values times their scales are exact in float32).
int8
    Weights as int8 with one scale per output channel (trained ones with the codes they are shipped as); activations as uint8 with one scale *per token*, computed at run time.
    onnxruntime's own dynamic quantisation has one scale per tensor: measured on jsquad it loses 0.9 points of nDCG@10 and makes
    a text's vector depend on its batch; one scale per token loses 0.03 and does not. ``MatMulNBits`` on the 4-bit blocks as
    they are loses nothing at all, and is no faster than fp32 for passages.

The head is float32 in both; it costs less than a hundredth of the layers.

In both the embedding table stays in its 4-bit blocks (``GatherBlockQuantized``), exact, at an eighth of the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragjp.encoders.e5_file import BLOCK
from ragjp.encoders.model_source import ModelSource

if TYPE_CHECKING:
    from onnx import ModelProto

    from ragjp.encoders.token_head import TokenHead

Precision = Literal["fp32", "int8"]
#: Part of the encoder's fingerprint: raise it when the graph's numbers change.
GRAPH_VERSION = 1
_MICROSOFT = "com.microsoft"
_ZERO_POINT = 128


def write_graph(source: ModelSource, precision: Precision, path: Path) -> None:
    """Write ``path`` (a few kB) and its weights beside it as ``<name>.weights``, which onnxruntime maps instead of reading.

    Parameters
    ----------
    source
        The parsed packed file, or it with trained layers.
    precision
        See the module's docstring. ``int8`` takes about 85 MB, ``fp32`` 146 MB.
    path
        Where ``model.onnx`` goes.
    """
    import onnx

    onnx.save_model(
        build_graph(source, precision),
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=path.name + ".weights",
        size_threshold=1024,
    )


def build_graph(source: ModelSource, precision: Precision) -> ModelProto:
    """Build the whole graph in memory.

    Returns
    -------
    onnx.ModelProto
        Opset 21 and ``com.microsoft`` 1.
    """
    from onnx import helper

    writer = _Writer(source, precision)
    hidden = writer.embeddings()
    for layer in range(source.shape.layers):
        hidden = writer.layer(f"l{layer}.", hidden)
    writer.node("Reshape", [hidden, "shape_3d"], "last_hidden_state")
    outputs = [("last_hidden_state", source.shape.hidden)]
    if source.head is not None:
        outputs.append((writer.head(source.head), len(source.head.rows)))
    graph = helper.make_graph(
        writer.nodes,
        f"multilingual-e5-small-{precision}",
        [helper.make_tensor_value_info("input_ids", writer.types.INT64, ["B", "S"])],
        [
            helper.make_tensor_value_info(name, writer.types.FLOAT, ["B", "S", width])
            for name, width in outputs
        ],
        writer.initializers,
    )
    return helper.make_model(
        graph,
        ir_version=10,
        producer_name="ragjp",
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)],
    )


class _Writer:
    """Collects nodes and weights. Between attention blocks activations are (T, width) with T = B * S."""

    def __init__(self, source: ModelSource, precision: Precision) -> None:
        from onnx import TensorProto

        self.source = source
        self.precision = precision
        self.types = TensorProto
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.hidden = source.shape.hidden

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node with one output and return that output's name."""
        return self.nodes_out(op, inputs, [output], **attributes)[0]

    def nodes_out(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        **attributes: Any,  # noqa: ANN401
    ) -> Sequence[str]:
        """Add a node with several outputs."""
        from onnx import helper

        self.nodes.append(
            helper.make_node(
                op, list(inputs), list(outputs), name=f"{outputs[0]}/{op}", **attributes
            )
        )
        return outputs

    def constant(self, name: str, values: Any) -> str:  # noqa: ANN401
        """Add an initializer and return its name."""
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def embeddings(self) -> str:
        """Word (4-bit) + position + type, layer norm; (T, H)."""
        from onnx import helper

        shape, source = self.source.shape, self.source
        words = source.blocks("emb.word", shape.vocabulary, self.hidden)
        # Nibbles count from -8: flipping the top bit of each turns "minus 8" into two's complement.
        signed = words.packed() ^ 0x88
        self.initializers.append(
            helper.make_tensor(
                "emb.word",
                self.types.INT4,
                [shape.vocabulary, self.hidden],
                signed.tobytes(),
                raw=True,
            )
        )
        self.constant("emb.word.scale", words.scales)
        self.node(
            "GatherBlockQuantized",
            ["emb.word", "input_ids", "emb.word.scale"],
            "emb.words",
            domain=_MICROSOFT,
            bits=4,
            block_size=BLOCK,
            gather_axis=0,
            quantize_axis=1,
        )
        positions = source.floats("emb.pos").reshape(shape.positions, self.hidden)
        types = source.floats("emb.type").reshape(shape.types, self.hidden)
        self.constant("emb.pos", positions + types[0])
        self.constant("zero", np.array([0], np.int64))
        self.constant("shape_2d", np.array([-1, self.hidden], np.int64))
        self.constant("width_qkv", np.array([3 * self.hidden], np.int64))
        self.node("Shape", ["emb.words"], "shape_3d")
        self.node("Shape", ["input_ids"], "shape_ids")
        self.node("Concat", ["shape_ids", "width_qkv"], "shape_qkv", axis=0)
        self.node("Shape", ["input_ids"], "length", start=1, end=2)
        self.node("Slice", ["emb.pos", "zero", "length", "zero"], "emb.positions")
        self.node("Add", ["emb.words", "emb.positions"], "emb.sum_3d")
        self.node("Reshape", ["emb.sum_3d", "shape_2d"], "emb.sum")
        if self.precision == "int8":
            self._quantisation_constants()
        return self._layer_norm("emb.sum", "emb.ln", "emb.out")

    def layer(self, at: str, hidden: str) -> str:
        """One transformer layer, post-norm as BERT has it; (T, H) to (T, H)."""
        wide = self.source.shape.feed_forward
        self._linear(hidden, [f"{at}q", f"{at}k", f"{at}v"], self.hidden, self.hidden, f"{at}qkv")
        self.node("Reshape", [f"{at}qkv", "shape_qkv"], f"{at}qkv_3d")
        self.nodes_out(
            "Split", [f"{at}qkv_3d"], [f"{at}Q", f"{at}K", f"{at}V"], axis=2, num_outputs=3
        )
        self.node(
            "MultiHeadAttention",
            [f"{at}Q", f"{at}K", f"{at}V"],
            f"{at}context_3d",
            domain=_MICROSOFT,
            num_heads=self.source.shape.heads,
        )
        self.node("Reshape", [f"{at}context_3d", "shape_2d"], f"{at}context")
        self._linear(f"{at}context", [f"{at}ao"], self.hidden, self.hidden, f"{at}attention")
        self.node("Add", [f"{at}attention", hidden], f"{at}attention_sum")
        middle = self._layer_norm(f"{at}attention_sum", f"{at}aln", f"{at}middle")
        self._linear(middle, [f"{at}fi"], wide, self.hidden, f"{at}wide")
        self.node("Gelu", [f"{at}wide"], f"{at}gelu", domain=_MICROSOFT)
        self._linear(f"{at}gelu", [f"{at}fo"], self.hidden, wide, f"{at}narrow")
        self.node("Add", [f"{at}narrow", middle], f"{at}output_sum")
        return self._layer_norm(f"{at}output_sum", f"{at}oln", f"{at}output")

    def head(self, head: TokenHead) -> str:
        """The token head on the last hidden state; (B, S, H) to (B, S, K + 1)."""
        self.constant("head.w", head.rows.T)
        self.constant("head.b", head.shifts)
        self.node("MatMul", ["last_hidden_state", "head.w"], "head.product")
        return self.node("Add", ["head.product", "head.b"], "token_states")

    def _layer_norm(self, values: str, weights: str, output: str) -> str:
        # Add + LayerNormalization: onnxruntime's fused SkipLayerNormalization is ten times slower on a CPU.
        scale = self.constant(f"{weights}.w", self.source.floats(f"{weights}.w"))
        shift = self.constant(f"{weights}.b", self.source.floats(f"{weights}.b"))
        return self.node(
            "LayerNormalization",
            [values, scale, shift],
            output,
            axis=-1,
            epsilon=self.source.shape.epsilon,
        )

    def _linear(
        self, values: str, names: Sequence[str], rows: int, columns: int, output: str
    ) -> str:
        """``values @ W.T + b`` with the matrices of ``names`` stacked; (T, columns) to (T, rows * len(names))."""
        bias = self.constant(
            f"{output}.b", np.concatenate([self.source.floats(f"{name}.b") for name in names])
        )
        if self.precision == "fp32":
            weight = np.concatenate([self.source.dense(name, rows, columns) for name in names])
            self.constant(f"{output}.w", weight.T)
            self.node("MatMul", [values, f"{output}.w"], f"{output}.product")
        else:
            parts = [self.source.int8(name, rows, columns) for name in names]
            self.constant(f"{output}.w", np.concatenate([part.codes for part in parts]).T)
            self.constant(f"{output}.scale", np.concatenate([part.scales for part in parts]))
            self.constant(f"{output}.zero", np.zeros(rows * len(names), np.int8))
            row_scale = self._quantise(values)
            self.node(
                "MatMulIntegerToFloat",
                [
                    f"{values}.uint8",
                    f"{output}.w",
                    "one",
                    f"{output}.scale",
                    "zero_point",
                    f"{output}.zero",
                ],
                f"{output}.integer",
                domain=_MICROSOFT,
            )
            self.node("Mul", [f"{output}.integer", row_scale], f"{output}.product")
        return self.node("Add", [f"{output}.product", bias], output)

    def _quantisation_constants(self) -> None:
        from onnx import helper

        self.constant("one", np.float32(1))
        self.constant("zero_point", np.uint8(_ZERO_POINT))
        self.constant("one_127th", np.float32(1 / 127))
        self.constant("last_axis", np.array([-1], np.int64))
        self.node("Shape", ["emb.sum"], "n_rows", start=0, end=1)
        value = helper.make_tensor("value", self.types.UINT8, [1], [_ZERO_POINT])
        self.node("ConstantOfShape", ["n_rows"], "zero_points", value=value)

    def _quantise(self, values: str) -> str:
        """``round(x * 127 / max |x|) + 128`` with the maximum of each row; returns the name of the (T, 1) scales."""
        self.node("Abs", [values], f"{values}.abs")
        self.node("ReduceMax", [f"{values}.abs", "last_axis"], f"{values}.max", keepdims=1)
        self.node("Mul", [f"{values}.max", "one_127th"], f"{values}.scale")
        self.node("Reshape", [f"{values}.scale", "last_axis"], f"{values}.scale_1d")
        self.node(
            "QuantizeLinear",
            [values, f"{values}.scale_1d", "zero_points"],
            f"{values}.uint8",
            axis=0,
        )
        return f"{values}.scale"
