"""Damage, found and mended: what can be made again is, what cannot is named, and nothing else changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from indexes import MANIFEST, batch_of, build_toy, contents, flip
from ragjp.index.storage.merging import Terms
from ragjp.index.storage.writer import IndexWriter
from ragjp.index.upkeep.check import check
from ragjp.index.upkeep.repair import RepairReport, TermMaker, repair
from ragjp.types import Chunk

FIRST = {"a.md": "有給 休暇 の 申請", "b.md": "旅費 の 精算"}
SECOND = {"c.md": "出張 の 申請", "d.md": "社用車 の 予約"}
ALL = {**FIRST, **SECOND}


def analyse(chunks: Sequence[Chunk]) -> Terms:
    return {field: [chunk.text.split() for chunk in chunks] for field in MANIFEST.fields}


def mend(path: Path) -> RepairReport:
    return repair(path, TermMaker(MANIFEST.analyzer, MANIFEST.fields, analyse))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return build_toy(tmp_path / "index", batch_of(FIRST), batch_of(SECOND))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def break_header(path: Path) -> None:
    flip(path, 60)


DAMAGES: list[Callable[[Path], None]] = [flip, cut, empty, break_header, Path.unlink]
SEGMENT = "segments/00000001"
MADE_AGAIN = [
    "row_chunks",
    "row_documents",
    "vector_checks",
    "token_checks",
    "lemma.rows",
    "bigram.hashes",
]


@pytest.mark.parametrize("stem", MADE_AGAIN)
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_the_catalog_knows_is_made_again_and_nothing_is_lost(
    index: Path, stem: str, damage: Callable[[Path], None]
) -> None:
    """A damaged list of words cost the embeddings of a whole index."""
    before = contents(index)
    damage(index / SEGMENT / f"{stem}.npy")
    assert check(index).problems
    report = mend(index)
    assert (report.after.problems, report.removed) == ((), ())
    assert report.mended
    assert contents(index) == before
    assert check(index).problems == ()


@pytest.mark.parametrize("stem", ["vectors", "tokens", "token_scales"])
def test_a_damaged_row_costs_its_document_alone_and_is_named(index: Path, stem: str) -> None:
    """One flipped bit cost the whole segment, or was given a new checksum and served."""
    before = contents(index)
    flip(index / SEGMENT / f"{stem}.npy")  # the last byte: of the last row, b.md
    report = mend(index)
    assert report.removed == ("b.md",)
    assert report.after.problems == ()
    assert contents(index) == {name: held for name, held in before.items() if name != "b.md"}
    with IndexWriter(index, MANIFEST) as writer:
        assert set(writer.known_documents()) == set(ALL) - {"b.md"}
        assert writer.embedded([f"hash of {FIRST['b.md']}"]) == {}
        writer.commit(batch_of({"b.md": FIRST["b.md"]}))
    assert contents(index) == before


@pytest.mark.parametrize("stem", ["vectors", "tokens", "token_scales"])
def test_rows_before_a_cut_are_kept(index: Path, stem: str) -> None:
    """A file that lost its tail was thrown away whole."""
    before = contents(index)
    cut(index / SEGMENT / f"{stem}.npy")
    report = mend(index)
    assert report.removed == ("b.md",)
    assert set(contents(index)) == set(before) - {"b.md"}


@pytest.mark.parametrize("stem", ["vectors", "tokens"])
def test_a_damaged_header_costs_nothing(index: Path, stem: str) -> None:
    """The catalog knows what the header said."""
    before = contents(index)
    break_header(index / SEGMENT / f"{stem}.npy")
    report = mend(index)
    assert (report.removed, report.after.problems) == ((), ())
    assert contents(index) == before


@pytest.mark.parametrize("stem", ["vectors", "tokens", "token_offsets"])
def test_a_missing_file_costs_the_documents_of_its_segment_and_no_others(
    index: Path, stem: str
) -> None:
    before = contents(index)
    (index / SEGMENT / f"{stem}.npy").unlink()
    report = mend(index)
    assert sorted(report.removed) == sorted(FIRST)
    assert contents(index) == {name: before[name] for name in SECOND}
    assert check(index).problems == ()


def change(index: Path, statement: str) -> None:
    with closing(sqlite3.connect(index / "catalog.sqlite", isolation_level=None)) as catalog:
        assert catalog.execute(statement).rowcount > 0


def test_a_damaged_text_costs_its_document_alone(index: Path) -> None:
    """Text that is not what was indexed would be cited."""
    before = contents(index)
    change(index, "UPDATE page SET text = replace(text, '旅費', '旅貫') WHERE text LIKE '旅費%'")
    report = mend(index)
    assert report.removed == ("b.md",)
    assert report.after.problems == ()
    assert contents(index) == {name: held for name, held in before.items() if name != "b.md"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access SET principal = 'group:x' WHERE doc_no = 1",
        "DELETE FROM access WHERE doc_no = 1",
        "UPDATE document SET died = 2 WHERE doc_no = 1",
        "UPDATE segment SET n_rows = 3 WHERE segment_no = 1",
        "UPDATE meta SET value = '17' WHERE key = 'dim'",
    ],
)
def test_what_may_not_be_guessed_is_left_and_named(index: Path, statement: str) -> None:
    """A repair that guesses who may read what."""
    change(index, statement)
    report = mend(index)
    assert any(problem.code == "catalog_digest" for problem in report.after.problems)
    assert report.removed == ()


def test_unused_bytes_of_the_catalog_are_written_again(index: Path) -> None:
    """A flip that changes no row is damage too: tomorrow the page may be in use."""
    before = contents(index)
    flip(index / "catalog.sqlite", 70)  # the user version: read by nobody
    assert [problem.code for problem in check(index).problems] == ["catalog_checksum"]
    report = mend(index)
    assert report.after.problems == ()
    assert contents(index) == before
    assert check(index).problems == check(index).warnings == ()


def test_a_damaged_index_of_the_catalog_is_made_again(index: Path) -> None:
    path = index / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as catalog:
        (page,) = catalog.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'chunk_by_text'"
        ).fetchone()
        (size,) = catalog.execute("PRAGMA page_size").fetchone()
    flip(path, page * size - 4)  # the end of its page: the first entry
    assert any(problem.code == "catalog_damaged" for problem in check(index).problems)
    assert mend(index).after.problems == ()


def test_a_broken_or_missing_seal_is_made_again(index: Path) -> None:
    (index / "catalog.seal").write_text("{}", encoding="utf-8")
    assert [problem.code for problem in check(index).problems] == ["seal_damaged"]
    assert mend(index).after.problems == ()
    (index / "catalog.seal").unlink()
    assert [problem.code for problem in check(index).warnings] == ["catalog_unsealed"]
    assert mend(index).after.warnings == ()
    assert check(index).warnings == ()


def test_a_sound_index_is_not_touched(index: Path) -> None:
    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in index.rglob("*") if path.is_file()}

    before = state()
    report = mend(index)
    assert (report.mended, report.removed) == ((), ())
    assert state() == before


def test_terms_of_another_dictionary_are_not_mixed_in(index: Path) -> None:
    """Half an index searched with words that only the other half has."""
    (index / SEGMENT / "lemma.rows.npy").unlink()
    report = repair(index, TermMaker("analyzer-2", MANIFEST.fields, analyse))
    assert [problem.code for problem in report.after.problems] == ["file_missing"]
