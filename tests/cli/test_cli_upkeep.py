"""check --repair, compact, backup, restore, migrate: what each says, in words and in JSON, and with which exit code."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

QUESTION = "国内出張の日当はいくらですか"
ROW_FILES = ("row_chunks.npy", "row_documents.npy", "vector_checks.npy", "token_checks.npy")


@pytest.fixture
def copy(tiny_index: Path, tmp_path: Path) -> Path:
    """The index of the tiny documents, to be damaged."""
    return Path(shutil.copytree(tiny_index, tmp_path / "copy"))


def flip_last(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def found(ragjp_cli: Run, index: Path) -> list[dict[str, object]]:
    hits = ragjp_cli("search", index, QUESTION, "--json").values["hits"]
    assert isinstance(hits, list)
    return hits


def test_a_repair_mends_and_says_what_it_did(ragjp_cli: Run, copy: Path) -> None:
    """A damaged index that can only be built anew, at the cost of every embedding."""
    before = found(ragjp_cli, copy)
    (lemmas,) = copy.glob("segments/*/lemma.rows.npy")
    flip_last(lemmas)
    assert ragjp_cli("check", copy).code == 1
    assert "--repair" in ragjp_cli("check", copy).out
    ran = ragjp_cli("check", copy, "--repair", "--json")
    assert (ran.code, ran.values["ok"], ran.values["removed"]) == (0, True, [])
    assert lemmas.name in str(ran.values["problems_before"])
    assert ran.values["mended"]
    assert found(ragjp_cli, copy) == before
    assert "直すものはありませんでした" in ragjp_cli("check", copy, "--repair").out


def test_what_a_repair_had_to_take_out_is_named_and_comes_back(
    ragjp_cli: Run, tiny_folder: Path
) -> None:
    """A document lost in silence."""
    recipe, index = tiny_folder / "tiny.toml", tiny_folder / "tiny"
    ragjp_cli("index", recipe)
    before = found(ragjp_cli, index)
    (vectors,) = index.glob("segments/*/vectors.npy")
    flip_last(vectors)
    ran = ragjp_cli("check", index, "--repair")
    assert ran.code == 1
    assert "1 件を索引から外しました" in ran.out
    assert ragjp_cli("check", index).code == 0
    again = ragjp_cli("index", recipe, "--json").values
    assert (again["added"], again["unchanged"]) == (1, 3)
    assert 0 < again["embedded_chunks"] <= again["n_chunks"] // 2
    assert [hit["chunk_id"] for hit in found(ragjp_cli, index)] == [
        hit["chunk_id"] for hit in before
    ]


def test_a_compaction_forgets_what_was_deleted(ragjp_cli: Run, tiny_folder: Path) -> None:
    recipe, index = tiny_folder / "tiny.toml", tiny_folder / "tiny"
    ragjp_cli("index", recipe)
    (tiny_folder / "source/通達/夏季休業.html").unlink()
    ragjp_cli("index", recipe)
    before = found(ragjp_cli, index)
    size = sum(path.stat().st_size for path in index.rglob("*.npy"))
    ran = ragjp_cli("compact", index, "--json")
    assert (ran.code, ran.values["n_documents"]) == (0, 3)
    assert {"bytes_before", "bytes_after"} <= set(ran.values)
    assert sum(path.stat().st_size for path in index.rglob("*.npy")) < size
    assert found(ragjp_cli, index) == before
    report = ragjp_cli("check", index, "--json").values
    assert (report["ok"], report["n_segments"], report["n_dead_rows"]) == (True, 1, 0)
    assert "夏季休業".encode() not in (index / "catalog.sqlite").read_bytes()
    generation = ragjp_cli("compact", index, "--json").values["generation"]
    assert generation == ran.values["generation"]  # nothing more to do
    assert "まとめました" in ragjp_cli("compact", index).out


def test_a_backup_comes_back_bit_for_bit(ragjp_cli: Run, copy: Path, tmp_path: Path) -> None:
    before = found(ragjp_cli, copy)
    made = ragjp_cli("backup", copy, tmp_path / "控え", "--json")
    assert (made.code, made.values["n_documents"]) == (0, 4)
    assert (
        ragjp_cli("backup", copy, tmp_path / "控え", "--json").values["error"]["code"]
        == "target_exists"
    )
    refused = ragjp_cli("restore", tmp_path / "控え", copy, "--json")
    assert (refused.code, refused.values["error"]["code"]) == (2, "target_exists")
    assert "--replace" in refused.sentence
    shutil.rmtree(copy)
    assert ragjp_cli("restore", tmp_path / "控え", copy, "--json").code == 0
    assert found(ragjp_cli, copy) == before
    assert "戻し" in ragjp_cli("restore", tmp_path / "控え", copy, "--replace").out
    assert found(ragjp_cli, copy) == before


def test_a_damaged_backup_is_refused(ragjp_cli: Run, copy: Path, tmp_path: Path) -> None:
    """The index in place given up for a backup that cannot be read."""
    ragjp_cli("backup", copy, tmp_path / "控え")
    (vectors,) = (tmp_path / "控え").glob("segments/*/vectors.npy")
    flip_last(vectors)
    before = found(ragjp_cli, copy)
    ran = ragjp_cli("restore", tmp_path / "控え", copy, "--replace", "--json")
    assert (ran.code, ran.values["error"]["code"]) == (1, "copy_damaged")
    assert found(ragjp_cli, copy) == before


@pytest.mark.parametrize("command", ["compact", "migrate", "backup"])
def test_an_index_that_is_not_there(command: str, ragjp_cli: Run, tmp_path: Path) -> None:
    """A slip of the keyboard makes an empty index."""
    more = [tmp_path / "控え"] if command == "backup" else []
    ran = ragjp_cli(command, tmp_path / "無い", *more, "--json")
    assert (ran.code, ran.values["error"]["code"]) == (2, "index_missing")
    assert list(tmp_path.iterdir()) == []


def to_version_1(index: Path) -> None:
    """Undo what the migration to version 2 does."""
    with closing(sqlite3.connect(index / "catalog.sqlite")) as catalog, catalog:
        catalog.execute("DROP TABLE digest")
        catalog.execute("DROP TABLE document_digest")
        catalog.execute("UPDATE meta SET value = '1' WHERE key = 'format_version'")
        marks = ", ".join("?" * len(ROW_FILES))
        catalog.execute(f"DELETE FROM segment_file WHERE name IN ({marks})", ROW_FILES)
    (index / "catalog.seal").unlink()
    for name in ROW_FILES:
        for path in index.glob(f"segments/*/{name}"):
            path.unlink()


def test_an_older_index_is_refused_by_name_then_migrated(ragjp_cli: Run, copy: Path) -> None:
    """An index of last year that has to be embedded again, or is read as if it were of today."""
    before = found(ragjp_cli, copy)
    to_version_1(copy)
    refused = ragjp_cli("search", copy, QUESTION, "--json")
    assert (refused.code, refused.values["error"]["code"]) == (2, "format_mismatch")
    assert "ragjp migrate" in refused.sentence
    ran = ragjp_cli("migrate", copy, "--json")
    assert (ran.code, ran.values["version_before"], ran.values["version"]) == (0, 1, 2)
    assert found(ragjp_cli, copy) == before
    assert ragjp_cli("check", copy, "--json").values["warnings"] == []
    assert "もう今の形式" in ragjp_cli("migrate", copy).out


def test_index_migrates_by_itself(ragjp_cli: Run, tiny_folder: Path) -> None:
    """The nightly job fails on the morning after the program was updated."""
    recipe, index = tiny_folder / "tiny.toml", tiny_folder / "tiny"
    ragjp_cli("index", recipe)
    to_version_1(index)
    ran = ragjp_cli("index", recipe, "--json")
    assert (ran.code, ran.values["unchanged"], ran.values["embedded_chunks"]) == (0, 4, 0)
    assert ragjp_cli("check", index).code == 0
