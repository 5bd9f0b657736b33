"""Checking answers without a judge: refusals, citations, and overlap with the gold answers in characters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from evals.dataset import Query, Split, unit_of
from evals.indexes import Progress, Searcher
from evals.latency import Latency, summarise
from ragjp.errors import AccessDenied
from ragjp.types import Answer, Citation, View


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One question, answered or refused.

    ``char_f1`` and ``contains_gold`` are None where the dataset has no gold answer.
    """

    query_id: str
    answerable: bool
    answered: bool
    text: str
    written_by: str
    n_citations: int
    #: Citations whose quote stands at their place in the page, character for character.
    n_verbatim: int
    #: Citations on a unit judged relevant.
    n_on_gold: int
    char_f1: float | None
    contains_gold: bool | None
    latency_ms: float


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """Every question asked once. Rates divide by the questions, not by the answers: a refusal earns nothing."""

    n_answerable: int
    n_unanswerable: int
    answerable_answered: int
    answerable_refused: int
    unanswerable_refused: int
    unanswerable_answered: int
    n_citations: int
    n_verbatim: int
    n_citations_of_answerable: int
    n_citations_on_gold: int
    #: Answerable questions with at least one citation on a gold unit / all answerable questions.
    gold_cited_rate: float
    #: Over the answerable questions that have gold answers; None without any.
    char_f1: float | None
    contains_gold_rate: float | None
    latency: Latency
    records: tuple[AnswerRecord, ...]


def normalise(text: str) -> str:
    """Fold to NFKC lower case and drop blanks, punctuation and control characters.

    >>> normalise("「 １８，０００円 」です。")
    '18000円です'
    """
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PZC")


def char_f1(answer: str, gold: str) -> float:
    """F1 of the characters two texts share, counted with repetition, after :func:`normalise`.

    The word-wise F1 of SQuAD means nothing where words are not divided; characters are the usual tokens in Japanese.

    >>> char_f1("18,000円です", "１８０００円")
    0.8571428571428571
    >>> char_f1("", "円")
    0.0
    """
    ours, theirs = Counter(normalise(answer)), Counter(normalise(gold))
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def is_verbatim(citation: Citation, engine: Searcher, view: View) -> bool:
    """Whether the quote is what stands at the citation's place, for this view."""
    try:
        page = engine.page_text(citation.doc_id, citation.page, view=view)
    except AccessDenied:
        return False
    return bool(citation.quote) and page[citation.start : citation.end] == citation.quote


def evaluate_answers(
    split: Split, engine: Searcher, *, view: View, progress: Progress | None = None
) -> AnswerReport:
    """Ask every question of the split, the unanswerable ones too, and check what comes back."""
    records = []
    for place, query in enumerate(split.queries):
        started = perf_counter()
        answer = engine.ask(query.text, view=view)
        elapsed_ms = (perf_counter() - started) * 1000
        gold = split.qrels.get(query.query_id, {})
        records.append(_record(query, answer, gold, elapsed_ms, split, engine, view))
        if progress:
            progress("回答", place + 1, len(split.queries))
    return summarise_answers(records)


def _record(
    query: Query,
    answer: Answer,
    gold: Mapping[str, int],
    elapsed_ms: float,
    split: Split,
    engine: Searcher,
    view: View,
) -> AnswerRecord:
    answered = answer.status == "answered"
    text = answer.text if answered else ""
    cited = [unit_of(split.unit, citation.doc_id, citation.page) for citation in answer.citations]
    golds = query.answers if query.answerable else ()
    shown = normalise(text)
    return AnswerRecord(
        query_id=query.query_id,
        answerable=query.answerable,
        answered=answered,
        text=answer.text,
        written_by=answer.written_by,
        n_citations=len(cited),
        n_verbatim=sum(is_verbatim(citation, engine, view) for citation in answer.citations),
        n_on_gold=sum(gold.get(unit, 0) > 0 for unit in cited),
        char_f1=max(char_f1(text, each) for each in golds) if golds else None,
        contains_gold=any(normalise(each) in shown for each in golds) if golds else None,
        latency_ms=elapsed_ms,
    )


def summarise_answers(records: list[AnswerRecord]) -> AnswerReport:
    """Count and average over the questions asked."""
    yes = [record for record in records if record.answerable]
    no = [record for record in records if not record.answerable]
    f1s = [record.char_f1 for record in yes if record.char_f1 is not None]
    contains = [record.contains_gold for record in yes if record.contains_gold is not None]
    return AnswerReport(
        n_answerable=len(yes),
        n_unanswerable=len(no),
        answerable_answered=sum(record.answered for record in yes),
        answerable_refused=sum(not record.answered for record in yes),
        unanswerable_refused=sum(not record.answered for record in no),
        unanswerable_answered=sum(record.answered for record in no),
        n_citations=sum(record.n_citations for record in records),
        n_verbatim=sum(record.n_verbatim for record in records),
        n_citations_of_answerable=sum(record.n_citations for record in yes),
        n_citations_on_gold=sum(record.n_on_gold for record in yes),
        gold_cited_rate=_share(sum(record.n_on_gold > 0 for record in yes), len(yes)),
        char_f1=sum(f1s) / len(f1s) if f1s else None,
        contains_gold_rate=_share(sum(contains), len(contains)) if contains else None,
        latency=summarise([record.latency_ms for record in records], []),
        records=tuple(records),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
