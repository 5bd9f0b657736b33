"""What is trained on: the chunks of JaQuAD's ``train`` articles, their questions, and what BM25 confuses.

Only articles with training questions are read: no passage and no question of a measured split comes near the training. Some
articles are held out whole, to see while training whether it helps, and for the constants that are fitted afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evals.dataset import DatasetError, open_dataset, read_corpus
from evals.fitting.held_out import held_out_documents
from evals.fitting.study_corpus import KINDS, degrade
from evals.indexes import build_corpus, default_recipe
from evals.robustness.perturb import KINDS as WAYS
from evals.robustness.perturb import perturb
from ragjp.config import Chunking, Retrieval
from ragjp.encoders import bundled
from ragjp.encoders.presets import E5_SMALL
from ragjp.index.reader import Snapshot
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.terms import Analyzer
from ragjp.types import Chunk, Document, FloatArray, IntArray, Page

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: How many confused passages are kept for a question.
N_CONFUSED = 30
#: BM25 as the product has it by default.
_BM25 = Retrieval()
_FIELDS = (("lemma", _BM25.lemma_weight), ("bigram", _BM25.bigram_weight))


@dataclass(frozen=True, slots=True)
class Texts:
    """N texts as the encoder reads them, packed.

    ids : (T,) int32 subword ids, prefix and special tokens included. offsets : (N + 1,) int64. kept : (T,) bool, the tokens that
    are compared (neither prefix nor special).
    """

    ids: NDArray[np.int32]
    offsets: IntArray
    kept: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Material:
    """C chunks and Q questions, each of them twice: as it is (row i), and roughened (row C + i, Q + i).

    A roughened chunk looks like the text of a company's page (:func:`evals.fitting.study_corpus.degrade`), a roughened question is asked
    another way (:mod:`evals.robustness.perturb`): training on both keeps the model from learning only what encyclopedias look like.

    names : the chunks' ids. article, passage : (C,) int64, which article and which passage a chunk is of. gold : (Q,) int64, the chunk with the answer.
    held_out : (Q,) bool, questions about held-out articles. confused : (Q, 30) int64, the chunks that BM25 likes best, the
    gold passage's own left out. chunk_terms : (C, V) BM25's weights; question_terms : (Q, V) counts; their product is BM25.
    """

    chunks: Texts
    questions: Texts
    names: tuple[str, ...]
    article: IntArray
    passage: IntArray
    gold: IntArray
    held_out: NDArray[np.bool_]
    confused: IntArray
    chunk_terms: sparse.csr_array
    question_terms: sparse.csr_array


def prepare(dataset: Path, *, seed: int) -> Material:
    """Read, cut, split into subwords and mine."""
    opened = open_dataset(dataset)
    split = opened.read("train")
    gold_of = {
        query.query_id: (query.text, query.answers, sorted(split.qrels[query.query_id]))
        for query in split.queries
        if query.answerable
    }
    wanted = {doc for _, _, gold in gold_of.values() for doc in gold}
    documents = [row for row in read_corpus(dataset / "corpus.jsonl") if row.doc_id in wanted]
    chunks: list[Chunk] = []
    article, passage = [], []
    titles: dict[str, int] = {}
    first: dict[str, range] = {}
    for number, row in enumerate(documents):
        cut = chunk_document(
            Document(row.doc_id, row.title, (Page(1, row.text),), "jsonl"), Chunking()
        )
        first[row.doc_id] = range(len(chunks), len(chunks) + len(cut))
        chunks += cut
        article += [titles.setdefault(row.title, len(titles))] * len(cut)
        passage += [number] * len(cut)
    texts, gold = [], []
    for text, answers, relevant in gold_of.values():
        places = first[relevant[0]]
        holding = [at for at in places if any(answer in chunks[at].text for answer in answers)]
        if holding:
            texts.append(text)
            gold.append(holding[0])
    held = held_out_documents(dataset / "corpus.jsonl", split, seed=seed)
    gold_rows = np.array(gold)
    article_rows, passage_rows = np.array(article), np.array(passage)
    plain = [chunk.indexed_text for chunk in chunks]
    chunk_terms, question_terms = _terms(plain, texts)
    tokenizer = _tokenizer()
    return Material(
        _split(tokenizer, E5_SMALL.passage_prefix, [*plain, *_roughened(chunks, seed)]),
        _split(tokenizer, E5_SMALL.query_prefix, [*texts, *_asked_another_way(texts, seed)]),
        tuple(chunk.chunk_id for chunk in chunks),
        article_rows,
        passage_rows,
        gold_rows,
        np.array([documents[passage[row]].doc_id in held for row in gold]),
        _confused(question_terms, chunk_terms, gold_rows, passage_rows),
        chunk_terms,
        question_terms,
    )


def untouched_vectors(dataset: Path, names: Sequence[str]) -> FloatArray:
    """(C, H) pooled vectors of the untouched model, from the evaluation's own index (built when it is not there)."""
    opened = open_dataset(dataset)
    corpus = opened.corpus
    if corpus is None:
        raise DatasetError(f"データセット {dataset} には corpus.jsonl がありません。")
    recipe = default_recipe(opened)
    recipe = recipe.model_copy(
        update={"encoder": recipe.encoder.model_copy(update={"model": bundled.NAME})}
    )
    with closing(Snapshot(build_corpus(opened, corpus, recipe))) as snapshot:
        rows = np.arange(snapshot.n_rows)
        place = {name: row for row, name in enumerate(snapshot.chunk_ids(rows.tolist()))}
        return snapshot.vectors(np.array([place[name] for name in names])).astype(np.float32)


