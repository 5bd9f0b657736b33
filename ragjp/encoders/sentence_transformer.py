"""Any sentence-transformers model that lies on this machine, in torch: the GPU path, and other models on a CPU.

Loading never touches the network, never runs a model's own code, and reads safetensors only (``local_models`` refuses the rest).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ragjp.encoders.local_models import check_folder
from ragjp.encoders.packing import fingerprint_of, pack, readable, spans_of, unit_rows
from ragjp.encoders.presets import Preset
from ragjp.encoders.token_head import FILE as HEAD_FILE
from ragjp.encoders.token_head import HEAD_VERSION, TokenHead, token_vectors
from ragjp.errors import MissingExtra, RequestError
from ragjp.types import Encoded, FloatArray, Span

#: Characters a batch may hold for each text of the batch size: short texts share a batch in greater number.
_CHARS_PER_TEXT = 600
_MOST_TEXTS = 8
#: Texts this short share a batch whatever their lengths.
_ALIKE_CHARS = 16


class SentenceTransformerEncoder:
    """An :class:`~ragjp.types.Encoder` over ``SentenceTransformer(folder)``. Safe to use from several threads.

    Vectors and token rows come from one forward pass. Token rows are those of the text itself: special tokens, the prefix's
    tokens and padding are left out, as in :class:`~ragjp.encoders.onnx_encoder.OnnxEncoder`. A model without token embeddings
    (a static one) has ``token_dim`` 0. A folder with a trained head (:mod:`~ragjp.encoders.token_head`) gets its token rows
    from that. Padding changes a text's vector by about 1e-6 in fp32 (its batch decides the padding).

    Parameters
    ----------
    name
        The name used in recipes.
    folder
        A folder in sentence-transformers' or transformers' format, checked before anything is loaded.
    preset
        Prefixes and the longest input.
    weights
        Identity of the weights, for the fingerprint.
    device
        ``cpu`` or ``cuda``.
    precision
        ``fp32``, or ``fp16`` on a GPU.
    batch_size
        Texts of usual length (600 characters) in a batch; up to eight times as many short ones.

    Raises
    ------
    MissingExtra
        torch or sentence-transformers is not installed.
    RequestError
        The folder is refused (``check_folder``) or cannot be loaded (``model_unreadable``).
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        preset: Preset,
        *,
        weights: str,
        device: Literal["cpu", "cuda"] = "cpu",
        precision: Literal["fp32", "fp16"] = "fp32",
        batch_size: int = 32,
    ) -> None:
        check_folder(folder)
        self.name = name
        self._preset = preset
        self._batch_size = batch_size
        self._preparing = threading.Lock()
        self._model = _load(folder, device, precision)
        if preset.max_tokens and hasattr(self._model, "max_seq_length"):
            own = self._model.max_seq_length
            self._model.max_seq_length = min(own or preset.max_tokens, preset.max_tokens)
        self._tokenizer = getattr(self._model, "tokenizer", None)
        self._special = _special_ids(self._tokenizer)
        self._head = _load_head(folder)
        probe, rows = self._forward([""], "")
        self.dim = int(probe.shape[1])
        self.token_dim = int(rows[0].shape[1]) if rows is not None else 0
        head: dict[str, object] = {}
        if self._head is not None:
            self.token_dim, head = self._head.token_dim, {"head": HEAD_VERSION}
        self.fingerprint = fingerprint_of(
            engine="torch",
            weights=weights,
            precision=precision,
            query_prefix=preset.query_prefix,
            passage_prefix=preset.passage_prefix,
            pooling="the model's own",
            max_tokens=getattr(self._model, "max_seq_length", None),
            **head,
        )

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed passages."""
        return self._encode(texts, self._preset.passage_prefix, tokens, query=False)

    def encode_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed queries."""
        return self._encode(texts, self._preset.query_prefix, tokens, query=True)

    def token_spans(self, text: str, *, query: bool) -> list[Span]:
        """Say which characters the token rows stand for; none where the model's tokenizer cannot tell."""
        if self._tokenizer is None or not getattr(self._tokenizer, "is_fast", False):
            return []
        prefix = self._preset.query_prefix if query else self._preset.passage_prefix
        with self._preparing:
            found = self._tokenizer(
                prefix + readable(text),
                return_offsets_mapping=True,
                truncation=True,
                max_length=self._model.max_seq_length,
            )
            prefix_ids = self._prefix_ids(prefix)
        ids = np.array(found["input_ids"], np.int64)
        kept = _text_tokens(ids, np.ones(len(ids), np.bool_), self._special, prefix_ids)
        pieces = self._tokenizer.convert_ids_to_tokens(found["input_ids"])
        return spans_of(pieces, found["offset_mapping"], kept, len(prefix))

    def _encode(self, texts: Sequence[str], prefix: str, tokens: bool, *, query: bool) -> Encoded:
        ready = [readable(text) for text in texts]
        vectors = np.empty((len(ready), self.dim), np.float32)
        wanted = tokens and self.token_dim > 0
        parts: list[FloatArray] = [np.empty((0, self.token_dim), np.float32)] * len(ready)
        for batch in _batches(ready, self._batch_size):
            pooled, rows = self._forward([ready[at] for at in batch], prefix)
            vectors[batch] = pooled
            if wanted and rows is not None:
                for at, found in zip(batch, rows, strict=True):
                    parts[at] = (
                        unit_rows(found)
                        if self._head is None
                        else token_vectors(found, query=query)
                    )
        return pack(unit_rows(vectors), parts if wanted else None, self.token_dim)

    def _forward(
        self, texts: Sequence[str], prefix: str
    ) -> tuple[FloatArray, list[FloatArray] | None]:
        """One batch: (B, D) pooled and, where the model has them, B arrays (T_i, D_token), or a head's (T_i, K + 1)."""
        import torch

        with torch.inference_mode():
            # A fast tokenizer's padding is state: two threads at once would raise "Already borrowed".
            with self._preparing:
                features = self._model.preprocess(list(texts), prompt=prefix or None)
                prefix_ids = self._prefix_ids(prefix)
            on_device = {
                key: value.to(self._model.device) if hasattr(value, "to") else value
                for key, value in features.items()
            }
            ids = features["input_ids"].numpy()
            out = self._model(on_device)
            pooled = out["sentence_embedding"].float().cpu().numpy()
            hidden = out.get("token_embeddings")
            if hidden is None or hidden.ndim != 3:
                return pooled, None
            mask = features["attention_mask"].numpy().astype(bool)
            hidden = hidden.float()
            if self._head is not None:
                rows, shifts = (
                    torch.from_numpy(part).to(hidden.device)
                    for part in (self._head.rows, self._head.shifts)
                )
                hidden = hidden @ rows.T + shifts
            values = hidden.cpu().numpy()
        return pooled, [
            values[row][_text_tokens(ids[row], mask[row], self._special, prefix_ids)]
            for row in range(len(texts))
        ]

    def _prefix_ids(self, prefix: str) -> list[int]:
        if not prefix or self._tokenizer is None:
            return []
        return list(self._tokenizer(prefix.rstrip(), add_special_tokens=False)["input_ids"])


