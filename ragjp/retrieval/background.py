"""What one index does with questions that it does not answer, learnt without anybody's labels.

From passages of the index questions are drafted (the beginning of a sentence, in three lengths) and asked of the index with the
passage's file hidden: nothing answers them, whatever they find. The share of them below the threshold is the error rate that is shown
with an answer. Their logits do not move the threshold itself: tried on the demo set, reading logits against their median and spread
refused half of what is answered there.

The quantiles are kept in ``<index>/derived/confidence.json`` and never needed: without them the rates of the fitting data are shown.
They are made again when they are absent, damaged or of another model or encoder, and when the passages that they were drawn from have
changed in number by more than :data:`STALE`. There are some for the operator, who may see everything, and some of what everyone may
see, which serve all who hold ``everyone``: each are made as its view sees the index, from rows that whoever they serve may read.
Others have none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final

import numpy as np

from ragjp.config import Retrieval
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.index.reader import Allowed, Snapshot
from ragjp.index.storage.disk import write_json_file
from ragjp.japanese.sentences import split_sentences
from ragjp.japanese.terms import Analyzer
from ragjp.retrieval.candidates import Question, find_candidates
from ragjp.retrieval.confidence import (
    DEPTH,
    Model,
    choose_model,
    read_signals,
)
from ragjp.types import BoolArray, Encoder, View

NAME: Final = "confidence.json"
#: Questions drafted, at most; one for every :data:`_PASSAGES_EACH` passages.
MOST_QUESTIONS: Final = 96
_PASSAGES_EACH: Final = 4
#: Fewer say too little about a share.
LEAST_QUESTIONS: Final = 24
#: Share by which the number of visible passages may change before they are made again.
STALE: Final = 0.2

#: An index of fewer passages gets none.
LEAST_ROWS: Final = LEAST_QUESTIONS * _PASSAGES_EACH

_FORMAT = 1
_MOST_BYTES = 65_536
_STEPS = np.linspace(0, 1, 21)
_LENGTHS = (16, 28, 44)
_PAGE = re.compile(r"#p\d+$")
_WORD = re.compile(r"\w")
OPERATOR, EVERYONE = "operator", "everyone"


@dataclass(frozen=True, slots=True)
class Background:
    """Quantiles of the logits of drafted questions, in steps of 0.05; how many questions, drafted from how many visible passages."""

    quantiles: tuple[float, ...]
    n_questions: int
    n_passages: int


def without(snapshot: Snapshot, allowed: Allowed, gone: BoolArray) -> Allowed:
    """Return a view that does not see some rows (N,) bool either: counted without them, as if the index had never had them."""
    rows = allowed.rows & ~gone
    return Allowed(rows, int(np.count_nonzero(rows)), snapshot.lexical.view(rows))


def draft_question(text: str, number: int) -> str:
    """Draft a question from a passage: the beginning of its longest sentence, 16, 28 or 44 characters by turns.

    >>> draft_question("第５条　短い。国内出張の日当は、1日につき2,500円とする。", 0)
    '国内出張の日当は、1日につき2,'
    """
    sentences = [text[start:end].strip() for start, end in split_sentences(text)]
    longest = max(sentences, key=len, default="")
    return " ".join(longest[: _LENGTHS[number % len(_LENGTHS)]].split())


def measure_background(
    snapshot: Snapshot,
    view: View,
    *,
    analyzer: Analyzer,
    encoder: Encoder,
    settings: Retrieval,
    model: Model,
) -> Background | None:
    """Draft questions from what a view sees, ask them with their source hidden, and keep their logits.

    Which passages are drawn is decided by the ids of the visible documents and chunks: the same visible documents give the same,
    whatever else the index holds.

    Returns
    -------
    Background or None
        None when the view sees too little.
    """
    allowed = snapshot.allowed(view)
    wanted = min(MOST_QUESTIONS, allowed.n_rows // _PASSAGES_EACH)
    if wanted < LEAST_QUESTIONS:
        return None
    names = snapshot.document_names()
    logits = []
    for number, row in enumerate(islice(_drawn(snapshot, allowed, names), wanted)):
        (chunk,) = snapshot.chunks([row])
        text = draft_question(chunk.text, number)
        if not _WORD.search(text):
            continue
        encoded = encoder.encode_queries([text], tokens=model.kind == "tokens")
        question = Question(text, analyzer.terms(text), encoded.vectors[0], encoded.tokens)
        relatives = _relatives(names, int(snapshot.row_documents[row]))
        seen = without(snapshot, allowed, np.isin(snapshot.row_documents, relatives))
        found = find_candidates(snapshot, question, seen, settings, depth=DEPTH)
        signals = read_signals(snapshot, question, seen, found, settings)
        if len(signals):
            logits.append(model.logit(signals))
    if len(logits) < LEAST_QUESTIONS:
        return None
    quantiles = np.quantile(logits, _STEPS).round(6).tolist()
    return Background(tuple(quantiles), len(logits), allowed.n_rows)


def _drawn(
    snapshot: Snapshot, allowed: Allowed, names: Mapping[int, tuple[str, str]]
) -> Iterator[int]:
    """Visible rows in an order that looks random and depends on ids alone: a chunk of each document, then a second of each."""
    rows = np.flatnonzero(allowed.rows)
    documents = snapshot.row_documents[rows]
    order = np.argsort(documents, kind="stable")
    rows, documents = rows[order], documents[order]
    numbers = sorted(set(documents.tolist()), key=lambda number: _shuffled(names[number][0]))
    per_document = []
    for number in numbers[:MOST_QUESTIONS]:
        first, last = np.searchsorted(documents, [number, number + 1])
        mine = rows[first:last].tolist()
        ids = dict(zip(mine, snapshot.chunk_ids(mine), strict=True))
        per_document.append(sorted(mine, key=lambda row, ids=ids: _shuffled(ids[row])))  # type: ignore[misc]
    rounds = chain.from_iterable(zip_longest(*per_document))
    return (row for row in rounds if row is not None)


def _shuffled(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _relatives(names: Mapping[int, tuple[str, str]], number: int) -> list[int]:
    """The document itself, the other pages of its file where pages are documents (FILE#pN), and those with its title."""
    doc_id, title = names[number]
    file = _PAGE.sub("", doc_id)
    return [
        other
        for other, (its_id, its_title) in names.items()
        if _PAGE.sub("", its_id) == file or (title and its_title == title)
    ]


# ------------------------------------------------------------------------------------------------- the file


def ensure_background(
    snapshot: Snapshot, *, analyzer: Analyzer, encoder: Encoder, settings: Retrieval
) -> dict[str, Background]:
    """Make what is missing or stale and keep it. Only who holds the writer's lock may call this.

    A disk that refuses costs the rates, not the build: nothing is raised for it.
    """
    model = choose_model(encoder.name, tokens=snapshot.tokens is not None)
    source = _source(model, encoder.fingerprint, analyzer.fingerprint)
    known = _read(snapshot.path, source)
    views = {OPERATOR: View.unrestricted_by_operator(), EVERYONE: View.of("everyone")}
    rows = {name: snapshot.allowed(view) for name, view in views.items()}
    made: dict[str, Background] = {}
    for name, view in views.items():
        kept = known.get(name)
        if kept and abs(rows[name].n_rows - kept.n_passages) <= STALE * kept.n_passages:
            made[name] = kept
            continue
        same = name == EVERYONE and np.array_equal(rows[OPERATOR].rows, rows[EVERYONE].rows)
        found = (
            made.get(OPERATOR)
            if same and OPERATOR in made and made[OPERATOR] is not known.get(OPERATOR)
            else measure_background(
                snapshot, view, analyzer=analyzer, encoder=encoder, settings=settings, model=model
            )
        )
        if found:
            made[name] = found
    if made != known:
        with suppress(OSError):
            _write(snapshot.path, source, made)
    return made


def open_background(
    path: Path, *, model: Model, encoder: str, analyzer: str
) -> dict[str, Background]:
    """Read what :func:`ensure_background` kept; nothing where they are absent, damaged or of another model. Raises nothing.

    Parameters
    ----------
    encoder, analyzer
        Fingerprints of those that the index is searched with.
    """
    return _read(path, _source(model, encoder, analyzer))


def for_view(found: Mapping[str, Background], view: View) -> Background | None:
    """What a view may use: made of rows that it may read, as the view of it would see them."""
    if view.unrestricted:
        return found.get(OPERATOR)
    return found.get(EVERYONE) if EVERYONE in view.principals else None


def _source(model: Model, encoder: str, analyzer: str) -> str:
    """A digest of what the logits hang on."""
    made_of = json.dumps([_FORMAT, asdict(model), encoder, analyzer])
    return hashlib.sha256(made_of.encode()).hexdigest()


def _read(index: Path, source: str) -> dict[str, Background]:
    try:
        with (index / DERIVED_NAME / NAME).open("rb") as file:
            values = json.loads(file.read(_MOST_BYTES))
        if values["sha256"] != _checksum(values["source"], values["views"]):
            return {}
        if values["source"] != source:
            return {}
        return {
            name: Background(
                tuple(map(float, one["quantiles"])), one["n_questions"], one["n_passages"]
            )
            for name, one in values["views"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _write(index: Path, source: str, made: Mapping[str, Background]) -> None:
    views = {
        name: {
            "quantiles": list(one.quantiles),
            "n_questions": one.n_questions,
            "n_passages": one.n_passages,
        }
        for name, one in made.items()
    }
    (index / DERIVED_NAME).mkdir(exist_ok=True)
    write_json_file(
        index / DERIVED_NAME / NAME,
        {"source": source, "views": views, "sha256": _checksum(source, views)},
    )


def _checksum(source: object, views: object) -> str:
    return hashlib.sha256(json.dumps([source, views], sort_keys=True).encode()).hexdigest()
