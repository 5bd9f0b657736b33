"""Build jobs on real folders: what is added, updated and kept; and that an update equals a fresh build."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from builds import EVERYONE, found, recipe, run

from ragjp.encoders import load_encoder
from ragjp.engine import Engine
from ragjp.errors import IndexMismatch, IndexMissing, RequestError
from ragjp.index.upkeep.check import check
from ragjp.japanese.terms import Analyzer
from ragjp.jobs import build as build_module
from ragjp.jobs.build import build
from ragjp.types import Encoded


def test_a_folder_becomes_an_index_that_finds_its_text(base: Path) -> None:
    report = run(base)
    assert (report.added, report.failures, report.n_documents) == (3, (), 3)
    best, text = found(base, "課長の宿泊料")[0]
    assert best == "規程/旅費.md"
    assert "一万二千円" in text
    assert check(base / "index").problems == ()


def test_hits_are_cut_from_the_page(base: Path) -> None:
    run(base)
    with Engine.open(base / "index") as engine:
        for hit in engine.search("休暇の申請", view=EVERYONE).hits:
            assert (
                engine.page_text(hit.doc_id, hit.page, view=EVERYONE)[hit.start : hit.end]
                == hit.text
            )


def test_a_second_run_does_no_work_twice(base: Path) -> None:
    run(base)
    before = sorted(path.name for path in (base / "index" / "segments").iterdir())
    report = run(base)
    assert (report.unchanged, report.added, report.updated, report.embedded_chunks) == (3, 0, 0, 0)
    assert sorted(path.name for path in (base / "index" / "segments").iterdir()) == before


def test_an_updated_document_embeds_only_its_new_text(base: Path) -> None:
    """Unchanged chunks are never embedded again; the old text is not found any more."""
    path = base / "source" / "規程" / "規程集.md"
    articles = [
        f"# 第{n}章\n\n{'この章の規定は全社員に適用する。' * 20}第{n}章の番号は{n * 111}である。\n"
        for n in range(1, 6)
    ]
    path.write_text("\n".join(articles), encoding="utf-8")
    first = run(base)
    path.write_text("\n".join([*articles[:4], articles[4].replace("555", "999")]), encoding="utf-8")
    report = run(base)
    assert report.updated == 1
    assert 0 < report.embedded_chunks < first.embedded_chunks / 2
    assert report.reused_chunks > 0
    assert not any("555" in text for _, text in found(base, "第5章の番号"))
    assert any("999" in text for _, text in found(base, "第5章の番号"))
    assert check(base / "index").problems == ()


def test_a_removed_file_is_found_no_more(base: Path) -> None:
    run(base)
    (base / "source" / "規程" / "旅費.md").unlink()
    assert run(base).removed == 1
    assert all(doc_id != "規程/旅費.md" for doc_id, _ in found(base, "課長の宿泊料"))


def test_an_updated_index_ranks_as_a_fresh_one(base: Path) -> None:
    run(base)
    (base / "source" / "規程" / "旅費.md").unlink()
    (base / "source" / "新.md").write_text(
        "# 通達\n\n宿泊料を一万五千円に改める。\n", encoding="utf-8"
    )
    (base / "source" / "faq.html").write_text(
        "<h1>FAQ</h1><p>宿泊料は旅費規程を見てください。</p>", encoding="utf-8"
    )
    run(base)
    build(recipe(), base=base, into=base / "fresh")
    with Engine.open(base / "index") as updated, Engine.open(base / "fresh") as fresh:
        for query in ("宿泊料", "休暇の申請", "VPN"):
            ours = [
                (hit.chunk_id, pytest.approx(hit.score, abs=1e-4))
                for hit in updated.search(query, view=EVERYONE).hits
            ]
            theirs = [(hit.chunk_id, hit.score) for hit in fresh.search(query, view=EVERYONE).hits]
            assert ours == theirs


def test_an_open_engine_sees_a_new_generation_at_its_next_search(base: Path) -> None:
    run(base)
    with Engine.open(base / "index") as engine:
        assert all("VLAN" not in hit.text for hit in engine.search("VLAN", view=EVERYONE).hits)
        (base / "source" / "新.md").write_text("# 通達\n\nVLANの番号を改める。\n", encoding="utf-8")
        run(base)
        assert "VLAN" in engine.search("VLAN", view=EVERYONE).hits[0].text


def test_an_open_engine_leaves_a_deleted_index(base: Path) -> None:
    """An index deleted and built anew was never noticed: its deleted documents were shown until the program ended."""
    run(base)
    with Engine.open(base / "index") as engine:
        shutil.rmtree(base / "index")
        with pytest.raises(IndexMissing):
            engine.search("宿泊料", view=EVERYONE)
        (base / "source" / "規程" / "旅費.md").unlink()
        run(base)
        assert [info.doc_id for info in engine.documents(view=EVERYONE)] == [
            "faq.html",
            "規程/休暇.txt",
        ]


def test_an_open_engine_refuses_terms_of_a_newer_program(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terms made anew by a newer dictionary, searched with the words of the old one: fewer hits, and nobody is told."""
    run(base)

    class Newer(Analyzer):
        def __init__(self) -> None:
            super().__init__()
            self.fingerprint = "newer"

    with Engine.open(base / "index") as engine:
        monkeypatch.setattr(build_module, "Analyzer", Newer)
        run(base)
        with pytest.raises(IndexMismatch, match="newer"):
            engine.search("宿泊料", view=EVERYONE)


