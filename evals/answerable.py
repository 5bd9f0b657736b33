"""Does a search know when the answer is not there? Each question is asked twice: as it is, and with its gold documents hidden.

What is hidden is taken away by the view, before anything is scored or counted: for that question the index has never had it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from evals.dataset import Query, Split, UnitKind
from evals.indexes import Progress
from ragjp.retrieval.background import Background, for_view, open_background, without
from ragjp.retrieval.candidates import find_candidates
from ragjp.retrieval.confidence import (
    DEPTH,
    SIGNALS,
    Model,
    choose_model,
    read_signals,
    share_below,
)
from ragjp.types import View

if TYPE_CHECKING:
    from ragjp.engine import Engine
    from ragjp.index.reader import Allowed, Snapshot

Floats = NDArray[np.float64]
#: What is hidden of a question: the gold documents; the files that they are pages of; all documents with the title of one.
Hide = Literal["document", "file", "title"]

_PAGE = re.compile(r"#p\d+$")
ROUNDS = 2000
_BINS = 10
KEPT = 0.95


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's signals (R, 6) with its gold documents there and hidden, and BM25's best score in both cases."""

    query_id: str
    family: str
    visible: Floats
    hidden: Floats
    bm25_visible: float
    bm25_hidden: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """A line of the reliability table: the questions with a probability in [low, high)."""

    low: float
    high: float
    n: int
    mean_probability: float
    share_answerable: float


@dataclass(frozen=True, slots=True)
class AnswerableReport:
    """How well answerable questions are told from the same questions with their gold hidden.

    refused : share of the hidden ones below the threshold that keeps 95 % of the answerable ones of this very set. kept_as_set,
    refused_as_set : the shares at the threshold that the model ships with; refused_as_told : what the answers say
    that the latter is. ece : mean distance, over the questions, between the
    probability of a bin and the share of answerable questions in it.
    """

    n_questions: int
    hide: Hide
    auroc: Interval
    refused: Interval
    bm25_auroc: Interval
    bm25_refused: Interval
    kept_as_set: Interval
    refused_as_set: Interval
    refused_as_told: float
    ece: float
    reliability: tuple[Bin, ...]
    by_signal: Mapping[str, tuple[float, float]]


def family_of(name: tuple[str, str], hide: Hide) -> str:
    """Name what is hidden together with a document, given its id and title.

    >>> family_of(("規程.pdf#p3", "旅費規程"), "file")
    '規程.pdf'
    """
    doc_id, title = name
    if hide == "title" and title:
        return title
    return _PAGE.sub("", doc_id) if hide != "document" else doc_id


