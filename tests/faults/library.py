"""A small library of documents that goes through editions, and what an index of it must then answer.

Every document has a word of its own (識別007番) in each of its chunks, with its edition (第2版): so that an exact search says of
every id whether it is lost, a phantom, or a mixture of two editions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ragjp
import ragjp.opened
from ragjp.compiled import load
from ragjp.config import parse_recipe
from ragjp.encoders.hashing import HashingEncoder
from ragjp.engine import Engine
from ragjp.errors import IndexMismatch, IndexMissing, RagjpError
from ragjp.index.storage.catalog import open_catalog
from ragjp.index.storage.migrations import migrate
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest, NewDocument
from ragjp.index.upkeep.check import check
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.jobs.embedding import embed_batch, no_vectors
from ragjp.types import Document, Page, View

#: doc_id → edition.
State = Mapping[str, int]

ENCODER = HashingEncoder(32)
ANALYZER = Analyzer()
MANIFEST = Manifest(ANALYZER.fingerprint, ENCODER.fingerprint, ENCODER.name, 32, 32, FIELDS)
RECIPE = parse_recipe(
    {"name": "library", "encoder": {"model": "hashing"}, "chunks": {"max_chars": 80}}, where="test"
)
OPERATOR = View.unrestricted_by_operator()


def warm_up() -> None:
    """Do once what every case would have to do again: called by harness scripts, before they fork.

    All engines share one dictionary from now on, so this is for processes that do nothing else.
    """
    vars(ragjp.opened)["Analyzer"] = lambda *arguments, **named: ANALYZER
    package = Path(ragjp.__path__[0])
    for path in package.rglob("*_kernels.py"):
        load(".".join(("ragjp", *path.relative_to(package).with_suffix("").parts)))


def word(number: int) -> str:
    """The word that only this document holds."""
    return f"識別{number:03}番"


def doc_id(number: int) -> str:
    return f"{number:03}.md"


def new_document(number: int, edition: int) -> NewDocument:
    """A document of a few chunks, each with the document's word and its edition."""
    line = f"{word(number)}の通達の第{edition}版です。旅費と休暇の扱いを定めます。"
    pages = tuple(Page(page, f"{line}\n\n{line}") for page in range(1, 2 + number % 2))
    document = Document(doc_id(number), f"通達{number:03}", pages, "md")
    chunks = tuple(chunk_document(document, RECIPE.chunks))
    return NewDocument(document, f"{number}/{edition}", ("everyone",), chunks)


def batch_of(writer: IndexWriter, state: Mapping[int, int], removed: tuple[int, ...] = ()) -> Batch:
    """A batch of documents (number → edition) and of numbers to remove."""
    gone = [doc_id(number) for number in removed]
    if not state:
        return Batch([], [], no_vectors(ENCODER.dim), None, {}, removed=gone)
    documents = [new_document(number, edition) for number, edition in state.items()]
    batch, _ = embed_batch(
        documents, writer, ANALYZER, ENCODER, tokens=True, embedded=lambda done, total: None
    )
    batch.removed = gone
    return batch


def open_writer(path: Path) -> IndexWriter:
    return IndexWriter(path, MANIFEST)


def remember_recipe(writer: IndexWriter) -> None:
    writer.set_meta("recipe", RECIPE.model_dump_json())


def open_engine(path: Path) -> Engine:
    return Engine.open(path, encoder=ENCODER)


def held(path: Path, *, largest: int = 0) -> dict[str, int] | None:
    """What the index answers: doc_id → edition, each found by its own word; None when there is no index.

    Parameters
    ----------
    largest
        Numbers up to this one are searched for even where they are not listed: a hit is a phantom.

    Raises
    ------
    AssertionError
        When listing and searching contradict each other, or two chunks of a document are of two editions.
    """
    try:
        engine = open_engine(path)
    except IndexMissing:
        return None
    with engine:
        listed = {info.doc_id: info for info in engine.documents(view=OPERATOR)}
        editions = {name: edition_of(engine, name) for name in listed}
        for number in range(largest + 1):
            if doc_id(number) not in listed:
                assert not own_hits(engine, doc_id(number)), f"{doc_id(number)} is a phantom"
    return editions


def listed(path: Path) -> set[str]:
    """The ids of the documents that an index has."""
    with open_engine(path) as engine:
        return {info.doc_id for info in engine.documents(view=OPERATOR)}


def own_hits(engine: Engine, name: str) -> list[Any]:
    """Hits of a document's own word that are of this document or show its word."""
    own = word(int(name.removesuffix(".md")))
    ranking = engine.search(own, view=OPERATOR, k=50, ranking="bm25")
    return [hit for hit in ranking.hits if hit.doc_id == name or own in hit.text]


def edition_of(engine: Engine, name: str) -> int:
    """The one edition of all chunks of a document, found by its own word."""
    hits = own_hits(engine, name)
    assert hits, f"{name} is listed but its own word does not find it"
    found = {int(number) for hit in hits for number in re.findall(r"第(\d+)版", hit.text)}
    assert len(found) == 1, f"{name} mixes the editions {sorted(found)}"
    assert {hit.doc_id for hit in hits} == {name}
    expected = len(new_document(int(name.removesuffix(".md")), found.copy().pop()).chunks)
    assert len(hits) == expected, f"{name} has {len(hits)} chunks of {expected}"
    return found.pop()


def faults_left(
    path: Path, allowed: list[State | None], largest: int, *, thorough: bool = True
) -> list[str]:
    """What is wrong with an index after a fault: it must be in one of the allowed states, check clean, and go on from there.

    Parameters
    ----------
    thorough
        Whether everything is searched for and checked again after the next commit, or only listed.
    """
    try:
        if is_old(path):
            migrate(path)
        found = held(path, largest=largest)
        if found not in allowed:
            return [f"holds {found}, not one of {allowed}"]
        if found is not None and (problems := check(path).problems):
            return [f"check says {problems[0]}"]
        with open_writer(path) as writer:
            remember_recipe(writer)
            writer.commit(batch_of(writer, {largest + 1: 7}))
        expected = {**(found or {}), doc_id(largest + 1): 7}
        if (now := listed(path)) != expected.keys():
            return [f"after the next commit it lists {now}, not {expected}"]
        if thorough and (searched := held(path, largest=largest)) != expected:
            return [f"after the next commit it holds {searched}, not {expected}"]
        if thorough and (problems := check(path).problems):
            return [f"after the next commit check says {problems[0]}"]
    except (AssertionError, RagjpError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def is_old(path: Path) -> bool:
    """Whether an index still has the format of an older program."""
    try:
        open_catalog(path).close()
    except IndexMismatch as error:
        return error.code == "format_mismatch"
    except RagjpError:
        return False
    return False


def is_sentence(error: RagjpError) -> bool:
    """Whether an error is one sentence or two of Japanese with a reason code."""
    return bool(
        re.search(r"[ぁ-ん]", error.sentence)
        and error.sentence.endswith("。")
        and "\n" not in error.sentence
        and re.fullmatch(r"[a-z][a-z0-9_]*", error.code)
    )
