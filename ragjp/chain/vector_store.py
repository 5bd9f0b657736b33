"""A LangChain vector store over a ragjp index: texts of any program, with ragjp's commits, checksums and views.

A LangChain document becomes a ragjp document of its id: page 1 is its text, whole, as one chunk; page 2 is its metadata as JSON,
never shown. Metadata stay data: they are read back by ``json.loads`` and nothing in them is ever taken for an object to be
made, whatever they contain. The folder can be opened by ``ragjp.Engine`` too.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from ragjp.chain.embeddings import RagjpEmbeddings
from ragjp.chain.privacy import disable_tracing
from ragjp.errors import AccessDenied, IndexCorrupt, RequestError
from ragjp.index.reader import Snapshot
from ragjp.index.storage.words import stored_words
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest, NewDocument
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.rerank.mmr_cpu import mmr_order
from ragjp.retrieval.ties import cut
from ragjp.types import Chunk, FloatArray, Page, View
from ragjp.types import Document as Source

FORMAT = "langchain"
_TEXT_PAGE, _METADATA_PAGE = 1, 2
Result = TypeVar("Result")

disable_tracing()


class RagjpVectorStore(VectorStore):
    """Texts with vectors in a ragjp index.

    Parameters
    ----------
    path
        Folder of the index; made when absent.
    embedding
        Embeddings over a ragjp encoder. The index remembers which, and refuses another.
    view
        Who reads: what this view may not read is not found, not overwritten and not deleted.
    access
        Principals that may read what is added through this store. Nobody, when empty.

    Raises
    ------
    IndexMismatch
        When the folder's index was built with another encoder.
    """

    def __init__(
        self, path: Path | str, embedding: RagjpEmbeddings, *, view: View, access: Sequence[str]
    ) -> None:
        encoder = embedding.encoder
        self.path = Path(path)
        self.view = view
        self.access = tuple(access)
        self._embedding = embedding
        self._analyzer = Analyzer(words=stored_words(self.path))
        self._manifest = Manifest(
            self._analyzer.fingerprint,
            encoder.fingerprint,
            encoder.name,
            encoder.dim,
            0,
            FIELDS,
            self._analyzer.word_list.canonical,
        )
        with IndexWriter(self.path, self._manifest) as writer:
            if writer.is_analysis_stale():
                self._analyse_again(writer)
        self._swap = threading.Lock()
        self._snapshot = Snapshot(self.path)

    def _analyse_again(self, writer: IndexWriter) -> None:
        """Give every text the terms of the dictionary and folding installed here, as a build does."""

        def analyse(chunks: Sequence[Chunk]) -> dict[str, list[list[str]]]:
            terms = [self._analyzer.passage_terms(one.context, one.text) for one in chunks]
            return {field: [one[field] for one in terms] for field in FIELDS}

        writer.analyse_again(analyse)

    @property
    def embeddings(self) -> Embeddings:
        """The embeddings that the store was made with."""
        return self._embedding

    def close(self) -> None:
        """Let go of the index's files."""
        self._snapshot.close()

    # ----------------------------------------------------------------------------------------- writing

    def add_documents(
        self, documents: list[Document], *, ids: list[str] | None = None, **kwargs: object
    ) -> list[str]:
        """Add documents in one commit; one with the id of an older one takes its place. Return the ids.

        Raises
        ------
        RequestError
            ``ids_mismatch`` when there are not as many ids as documents; ``metadata_not_json``, ``text_empty`` and
            ``text_not_unicode`` when one cannot be stored.
        AccessDenied
            When an id belongs to a document that this store's view may not read.
        """
        chosen = [document.id for document in documents] if ids is None else list(ids)
        if len(chosen) != len(documents):
            raise RequestError(
                f"文書 {len(documents)} 件に対して ids が {len(chosen)} 件です。同じ数にしてください。",
                code="ids_mismatch",
            )
        names = [name or str(uuid.uuid4()) for name in chosen]
        # The last of several with one id stands.
        latest = dict(zip(names, documents, strict=True))
        if latest:
            self._commit(latest)
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: object) -> bool:
        """Delete documents in one commit; ``None`` deletes all that the view may read. Unknown ids are passed over."""
        with IndexWriter(self.path, self._manifest) as writer:
            visible = self._visible(writer)
            doomed = sorted(visible if ids is None else visible & set(ids))
            if doomed:
                nothing = np.empty((0, self._manifest.dim), dtype=np.float32)
                writer.commit(Batch([], [], nothing, None, {}, removed=doomed))
                _tidy(writer)
        return True

    def _commit(self, latest: dict[str, Document]) -> None:
        new = [_new_document(name, document, self.access) for name, document in latest.items()]
        texts = [document.page_content for document in latest.values()]
        vectors = self._embedding.encoder.encode_passages(texts).vectors
        terms = [self._analyzer.passage_terms("", text) for text in texts]
        hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        by_field = {field: [one[field] for one in terms] for field in FIELDS}
        with IndexWriter(self.path, self._manifest) as writer:
            hidden = set(latest) & (set(writer.known_documents()) - self._visible(writer))
            if hidden:
                raise AccessDenied(
                    f"文書「{min(hidden)}」は書き換えられません。別の id にするか、管理者に相談してください。"
                )
            writer.commit(Batch(new, hashes, vectors, None, by_field))
            _tidy(writer)

    def _visible(self, writer: IndexWriter) -> set[str]:
        known = writer.known_documents()
        if self.view.unrestricted:
            return set(known)
        return {name for name, (_, access) in known.items() if access & self.view.principals}

    # ----------------------------------------------------------------------------------------- reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents of these ids that the view may read, in the order given; the others are left out."""
        snapshot = self._current()
        found = []
        for name in dict.fromkeys(ids):
            try:
                found.append(self._document(snapshot, name))
            except AccessDenied:
                continue
        return found

    def similarity_search(self, query: str, k: int = 4, **kwargs: object) -> list[Document]:
        """Return the ``k`` documents nearest to a query, nearest first, ties by the order they were added."""
        return [document for document, _ in self.similarity_search_with_score(query, k)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: object
    ) -> list[tuple[Document, float]]:
        """Return the same documents, each with its cosine (higher is nearer)."""
        return self._nearest(self._query(query), k)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: object
    ) -> list[Document]:
        """Return the ``k`` documents nearest to a vector of length 1.

        Raises
        ------
        RequestError
            ``vector_size`` when it is not as wide as those of the store.
        """
        vector = np.asarray(embedding, dtype=np.float32)
        if vector.shape != (self._manifest.dim,):
            raise RequestError(
                f"ベクトルの大きさ {vector.shape} が索引の {self._manifest.dim} と違います。同じモデルで作ってください。",
                code="vector_size",
            )
        return [document for document, _ in self._nearest(vector, k)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: object
    ) -> list[Document]:
        """Return ``k`` of the ``fetch_k`` nearest documents, chosen so that they do not all say the same."""
        vector = self._query(query)

        def choose(snapshot: Snapshot) -> list[Document]:
            rows, scores = self._search(snapshot, vector, fetch_k)
            vectors = snapshot.vectors(np.array(rows, dtype=np.int64))
            order = mmr_order(scores, vectors, lambda_mult, k)
            return self._documents(snapshot, [rows[place] for place in order])

        return self._read(choose)

    def _select_relevance_score_fn(self) -> Any:  # noqa: ANN401 - LangChain's own annotation is not exported
        return _relevance

    def _query(self, query: str) -> FloatArray:
        vector: FloatArray = self._embedding.encoder.encode_queries([query]).vectors[0]
        return vector

    def _nearest(self, vector: FloatArray, k: int) -> list[tuple[Document, float]]:
        def load(snapshot: Snapshot) -> list[tuple[Document, float]]:
            rows, scores = self._search(snapshot, vector, k)
            documents = self._documents(snapshot, rows)
            return list(zip(documents, map(float, scores), strict=True))

        return self._read(load)

    def _read(self, read: Callable[[Snapshot], Result]) -> Result:
        """Read one generation; the next one when a merge meanwhile forgot what it pointed at."""
        snapshot = self._current()
        try:
            return read(snapshot)
        except (AccessDenied, IndexCorrupt):
            if snapshot.is_current():
                raise
            return read(self._current())

    def _search(
        self, snapshot: Snapshot, vector: FloatArray, k: int
    ) -> tuple[list[int], FloatArray]:
        allowed = snapshot.allowed(self.view)
        if not allowed.n_rows or k < 1:
            return [], np.empty(0, dtype=np.float32)
        rows, scores = cut(*snapshot.dense.search(vector, allowed.rows, k), k, snapshot.chunk_ids)
        return [int(row) for row in rows], scores

    def _documents(self, snapshot: Snapshot, rows: Sequence[int]) -> list[Document]:
        if not rows:
            return []
        return [self._document(snapshot, chunk.doc_id) for chunk in snapshot.chunks(rows)]

    def _document(self, snapshot: Snapshot, name: str) -> Document:
        text = snapshot.page_text(name, _TEXT_PAGE, self.view)
        metadata = json.loads(snapshot.page_text(name, _METADATA_PAGE, self.view))
        return Document(id=name, page_content=text, metadata=metadata)

    def _current(self) -> Snapshot:
        with self._swap:
            if not self._snapshot.is_current():
                # The old one is not closed: another thread may be reading it. It goes when nobody holds it.
                self._snapshot = Snapshot(self.path)
            return self._snapshot

    # ----------------------------------------------------------------------------------------- making

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the constructor's own arguments
    ) -> RagjpVectorStore:
        """Open a store and add texts. ``path``, ``view`` and ``access`` are required, as in the constructor.

        Raises
        ------
        RequestError
            ``not_ragjp_embeddings``: an index needs embeddings with a fingerprint, which :class:`RagjpEmbeddings` have.
        """
        if not isinstance(embedding, RagjpEmbeddings):
            raise RequestError(
                "RagjpVectorStore の embedding には RagjpEmbeddings を渡してください。",
                code="not_ragjp_embeddings",
            )
        store = cls(embedding=embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _relevance(cosine: float) -> float:
    """Bring a cosine to LangChain's scale of relevance, 0 to 1."""
    return min(1.0, max(0.0, cosine))


def _new_document(name: str, document: Document, access: Iterable[str]) -> NewDocument:
    try:
        metadata = json.dumps(document.metadata, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"文書「{name}」の metadata は JSON にできません（{error}）。文字列、数値、リスト、辞書だけにしてください。",
            code="metadata_not_json",
        ) from error
    text = document.page_content
    if not text:
        raise RequestError(
            f"文書「{name}」の本文が空です。本文のある文書だけを渡してください。", code="text_empty"
        )
    try:
        "".join((name, metadata, text)).encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"文書「{name!r}」に壊れた文字があります。文字を直してから渡してください。",
            code="text_not_unicode",
        ) from error
    content = hashlib.sha256(f"{metadata}\x00{text}".encode()).hexdigest()
    return NewDocument(
        Source(name, "", (Page(_TEXT_PAGE, text), Page(_METADATA_PAGE, metadata)), FORMAT),
        content,
        tuple(access),
        (Chunk(name, _TEXT_PAGE, 0, len(text), text),),
    )


def _tidy(writer: IndexWriter) -> None:
    writer.tidy()