def collect(
    split: Split,
    queries: Sequence[Query],
    engine: Engine,
    *,
    view: View,
    hide: Hide,
    within: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> list[Asked]:
    """Ask each answerable question twice.

    Parameters
    ----------
    hide
        What of a question is hidden.
    within
        (N,) rows that exist at all; None for all that the view may see.
    """
    snapshot, _ = engine.candidates(engine.question("。")[0], view=view, depth=1)
    allowed = snapshot.allowed(view)
    if within is not None:
        allowed = without(snapshot, allowed, ~within)
    families = {no: family_of(name, hide) for no, name in snapshot.document_names().items()}
    by_document = {doc_id: families[no] for no, (doc_id, _) in snapshot.document_names().items()}
    rows_of = _grouped(families, snapshot)
    found = []
    for place, query in enumerate(queries):
        golds = {
            by_document[doc_id]
            for unit, grade in split.qrels.get(query.query_id, {}).items()
            if grade and (doc_id := _document(unit, split.unit)) in by_document
        }
        if golds:
            found.append(_ask(query, golds, rows_of, engine, snapshot, allowed))
        if progress:
            progress("回答なしの判断", place + 1, len(queries))
    return found


def _document(unit: str, kind: UnitKind) -> str:
    return _PAGE.sub("", unit) if kind == "page" else unit


def _grouped(families: Mapping[int, str], snapshot: Snapshot) -> dict[str, NDArray[np.int64]]:
    order = np.argsort(snapshot.row_documents, kind="stable")
    numbers = snapshot.row_documents[order]
    parts: dict[str, list[NDArray[np.int64]]] = {}
    for number, family in families.items():
        first, last = np.searchsorted(numbers, [number, number + 1])
        parts.setdefault(family, []).append(order[first:last])
    return {family: np.concatenate(rows) for family, rows in parts.items()}


def _ask(
    query: Query,
    golds: Iterable[str],
    rows_of: Mapping[str, NDArray[np.int64]],
    engine: Engine,
    snapshot: Snapshot,
    allowed: Allowed,
) -> Asked:
    question, _ = engine.question(query.text)
    settings = engine.recipe.retrieval
    gone = np.zeros(snapshot.n_rows, dtype=np.bool_)
    for family in golds:
        gone[rows_of[family]] = True
    signals, best = [], []
    for seen in (allowed, without(snapshot, allowed, gone)):
        candidates = find_candidates(snapshot, question, seen, settings, depth=DEPTH)
        signals.append(read_signals(snapshot, question, seen, candidates, settings))
        best.append(float(candidates.bm25.max(initial=0)))
    return Asked(query.query_id, min(golds), signals[0], signals[1], best[0], best[1])


def measure(
    asked: Sequence[Asked], model: Model, *, keep: float, hide: Hide, own: Background | None = None
) -> AnswerableReport:
    """Judge what was asked with a model, and count.

    Parameters
    ----------
    keep
        Share of the answerable questions that the threshold under test is for.
    own
        What the index says of its own refusals; None where it has not been asked.
    """
    yes = np.array([model.logit(one.visible) for one in asked])
    no = np.array([model.logit(one.hidden) for one in asked])
    bm25_yes = np.array([one.bm25_visible for one in asked])
    bm25_no = np.array([one.bm25_hidden for one in asked])
    threshold = model.threshold(keep)
    n = len(asked)
    draws = np.random.default_rng(20231).integers(0, n, size=(ROUNDS, n)) if n else np.zeros((0, 0))
    by_signal = {}
    for place, name in enumerate(SIGNALS):
        own_yes = np.array([np.nanmax(one.visible[:, place], initial=-1.0) for one in asked])
        own_no = np.array([np.nanmax(one.hidden[:, place], initial=-1.0) for one in asked])
        by_signal[name] = (auroc(own_yes, own_no), refused_at(own_yes, own_no))
    ece, reliability = calibration(yes, no)
    return AnswerableReport(
        n,
        hide,
        _interval(auroc, yes, no, draws),
        _interval(refused_at, yes, no, draws),
        _interval(auroc, bm25_yes, bm25_no, draws),
        _interval(refused_at, bm25_yes, bm25_no, draws),
        _interval(lambda a, _: float((a >= threshold).mean()), yes, no, draws),
        _interval(lambda _, b: float((b < threshold).mean()), yes, no, draws),
        share_below(threshold, own.quantiles) if own else model.refused(threshold),
        ece,
        reliability,
        by_signal,
    )


def auroc(yes: Floats, no: Floats) -> float:
    """Chance that an answerable question (N,) scores above an unanswerable one (M,), ties counted half."""
    if not len(yes) or not len(no):
        return 0.5
    ordered = np.sort(no)
    below = np.searchsorted(ordered, yes, "left") + np.searchsorted(ordered, yes, "right")
    return float(below.mean() / 2 / len(no))


def refused_at(yes: Floats, no: Floats, keep: float = KEPT) -> float:
    """Share of the unanswerable (M,) below the score that at least ``keep`` of the answerable (N,) reach."""
    if not len(yes) or not len(no):
        return 0.0
    threshold = np.sort(yes)[int(np.floor((1 - keep) * len(yes) + 1e-9))]
    return float((no < threshold).mean())


def calibration(yes: Floats, no: Floats) -> tuple[float, tuple[Bin, ...]]:
    """Expected calibration error and reliability table of logits of answerable (N,) and unanswerable (M,) questions."""
    logits = np.concatenate([yes, no])
    chances = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    truth = np.concatenate([np.ones(len(yes)), np.zeros(len(no))])
    place = np.minimum((chances * _BINS).astype(np.int64), _BINS - 1)
    lines = []
    for number in range(_BINS):
        mine = place == number
        if n := int(mine.sum()):
            mean, share = float(chances[mine].mean()), float(truth[mine].mean())
            lines.append(Bin(number / _BINS, (number + 1) / _BINS, n, mean, share))
    wrong = sum(line.n * abs(line.mean_probability - line.share_answerable) for line in lines)
    return (wrong / len(logits) if len(logits) else 0.0), tuple(lines)


def _interval(
    figure: Callable[[Floats, Floats], float], yes: Floats, no: Floats, draws: NDArray[Any]
) -> Interval:
    """A figure of questions drawn with replacement, both sides of a question together."""
    value = figure(yes, no)
    values = [figure(yes[draw], no[draw]) for draw in draws]
    low, high = np.quantile(values, [0.025, 0.975]) if values else (value, value)
    return Interval(value, float(low), float(high))


def report_values(report: AnswerableReport) -> dict[str, Any]:
    """Return the report as plain values for JSON."""
    return asdict(report)


def report_text(report: AnswerableReport) -> str:
    """Return the report as lines for a person."""

    def line(name: str, one: Interval) -> str:
        return f"{name}: {one.value:.4f}（95% 区間 {one.low:.4f}〜{one.high:.4f}）"

    hidden = {"document": "正解の文書", "file": "正解のファイル", "title": "正解と同じ題名の文書"}
    return "\n".join(
        [
            f"回答がないことの判断（{report.n_questions} 問を、そのままと、{hidden[report.hide]}を隠した場合とで）",
            line("  見分ける力 AUROC", report.auroc),
            line("  答えのある質問の 95% を残すとき、答えのない質問を断れた割合", report.refused),
            line("  同、BM25 の最高点だけの AUROC", report.bm25_auroc),
            line("  同、BM25 の最高点だけで断れた割合", report.bm25_refused),
            line("  設定のしきい値で残った割合", report.kept_as_set),
            line("  設定のしきい値で断れた割合", report.refused_as_set),
            f"  同、回答に添えて示す見込み: {report.refused_as_told:.4f}",
            f"  確率の誤差 ECE: {report.ece:.4f}",
            "  確率        質問数  平均の確率  実際に答えのあった割合",
            *(
                f"  {one.low:.1f}〜{one.high:.1f}  {one.n:>6}  {one.mean_probability:>10.3f}  {one.share_answerable:>10.3f}"
                for one in report.reliability
            ),
        ]
    )


def answerability(
    split: Split, engine: Engine, *, view: View, hide: Hide, progress: Progress | None = None
) -> AnswerableReport:
    """Measure an open index with the model that it answers by."""
    asked = collect(split, split.queries, engine, view=view, hide=hide, progress=progress)
    has_tokens = bool(asked) and all(np.isfinite(one.visible).all() for one in asked)
    model = choose_model(engine.encoder.name, tokens=has_tokens)
    scales = open_background(
        engine.path,
        model=model,
        encoder=engine.encoder.fingerprint,
        analyzer=engine.analyzer.fingerprint,
    )
    keep = engine.recipe.answer.keep_answerable
    return measure(asked, model, keep=keep, hide=hide, own=for_view(scales, view))
