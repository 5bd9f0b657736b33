"""Whether the passages found answer the question: a probability, from signals that can be explained.

For each of the best passages c of a question q (the first :data:`PASSAGES` candidates in fused order)::

    margin        (bm25(c) - median of bm25 over the candidates) / the most that bm25 could be for q
    covered       share of the question's information in c:  sum s_t idf_t^2 [t in c] / sum s_t idf_t^2   over its lemmas
    pairs         share of the question's distinct bigrams that stand in c
    dense_margin  cos(q, c) - median of cos over the candidates
    weakest       soft minimum over the question's tokens of how well c has them:  -1/10 ln sum u_i exp(10 (1 - m_i))
    token_margin  sum u_i (m_i - median of m_i over the candidates)

where s_t is 0.3 for words that ask and 1 for others, idf is that of the rows visible to the view (a term that no row has counts
most), m_i is the best inner product of token i with a token of c divided by the token's length, and u_i its share of all lengths.
Every one is free of scale and can only speak for an answer: the weights of the logistic regression are fitted under w >= 0::

    p = max over c of 1 / (1 + exp(-(bias + sum_j w_j (x_j - mean_j) / scale_j)))

What is read is the question, the visible candidates and the visible statistics: a hidden document changes nothing. The weights are
fitted by ``python -m evals.fitting.answerable`` on JaQuAD ``train``; ``confidence.json`` holds them with their error rates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ragjp.config import Retrieval
from ragjp.index.lexical.bm25 import idf
from ragjp.index.lexical.groups import FIELD, Group
from ragjp.index.reader import Allowed, Snapshot
from ragjp.index.tokens.store import dequantise
from ragjp.retrieval.candidates import Candidates, Question, field_weights
from ragjp.retrieval.ties import best_first
from ragjp.types import Confidence, IntArray

Floats = NDArray[np.float64]

SIGNALS: Final = ("margin", "covered", "pairs", "dense_margin", "weakest", "token_margin")
#: Which signals a kind of model reads. ``lexical`` serves encoders for which none was fitted.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "tokens": SIGNALS,
    "dense": SIGNALS[:4],
    "lexical": SIGNALS[:3],
}
#: Passages looked at, and passages that the background of the tokens is taken from.
PASSAGES: Final = 20
BACKGROUND: Final = 40
#: Candidates taken from each ranking, whatever the recipe takes: the medians depend on it.
DEPTH: Final = 60
#: With fewer visible passages there is no background, and nothing is said.
LEAST_PASSAGES: Final = 30

#: Share of the answerable questions that may be given up which the floor gives up.
FLOOR_SHARE: Final = 0.1

_SHARPNESS = 10.0
_ASKING_SHARE = 0.3
#: Lemmas of UniDic that ask, or fill a question: whether a passage has them tells little.
_ASKING = frozenset(
    "何 誰 何処 何時 何れ どれ どの どう 幾つ 幾ら 如何 何故 どんな どちら 何方 教える 下さる 為る 有る 居る 成る 言う 事 物 者 時 年 月 日 "
    "為 所 訳 此れ 其れ 此の 其の 中 内 等 名前 呼ぶ 名 出来る 様".split()
)


def read_signals(
    snapshot: Snapshot,
    question: Question,
    allowed: Allowed,
    found: Candidates,
    settings: Retrieval,
) -> Floats:
    """Take the signals of the best passages.

    Parameters
    ----------
    allowed
        The view; the only rows whose statistics are read.
    found
        Candidates of the question for that view, :data:`DEPTH` from each ranking.

    Returns
    -------
    (R, 6) float64, R at most :data:`PASSAGES`, columns as :data:`SIGNALS`; those of the tokens are NaN where there are none.
    """
    order = best_first(found.fused, found.rows, snapshot.chunk_ids)[:BACKGROUND]
    best = order[:PASSAGES]
    rows = found.rows[best]
    out = np.full((len(best), len(SIGNALS)), np.nan)
    if not len(best):
        return out
    most = _most(snapshot, question, allowed, settings)
    bm25 = found.bm25.astype(np.float64)
    out[:, 0] = (bm25[best] - np.median(bm25)) / most if most else 0.0
    out[:, 1] = _covered(snapshot, question, allowed, rows)
    pairs = list(dict.fromkeys(question.terms.get("bigram", ())))
    out[:, 2] = snapshot.lexical.holding("bigram", pairs, rows).mean(axis=0) if pairs else 0.0
    dense = found.dense.astype(np.float64)
    out[:, 3] = dense[best] - np.median(dense)
    if snapshot.tokens is not None and len(question.tokens):
        lengths = np.linalg.norm(question.tokens.astype(np.float64), axis=1)
        if lengths.sum() > 0:
            maxima = _maxima(snapshot, question, found.rows[order])
            out[:, 4:] = token_signals(maxima, lengths)[:PASSAGES]
    return out


def token_signals(maxima: Floats, lengths: Floats) -> Floats:
    """Return ``weakest`` and ``token_margin``, (R, 2).

    Parameters
    ----------
    maxima
        (Q, R) the best inner product of each token of the question with a token of each passage.
    lengths
        (Q,) of the question's tokens, not all 0; those of length 0 are passed over.
    """
    used = lengths > 0
    shares = lengths[used] / lengths[used].sum()
    relative = maxima[used] / lengths[used, None]
    weakest = -np.log(shares @ np.exp(_SHARPNESS * (1 - relative))) / _SHARPNESS
    margin = shares @ (relative - np.median(relative, axis=1, keepdims=True))
    both: Floats = np.stack([weakest, margin], axis=1)
    return both


def _maxima(snapshot: Snapshot, question: Question, rows: IntArray) -> Floats:
    """(Q, R) float64; a passage without tokens has 0."""
    assert snapshot.tokens is not None
    packed = snapshot.tokens.take(rows)
    similar = question.tokens.astype(np.float32) @ dequantise(packed).T
    out = np.zeros((len(question.tokens), len(rows)))
    for place, (start, stop) in enumerate(
        zip(packed.offsets[:-1], packed.offsets[1:], strict=True)
    ):
        if stop > start:
            out[:, place] = similar[:, start:stop].max(axis=1)
    return out


def _most(snapshot: Snapshot, question: Question, allowed: Allowed, settings: Retrieval) -> float:
    """The supremum of the question's BM25: every term in the passage, and as often as one likes."""
    total = 0.0
    for name, weight in field_weights(settings).items():
        terms = question.terms.get(FIELD if name == "title" else name, [])
        if weight and terms:
            rarity = _rarity(snapshot, name, terms, allowed)
            total += weight * sum(rarity[term] for term in terms)
    return total


