"""The bundled model as a folder that transformers and sentence-transformers load: BertModel, tokenizer, mean pooling, unit length.

About 480 MB: the same values as the packed file (and those of trained layers), written out in float32.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ragjp.encoders.e5_file import Shape
from ragjp.encoders.model_source import ModelSource
from ragjp.encoders.token_head import FILE as HEAD_FILE
from ragjp.encoders.tokenizer_json import MASK, build_tokenizer
from ragjp.types import FloatArray


def write_folder(
    source: ModelSource, folder: Path, name: str = "intfloat/multilingual-e5-small"
) -> None:
    """Write config, weights (safetensors), tokenizer and the sentence-transformers modules into an empty folder.

    A model with a token head gets that in a file of its own, which only ragjp reads: for others the folder is a BertModel.

    Parameters
    ----------
    source
        The packed file, or it with trained layers.
    folder
        Empty.
    name
        What the configuration says the model is (``_name_or_path``).

    Raises
    ------
    ImportError
        ``safetensors`` or ``tokenizers`` is not installed.
    """
    from safetensors.numpy import save_file

    save_file(bert_tensors(source), str(folder / "model.safetensors"), metadata={"format": "pt"})
    if source.head is not None:
        head = {"rows": source.head.rows, "shifts": source.head.shifts}
        save_file(head, str(folder / HEAD_FILE), metadata={"format": "np"})
    build_tokenizer(source.pieces).save(str(folder / "tokenizer.json"), pretty=False)
    pieces = source.pieces
    special = {
        "bos_token": pieces.texts[pieces.bos],
        "cls_token": pieces.texts[pieces.bos],
        "eos_token": pieces.texts[pieces.eos],
        "sep_token": pieces.texts[pieces.eos],
        "pad_token": pieces.texts[pieces.pad],
        "unk_token": pieces.texts[pieces.unk],
        "mask_token": MASK,
    }
    limit = source.shape.positions
    modules = [
        ("", "sentence_transformers.models.Transformer"),
        ("1_Pooling", "sentence_transformers.models.Pooling"),
        ("2_Normalize", "sentence_transformers.models.Normalize"),
    ]
    documents: dict[str, object] = {
        "config.json": _config(source.shape, pieces.pad, name),
        "tokenizer_config.json": {
            **special,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": limit,
            "model_input_names": ["input_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
        },
        "special_tokens_map.json": special,
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(modules)
        ],
        "sentence_bert_config.json": {"max_seq_length": limit, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": source.shape.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "2_Normalize/config.json": {},
    }
    for name, document in documents.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def bert_tensors(source: ModelSource) -> dict[str, FloatArray]:
    """Return the weights under the names of transformers' BertModel, dense float32; linear weights are (out, in)."""
    shape = source.shape
    hidden, wide = shape.hidden, shape.feed_forward
    tensors = {
        "embeddings.word_embeddings.weight": source.blocks(
            "emb.word", shape.vocabulary, hidden
        ).dense(),
        "embeddings.position_embeddings.weight": source.floats("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": source.floats("emb.type").reshape(-1, hidden),
    }
    norms = {"emb.ln": "embeddings.LayerNorm"}
    linears: dict[str, tuple[str, int, int]] = {}
    for layer in range(shape.layers):
        at = f"encoder.layer.{layer}"
        linears |= {
            f"l{layer}.q": (f"{at}.attention.self.query", hidden, hidden),
            f"l{layer}.k": (f"{at}.attention.self.key", hidden, hidden),
            f"l{layer}.v": (f"{at}.attention.self.value", hidden, hidden),
            f"l{layer}.ao": (f"{at}.attention.output.dense", hidden, hidden),
            f"l{layer}.fi": (f"{at}.intermediate.dense", wide, hidden),
            f"l{layer}.fo": (f"{at}.output.dense", hidden, wide),
        }
        norms |= {
            f"l{layer}.aln": f"{at}.attention.output.LayerNorm",
            f"l{layer}.oln": f"{at}.output.LayerNorm",
        }
    for name, (target, rows, columns) in linears.items():
        tensors[f"{target}.weight"] = source.dense(name, rows, columns)
        tensors[f"{target}.bias"] = source.floats(f"{name}.b")
    for name, target in norms.items():
        tensors[f"{target}.weight"] = source.floats(f"{name}.w")
        tensors[f"{target}.bias"] = source.floats(f"{name}.b")
    # BertModel has a pooler that mean pooling never uses; zeros, so that nothing is left to a random start.
    tensors["pooler.dense.weight"] = np.zeros((hidden, hidden), np.float32)
    tensors["pooler.dense.bias"] = np.zeros(hidden, np.float32)
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


def _config(shape: Shape, pad: int, name: str) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "_name_or_path": name,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        # The file keeps the float32 nearest to 1e-12.
        "layer_norm_eps": float(f"{shape.epsilon:.6g}"),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": pad,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
    }
