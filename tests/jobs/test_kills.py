"""`ragjp index` killed at random moments: every committed document is found, and the next run goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ragjp.engine import Engine
from ragjp.errors import IndexMissing
from ragjp.index.storage.catalog import current_generation, open_catalog
from ragjp.index.upkeep.check import check
from ragjp.types import View

N_DOCUMENTS = 40
N_KILLS = 20
CHILD = "import sys, ragjp.jobs.build as b; b.BATCH_CHUNKS = 4; from ragjp.cli import main; sys.exit(main())"
RECIPE = 'name = "toy"\n[[sources]]\npath = "source"\n[encoder]\nmodel = "hashing"\n'
OPERATOR = View.unrestricted_by_operator()


def start(recipe: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, "index", str(recipe)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OPENBLAS_NUM_THREADS": "1",
        },
        start_new_session=True,
    )


def generation(index: Path) -> int:
    try:
        connection = open_catalog(index)
    except IndexMissing:
        return 0
    try:
        return current_generation(connection)
    finally:
        connection.close()


def run_until_killed(recipe: Path, index: Path, commits: int, delay_s: float) -> None:
    """Kill `ragjp index` a moment after its n-th commit, wherever it is then (or let it end, if it ends first)."""
    target = generation(index) + commits
    child = start(recipe)
    while child.poll() is None and generation(index) < target:
        time.sleep(0.002)
    time.sleep(delay_s)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def committed(index: Path) -> dict[str, int]:
    """Verify the index; each document it holds, found by its own word, with the edition that was found."""
    report = check(index)
    assert report.problems == ()
    editions = {}
    with Engine.open(index) as engine:
        listed = engine.documents(view=OPERATOR)
        for info in listed:
            word = f"識別{info.doc_id.removesuffix('.md')}番"
            (best,) = engine.search(word, view=OPERATOR, k=1, ranking="bm25").hits
            assert best.doc_id == info.doc_id
            editions[best.doc_id] = best.text.count("改正")
    assert len(listed) == report.n_documents
    return editions


def write_documents(source: Path, edition: int) -> None:
    for number in range(N_DOCUMENTS):
        text = f"# 通達 識別{number:03}番\n\n識別{number:03}番の本文です。{'改正。' * edition}\n"
        (source / f"{number:03}.md").write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_twenty_kills_lose_no_committed_document(tmp_path: Path) -> None:
    """Peers lose rows here, above all when documents that exist already are being replaced."""
    source, index, rng = tmp_path / "source", tmp_path / "toy", random.Random(20261122)
    source.mkdir()
    recipe = tmp_path / "toy.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    edition, before = 0, {}
    write_documents(source, edition)
    for _ in range(N_KILLS):
        run_until_killed(recipe, index, rng.randint(1, 3), rng.uniform(0, 0.03))
        now = committed(index)
        assert now.keys() >= before.keys()
        assert all(now[doc_id] >= found for doc_id, found in before.items())
        assert now != before  # something was committed before this kill
        before = now
        if len(now) == N_DOCUMENTS and set(now.values()) == {edition}:
            edition += 1
            write_documents(source, edition)
    last = start(recipe)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors.decode()
    assert committed(index) == {f"{number:03}.md": edition for number in range(N_DOCUMENTS)}
