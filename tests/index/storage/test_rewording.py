"""A change of the company's own words in the chunks that hold them, against analysing everything again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from ragjp.encoders.hashing import HashingEncoder
from ragjp.index.lexical.postings import posting_fault, postings_from_arrays
from ragjp.index.storage.segments import open_segment
from ragjp.index.storage.writer import Batch, IndexWriter, Manifest, NewDocument
from ragjp.japanese.terms import FIELDS, Analyzer
from ragjp.japanese.words import WordList, parse_words
from ragjp.jobs.embedding import analyse
from ragjp.types import Chunk, Document, Page

PLAIN = Analyzer()
PIECES = "情シス 課 年休 暇 ジョウシス じょうしす AI 室 hs-200 あ い の を 、 。 ハチ公 プロジェクト 1,000円".split()
CHANGES = [
    ("", "情シス,ジョウシス\n年休暇\nＡＩ室"),
    ("情シス,ジョウシス\n年休暇", "情シス\n年休暇\nハチ公プロジェクト"),
    ("情シス,ジョウシス\nhs-200", ""),
    ("", '課あ\n、い、\n"1,000円"\n室h\nあa'),
]


def words_of(text: str) -> WordList:
    return parse_words(text, where="test")


def chunks_of(random: Random, n: int) -> list[Chunk]:
    chunks = []
    for number in range(n):
        title = "".join(random.choices(PIECES, k=random.randint(0, 3)))
        text = "".join(random.choices(PIECES, k=random.randint(1, 12)))
        chunks.append(Chunk(f"d{number:03}", 1, 0, len(text), text, title))
    return chunks


def manifest(words: WordList) -> Manifest:
    analyzer = PLAIN.with_words(words)
    encoder = HashingEncoder()
    return Manifest(
        analyzer.fingerprint,
        encoder.fingerprint,
        "hashing",
        encoder.dim,
        0,
        FIELDS,
        words.canonical,
    )


def build(path: Path, parts: list[list[Chunk]], words: WordList) -> None:
    analyzer = PLAIN.with_words(words)
    encoder = HashingEncoder()
    with IndexWriter(path, manifest(words)) as writer:
        for chunks in parts:
            documents = [
                NewDocument(
                    Document(one.doc_id, one.title, (Page(1, one.text),), "txt"),
                    one.doc_id,
                    (),
                    (one,),
                )
                for one in chunks
            ]
            vectors = encoder.encode_passages([one.text for one in chunks]).vectors
            hashes = [one.doc_id for one in chunks]
            writer.commit(Batch(documents, hashes, vectors, None, analyse(chunks, analyzer)))


def arrays(path: Path, words: WordList) -> list[dict[str, np.ndarray]]:
    with IndexWriter(path, manifest(words)) as writer:
        return [
            {
                name: np.array(array)
                for name, array in open_segment(path, one.name, one.sizes).items()
            }
            for one in writer.segments()
        ]


@pytest.mark.parametrize(("before", "after"), CHANGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_only_what_holds_a_changed_word_is_touched_and_all_of_it(
    tmp_path: Path, before: str, after: str, seed: int
) -> None:
    """Guards postings that differ from a fresh index in one bit, and a count that a scan of all texts does not confirm."""
    random = Random(seed)
    old, new = words_of(before), words_of(after)
    chunks = chunks_of(random, 60)
    parts = [chunks[:25], chunks[25:]]
    build(tmp_path / "changed", parts, old)
    build(tmp_path / "fresh", parts, new)
    with IndexWriter(tmp_path / "changed", manifest(new)) as writer:
        assert writer.is_analysis_stale()
        touched = writer.change_words()
        assert not writer.is_analysis_stale()
    one, other = PLAIN.with_words(old), PLAIN.with_words(new)
    differ = [
        chunk
        for chunk in chunks
        if sorted(one.passage_terms(chunk.context, chunk.text)["lemma"])
        != sorted(other.passage_terms(chunk.context, chunk.text)["lemma"])
        or one.lemmas(chunk.context) != other.lemmas(chunk.context)
    ]
    assert touched == len(differ)
    assert 0 < touched < len(chunks)
    for changed, fresh in zip(
        arrays(tmp_path / "changed", new), arrays(tmp_path / "fresh", new), strict=True
    ):
        assert changed.keys() == fresh.keys()
        for name in fresh:
            np.testing.assert_array_equal(changed[name], fresh[name], err_msg=name)
        for field in FIELDS:
            assert posting_fault(postings_from_arrays(changed, field)) == ""


def test_dead_rows_keep_the_postings_sound(tmp_path: Path) -> None:
    """Guards lengths of rows whose document has gone: their terms are taken out with the rest, and none are put in."""
    chunks = chunks_of(Random(3), 30)
    old, new = words_of("情シス"), words_of("年休暇\nハチ公プロジェクト")
    build(tmp_path / "index", [chunks], old)
    gone = [one.doc_id for one in chunks[:10]]
    with IndexWriter(tmp_path / "index", manifest(old)) as writer:
        nothing = np.empty((0, HashingEncoder().dim), np.float32)
        writer.commit(Batch([], [], nothing, None, {}, removed=gone))
    with IndexWriter(tmp_path / "index", manifest(new)) as writer:
        writer.change_words()
    for segment in arrays(tmp_path / "index", new):
        for field in FIELDS:
            assert posting_fault(postings_from_arrays(segment, field)) == ""


def test_another_dictionary_is_no_matter_of_words(tmp_path: Path) -> None:
    """Guards an index that is called up to date though its other terms are old."""
    build(tmp_path / "index", [chunks_of(Random(4), 3)], WordList())
    wanted = manifest(words_of("情シス"))
    other = Manifest(
        wanted.analyzer.replace("terms ", "terms 9"), *list(wanted.as_meta().values())[1:3],
        wanted.dim, 0, FIELDS, wanted.words,
    )  # fmt: skip
    with IndexWriter(tmp_path / "index", other) as writer:
        assert writer.change_words() is None
