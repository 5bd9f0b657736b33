"""Run as a script: put something else in the place of a file of a closed index. No crash, no hang, no wrong answer.

A third of the cases are forged: every checksum, digest and seal is made anew after the damage, as by somebody who means harm. Then
no checksum helps, and what is asked for is less: no crash and no hang.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from damage import answers, judged, make_sound
from isolated import Report, arguments, generator, isolated, run_shards
from mutations import FORGEABLE, OF_CATALOGS, OF_FILES

FORGED_SHARE = 1 / 3


def forge(index: Path) -> None:
    """Make every checksum fit what is there now."""
    connection = sqlite3.connect(index / "catalog.sqlite", isolation_level=None)
    with suppress(sqlite3.Error, OSError, ValueError):
        for rowid, segment, name in connection.execute(
            "SELECT segment_file.rowid, segment.name, segment_file.name "
            "FROM segment_file JOIN segment USING (segment_no)"
        ).fetchall():
            content = (index / "segments" / segment / name).read_bytes()
            connection.execute(
                "UPDATE segment_file SET n_bytes = ?, sha256 = ? WHERE rowid = ?",
                (len(content), hashlib.sha256(content).hexdigest(), rowid),
            )
    with suppress(sqlite3.Error, OSError, ValueError, ImportError):
        from ragjp.index.storage.digests import (
            store_document_digests,
            store_table_digests,
            table_digests,
        )

        store_document_digests(connection)
        store_table_digests(connection, table_digests(connection))
    connection.close()
    with suppress(sqlite3.Error, OSError, ValueError, ImportError):
        from ragjp.index.storage.seal import seal_catalog

        seal_catalog(index, 3)


def run(case: int, sound: list[tuple[Path, dict[str, Any]]], work: Path, report: Report) -> None:
    rng = generator(case)
    source, truth = rng.choice(sound)
    path = work / "index"
    shutil.copytree(source, path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    forged = rng.random() < FORGED_SHARE
    file = rng.choice(files)
    mutation = rng.choice(FORGEABLE if forged else rng.choice((OF_FILES, OF_CATALOGS)))
    mutation(path, file, rng)
    if forged:
        isolated(lambda: forge(path))
    what = f"{'forged ' * forged}{mutation.__name__} {case}, {source.name}/{file.relative_to(path)}"
    write = rng.choice(("", "merge", "commit"))
    judged(path, truth, write, what, case, report, forged=forged)
    shutil.rmtree(path)


def main() -> None:
    given = arguments()
    sound = []
    for path in make_sound(given.work):
        truth = isolated(lambda path=path: answers(path))["value"]  # type: ignore[misc]
        sound.append((path, truth))
    cases = [int(given.only)] if given.only else list(range(given.cases))
    run_shards(cases, lambda case, folder, report: run(case, sound, folder, report), given.work)


if __name__ == "__main__":
    main()
