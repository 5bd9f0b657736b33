"""How sure it is that an index answers a question: signals, model and error rates put together."""

from __future__ import annotations

from ragjp.config import Recipe
from ragjp.index.reader import Snapshot
from ragjp.retrieval.background import for_view, open_background
from ragjp.retrieval.candidates import Question, find_candidates
from ragjp.retrieval.confidence import DEPTH, LEAST_PASSAGES, choose_model, read_signals
from ragjp.types import Confidence, Encoder, View


def judge(
    snapshot: Snapshot,
    question: Question,
    view: View,
    *,
    recipe: Recipe,
    encoder: Encoder,
    analyzer: str,
) -> Confidence | None:
    """Judge a question by what a view may read.

    Parameters
    ----------
    recipe
        Its ``answer.keep_answerable`` decides the threshold.
    encoder
        What embedded the question; the model is the one that was fitted for it.
    analyzer
        Fingerprint of what analysed it.

    Returns
    -------
    Confidence or None
        None when the view sees fewer than :data:`~ragjp.retrieval.confidence.LEAST_PASSAGES` passages.
    """
    allowed = snapshot.allowed(view)
    if allowed.n_rows < LEAST_PASSAGES:
        return None
    found = find_candidates(snapshot, question, allowed, recipe.retrieval, depth=DEPTH)
    has_tokens = snapshot.tokens is not None and len(question.tokens) > 0
    model = choose_model(encoder.name, tokens=has_tokens)
    own = for_view(
        open_background(snapshot.path, model=model, encoder=encoder.fingerprint, analyzer=analyzer),
        view,
    )
    return model.confidence(
        read_signals(snapshot, question, allowed, found, recipe.retrieval),
        keep=recipe.answer.keep_answerable,
        drafted=own.quantiles if own else None,
    )