def test_many_small_batches_are_merged_and_nothing_is_lost(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "BATCH_CHUNKS", 1)
    for number in range(12):
        (base / "source" / f"{number:02}.md").write_text(
            f"# 通達{number}\n\n通達の番号は{number * 37}です。\n", encoding="utf-8"
        )
    report = run(base)
    assert report.n_documents == 15
    verified = check(base / "index")
    assert (verified.problems, verified.n_segments) == ((), 1)
    for number in range(12):
        assert f"{number:02}.md" in [
            doc_id for doc_id, _ in found(base, f"通達{number}の番号 {number * 37}")[:3]
        ]


@pytest.mark.parametrize("rerank", [{"maxsim": False}, {}, {"depth": 2}])
def test_mmr_works_without_late_interaction_and_gives_k_hits(
    base: Path, rerank: dict[str, object]
) -> None:
    """MMR was skipped in silence without MaxSim, and gave no more hits than the reranking depth."""
    for number in range(5):
        (base / "source" / f"写し{number}.md").write_text(
            "# 宿泊料\n\n宿泊料は旅費規程による。\n", encoding="utf-8"
        )
    into = base / "index"
    build(recipe(rerank={**rerank, "mmr_lambda": 0.3}), base=base, into=into)
    with Engine.open(into) as engine:
        hits = engine.search("宿泊料", view=EVERYONE, k=6).hits
    assert len({hit.chunk_id for hit in hits}) == 6
    if "depth" not in rerank:
        assert hits[0].text != hits[1].text


def test_half_a_character_is_refused_in_words(base: Path) -> None:
    """A lone surrogate in a question ended in a UnicodeEncodeError."""
    run(base)
    with (
        Engine.open(base / "index") as engine,
        pytest.raises(RequestError, match="3 文字目") as raised,
    ):
        engine.search("日当\ud83d", view=EVERYONE)
    assert raised.value.code == "query_not_unicode"


def test_progress_reaches_its_total(base: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    build(recipe(), base=base, into=base / "index", progress=lambda *call: calls.append(call))
    last = {stage: (done, total) for stage, done, total in calls}
    assert last
    assert all(done == total for done, total in last.values())


def test_the_same_text_twice_is_embedded_once(base: Path) -> None:
    """Copies are common in real folders: each is found, one is paid for."""
    real = load_encoder(recipe().encoder)
    seen: list[str] = []

    class Counting:
        name, fingerprint, dim, token_dim = real.name, real.fingerprint, real.dim, real.token_dim

        def encode_passages(self, texts: list[str], *, tokens: bool = False) -> Encoded:
            seen.extend(texts)
            return real.encode_passages(texts, tokens=tokens)

        def encode_queries(self, texts: list[str], *, tokens: bool = False) -> Encoded:
            return real.encode_queries(texts, tokens=tokens)

    for folder in ("a", "b"):
        (base / "source" / folder).mkdir()
        (base / "source" / folder / "写し.md").write_text(
            "# 写し\n\n同じ文章です。\n", encoding="utf-8"
        )
    build(recipe(), base=base, into=base / "index", encoder=Counting())
    assert len([text for text in seen if "同じ文章" in text]) == 1
    assert {doc_id for doc_id, text in found(base, "同じ文章") if "同じ文章" in text} == {
        "a/写し.md",
        "b/写し.md",
    }


def test_a_stored_row_that_has_rotted_is_embedded_again(base: Path) -> None:
    """A rotten row copied into a new segment would get a checksum that vouches for it."""
    run(base)
    (tokens,) = (base / "index").glob("segments/*/tokens.npy")
    sound = tokens.read_bytes()
    tokens.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    (base / "source" / "規程").rename(base / "source" / "移転")
    (base / "source" / "faq.html").rename(base / "source" / "移転" / "faq.html")
    report = run(base)
    assert (report.moved, report.added, report.removed) == (3, 0, 0)
    assert report.embedded_chunks == 1
    assert report.reused_chunks > 0


def test_the_catalog_keeps_no_pickle_and_no_secret(base: Path) -> None:
    run(base)
    with sqlite3.connect(base / "index" / "catalog.sqlite") as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
    assert json.loads(meta["recipe"])["name"] == "toy"
    for path in (base / "index").rglob("*"):
        if path.is_file():
            assert not path.read_bytes()[:2] == b"\x80\x04", path
