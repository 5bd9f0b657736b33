"""LangChain's own contract for vector stores, over a real index; and what ragjp adds to it: views, and data that stays data."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from ragjp.chain import vector_store
from ragjp.chain.embeddings import RagjpEmbeddings
from ragjp.chain.vector_store import RagjpVectorStore
from ragjp.encoders.hashing import HashingEncoder
from ragjp.errors import AccessDenied, RequestError
from ragjp.index.reader import Snapshot
from ragjp.index.upkeep.check import check
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.japanese.words import WordList
from ragjp.types import Chunk, View

STAFF = View.of("staff")


def open_store(
    path: Path, view: View = STAFF, access: tuple[str, ...] = ("staff",)
) -> RagjpVectorStore:
    return RagjpVectorStore(path, RagjpEmbeddings(HashingEncoder()), view=view, access=access)


class TestRagjpVectorStore(VectorStoreIntegrationTests):
    """Fails when adding, overwriting, deleting or finding by id breaks what any LangChain program expects."""

    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[RagjpVectorStore]:  # type: ignore[override]
        store = open_store(tmp_path / "store")
        yield store
        store.close()


def test_another_view_finds_overwrites_and_deletes_nothing(tmp_path: Path) -> None:
    """Guards against a store that filters results but lets a stranger replace or delete what they cannot see."""
    staff = open_store(tmp_path)
    staff.add_texts(["日当は2,500円"], ids=["a"])
    guest = open_store(tmp_path, View.of("guest"), ("guest",))
    assert guest.similarity_search("日当") == []
    assert guest.get_by_ids(["a"]) == []
    with pytest.raises(AccessDenied):
        guest.add_texts(["日当は0円"], ids=["a"])
    guest.delete(["a"])
    guest.delete()
    assert [document.page_content for document in staff.get_by_ids(["a"])] == ["日当は2,500円"]
    staff.close()
    guest.close()


def test_serialised_objects_in_metadata_stay_data(tmp_path: Path) -> None:
    """Guards against the kind of CVE-2025-68664: metadata shaped like a serialised object becoming an object."""
    bait: dict[str, Any] = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain_core", "documents", "base", "Document"],
        "kwargs": {"page_content": "made"},
    }
    secret = {"lc": 1, "type": "secret", "id": ["PATH"]}
    store = open_store(tmp_path)
    store.add_documents([Document(page_content="本文", metadata={"bait": bait, "secret": secret})])
    (found,) = store.similarity_search("本文", k=1)
    assert found.metadata == {"bait": bait, "secret": secret}
    store.close()


def test_the_store_survives_reopening_and_passes_the_index_check(tmp_path: Path) -> None:
    """Guards against data that lives in the object and not in the index, and against merges losing or reviving documents."""
    store = open_store(tmp_path)
    for number in range(12):
        store.add_texts([f"第{number}条の本文"], [{"n": number}], ids=[str(number)])
    store.delete(["3"])
    store.close()
    again = open_store(tmp_path)
    found = again.similarity_search("第5条の本文", k=12)
    assert found[0].metadata == {"n": 5}
    assert {document.id for document in found} == {str(n) for n in range(12)} - {"3"}
    again.close()
    assert check(tmp_path).problems == ()


def test_a_merge_during_a_search_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer's merge between the search and the loading of what it found ended in "the index is damaged"."""
    store, other = open_store(tmp_path), open_store(tmp_path)
    store.add_texts(["出張の日当", "出張の宿泊料"], ids=["a", "b"])
    chunks, merged = Snapshot.chunks, []

    def merge_first(snapshot: Snapshot, rows: Sequence[int]) -> list[Chunk]:
        if not merged:
            merged.append(True)
            monkeypatch.setattr(vector_store, "_tidy", lambda writer: writer.merge())
            other.delete(["a"])
        return chunks(snapshot, rows)

    monkeypatch.setattr(Snapshot, "chunks", merge_first)
    assert [document.id for document in store.similarity_search("出張の日当")] == ["b"]
    merged.clear()
    other.add_texts(["出張の日当"], ids=["a"])
    assert [document.id for document in store.max_marginal_relevance_search("日当")] == ["b"]
    store.close()
    other.close()


def test_a_newer_dictionary_gives_new_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts added after an upgrade had other terms than those before it, under the name of the old dictionary."""
    store = open_store(tmp_path)
    store.add_texts(["出張の日当"], ids=["a"])
    store.close()

    class Newer(Analyzer):
        def __init__(self, *, words: WordList) -> None:
            super().__init__(words=words)
            self.fingerprint = "newer"

        def passage_terms(self, context: str, body: str) -> dict[str, list[str]]:
            return {field: [body] for field in FIELDS}

    monkeypatch.setattr(vector_store, "Analyzer", Newer)
    again = open_store(tmp_path)
    snapshot = Snapshot(tmp_path)
    assert snapshot.meta["analyzer"] == "newer"
    assert snapshot.postings("lemma")[0].find(["出張の日当"]).tolist() == [0]
    assert check(tmp_path).problems == ()
    again.close()


def test_scores_are_cosines_and_mmr_avoids_the_same_text_twice(tmp_path: Path) -> None:
    """Guards against distances handed out as similarities, and an MMR search that is a plain one."""
    store = open_store(tmp_path)
    texts = ["出張の日当は2,500円", "出張の日当は2,500円", "宿泊料の上限は10,000円"]
    store.add_texts(texts, ids=["a", "b", "c"])
    scored = store.similarity_search_with_score("出張の日当は2,500円", k=3)
    encoder = HashingEncoder()
    cosine = (
        encoder.encode_queries(texts[:1]).vectors[0] @ encoder.encode_passages(texts[:1]).vectors[0]
    )
    assert scored[0][1] == pytest.approx(float(cosine), abs=2e-3)
    assert scored[0][1] >= scored[1][1] >= scored[2][1]
    diverse = store.max_marginal_relevance_search("出張の日当は2,500円", k=2, lambda_mult=0.1)
    assert [document.id for document in diverse] == ["a", "c"]
    store.close()


def test_what_cannot_be_stored_is_refused_in_words(tmp_path: Path) -> None:
    """Guards against metadata silently turned into strings, and ids silently dropped."""
    store = open_store(tmp_path)
    with pytest.raises(RequestError) as not_json:
        store.add_documents([Document(page_content="a", metadata={"lock": threading.Lock()})])
    assert not_json.value.code == "metadata_not_json"
    with pytest.raises(RequestError) as mismatch:
        store.add_documents([Document(page_content="a")], ids=["1", "2"])
    assert mismatch.value.code == "ids_mismatch"
    for text, code in (("", "text_empty"), ("日当\ud83d", "text_not_unicode")):
        with pytest.raises(RequestError) as unfit:
            store.add_texts([text])
        assert unfit.value.code == code
    with pytest.raises(RequestError) as narrow:
        store.similarity_search_by_vector([1.0, 0.0])
    assert narrow.value.code == "vector_size"
    with pytest.raises(RequestError) as foreign:
        RagjpVectorStore.from_texts(["a"], DeterministicFakeEmbedding(size=4), path=tmp_path)
    assert foreign.value.code == "not_ragjp_embeddings"
    assert store.similarity_search("a") == []
    store.close()
