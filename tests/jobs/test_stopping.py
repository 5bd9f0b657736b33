"""A build that is asked to stop: what is embedded is committed, the rest comes with the next run, and the end is the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from builds import EVERYONE, recipe, run

from ragjp.encoders.hashing import HashingEncoder
from ragjp.engine import Engine
from ragjp.index.upkeep.check import check
from ragjp.jobs import embedding
from ragjp.jobs.build import Options, build
from ragjp.jobs.outcomes import BuildReport
from ragjp.types import Encoded

QUERIES = ("通達の番号", "課長の宿泊料", "休暇の申請", "識別07番")


class Counting(HashingEncoder):
    """Counts the texts that it embeds, and calls somebody after each time."""

    def __init__(self, after: Callable[[int], None] = lambda n: None) -> None:
        super().__init__()
        self.n_texts = 0
        self._after = after

    def encode_passages(self, texts: Sequence[str], *, tokens: bool = False) -> Encoded:
        encoded = super().encode_passages(texts, tokens=tokens)
        self.n_texts += len(texts)
        self._after(self.n_texts)
        return encoded


@pytest.fixture
def filled(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedding, "_SLICE", 4)
    for number in range(20):
        text = f"# 通達 識別{number:02}番\n\n識別{number:02}番の通達の番号は{number * 37}です。\n"
        (base / "source" / f"{number:02}.md").write_text(text, encoding="utf-8")
    with ZipFile(base / "source" / "資料.zip", "w") as zipped:
        for number in range(6):
            zipped.writestr(f"{number}.txt", f"資料{number}の契約は{number + 2}年とする。")
    return base


def stopped_after(base: Path, n_texts: int) -> tuple[BuildReport, int]:
    """Build, and ask to stop once so many texts have been embedded."""
    asked = [False]

    def look(n: int) -> None:
        asked[0] = n >= n_texts

    encoder = Counting(look)
    report = build(
        recipe(),
        base=base,
        into=base / "index",
        encoder=encoder,
        options=Options(stop=lambda: asked[0]),
    )
    return report, encoder.n_texts


def rankings(index: Path) -> list[list[tuple[str, float]]]:
    with Engine.open(index) as engine:
        return [
            [(hit.chunk_id, hit.score) for hit in engine.search(query, view=EVERYONE, k=30).hits]
            for query in QUERIES
        ]


def test_what_is_embedded_is_committed_and_not_embedded_again(filled: Path) -> None:
    """Ctrl-C after an hour, and the hour is gone."""
    report, n_first = stopped_after(filled, 9)
    assert report.interrupted
    assert 8 <= report.n_documents == report.added <= n_first
    assert report.by_status["pending"] + report.by_status["indexed"] >= 24
    assert check(filled / "index").problems == ()
    encoder = Counting()
    second = build(recipe(), base=filled, into=filled / "index", encoder=encoder)
    assert not second.interrupted
    assert second.n_documents == 29
    # At most a slice of texts was embedded whose document was not whole.
    assert n_first + encoder.n_texts <= second.n_chunks + 4


@pytest.mark.parametrize("n_texts", [1, 6, 13, 27])
def test_a_stopped_and_resumed_build_equals_one_in_one_go(filled: Path, n_texts: int) -> None:
    stopped_after(filled, n_texts)
    run(filled)
    build(recipe(), base=filled, into=filled / "fresh")
    assert rankings(filled / "index") == rankings(filled / "fresh")
    assert check(filled / "index").problems == ()


def test_the_documents_of_an_archive_are_committed_together(base: Path) -> None:
    """Half an archive with the archive's hash on it would pass for unchanged for ever."""
    monkey = pytest.MonkeyPatch()
    with ZipFile(base / "source" / "資料.zip", "w") as zipped:
        for number in range(6):
            zipped.writestr(f"{number}.txt", f"資料{number}の契約は{number + 2}年とする。")
    for path in ("規程/旅費.md", "規程/休暇.txt", "faq.html"):
        (base / "source" / path).unlink()
    with monkey.context() as patched:
        patched.setattr(embedding, "_SLICE", 2)
        report, _ = stopped_after(base, 3)
    assert (report.interrupted, report.n_documents) == (True, 0)
    assert run(base).added == 6


def test_a_build_stopped_while_it_looks_takes_nothing_out(filled: Path) -> None:
    """Files that were not looked at yet must not count as gone."""
    run(filled)
    calls = [0]

    def stop() -> bool:
        calls[0] += 1
        return calls[0] > 5

    report = build(recipe(), base=filled, into=filled / "index", options=Options(stop=stop))
    assert (report.interrupted, report.removed, report.n_documents) == (True, 0, 29)


CHILD = """
import sys, time
from ragjp.encoders import hashing
from ragjp.jobs import embedding
embedding._SLICE = 2
real = hashing.HashingEncoder.encode_passages
def slow(self, texts, *, tokens=False):
    print("embedding", file=sys.stderr, flush=True)
    time.sleep(0.2)
    return real(self, texts, tokens=tokens)
hashing.HashingEncoder.encode_passages = slow
from ragjp.cli import main
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command_cleanly(filled: Path, number: int, code: int) -> None:
    """A scheduler's SIGTERM that kills in the middle, with a stack trace; or that is not obeyed."""
    path = filled / "toy.toml"
    path.write_text(
        'name = "toy"\n[[sources]]\npath = "source"\naccess = ["everyone"]\n[encoder]\nmodel = "hashing"\n',
        encoding="utf-8",
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, "index", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("embedding"):
            break
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code, err
    assert "途中で止めました" in err
    assert "Traceback" not in err
    assert "まだ" in out
    assert check(filled / "toy").problems == ()
    assert build(recipe(name="toy"), base=filled, into=filled / "toy").n_documents == 29
