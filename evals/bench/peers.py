"""Whole retrievers side by side: ragjp, LangChain's ensemble and txtai's hybrid, with one encoder, on one machine, in one run.

Peers split Japanese the way a careful user would make them: fugashi's lemmas without particles, auxiliaries and signs. As they come,
LangChain's BM25Retriever splits at blanks and txtai character by character; txtai is measured that way too. Passages are embedded
once, before anything is timed; questions are embedded by everybody each time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench import fugashi_terms
from evals.bench.lines import Line
from evals.bench.material import EVERYONE, Material, prepare, scratch
from evals.bench.results import Options, Result
from evals.bench.timing import interleaved, settle, summaries
from evals.dataset import Query, digest
from evals.measures import NDCG, R5, mean, per_query
from ragjp.index.storage.catalog import CHUNK_COLUMNS, CHUNK_TABLES, chunk_of_row, open_catalog
from ragjp.index.storage.segments import open_segment, read_segments
from ragjp.jobs.embedding import passage_text
from ragjp.types import Encoder, FloatArray

#: Places that are judged, and candidates that each peer's parts may bring to their fusion.
DEPTH = 10
_PARTS = 50

#: A question → ids of passages, best first.
Retrieve = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Passages:
    """A corpus: ids, texts (title first, as ragjp embeds them), and their vectors (n, D) float32."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    vectors: FloatArray


def run(options: Options) -> Result:
    """Measure on JSQuAD's passages; on JaQuAD's too unless it is to be quick."""
    sets = [("jsquad", "valid", 40 if options.quick else 500, 1 if options.quick else 2)]
    if not options.quick:
        sets.append(("jaquad", "dev", 300, 1))
    result = Result("peers")
    for name, split, n_questions, rounds in sets:
        material = prepare(name, split, n_questions)
        measured = _side_by_side(material, rounds)
        result.measured[name] = measured
        result.sizes[name] = {
            "passages": material.n_documents,
            "questions": len(material.questions),
        }
        result.lines += _lines(name, measured)
    result.notes = [
        f"nDCG@10 and R@5 by passage; every peer's parts bring {_PARTS} candidates; weights 0.5 and 0.5 (their defaults)",
        "p50 of one question, the embedding of the question included; interleaved",
        "langchain: EnsembleRetriever of BM25Retriever (fugashi lemmas) and FAISS (flat, inner product)",
        "txtai: hybrid of its BM25 (fugashi lemmas / its own splitting) and its FAISS, external vectors",
    ]
    return result


def _side_by_side(material: Material, rounds: int) -> dict[str, Any]:
    from ragjp.engine import Engine

    with Engine.open(material.index, recipe=material.recipe) as engine:
        passages = _passages(material, engine.encoder)
        built: dict[str, float] = {}
        retrievers: dict[str, Retrieve] = {"ragjp": lambda question: _ours(engine, question)}
        for name, make in _peers(passages, engine.encoder).items():
            started = time.perf_counter()
            retrievers[name] = make()
            built[name] = time.perf_counter() - started
        texts = [query.text for query in material.questions]
        for text in texts[:20]:
            for retrieve in retrievers.values():
                retrieve(text)
        settle()
        orders: dict[str, dict[str, Sequence[str]]] = {name: {} for name in retrievers}

        def asked(name: str, query: Query) -> None:
            orders[name][query.query_id] = retrievers[name](query.text)

        times = summaries(
            interleaved(
                {name: partial(asked, name) for name in retrievers},
                material.questions,
                rounds=rounds,
            )
        )
    qrels = {query.query_id: material.split.qrels[query.query_id] for query in material.questions}
    measures: dict[str, dict[str, float]] = {}
    for name, order in orders.items():
        values = per_query(qrels, {query_id: found[:DEPTH] for query_id, found in order.items()})
        measures[name] = {measure: mean(values[measure]) for measure in (NDCG, R5)}
    return {"measures": measures, "times_ms": times, "peers_built_s": built}


def _ours(engine: Any, question: str) -> Sequence[str]:  # noqa: ANN401
    # A passage of two chunks can hold two places: twice as many chunks are asked for.
    hits = engine.search(question, view=EVERYONE, k=2 * DEPTH).hits
    return list(dict.fromkeys(hit.doc_id for hit in hits))


def _peers(passages: Passages, encoder: Encoder) -> dict[str, Callable[[], Retrieve]]:
    return {
        "LangChain": lambda: langchain_ensemble(passages, encoder),
        "txtai": lambda: txtai_hybrid(passages, encoder, "evals.bench.fugashi_terms.FugashiBM25"),
        "txtai as it comes": lambda: txtai_hybrid(passages, encoder, "bm25"),
    }


