"""Other BM25s over the very same terms: bm25s, rank-bm25 and tantivy, all with k1 = 1.2 and b = 0.75.

Term lists of a million passages as Python strings would not fit into memory, so indexes are made from the postings directly, as arrays
and dictionaries. At the small size bm25s builds its index itself too, and the two are compared (:func:`differs_from_its_own`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.lexical.postings import Postings

K1, B = 1.2, 0.75
#: Terms of a question and k → rows and scores, best first.
Search = Callable[[Sequence[str], int], tuple[Sequence[int], Sequence[float]]]


def vocabulary(postings: Postings) -> dict[str, int]:
    """Term → number, in the order of the postings."""
    return {postings.spelling(number): number for number in range(len(postings.hashes))}


def bm25s_index(postings: Postings, numbers: dict[str, int]) -> Any:  # noqa: ANN401
    """Give bm25s (Lucene's formula, numba) its matrix of scores: terms by rows, (idf · tf / (tf + norm)) as float32."""
    import bm25s

    index = bm25s.BM25(method="lucene", k1=K1, b=B, backend="numba")
    index.scores = {
        "data": _gains(postings),
        "indices": np.asarray(postings.rows, dtype=np.int32),
        "indptr": np.asarray(postings.offsets, dtype=np.int64),
        "num_docs": len(postings.lengths),
    }
    index.nonoccurrence_array = None
    index.vocab_dict = {**numbers, "": len(numbers)}
    index.unique_token_ids_set = set(index.vocab_dict.values())
    return index


def _gains(postings: Postings) -> NDArray[np.float32]:
    lengths = np.asarray(postings.lengths, dtype=np.float64)
    norms = K1 * (1 - B + B * lengths / lengths.mean())
    frequencies = np.diff(postings.offsets).astype(np.float64)
    idf = np.log1p((len(lengths) - frequencies + 0.5) / (frequencies + 0.5))
    gains = np.empty(len(postings.rows), dtype=np.float32)
    step = 1 << 22
    terms = np.repeat(np.arange(len(frequencies), dtype=np.int32), np.diff(postings.offsets))
    for start in range(0, len(gains), step):
        span = slice(start, start + step)
        tf = postings.counts[span].astype(np.float64)
        gains[span] = idf[terms[span]] * (tf / (tf + norms[postings.rows[span]]))
    return gains


def bm25s_search(index: Any) -> Search:  # noqa: ANN401
    """Ask bm25s one question at a time, on one thread."""

    def search(terms: Sequence[str], k: int) -> tuple[Sequence[int], Sequence[float]]:
        rows, scores = index.retrieve([list(terms)], k=k, show_progress=False, n_threads=0)
        return rows[0], scores[0]

    return search


def differs_from_its_own(index: Any, rows_terms: Sequence[Sequence[str]]) -> float:  # noqa: ANN401
    """Largest difference of a score from those of an index that bm25s builds itself, over all postings; 0.0 when none."""
    import bm25s

    own = bm25s.BM25(method="lucene", k1=K1, b=B, backend="numba")
    own.index(list(rows_terms), show_progress=False)
    worst = 0.0
    for term, number in own.vocab_dict.items():
        if not term:
            continue
        other = index.vocab_dict[term]
        spans = [
            slice(*(int(each.scores["indptr"][at]) for at in (place, place + 1)))
            for each, place in ((own, number), (index, other))
        ]
        theirs, ours = (
            dict(zip(each.scores["indices"][span].tolist(), each.scores["data"][span].tolist(), strict=True))
            for each, span in zip((own, index), spans, strict=True)
        )  # fmt: skip
        if theirs.keys() != ours.keys():
            return float("inf")
        worst = max(worst, max(abs(theirs[row] - ours[row]) for row in theirs))
    return worst


def forward(postings: Postings) -> tuple[NDArray[np.int32], NDArray[np.uint16], NDArray[np.int64]]:
    """Turn postings round: terms (P,) and counts (P,) row by row, and where each row begins (n + 1,)."""
    order = np.argsort(postings.rows, kind="stable")
    terms = np.repeat(np.arange(len(postings.hashes), dtype=np.int32), np.diff(postings.offsets))
    sizes = np.bincount(postings.rows, minlength=len(postings.lengths))
    return terms[order], postings.counts[order], np.concatenate([[0], np.cumsum(sizes)])


def term_lists(postings: Postings, numbers: dict[str, int]) -> list[list[str]]:
    """The terms of each row, repeats included (their order is lost)."""
    names = list(numbers)
    terms, counts, starts = forward(postings)
    repeated = np.repeat(terms, counts).tolist()
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[starts].tolist()
    return [[names[number] for number in repeated[a:b]] for a, b in pairwise(ends)]


def rank_bm25_search(postings: Postings, numbers: dict[str, int]) -> Search:
    """BM25Okapi over the same counts; what its constructor makes of token lists is put in place directly."""
    from rank_bm25 import BM25Okapi

    names = list(numbers)
    terms, counts, starts = forward(postings)
    index = BM25Okapi.__new__(BM25Okapi)
    index.k1, index.b, index.epsilon = K1, B, 0.25
    index.corpus_size = len(postings.lengths)
    index.doc_len = np.asarray(postings.lengths).tolist()
    index.avgdl = float(np.mean(postings.lengths))
    index.idf = {}
    index.doc_freqs = [
        dict(zip(map(names.__getitem__, terms[a:b].tolist()), counts[a:b].tolist(), strict=True))
        for a, b in pairwise(starts.tolist())
    ]
    index._calc_idf(dict(zip(names, np.diff(postings.offsets).tolist(), strict=True)))

    def search(terms: Sequence[str], k: int) -> tuple[Sequence[int], Sequence[float]]:
        scores = index.get_scores(list(terms))
        # As its get_top_n does it.
        best = np.argsort(scores)[::-1][:k]
        return best.tolist(), scores[best].tolist()

    return search


def tantivy_search(rows_terms: Sequence[Sequence[str]], numbers: dict[str, int]) -> Search:
    """Tantivy over the same terms, spelt as their numbers; one segment, no positions, no counting of all matches."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer(num_threads=1)
    for terms in rows_terms:
        body = " ".join(f"t{numbers[term]}" for term in terms)
        writer.add_document(tantivy.Document(body=body))
    writer.commit()
    index.reload()
    searcher = index.searcher()
    if searcher.num_segments != 1:
        raise RuntimeError(f"tantivy made {searcher.num_segments} segments, not one")
    should, term_query = tantivy.Occur.Should, tantivy.Query.term_query

    def search(terms: Sequence[str], k: int) -> tuple[Sequence[int], Sequence[float]]:
        known = [numbers[term] for term in terms if term in numbers]
        query = tantivy.Query.boolean_query(
            [(should, term_query(schema, "body", f"t{number}")) for number in known]
        )
        hits = searcher.search(query, k, count=False).hits
        return [address.doc for _, address in hits], [score for score, _ in hits]

    return search
