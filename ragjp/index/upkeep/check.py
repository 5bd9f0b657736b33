"""Verify an index: every checksum, count, number, offset and cross-reference. Reads everything, changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ragjp.index.dense.derived import DERIVED_NAME, lists_unbuilt, open_derived
from ragjp.index.dense.lists import Setting, dense_setting
from ragjp.index.storage.catalog import (
    CATALOG_NAME,
    OLD_NAME,
    RESTORING_NAME,
    SEGMENTS_NAME,
    current_generation,
    open_catalog,
    transaction,
    unusable,
)
from ragjp.index.storage.disk import on_disk
from ragjp.index.storage.seal import SEAL_NAME
from ragjp.index.storage.segments import (
    Segment,
    map_array,
    read_segments,
    segment_like_folders,
    stray_files,
)
from ragjp.index.upkeep.check_catalog import CatalogFindings, examine_catalog
from ragjp.index.upkeep.check_segments import (
    CatalogRows,
    SegmentFindings,
    catalog_rows,
    examine_segment,
)
from ragjp.index.upkeep.problems import Problem, guarded
from ragjp.index.view import ALIVE

__all__ = ["CheckReport", "Findings", "Problem", "check", "examine"]

Progress = Callable[[str, int, int], None]
#: Looks at an index that a writer merges meanwhile before giving its findings as they are.
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was verified, and what is wrong; sound when ``problems`` is empty. ``warnings`` change no answer."""

    problems: tuple[Problem, ...]
    n_documents: int
    n_chunks: int
    n_segments: int
    n_files: int
    generation: int
    warnings: tuple[Problem, ...] = ()
    #: Rows of documents that are removed or replaced: what a compaction would free.
    n_dead_rows: int = 0


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that an examination found, for the report and for a repair."""

    catalog: CatalogFindings
    segments: dict[int, SegmentFindings]
    other: list[Problem]
    strays: list[Problem]
    report: CheckReport


def check(path: Path, *, progress: Progress | None = None) -> CheckReport:
    """Verify the index at ``path``.

    Raises
    ------
    IndexMissing, IndexMismatch, IndexCorrupt, IndexUnreadable
        When there is no catalog that could be read at all.
    StorageFailed
        When the disk fails.
    """
    return examine(path, progress=progress).report


def examine(path: Path, *, progress: Progress | None = None) -> Findings:
    """Verify the index at ``path`` and keep what was found in detail; raises as :func:`check` does."""
    tell: Progress = progress or (lambda stage, done, total: None)
    with on_disk(path), closing(open_catalog(path)) as connection:
        # Text that is no UTF-8 is damage to be found, not an exception from the driver.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            for attempt in range(_ATTEMPTS):
                findings = _examine_once(path, connection, tell)
                # A merge may have swept the files that were just looked for: what it wrote is looked at instead.
                if not findings.report.problems or not _has_moved_on(connection, findings):
                    break
                del attempt
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise unusable(path, error) from error
    return findings


def _has_moved_on(connection: sqlite3.Connection, findings: Findings) -> bool:
    try:
        return current_generation(connection) != findings.report.generation
    except ValueError:
        return False


def _examine_once(path: Path, connection: sqlite3.Connection, tell: Progress) -> Findings:
    segments: list[Segment] = []
    rows: dict[int, CatalogRows] = {}
    meta: dict[str, str] = {}
    counted = [0, 0, 0]

    def read() -> Iterator[Problem]:
        counted[2] = current_generation(connection)
        meta.update(connection.execute("SELECT key, value FROM meta").fetchall())
        segments.extend(read_segments(connection))
        rows.update((one.number, catalog_rows(connection, one.number)) for one in segments)
        counted[:2] = _counts(connection, counted[2])
        yield from ()

    catalog = examine_catalog(connection, path)
    # Over before the long reading of files, which no writer should have to wait for.
    with transaction(connection, "DEFERRED"):
        other = list(guarded(CATALOG_NAME, read))
    by_segment: dict[int, SegmentFindings] = {}
    total = sum(len(one.files) for one in segments)
    done = 0
    for segment in segments:
        tell("検査", done, total)

        def look(segment: Segment = segment) -> Iterator[Problem]:
            by_segment[segment.number] = examine_segment(path, meta, segment, rows[segment.number])
            yield from ()

        where = f"{SEGMENTS_NAME}/{segment.name}"
        other += guarded(where, look, code="array_inconsistent")
        done += len(segment.files)
    tell("検査", total, total)
    strays = list(_strays(path, segments))
    sound = [one for one in segments if not by_segment[one.number].damaged] if not other else []
    setting = dense_setting(meta.get("recipe", ""))
    derived = list(
        guarded(DERIVED_NAME, lambda: _derived(path, sound, setting), code="derived_damaged")
    )
    found = [problem for one in by_segment.values() for problem in one.problems]
    n_rows = sum(len(one.rows) for one in rows.values())
    report = CheckReport(
        (*catalog.problems, *other, *found),
        counted[0],
        counted[1],
        len(segments),
        total,
        counted[2],
        (*catalog.warnings, *derived, *strays),
        n_rows - counted[1],
    )
    return Findings(catalog, by_segment, other, strays, report)


def _counts(connection: sqlite3.Connection, generation: int) -> list[int]:
    """Documents and chunks of a generation."""
    counts = []
    for tables in ("document", "chunk JOIN document USING (doc_no)"):
        (number,) = connection.execute(
            f"SELECT count(*) FROM {tables} WHERE {ALIVE}", {"g": generation}
        ).fetchone()
        counts.append(int(number))
    return counts


def _derived(path: Path, segments: Sequence[Segment], dense: Setting) -> Iterator[Problem]:
    """Derived files cost speed, not answers: what is wrong with them, and what could not be written, is a warning."""
    vectors = []
    for segment in segments:
        file = path / SEGMENTS_NAME / segment.name / "vectors.npy"
        vectors.append(map_array(file, segment.sizes[file.name]))
    opened = open_derived(path, segments, vectors)
    for found in (*opened.problems, *lists_unbuilt(path, segments, vectors, dense)):
        yield Problem(found.code, found.where, found.sentence)


def _strays(path: Path, segments: Sequence[Segment]) -> Iterator[Problem]:
    """Files that look like ours and that nothing names: no damage, only room that the next update frees."""
    named = {segment.name: set(segment.sizes) for segment in segments}
    found = [
        path / name
        for name in (f"{CATALOG_NAME}.new", OLD_NAME, RESTORING_NAME, f"{SEAL_NAME}.new")
        if (path / name).exists()
    ]
    folder = path / SEGMENTS_NAME
    found += [entry for entry in segment_like_folders(folder) if entry.name not in named]
    for name, files in named.items():
        found += stray_files(folder / name, files)
    for entry in found:
        where = str(entry.relative_to(path))
        yield Problem(
            "stray_file",
            where,
            f"{where} は索引のどこからも使われていません（次の更新で消えます）。",
        )