def langchain_ensemble(passages: Passages, encoder: Encoder) -> Retrieve:
    """EnsembleRetriever of BM25Retriever and a FAISS vector store."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.faiss import DistanceStrategy
    from langchain_core.embeddings import Embeddings

    class QuestionEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [list(map(float, row)) for row in encoder.encode_passages(texts).vectors]

        def embed_query(self, text: str) -> list[float]:
            return [float(value) for value in encoder.encode_queries([text]).vectors[0]]

    metadatas = [{"id": each} for each in passages.ids]
    sparse = BM25Retriever.from_texts(
        list(passages.texts), metadatas=metadatas, preprocess_func=fugashi_terms.terms, k=_PARTS
    )
    store = FAISS.from_embeddings(
        list(zip(passages.texts, passages.vectors.tolist(), strict=True)),
        QuestionEmbeddings(),
        metadatas=metadatas,
        distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
    )
    ensemble = EnsembleRetriever(
        retrievers=[sparse, store.as_retriever(search_kwargs={"k": _PARTS})],
        weights=[0.5, 0.5],
        id_key="id",
    )
    return lambda question: [found.metadata["id"] for found in ensemble.invoke(question)]


def txtai_hybrid(passages: Passages, encoder: Encoder, scoring: str) -> Retrieve:
    """Txtai's hybrid index over vectors that are given to it."""
    from txtai import Embeddings

    known = dict(zip(passages.texts, passages.vectors, strict=True))

    def transform(texts: Sequence[str]) -> FloatArray:
        if all(text in known for text in texts):
            return np.array([known[text] for text in texts], dtype=np.float32)
        return encoder.encode_queries(list(texts)).vectors

    index = Embeddings(
        {
            "method": "external",
            "transform": transform,
            "scoring": {"method": scoring, "terms": True, "normalize": True},
            "content": False,
        }
    )
    index.index(list(zip(passages.ids, passages.texts, strict=True)))
    # txtai asks each part for ten times as many as are wanted.
    return lambda question: [str(found[0]) for found in index.search(question, DEPTH)]


def _passages(material: Material, encoder: Encoder) -> Passages:
    """Read a corpus and embed it, or take the vectors kept from the last time."""
    assert material.dataset.corpus is not None
    lines = material.dataset.corpus.read_text(encoding="utf-8").splitlines()
    values = [json.loads(line) for line in lines if line.strip()]
    texts = tuple("\n".join(filter(None, [v.get("title", ""), v["text"]])) for v in values)
    name = f"passages-{digest(material.dataset.corpus)[:12]}-{encoder.fingerprint[:12]}.npy"
    path = scratch() / name
    if path.exists():
        vectors = np.load(path, allow_pickle=False)
    else:
        vectors = _embedded(texts, material.index, encoder)
        np.save(path, vectors, allow_pickle=False)
    return Passages(tuple(str(value["_id"]) for value in values), texts, vectors)


def _embedded(texts: Sequence[str], index: Path, encoder: Encoder) -> FloatArray:
    """Vectors of the passages, (n, D): from the index where a passage is one chunk of it, else embedded now."""
    known: dict[str, FloatArray] = {}
    connection = open_catalog(index)
    try:
        for segment in read_segments(connection):
            stored = open_segment(index, segment.name, segment.sizes)["vectors"]
            for number, *row in connection.execute(
                f"SELECT chunk.row, {CHUNK_COLUMNS} FROM {CHUNK_TABLES} WHERE segment_no = ?",
                (segment.number,),
            ):
                known[passage_text(chunk_of_row(row))] = stored[number].astype(np.float32)
    finally:
        connection.close()
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    for start in range(0, len(missing), 64):
        some = missing[start : start + 64]
        known.update(zip(some, encoder.encode_passages(some).vectors, strict=True))
    return np.stack([known[text] for text in texts])


def _lines(name: str, measured: Mapping[str, Any]) -> list[Line]:
    times, measures = measured["times_ms"], measured["measures"]
    lines = []
    for peer in times:
        if peer == "ragjp":
            continue
        lines.append(
            Line(f"{name} nDCG@10", "", measures["ragjp"][NDCG], measures[peer][NDCG], peer, "more")
        )
        lines.append(
            Line(f"{name} R@5", "", measures["ragjp"][R5], measures[peer][R5], peer, "more")
        )
        lines.append(
            Line(f"{name} 1 問 p50", "ms", times["ragjp"]["p50"], times[peer]["p50"], peer)
        )
    return lines
