"""Mend an index with what it holds itself, embedding nothing: what cannot be mended is named, document by document.

The catalog has every document's text, so terms, row maps and row checks are made again from it. Vectors and tokens are what a model
made: rows whose own checks say that they are damaged are lost, and their documents are taken out of the index, so that the next
``ragjp index`` embeds just those. A damaged segment is written again as a new one and exchanged in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.index.dense.derived import ensure_derived
from ragjp.index.dense.lists import dense_setting
from ragjp.index.storage.catalog import current_generation, meta_value, open_catalog
from ragjp.index.storage.digests import DigestKeeper
from ragjp.index.storage.lock import changing, writer_lock
from ragjp.index.storage.merging import Terms
from ragjp.index.storage.records import set_values
from ragjp.index.storage.rewriting import fresh_postings, merge_segments, meta_fields
from ragjp.index.storage.seal import SEAL_NAME, seal_catalog
from ragjp.index.storage.segments import Segment, free_name, read_segments, sweep_segments
from ragjp.index.upkeep.check import CheckReport, Findings, Problem, examine
from ragjp.index.upkeep.check_segments import catalog_rows
from ragjp.index.upkeep.salvage import salvage
from ragjp.types import Chunk

Progress = Callable[[str, int, int], None]
_SEAL_CODES = frozenset({"catalog_unsealed", "seal_damaged", "catalog_checksum"})
_ORPHANS = ("page", "chunk", "document_digest")


@dataclass(frozen=True, slots=True)
class TermMaker:
    """Makes terms anew: ``fingerprint`` and ``fields`` must be the index's, or its other segments would not match."""

    fingerprint: str
    fields: tuple[str, ...]
    analyse: Callable[[Sequence[Chunk]], Terms]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was wrong before and is after; ``removed`` documents must be embedded again, ``mended`` says in sentences what was done."""

    before: CheckReport
    after: CheckReport
    mended: tuple[str, ...]
    removed: tuple[str, ...]


def repair(index: Path, terms: TermMaker, *, progress: Progress | None = None) -> RepairReport:
    """Mend what can be mended. Killed anywhere, it leaves the index as it was or with some of it mended; run it again.

    Raises
    ------
    IndexMissing, IndexMismatch, IndexCorrupt, IndexUnreadable
        When there is no catalog that could be read at all.
    IndexLocked, StorageFailed
        When another process is writing, or the disk refuses.
    """
    open_catalog(index).close()
    with writer_lock(index), changing(index):
        findings = examine(index, progress=progress)
        mended: list[str] = []
        removed: list[str] = []
        if _needs_work(findings):
            with (
                suppress(sqlite3.IntegrityError),
                closing(open_catalog(index, writable=True)) as connection,
            ):
                if _mend_catalog(connection, findings):
                    mended.append("目録を書き直しました。")
                    findings = examine(index)
                if findings.catalog.tables_are_sound:
                    job = _Job(connection, index, terms, mended, removed)
                    job.run(findings)
                    sweep_segments(
                        index, {one.name: set(one.sizes) for one in read_segments(connection)}
                    )
        after = _sealed(index, examine(index, progress=progress), mended)
        return RepairReport(findings.report, after, tuple(mended), tuple(removed))


def _needs_work(findings: Findings) -> bool:
    codes = {problem.code for problem in (*findings.report.problems, *findings.report.warnings)}
    return bool(codes - {"catalog_unsealed", "seal_damaged", "stray_file"})


def _mend_catalog(connection: sqlite3.Connection, findings: Findings) -> bool:
    """Write the file again from its rows, when it is the file that is wrong and not the rows."""
    codes = {problem.code for problem in findings.catalog.problems}
    if not codes & {"catalog_checksum", "catalog_damaged"} or "catalog_digest" in codes:
        return False
    try:
        # The second copies the indexes as they are, and leaves no byte of the file that is not made of rows.
        connection.execute("REINDEX")
        connection.execute("VACUUM")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        return False
    return True


def _sealed(index: Path, findings: Findings, mended: list[str]) -> CheckReport:
    """Seal a catalog whose rows were all found sound; the report without what a new seal settles."""
    catalog = findings.catalog
    codes = {problem.code for problem in catalog.problems}
    if catalog.is_sealed or codes - {"seal_damaged"}:
        return findings.report
    with suppress(OSError, ValueError):
        seal_catalog(index, findings.report.generation)
        mended.append(f"{SEAL_NAME} を作り直しました。")
        return replace(
            findings.report,
            problems=_without_seal(findings.report.problems),
            warnings=_without_seal(findings.report.warnings),
        )
    return findings.report


def _without_seal(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.code not in _SEAL_CODES)


class _Job:
    """The repair of the rows and segments of one index whose tables are sound."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        index: Path,
        terms: TermMaker,
        mended: list[str],
        removed: list[str],
    ) -> None:
        self._connection = connection
        self._index = index
        self._terms = terms
        self._mended = mended
        self._removed = removed
        self._digests = DigestKeeper(connection)

    def run(self, findings: Findings) -> None:
        """Take out damaged documents, then write damaged segments again, one transaction each."""
        segments = {one.number: one for one in read_segments(self._connection)}
        damaged = {
            number: set(one.damaged)
            for number, one in findings.segments.items()
            if one.damaged and number in segments
        }
        if findings.catalog.damaged_documents:
            for number in self._drop_documents(findings.catalog.damaged_documents):
                damaged.setdefault(number, set())
        for number, stems in sorted(damaged.items()):
            self._mend(segments[number], stems)
        built = ensure_derived(
            self._index,
            read_segments(self._connection),
            dense_setting(meta_value(self._connection, "recipe")),
        ).built
        if built:
            self._mended.append(f"検索を速くするファイルを {len(built)} 個作り直しました。")

    def _names(self, documents: Sequence[int]) -> list[str]:
        names = []
        for number in documents:
            found = self._connection.execute(
                "SELECT doc_id FROM document WHERE doc_no = ? AND died IS NULL", (int(number),)
            ).fetchone()
            names += [str(found[0])] if found else []
        return names

    def _drop_documents(self, documents: Sequence[int]) -> set[int]:
        """Forget documents whose own rows are damaged; returns the segments that held their chunks."""
        names = self._names(documents)
        touched: set[int] = set()
        for number in documents:
            rows = self._connection.execute(
                "SELECT DISTINCT segment_no FROM chunk WHERE doc_no = ?", (number,)
            ).fetchall()
            touched.update(row[0] for row in rows)
        with self._digests.writing():
            self._connection.executemany(
                "DELETE FROM document WHERE doc_no = ?", [(number,) for number in documents]
            )
            for table in _ORPHANS:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE doc_no NOT IN (SELECT doc_no FROM document)"
                )
            generation = current_generation(self._connection) + 1
            set_values(self._connection, {"generation": str(generation)})
        self._removed += names
        return touched

    def _mend(self, segment: Segment, damaged: set[str]) -> None:
        connection, index = self._connection, self._index
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        fields = meta_fields(connection)
        said = catalog_rows(connection, segment.number)
        saved = salvage(index, meta, segment, damaged, said, fields)
        if saved.lost_fields and not self._make_terms(segment, saved.arrays, fields):
            return
        lost_rows = np.flatnonzero(~saved.sound[: segment.n_rows])
        lost = np.unique(said.documents[np.isin(said.rows, lost_rows)])
        names = self._names(lost.tolist())
        generation = current_generation(connection) + 1
        name = free_name(index, generation, {one.name for one in read_segments(connection)})

        def arrays_of(one: Segment) -> Mapping[str, NDArray[Any]]:
            return saved.arrays

        record = merge_segments(
            connection,
            index,
            [segment],
            name=name,
            generation=generation,
            arrays_of=arrays_of,
            dropped=lost.tolist(),
        )
        with self._digests.writing():
            record()
        self._removed += names
        self._mended.append(
            f"セグメント {segment.name} を {name} に書き直しました"
            f"（{'、'.join(sorted(damaged)) or '失われた文書の行'}）。"
        )

    def _make_terms(
        self, segment: Segment, arrays: dict[str, NDArray[Any]], fields: list[str]
    ) -> bool:
        """Analyse the segment's texts; impossible with another dictionary than the other segments were made with."""
        same = meta_value(self._connection, "analyzer") == self._terms.fingerprint
        if not same or set(fields) != set(self._terms.fields):
            return False
        made = fresh_postings(self._connection, segment, fields, self._terms.analyse)
        for field, postings in made.items():
            arrays.update(postings.arrays(field))
        return True