def _roughened(chunks: Sequence[Chunk], seed: int) -> Iterator[str]:
    rng = np.random.default_rng([seed, 1])
    kinds, shares = list(KINDS), list(KINDS.values())
    for chunk in chunks:
        width = int(rng.integers(18, 45))
        rough = degrade(chunk.text, str(rng.choice(kinds, p=shares)), width, rng)
        yield replace(chunk, text=rough).indexed_text


def _asked_another_way(texts: Sequence[str], seed: int) -> Iterator[str]:
    rng = np.random.default_rng([seed, 2])
    for number, text in enumerate(texts):
        yield perturb(text, WAYS[rng.integers(len(WAYS))], seed=seed + number)


def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundled.onnx_folder("int8") / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    tokenizer.enable_truncation(E5_SMALL.max_tokens or 512)
    return tokenizer


def _split(tokenizer: Tokenizer, prefix: str, texts: Sequence[str]) -> Texts:
    ids, kept, lengths = [], [], [0]
    for encoding in tokenizer.encode_batch([prefix + text for text in texts]):
        special = np.array(encoding.special_tokens_mask, bool)
        starts = np.array([start for start, _ in encoding.offsets])
        ids.append(np.array(encoding.ids, np.int32))
        kept.append(~special & (starts >= len(prefix.rstrip())))
        lengths.append(len(special))
    return Texts(np.concatenate(ids), np.cumsum(lengths), np.concatenate(kept))


def _terms(
    passages: Sequence[str], questions: Sequence[str]
) -> tuple[sparse.csr_array, sparse.csr_array]:
    analyzer = Analyzer()
    of_passages = analyzer.terms_many(passages)
    of_questions = analyzer.terms_many(questions)
    left, right = [], []
    for field, weight in _FIELDS:
        numbers: dict[str, int] = {}
        counts = _counts(of_passages[field], numbers, grow=True)
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norms = _BM25.k1 * (1 - _BM25.b + _BM25.b * lengths / lengths.mean())
        frequency = np.bincount(counts.indices, minlength=len(numbers))
        idf = np.log1p((len(passages) - frequency + 0.5) / (frequency + 0.5))
        rows = np.repeat(np.arange(len(passages)), np.diff(counts.indptr))
        counts.data = weight * idf[counts.indices] * counts.data / (counts.data + norms[rows])
        left.append(counts)
        right.append(_counts(of_questions[field], numbers, grow=False))
    return sparse.csr_array(sparse.hstack(left)), sparse.csr_array(sparse.hstack(right))


def _counts(rows: Iterable[list[str]], numbers: dict[str, int], *, grow: bool) -> sparse.csr_array:
    ids, ends = [], [0]
    for terms in rows:
        if grow:
            ids += [numbers.setdefault(term, len(numbers)) for term in terms]
        else:
            ids += [numbers[term] for term in terms if term in numbers]
        ends.append(len(ids))
    ones = np.ones(len(ids), np.float32)
    shape = (len(ends) - 1, len(numbers))
    counts = sparse.csr_array((ones, np.array(ids, np.int32), np.array(ends, np.int32)), shape)
    counts.sum_duplicates()
    return counts


def _confused(
    questions: sparse.csr_array,
    chunks: sparse.csr_array,
    gold: IntArray,
    passage: IntArray,
) -> IntArray:
    found = np.empty((len(gold), N_CONFUSED), np.int64)
    by_term = chunks.T.tocsr()
    for begin in range(0, len(gold), 512):
        scores = (questions[begin : begin + 512] @ by_term).toarray()
        own = passage[None] == passage[gold[begin : begin + 512], None]
        scores[own] = -1
        found[begin : begin + 512] = np.argsort(-scores, axis=1)[:, :N_CONFUSED]
    return found
