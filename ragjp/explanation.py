"""A search explained: the search as it runs, then everything it did a second time by the formulas as they are written.

Slower than a search by far, and no part of one. :mod:`ragjp.retrieval.explain` has the values.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ragjp.config import Recipe
from ragjp.index.lexical.bm25 import Bm25
from ragjp.index.reader import Allowed, Snapshot
from ragjp.japanese.located import folded_parts, locate
from ragjp.japanese.terms import Analyzer
from ragjp.ranking import hits_of, order_candidates
from ragjp.rerank.explain_scores import final_shares, fused_shares, ranks_of
from ragjp.rerank.explain_tokens import BestTokens, best_tokens
from ragjp.retrieval.candidates import Candidates, Question, field_weights, find_candidates
from ragjp.retrieval.explain import (
    Explanation,
    HitExplained,
    Origin,
    QuestionExplained,
    TokenMatch,
)
from ragjp.retrieval.explain_terms import ExplainedTerm, explain_terms, matches_of
from ragjp.retrieval.filters import rows_to_keep
from ragjp.retrieval.operators import ParsedQuery
from ragjp.types import Chunk, Encoder, FloatArray, Hit, IntArray, Span, SpellsTokens


@dataclass(frozen=True, slots=True)
class Searcher:
    """What a search needs beside the question: one generation, a view of it, and how to analyse, embed and order."""

    snapshot: Snapshot
    allowed: Allowed
    recipe: Recipe
    encoder: Encoder
    analyzer: Analyzer


@dataclass(frozen=True, slots=True)
class _Searched:
    """What the search did.

    order : (M,) places in the candidates, the k best. fused_order : (C,) the same by fused score. maxsim : (C,) float32, NaN where
    there is none; late : the same mixed with the pages' MaxSim. hits : in the order of ``order``. depth : candidates that each ranking put forward.
    """

    found: Candidates
    order: IntArray
    fused_order: IntArray
    maxsim: FloatArray
    late: FloatArray
    hits: tuple[Hit, ...]
    depth: int
    timings_ms: Mapping[str, float]


def explain(
    searcher: Searcher,
    asked: ParsedQuery,
    question: Question,
    k: int,
    timings_ms: Mapping[str, float],
) -> Explanation:
    """Search, and say why each of the k best hits stands where it does.

    Parameters
    ----------
    timings_ms
        What analysing and embedding the question took.
    """
    started = time.perf_counter()
    searched = _search(searcher, asked, question, k)
    ended = time.perf_counter()
    read, origins = _question_read(searcher, asked, question)
    retrieval = searcher.recipe.retrieval
    rows = searched.found.rows[searched.order]
    terms = explain_terms(
        searcher.snapshot,
        searcher.allowed,
        question,
        origins,
        field_weights(retrieval),
        Bm25(retrieval.k1, retrieval.b),
        rows,
    )
    hits = _hits(searcher, searched, question, terms, rows)
    searching = (ended - started) * 1000
    return Explanation(
        read,
        tuple(one.weight for one in terms),
        hits,
        searcher.allowed.n_rows,
        len(searched.found.rows),
        searcher.snapshot.generation,
        _differences(hits),
        {
            **timings_ms,
            **searched.timings_ms,
            "total": sum(timings_ms.values()) + searching,
            "explain": (time.perf_counter() - ended) * 1000,
        },
    )


def _search(searcher: Searcher, asked: ParsedQuery, question: Question, k: int) -> _Searched:
    """Do what :meth:`~ragjp.engine.Engine.search` does, and keep what it forgets."""
    snapshot, allowed, recipe = searcher.snapshot, searcher.allowed, searcher.recipe
    keep = rows_to_keep(snapshot, asked, allowed, searcher.analyzer)
    if not (allowed.n_rows if keep is None else keep.any()):
        return _nothing()
    depth = max(recipe.retrieval.n_candidates, k)
    found = find_candidates(snapshot, question, allowed, recipe.retrieval, depth=depth, keep=keep)
    started = time.perf_counter()
    order, scores, maxsim, late = order_candidates(
        snapshot, found, question, "reranked", recipe.rerank, k
    )
    reranked = time.perf_counter()
    hits = hits_of(snapshot, found, order[:k], scores[:k], maxsim)
    loaded = time.perf_counter()
    # Ties are ordered once more as the hits are loaded.
    by_id = dict(zip(snapshot.chunk_ids(found.rows[order[:k]].tolist()), order[:k], strict=True))
    fused_order, *_ = order_candidates(snapshot, found, question, "fused", recipe.rerank, k)
    return _Searched(
        found,
        np.array([by_id[hit.chunk_id] for hit in hits], np.int64),
        fused_order,
        maxsim,
        late,
        hits,
        depth,
        {
            **found.timings_ms,
            "rerank": (reranked - started) * 1000,
            "load": (loaded - reranked) * 1000,
        },
    )


def _nothing() -> _Searched:
    rows, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    none = Candidates(rows, {}, scores, scores, scores, {})
    return _Searched(none, rows, rows, scores, scores, (), 0, {})


def _question_read(
    searcher: Searcher, asked: ParsedQuery, question: Question
) -> tuple[QuestionExplained, dict[str, Origin]]:
    """Say how the question was read, and where its terms came from."""
    text = locate(searcher.analyzer, asked.text)
    searched = set(question.terms.get("lemma", ()))
    words = {found.term for found in text.lemmas}
    origins: dict[str, Origin] = {found.term: "form" for found in text.hidden}
    origins |= {found.term: "dictionary" for found in text.own}
    origins |= dict.fromkeys(words, "word")
    spelled = _spelled(searcher.encoder, asked.text, query=True, n_tokens=len(question.tokens))
    read = QuestionExplained(
        asked.query,
        asked.text,
        text.searched,
        tuple(folded_parts(asked.text)),
        text.words,
        text.hidden,
        text.own,
        tuple(sorted(words - searched)),
        asked.phrases,
        asked.excluded,
        asked.titles,
        tuple(asked.text[slice(*span)].strip() for span in spelled),
    )
    return read, origins


def _hits(
    searcher: Searcher,
    searched: _Searched,
    question: Question,
    terms: Sequence[ExplainedTerm],
    rows: IntArray,
) -> tuple[HitExplained, ...]:
    snapshot, found, places = searcher.snapshot, searched.found, searched.order
    weight, rerank = searcher.recipe.retrieval.dense_weight, searcher.recipe.rerank
    ranks = ranks_of(found, searched.fused_order, places, searched.depth, snapshot.chunk_ids)
    fused = fused_shares(found, weight, places)
    final = final_shares(found, searched.maxsim, searched.late, weight, rerank, places)
    nearest = _nearest(snapshot, question, rows, searched.maxsim[places])
    chunks = snapshot.chunks(rows.tolist())
    return tuple(
        HitExplained(
            hit,
            ranks[place],
            matches_of(terms, place, chunk, searcher.analyzer),
            _token_matches(searcher.encoder, question, chunk, nearest.get(place)),
            fused[place],
            final[place],
        )
        for place, (hit, chunk) in enumerate(zip(searched.hits, chunks, strict=True))
    )


def _nearest(
    snapshot: Snapshot, question: Question, rows: IntArray, maxsim: FloatArray
) -> dict[int, BestTokens]:
    """Find the nearest tokens in the passages that were reranked, by place among the hits."""
    places = np.flatnonzero(~np.isnan(maxsim))
    if snapshot.tokens is None or not len(places):
        return {}
    packed = snapshot.tokens.take(rows[places])
    return dict(zip(places.tolist(), best_tokens(question.tokens, packed), strict=True))


def _token_matches(
    encoder: Encoder, question: Question, chunk: Chunk, best: BestTokens | None
) -> tuple[TokenMatch, ...]:
    """Name the nearest tokens by their characters, and say where they stand on the page."""
    if best is None or not len(best.places):
        return ()
    asked = _spelled(encoder, question.text, query=True, n_tokens=len(question.tokens))
    found = _spelled(encoder, chunk.indexed_text, query=False, n_tokens=best.n_tokens)
    body = len(chunk.indexed_text) - len(chunk.text)
    matches = []
    for number, place in enumerate(best.places.tolist()):
        start, end = found[place] if found else (0, 0)
        inside = body <= start < end
        shift = chunk.start - body
        matches.append(
            TokenMatch(
                question.text[slice(*asked[number])].strip() if asked else "",
                chunk.indexed_text[start:end].strip(),
                float(best.similarities[number]),
                float(best.contributions[number]),
                Span(start + shift, end + shift) if inside else None,
            )
        )
    return tuple(matches)


def _spelled(encoder: Encoder, text: str, *, query: bool, n_tokens: int) -> list[Span]:
    """Return the spans of a text's token rows; none where the encoder cannot tell, or tells of another number."""
    if not n_tokens or not isinstance(encoder, SpellsTokens):
        return []
    spans = encoder.token_spans(text, query=query)
    return spans if len(spans) == n_tokens else []


def _differences(hits: Sequence[HitExplained]) -> dict[str, float]:
    """By score, the greatest difference between the search and the sum of the parts given here."""
    greatest: dict[str, float] = {}
    for one in hits:
        sums = {
            "bm25": sum(match.contribution for match in one.terms),
            "fused": sum(share.value for share in one.fused),
            "final": sum(share.value for share in one.final),
        }
        if one.tokens:
            sums["maxsim"] = sum(match.contribution for match in one.tokens)
        for name, value in sums.items():
            said = one.hit.score if name == "final" else one.hit.scores[name]
            greatest[name] = max(greatest.get(name, 0.0), abs(value - said))
    return greatest
