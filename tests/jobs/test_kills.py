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
from ragjp.index.check import check
from ragjp.types import View

N_DOCUMENTS = 60
N_KILLS = 20
CHILD = "import sys, ragjp.jobs.build as b; b.BATCH_CHUNKS = 4; from ragjp.cli import main; sys.exit(main())"
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


def committed(index: Path) -> int:
    """Verify the index; how many documents it holds, each of which was found by its own word."""
    try:
        report = check(index)
    except IndexMissing:
        return 0
    assert report.problems == ()
    with Engine.open(index) as engine:
        listed = engine.documents(view=OPERATOR)
        for info in listed:
            word = f"識別{info.doc_id.removesuffix('.md')}番"
            hits = engine.search(word, view=OPERATOR, k=3, ranking="bm25").hits
            assert hits[0].doc_id == info.doc_id
    assert len(listed) == report.n_documents
    return len(listed)


@pytest.mark.slow
def test_twenty_kills_lose_no_committed_document(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(N_DOCUMENTS):
        (source / f"{number:03}.md").write_text(
            f"# 通達 識別{number:03}番\n\n識別{number:03}番の本文です。\n", encoding="utf-8"
        )
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        'name = "toy"\n[[sources]]\npath = "source"\n[encoder]\nmodel = "hashing"\n',
        encoding="utf-8",
    )

    index, rng, before, grew = tmp_path / "toy", random.Random(20261122), 0, 0
    delay = 0.5
    for _ in range(N_KILLS):
        child = start(recipe)
        time.sleep(delay * rng.uniform(0.7, 1.3))
        finished = child.poll() is not None
        os.killpg(child.pid, signal.SIGKILL) if not finished else None
        child.communicate()
        now = committed(index)
        assert now >= before
        grew += now > before
        # Aim at the moments in which something is being written: later while nothing happened, from the start once all is done.
        delay = delay * 1.2 if now == before else delay
        before = now
        if before == N_DOCUMENTS:
            for path in source.iterdir():
                path.write_text(path.read_text(encoding="utf-8") + "改正。\n", encoding="utf-8")
            before = now
    assert grew  # some kills fell after a commit and before the end
    last = start(recipe)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors.decode()
    assert committed(index) == N_DOCUMENTS