def _covered(snapshot: Snapshot, question: Question, allowed: Allowed, rows: IntArray) -> Floats:
    terms = list(dict.fromkeys(question.terms.get(FIELD, ())))
    if not terms:
        return np.zeros(len(rows))
    rarity = _rarity(snapshot, FIELD, terms, allowed)
    weights = np.array(
        [rarity[term] ** 2 * (_ASKING_SHARE if term in _ASKING else 1.0) for term in terms]
    )
    held = snapshot.lexical.holding(FIELD, terms, rows).astype(np.float64)
    for group in question.groups:
        if group.term in rarity:
            place = terms.index(group.term)
            held[place] = np.maximum(held[place], _synonyms(snapshot, group, rows))
    total = float(weights.sum())
    covered: Floats = weights @ held / total if total else np.zeros(len(rows))
    return covered


def _synonyms(snapshot: Snapshot, group: Group, rows: IntArray) -> Floats:
    """(R,) the group's share where a passage holds another word of it, else 0."""
    any_way = np.zeros(len(rows), dtype=np.bool_)
    for phrase in group.others:
        for way in phrase.ways:
            parts = [snapshot.lexical.holding(field, [term], rows)[0] for field, term in way]
            any_way |= np.logical_and.reduce(parts)
    gained: Floats = group.share * any_way.astype(np.float64)
    return gained


def _rarity(
    snapshot: Snapshot, name: str, terms: Sequence[str], allowed: Allowed
) -> dict[str, float]:
    counts = snapshot.lexical.frequencies(name, terms, allowed.statistics)
    return {term: idf(allowed.n_rows, count) for term, count in counts.items()}