def _batches(texts: Sequence[str], batch_size: int) -> Iterator[list[int]]:
    """Rows of ``texts`` in batches, the longest first; none is less than half as long as its batch is padded to."""
    budget = batch_size * _CHARS_PER_TEXT
    batch: list[int] = []
    longest = 1
    for at in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
        full = len(batch) >= batch_size and longest * (len(batch) + 1) > budget
        much_shorter = len(texts[at]) + _ALIKE_CHARS < longest / 2
        if batch and (full or much_shorter or len(batch) >= batch_size * _MOST_TEXTS):
            yield batch
            batch = []
        if not batch:
            longest = max(len(texts[at]), 1)
        batch.append(at)
    if batch:
        yield batch


def _text_tokens(
    ids: NDArray[np.int64], mask: NDArray[np.bool_], special: set[int], prefix_ids: Sequence[int]
) -> NDArray[np.int64]:
    """Positions of the tokens of the text itself: not padding, not special, not of the prefix; (T_i,)."""
    content = [at for at in range(len(ids)) if mask[at] and int(ids[at]) not in special]
    same = 0
    for at, wanted in zip(content, prefix_ids, strict=False):
        if int(ids[at]) != wanted:
            break
        same += 1
    return np.array(content[same:], np.int64)


def _special_ids(tokenizer: Any) -> set[int]:  # noqa: ANN401
    """Ids of control tokens; an unknown piece is text."""
    known = set(getattr(tokenizer, "all_special_ids", ()))
    return known - {getattr(tokenizer, "unk_token_id", None)}


def _load_head(folder: Path) -> TokenHead | None:
    """Read the trained head of a folder that :func:`~ragjp.encoders.hugging_face.write_folder` wrote; None without one."""
    path = folder / HEAD_FILE
    if not path.is_file():
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(str(path))
        head = TokenHead(found["rows"].astype(np.float32), found["shifts"].astype(np.float32))
        if head.rows.ndim != 2 or head.shifts.shape != (len(head.rows),) or head.token_dim < 1:
            raise ValueError(HEAD_FILE)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise RequestError(
            f"モデル {folder} の {HEAD_FILE} を読み込めません。ファイルが揃っているか確かめてください。",
            code="model_unreadable",
        ) from error
    return head


def _load(folder: Path, device: str, precision: str) -> Any:  # noqa: ANN401
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtra(
            f"このモデルを動かすためのパッケージ {error.name} がありません。"
            "pip install 'ragjp[torch]' で入れてください。"
        ) from error
    try:
        with _quiet():
            model = SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={
                    "dtype": torch.float16 if precision == "fp16" else torch.float32,
                    "use_safetensors": True,
                },
            )
    except Exception as error:  # Five libraries read these files, each with errors of its own.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RequestError(
            f"モデル {folder} を読み込めません（{reason}）。ファイルが揃っているか確かめてください。",
            code="model_unreadable",
        ) from error
    model.eval()
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is not None and hasattr(tokenizer, "split_special_tokens"):
        # A document that spells </s> is text, not a control token.
        tokenizer.split_special_tokens = True
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars, load reports and deprecation warnings of the libraries off the user's terminal."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    ours = logging.getLogger("sentence_transformers")
    level = ours.level
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    ours.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
        ours.setLevel(level)
