"""What an update costs beside the whole build, and whether it leaves the index that a fresh build would."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.bench.material import EVERYONE, Material, data_folder, scratch
from ragjp.config import Recipe
from ragjp.engine import Engine
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.index.storage.catalog import CATALOG_NAME, SEGMENTS_NAME
from ragjp.index.storage.writer import IndexWriter, Manifest
from ragjp.jobs.build import build
from ragjp.jobs.sources import CorpusSource

_DEPTH = 20


def update_cost(material: Material, *, n_sample: int, n_new: int) -> dict[str, Any]:
    """Time an update by one per cent against the whole build, with the encoder loaded.

    The whole build is told from ``n_sample`` of its passages, built into an empty index before and after the update (half each): its
    time is embedding, and that is linear. ``n_new`` passages of another corpus are added, more when they are shorter than those of
    this one, so that one per cent of the text is added too.
    """
    from ragjp.encoders import load_encoder

    corpus = data_folder() / "jaquad" / "corpus.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines()
    others = (data_folder() / "jsquad" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    new = _enough(others, n_new, sum(map(_length, lines)) * n_new // len(lines))
    encoder = load_encoder(material.recipe.encoder)
    encoder.encode_passages(["温めるための文。"], tokens=True)
    folder = _empty(scratch() / "update")
    sample = lines[:: max(1, len(lines) // n_sample)][:n_sample]
    grown = _write(folder / "grown.jsonl", [*lines, *new])
    copy_index(material.index, folder / "index")
    halves, update = [], 0.0
    for number, half in enumerate((sample[::2], sample[1::2])):
        path = _write(folder / f"sample{number}.jsonl", half)
        into = folder / f"sample{number}"
        halves.append(_seconds(material.recipe, path, into, encoder))
        if number == 0:
            update = _seconds(material.recipe, grown, folder / "index", encoder)
    shutil.rmtree(folder, ignore_errors=True)
    per_character = sum(halves) / sum(map(_length, sample))
    whole = per_character * sum(map(_length, lines))
    share = 100 * len(new) / len(lines)
    return {
        "update_s": update,
        "new_passages": len(new),
        "new_percent": share,
        "sample_passages": len(sample),
        "sample_s": sum(halves),
        "whole_build_s": whole,
        "percent": 100 * update / whole,
        "how": "the whole build's time is that of the sample, by characters",
    }


def equal_to_fresh(
    corpus: Path, questions: Sequence[str], *, n_base: int, n_new: int
) -> dict[str, Any]:
    """Add ``n_new`` passages at the front and take half as many away at the end, and compare with an index built at once.

    The encoder is the hashing one, so that thousands of passages can be embedded twice. Every ranking of every question must have the
    same chunk ids and the same scores, bit for bit.
    """
    lines = corpus.read_text(encoding="utf-8").splitlines()[: n_base + n_new]
    folder = _empty(scratch() / "equality")
    recipe = Recipe.model_validate({"name": "equality", "encoder": {"model": "hashing"}})
    before = _write(folder / "before.jsonl", lines[n_new:])
    after = _write(folder / "after.jsonl", lines[: len(lines) - n_new // 2])
    _seconds(recipe, before, folder / "updated")
    _seconds(recipe, after, folder / "updated")
    _seconds(recipe, after, folder / "fresh")
    same = compared = 0
    with Engine.open(folder / "updated") as updated, Engine.open(folder / "fresh") as fresh:
        for question in questions:
            ours = updated.search_all(question, view=EVERYONE, k=_DEPTH)
            theirs = fresh.search_all(question, view=EVERYONE, k=_DEPTH)
            for name, ranking in ours.items():
                compared += 1
                found = [(hit.chunk_id, hit.score) for hit in ranking.hits]
                same += found == [(hit.chunk_id, hit.score) for hit in theirs[name].hits]
    shutil.rmtree(folder, ignore_errors=True)
    return {"base": n_base, "added": n_new, "removed": n_new // 2, "k": _DEPTH, "same": same, "compared": compared}  # fmt: skip


def writer_of(index: Path) -> IndexWriter:
    """The writer of an existing index, with the manifest that it was built with."""
    connection = sqlite3.connect(index / CATALOG_NAME)
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    connection.close()
    manifest = Manifest(
        meta["analyzer"],
        meta["encoder"],
        meta["encoder_name"],
        int(meta["dim"]),
        int(meta["token_dim"]),
        tuple(json.loads(meta["fields"])),
    )
    return IndexWriter(index, manifest)


def copy_index(index: Path, copy: Path) -> None:
    """Copy an index: its write-once files and those derived from them as hard links, its catalog as a catalog of its own."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    written = [
        *(index / SEGMENTS_NAME).rglob("*"),
        index / DERIVED_NAME,
        *(index / DERIVED_NAME).glob("*"),
    ]
    for path in sorted(filter(Path.exists, written)):
        target = copy / path.relative_to(index)
        if path.is_dir():
            target.mkdir(parents=True)
        else:
            target.hardlink_to(path)
    source, target_catalog = (sqlite3.connect(folder / CATALOG_NAME) for folder in (index, copy))
    with source, target_catalog:
        source.backup(target_catalog)
    source.close()
    target_catalog.close()


def _seconds(recipe: Recipe, corpus: Path, into: Path, encoder: Any = None) -> float:  # noqa: ANN401
    """Build or update, and take the time that the build itself reports."""
    report = build(
        recipe, base=corpus.parent, into=into, sources=[CorpusSource(corpus)], encoder=encoder
    )
    return report.seconds


def _enough(lines: Sequence[str], n_least: int, characters: int) -> list[str]:
    """The first lines, at least ``n_least`` of them and at least ``characters`` of text."""
    taken: list[str] = []
    for line in lines:
        if len(taken) >= n_least and characters <= 0:
            break
        taken.append(line)
        characters -= _length(line)
    return taken


def _length(line: str) -> int:
    return len(json.loads(line)["text"])


def _write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
