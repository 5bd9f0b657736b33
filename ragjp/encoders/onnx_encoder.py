"""The CPU default: the bundled model in onnxruntime, without torch.

Each text is one run of the graph, without padding: on a CPU a batch of passages is no faster than one after the other, and so a
vector depends on its text alone, whatever else was asked for. Many texts are spread over threads, each running a one-thread
session; a few texts (a query) go through a session that uses all threads for one text.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragjp.device import usable_cores
from ragjp.encoders.onnx_graph import GRAPH_VERSION, Precision
from ragjp.encoders.packing import fingerprint_of, pack, readable, spans_of, unit_rows
from ragjp.encoders.presets import Preset
from ragjp.encoders.query_tokens import QueryTokenizer, Subwords
from ragjp.encoders.token_head import HEAD_VERSION, token_vectors
from ragjp.errors import MissingExtra
from ragjp.types import Encoded, FloatArray, Span

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class OnnxEncoder:
    """An :class:`~ragjp.types.Encoder` over ``model.onnx`` and ``tokenizer.json``. Safe to use from several threads.

    The pooled vector is the mean over all tokens of the text, prefix and special tokens included, as the model was trained.
    Token rows are those of the text itself: special tokens and the prefix's tokens are left out, for queries and passages
    alike, because a late-interaction score should not count the match of ``query:`` with ``passage:``. They have length 1; where
    the graph has a trained head, a query's are multiplied by how much each token counts (:mod:`~ragjp.encoders.token_head`).

    Parameters
    ----------
    name
        The name used in recipes.
    folder
        With ``model.onnx`` and ``tokenizer.json``.
    preset
        Prefixes and the longest input; longer texts are cut (by tokens, at the end).
    weights
        Identity of the weights, for the fingerprint.
    precision
        What ``model.onnx`` was written in. Part of the fingerprint: the vectors of int8 and fp32 agree to a cosine of about
        0.999 and are not mixed in one index.
    threads
        CPU threads; None: every core this process may use.
    pieces
        Arrays of :class:`~ragjp.encoders.query_tokens.QueryTokenizer`, to split queries without waiting for ``tokenizer.json``.

    Raises
    ------
    MissingExtra
        onnxruntime or tokenizers is not installed.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        preset: Preset,
        *,
        weights: str,
        precision: Precision,
        threads: int | None = None,
        pieces: Path | None = None,
    ) -> None:
        if importlib.util.find_spec("tokenizers") is None:
            raise _missing("tokenizers")
        self.name = name
        self._preset = preset
        self._threads = threads or usable_cores()
        self._model = folder / "model.onnx"
        self._tokenizer_file = folder / "tokenizer.json"
        self._tokenizer: Tokenizer | None = None
        self._max_tokens = preset.max_tokens or 512
        self._queries = QueryTokenizer(pieces, self._max_tokens) if pieces else None
        self._sessions: dict[int, Any] = {}
        self._opening = threading.Lock()
        widths = [int(output.shape[-1]) for output in self._session(self._threads).get_outputs()]
        self._has_head = len(widths) > 1
        self.dim = widths[0]
        self.token_dim = widths[1] - 1 if self._has_head else self.dim
        head: dict[str, object] = {"head": HEAD_VERSION} if self._has_head else {}
        self.fingerprint = fingerprint_of(
            engine="onnx",
            graph=GRAPH_VERSION,
            weights=weights,
            precision=precision,
            query_prefix=preset.query_prefix,
            passage_prefix=preset.passage_prefix,
            pooling="mean",
            max_tokens=self._max_tokens,
            **head,
        )

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed passages.

        Parameters
        ----------
        texts
            N texts.
        tokens
            Also return token rows: about 1.5 kB for each token in memory, so hand over a few hundred texts at a time.
        """
        prefix = self._preset.passage_prefix
        inputs = self._split([readable(text) for text in texts], prefix)
        return self._encode(inputs, tokens, query=False)

    def encode_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        """Embed queries; see :meth:`encode_passages`."""
        prefix = self._preset.query_prefix
        inputs = self._split_queries([readable(text) for text in texts], prefix)
        return self._encode(inputs, tokens, query=True)

    def token_spans(self, text: str, *, query: bool) -> list[Span]:
        """Say which characters the token rows stand for; loads the tokenizer."""
        prefix = self._preset.query_prefix if query else self._preset.passage_prefix
        encoding = self._loaded_tokenizer().encode(prefix + readable(text))
        kept = _subwords(encoding, len(prefix.rstrip())).kept
        return spans_of(encoding.tokens, encoding.offsets, kept, len(prefix))

    def _split_queries(self, texts: Sequence[str], prefix: str) -> list[Subwords]:
        """Split short texts without the tokenizer where that is the same."""
        if self._queries is None:
            return self._split(texts, prefix)
        found = [self._queries.split(prefix, text) for text in texts]
        rest = iter(self._split([texts[at] for at, own in enumerate(found) if own is None], prefix))
        return [next(rest) if own is None else own for own in found]

    def _split(self, texts: Sequence[str], prefix: str) -> list[Subwords]:
        """Split texts with the tokenizer, loaded when first needed."""
        if not texts:
            return []
        encodings = self._loaded_tokenizer().encode_batch([prefix + text for text in texts])
        return [_subwords(encoding, len(prefix.rstrip())) for encoding in encodings]

    def _loaded_tokenizer(self) -> Tokenizer:
        with self._opening:
            if self._tokenizer is None:
                from tokenizers import Tokenizer

                tokenizer = Tokenizer.from_file(str(self._tokenizer_file))
                tokenizer.encode_special_tokens = True
                tokenizer.enable_truncation(self._max_tokens)
                self._tokenizer = tokenizer
            return self._tokenizer

    def _encode(self, inputs: Sequence[Subwords], tokens: bool, *, query: bool) -> Encoded:
        vectors = np.empty((len(inputs), self.dim), np.float32)
        parts: list[FloatArray] = [np.empty((0, self.token_dim), np.float32)] * len(inputs)
        many = len(inputs) >= 2 * self._threads and self._threads > 1
        session = self._session(1 if many else self._threads)

        def run(row: int) -> None:
            kept = inputs[row].kept
            hidden, *states = _forward(session, inputs[row], with_head=tokens and self._has_head)
            vectors[row] = hidden.mean(axis=0)
            if states:
                parts[row] = token_vectors(states[0][kept], query=query)
            elif tokens:
                parts[row] = unit_rows(hidden[kept])

        # The longest first: the threads finish together.
        order = sorted(range(len(inputs)), key=lambda row: -len(inputs[row].ids))
        if many:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="ragjp-onnx") as pool:
                list(pool.map(run, order))
        else:
            for row in order:
                run(row)
        return pack(unit_rows(vectors), parts if tokens else None, self.token_dim)

    def _session(self, threads: int) -> Any:  # noqa: ANN401
        with self._opening:
            if threads not in self._sessions:
                self._sessions[threads] = _open(self._model, threads)
            return self._sessions[threads]


def _forward(session: Any, subwords: Subwords, *, with_head: bool) -> list[FloatArray]:  # noqa: ANN401
    """Run one text; (T, H) and, if wanted, the head's (T, K + 1)."""
    wanted = ["last_hidden_state", "token_states"] if with_head else ["last_hidden_state"]
    found = session.run(wanted, {"input_ids": subwords.ids[None]})
    return [values[0] for values in found]


def _subwords(encoding: Encoding, prefix_chars: int) -> Subwords:
    """Take over what ``tokenizers`` found."""
    special = np.array(encoding.special_tokens_mask, bool)
    starts = np.array([start for start, _ in encoding.offsets])
    return Subwords(np.array(encoding.ids, np.int64), ~special & (starts >= prefix_chars))


def _open(model: Path, threads: int) -> Any:  # noqa: ANN401
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error.name) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Every length is another shape: remembering a memory plan for each would only grow.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(
        str(model),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"],
    )


def _missing(package: str | None) -> MissingExtra:
    return MissingExtra(
        f"ONNX で埋め込みを計算するためのパッケージ {package} がありません。"
        "pip install 'ragjp[offline]' で入れてください。"
    )
