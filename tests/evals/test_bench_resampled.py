import json
from pathlib import Path

import numpy as np
import pytest

from evals.bench.resampled import SHARES, Plan, build_resampled, mixture, sizes
from evals.bench.source import Source, read_source, split
from ragjp.config import Recipe
from ragjp.engine import Engine
from ragjp.index.upkeep.check import check
from ragjp.jobs.build import build
from ragjp.jobs.sources import CorpusSource
from ragjp.types import Chunk, View

N_REAL = 40
PLAN = Plan(N_REAL, (2, 2))
THINGS = ("出張旅費", "在宅勤務手当", "社用車", "備品", "会議室", "健康診断", "年次休暇", "入館証")
VERBS = ("申請する", "返却する", "予約する", "更新する", "精算する")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Forty short passages, indexed with the hashing encoder."""
    base = tmp_path_factory.mktemp("source")
    texts = [
        f"{THINGS[n % 8]}は、{n + 1}日前までに総務課へ{VERBS[n % 5]}。控えは{2000 + n}年度の{THINGS[n // 8]}と同じ棚に置く。"
        for n in range(N_REAL)
    ]
    corpus = base / "corpus.jsonl"
    corpus.write_text(
        "".join(
            json.dumps({"_id": f"d{n:02d}", "title": f"規程{n}", "text": text}, ensure_ascii=False)
            + "\n"
            for n, text in enumerate(texts)
        ),
        encoding="utf-8",
    )
    recipe = Recipe.model_validate({"name": "source", "encoder": {"model": "hashing"}})
    report = build(recipe, base=base, into=base / "source", sources=[CorpusSource(corpus)])
    assert report.n_chunks == N_REAL
    return read_source(base / "source")


@pytest.fixture(scope="module")
def resampled(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of 200 rows made of it."""
    folder = tmp_path_factory.mktemp("resampled")
    return build_resampled(source, PLAN, folder / "index", blocks=folder).path


def test_a_resampled_index_is_sound_and_has_as_many_rows_as_planned(resampled: Path) -> None:
    """Guards against a benchmark on an index that the product would not have written."""
    report = check(resampled)
    assert report.problems == ()
    assert report.n_chunks == report.n_documents == PLAN.n_rows(N_REAL) == 200


def test_it_is_searched_like_any_other_and_finds_real_and_resampled_passages(
    resampled: Path,
) -> None:
    """Guards against rows whose terms, vectors, tokens or text are those of other rows."""
    with Engine.open(resampled) as engine:
        found = engine.search("年次休暇の入館証", view=View.of("everyone"), k=50)
        assert {hit.doc_id.split("/")[0] for hit in found.hits} == {"real", "resampled"}
        for hit in found.hits:
            assert engine.page_text(hit.doc_id, 1, view=View.of("everyone")) == hit.text
        best = found.hits[0]
        assert "年次休暇" in best.text or "入館証" in best.text
        assert "maxsim" in best.scores


def test_the_shares_of_the_views_are_those_promised(resampled: Path) -> None:
    """Guards against views that are much larger or smaller than their name says."""
    with Engine.open(resampled) as engine:
        for name, share in SHARES.items():
            n_seen = engine.document_count(view=View.of(name))
            assert abs(n_seen - share * 160) < 4 * np.sqrt(160 * share) + 1


def test_the_same_plan_is_not_built_twice_and_another_one_is(
    source: Source, tmp_path: Path
) -> None:
    """Guards against twenty minutes of building for nothing, and against results of another index."""
    lines: list[str] = []
    built = [
        build_resampled(source, plan, tmp_path / "i", blocks=tmp_path, tell=lines.append).path
        for plan in (Plan(10), Plan(10), Plan(12))
    ]
    assert built == [tmp_path / "i"] * 3
    assert len(lines) == 2
    assert check(tmp_path / "i").n_chunks == 12


def test_token_files_are_one_on_the_disk(resampled: Path) -> None:
    """Guards against seventy gigabytes."""
    inodes = [path.stat().st_ino for path in sorted(resampled.glob("segments/*/tokens.npy"))]
    assert len(inodes) == 3
    assert len(set(inodes)) == 2
    found = sizes(resampled)
    assert min(found["vectors"], found["postings"], found["tokens"], found["catalog"]) > 0


def test_a_passage_of_its_own_two_halves_has_the_terms_of_both(source: Source) -> None:
    """Guards against halves that are taken from the wrong row."""
    halves = source.halves["lemma"]
    same = np.arange(N_REAL, dtype=np.int64)
    postings = halves.joined(same, same)
    assert postings.lengths.tolist() == np.diff(halves.offsets).reshape(-1, 2).sum(axis=1).tolist()
    (number,) = postings.find(["出張"])
    rows = postings.rows[postings.offsets[number] : postings.offsets[number + 1]].tolist()
    assert rows == [n for n, chunk in enumerate(source.chunks) if "出張旅費" in chunk.text]


def test_the_halves_of_a_chunk_make_the_whole() -> None:
    """Guards against characters that are lost, or counted twice, in the middle."""
    chunk = Chunk("d", 1, 10, 15, "一二三四五", "題", ("節",))
    first, second = split(chunk)
    assert first.text + second.text == chunk.text
    assert (first.start, first.end, second.start, second.end) == (10, 12, 12, 15)
    assert (first.title, second.title, second.heading_path) == ("題", "", ())


def test_mixed_vectors_have_length_one_and_are_near_both_parents() -> None:
    """Guards against vectors that no encoder would give."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((6, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.array([0, 1, 2]), np.array([3, 4, 5])
    mixed = mixture(vectors, first, second, rng).astype(np.float32)
    assert np.allclose(np.linalg.norm(mixed, axis=1), 1.0, atol=1e-3)
    for parent in (first, second):
        assert (np.einsum("ij,ij->i", mixed, vectors[parent]) > 0.4).all()