def share_below(logit: float, quantiles: Sequence[float]) -> float:
    """Share of the questions below a logit, given evenly spaced quantiles of theirs, the least and the greatest among them."""
    steps = np.linspace(0, 1, len(quantiles))
    return float(np.interp(logit, quantiles, steps, left=0.0, right=1.0))


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted logistic regression over some signals, and how it fares.

    mean, scale, weights : by signal of ``kind``; weights are at least 0. answerable, unanswerable : (101,) quantiles, in steps of
    one in a hundred, of the logits of questions that were held out as it was fitted.
    """

    kind: Literal["tokens", "dense", "lexical"]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    answerable: tuple[float, ...]
    unanswerable: tuple[float, ...]

    def logits(self, signals: Floats) -> Floats:
        """(R,) of the passages (R, 6)."""
        used = np.nan_to_num(signals[:, : len(self.weights)])
        standard = (used - np.array(self.mean)) / np.array(self.scale)
        found: Floats = standard @ np.array(self.weights) + self.bias
        return found

    def logit(self, signals: Floats) -> float:
        """Of the question: that of its best passage; -inf without passages."""
        return float(self.logits(signals).max()) if len(signals) else -math.inf

    def threshold(self, keep: float) -> float:
        """The logit below which are the ``1 - keep`` least sure of the answerable questions; -inf to keep all."""
        if keep >= 1:
            return -math.inf
        return float(np.interp(1 - keep, np.linspace(0, 1, 101), self.answerable))

    def refused(self, threshold: float) -> float:
        """Share of the unanswerable questions below a logit."""
        return share_below(threshold, self.unanswerable)

    def confidence(
        self, signals: Floats, *, keep: float, drafted: Sequence[float] | None = None
    ) -> Confidence:
        """Judge a question by the signals (R, 6) of its passages.

        Parameters
        ----------
        keep
            Share of the answerable questions that shall be answered.
        drafted
            Quantiles of the logits of questions without an answer on this index (:mod:`ragjp.retrieval.background`): what share
            of such questions is refused is then told of this index, and not of the fitting data.
        """
        logit, threshold = self.logit(signals), self.threshold(keep)
        shown: dict[str, float] = {}
        if len(signals):
            best = signals[int(self.logits(signals).argmax())]
            shown = {name: float(best[place]) for place, name in enumerate(KINDS[self.kind])}
        return Confidence(
            probability=sigmoid(logit),
            threshold=sigmoid(threshold),
            floor=sigmoid(self.threshold(1 - (1 - keep) * FLOOR_SHARE)),
            kept=keep,
            refused=self.refused(threshold) if drafted is None else share_below(threshold, drafted),
            basis="shipped" if drafted is None else "index",
            signals=shown,
        )


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if logit < 0:
        return math.exp(logit) / (1 + math.exp(logit)) if logit > -700 else 0.0
    return 1 / (1 + math.exp(-logit))


def choose_model(encoder: str, *, tokens: bool) -> Model:
    """Return the shipped model for an encoder; the lexical one where none was fitted for it.

    Parameters
    ----------
    encoder
        Its name in recipes.
    tokens
        Whether the index keeps token vectors and the question has some.
    """
    models = _shipped()
    fitted = models.get(encoder)
    if fitted is None:
        return models["*"]["lexical"]
    return fitted["tokens" if tokens else "dense"]


@lru_cache(maxsize=1)
def _shipped() -> dict[str, dict[str, Model]]:
    text = files("ragjp.retrieval").joinpath("confidence.json").read_text(encoding="utf-8")
    return {
        name: {kind: model_of(values) for kind, values in kinds.items()}
        for name, kinds in json.loads(text)["encoders"].items()
    }


def model_of(values: Mapping[str, Any]) -> Model:
    """Read a model from the plain values of ``confidence.json``."""
    return Model(
        kind=values["kind"],
        mean=tuple(values["mean"]),
        scale=tuple(values["scale"]),
        weights=tuple(values["weights"]),
        bias=values["bias"],
        answerable=tuple(values["answerable"]),
        unanswerable=tuple(values["unanswerable"]),
    )
