"""Writing an index: one writer at a time, batches that are committed whole, merges that change no answer."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ragjp.errors import IndexMismatch
from ragjp.index.dense.derived import ensure_derived
from ragjp.index.dense.lists import dense_setting
from ragjp.index.storage.batch import RENEWABLE, Batch, Manifest, NewDocument
from ragjp.index.storage.catalog import (
    SEGMENTS_NAME,
    catalog_path,
    current_generation,
    meta_value,
    open_catalog,
)
from ragjp.index.storage.creation import create_catalog, sweep_catalogs
from ragjp.index.storage.digests import DigestKeeper
from ragjp.index.storage.lock import LOCK_NAME, changing, writer_lock
from ragjp.index.storage.merging import new_arrays
from ragjp.index.storage.migrations import migrate_catalog
from ragjp.index.storage.records import (
    change_access,
    current_documents,
    insert_documents,
    insert_files,
    insert_segment,
    kill_documents,
    next_numbers,
    set_values,
)
from ragjp.index.storage.rewording import reword, word_change
from ragjp.index.storage.rewriting import (
    is_posting_file,
    merge_segments,
    renew_terms,
    worth_merging,
)
from ragjp.index.storage.seal import close_and_seal
from ragjp.index.storage.segments import (
    FileRecord,
    Segment,
    free_name,
    open_segment,
    read_segments,
    sweep_segments,
    write_segment,
)
from ragjp.index.storage.verify import require_sound_catalog, require_sound_segments
from ragjp.types import Chunk

__all__ = ["LOCK_NAME", "Batch", "IndexWriter", "Manifest", "NewDocument"]

Told = TypeVar("Told")
#: Chunks → field → the terms of each.
Analyse = Callable[[Sequence[Chunk]], Mapping[str, Sequence[Sequence[str]]]]


class IndexWriter:
    """The only way to change an index. Holds ``writer.lock`` from opening to closing; an older format is migrated.

    Raises
    ------
    IndexLocked
        When another process is writing.
    IndexMismatch
        When the index was built with another encoder. Another dictionary, folding or other term fields are no obstacle: see
        :meth:`is_analysis_stale`.
    IndexCorrupt
        When the catalog is damaged: nothing is built on it.
    StorageFailed
        When the disk is full, read-only or failing. Every method may raise it; the index is then as it was.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._manifest = manifest
        with ExitStack() as opening:
            opening.enter_context(writer_lock(path, create=True))
            with changing(path):
                self._open(opening)
            self._stack = opening.pop_all()

    def _open(self, opening: ExitStack) -> None:
        if not catalog_path(self.path).exists():
            create_catalog(self.path, self._manifest.as_meta())
        migrate_catalog(self.path)
        self._connection = open_catalog(self.path, writable=True)
        self._is_sound = False
        opening.callback(self._disconnect)
        require_sound_catalog(self.path, self._connection)
        self._is_sound = True
        for key, value in self._manifest.as_meta().items():
            stored = meta_value(self._connection, key)
            if stored != value and key not in RENEWABLE:
                raise IndexMismatch(
                    f"索引 {self.path} は別の設定で作られています（{key}: 索引は {stored}、今回は {value}）。"
                    "レシピの name を変えるか、古い索引の catalog.sqlite と segments を消してから作り直してください。"
                )
        self._digests = DigestKeeper(self._connection)
        sweep_catalogs(self.path)
        self.swept = self._sweep()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Seal the catalog and release the lock. What was committed is safe already, whatever happens here."""
        self._stack.close()

    def _disconnect(self) -> None:
        if self._is_sound:
            close_and_seal(self._connection, self.path)
        else:
            self._connection.close()

    @contextmanager
    def _committing(self, *folders: str) -> Iterator[None]:
        """A transaction that names new segment folders (or none, ""); they go again when it fails."""
        try:
            with self._digests.writing():
                yield
        except BaseException:
            # Where even this question fails, it may have been committed: the next writer sweeps.
            with suppress(Exception):
                named = {segment.name for segment in read_segments(self._connection)}
                for folder in set(folders) - named - {""}:  # no name: a batch without chunks
                    shutil.rmtree(self.path / SEGMENTS_NAME / folder, ignore_errors=True)
            raise

    def _sweep(self) -> list[str]:
        named = {segment.name: set(segment.sizes) for segment in self.segments()}
        return sweep_segments(self.path, named)

    # ----------------------------------------------------------------------------------------- reading

    @property
    def generation(self) -> int:
        """The newest committed generation."""
        with changing(self.path):
            return current_generation(self._connection)

    def segments(self) -> list[Segment]:
        """The segments that the catalog names."""
        with changing(self.path):
            return read_segments(self._connection)

    def known_documents(self) -> dict[str, tuple[str, frozenset[str]]]:
        """doc_id → (content hash, principals) of every current document."""
        with changing(self.path):
            return current_documents(self._connection)

    def counts(self) -> tuple[int, int]:
        """Current documents and chunks."""
        with changing(self.path):
            row = self._connection.execute(
                "SELECT (SELECT count(*) FROM document WHERE died IS NULL), "
                "(SELECT count(*) FROM chunk JOIN document USING (doc_no) WHERE died IS NULL)"
            ).fetchone()
        return int(row[0]), int(row[1])

    def ask(self, question: Callable[[sqlite3.Connection], Told]) -> Told:
        """Ask the catalog what no method here answers; nothing is to be changed by it."""
        with changing(self.path):
            return question(self._connection)

    def embedded(self, text_hashes: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Of these texts, those already embedded in some segment: hash → (segment number, row)."""
        found: dict[str, tuple[int, int]] = {}
        with changing(self.path):
            for text_hash in text_hashes:
                row = self._connection.execute(
                    "SELECT segment_no, row FROM chunk WHERE text_hash = ? ORDER BY chunk_no DESC LIMIT 1",
                    (text_hash,),
                ).fetchone()
                if row:
                    found[text_hash] = (row[0], row[1])
        return found

    def segment_arrays(self, segment_no: int) -> dict[str, NDArray[Any]]:
        """Map the arrays of one committed segment, verified but for the tokens (each row of which has a check).

        Raises
        ------
        IndexCorrupt
            When a file is missing or not what was written: nothing new is made from it.
        """
        segment = next(one for one in self.segments() if one.number == segment_no)
        with changing(self.path):
            require_sound_segments(self.path, [segment])
            return open_segment(self.path, segment.name, segment.sizes)

    def is_analysis_stale(self) -> bool:
        """Whether the terms were made with another dictionary, folding or set of fields: :meth:`analyse_again` comes first then."""
        wanted = self._manifest.as_meta()
        with changing(self.path):
            return any(meta_value(self._connection, key) != wanted[key] for key in RENEWABLE)

    # ----------------------------------------------------------------------------------------- writing

    def set_meta(self, key: str, value: str) -> None:
        """Remember something with the index (the recipe, where its sources are)."""
        with changing(self.path):
            if meta_value(self._connection, key) == value:
                return
            with self._digests.writing():
                set_values(self._connection, {key: value})

    def commit(self, batch: Batch) -> int:
        """Make one batch durable and visible; returns the new generation. All of it happens, or none."""
        with changing(self.path):
            return self._commit(batch)

    def _commit(self, batch: Batch) -> int:
        generation = self.generation + 1
        first_document, first_chunk = next_numbers(self._connection)
        # Only the lock's holder adds rows, and numbers are never used twice: they are known before the segment is written.
        sizes = [len(new.chunks) for new in batch.documents]
        documents = np.repeat(np.arange(first_document, first_document + len(sizes)), sizes)
        chunks = np.arange(first_chunk, first_chunk + len(documents), dtype=np.int64)
        name = ""
        records: tuple[FileRecord, ...] = ()
        if batch.text_hashes:
            if self.is_analysis_stale():
                raise IndexMismatch(
                    f"索引 {self.path} の語は別の辞書で作られています。ragjp index で作り直してから追加してください。"
                )
            name = self._free_name(generation)
            arrays = new_arrays(batch, chunks, documents.astype(np.int64))
            records = write_segment(self.path, name, arrays)
        with self._committing(name):
            kill_documents(
                self._connection,
                [*batch.removed, *(new.document.doc_id for new in batch.documents)],
                generation,
            )
            segment_no = None
            if records:
                n_tokens = len(batch.tokens.codes) if batch.tokens else 0
                segment_no = insert_segment(
                    self._connection, name, len(batch.text_hashes), n_tokens, records
                )
            insert_documents(
                self._connection,
                batch,
                segment_no=segment_no,
                generation=generation,
                first_document=first_document,
                first_chunk=first_chunk,
            )
            change_access(self._connection, batch.access_changes, generation)
            set_values(self._connection, {"generation": str(generation)})
        return generation

    def _free_name(self, generation: int) -> str:
        return free_name(self.path, generation, {segment.name for segment in self.segments()})

    def needs_merge(self) -> bool:
        """Whether the index has become many small segments, or holds many dead rows."""
        with changing(self.path):
            return bool(worth_merging(self._connection))

    def tidy(self) -> int:
        """End a piece of work: merge what :meth:`needs_merge` is about, leave large, live segments alone, bring derived files up to date.

        Returns the generation.
        """
        chosen = worth_merging(self._connection)
        if chosen:
            self.merge(chosen)
        setting = dense_setting(meta_value(self._connection, "recipe"))
        ensure_derived(self.path, self.segments(), setting)
        return self.generation

    def merge(self, numbers: Sequence[int] | None = None) -> int:
        """Write the current rows of some segments (all when not given) as one and forget what has died there.

        No ranking changes. Returns the new generation.
        """
        with changing(self.path):
            generation = self.generation + 1
            chosen = [
                one for one in self.segments() if numbers is None or one.number in set(numbers)
            ]
            require_sound_segments(self.path, chosen)
            name = self._free_name(generation)
            record = merge_segments(
                self._connection, self.path, chosen, name=name, generation=generation
            )
            with self._committing(name):
                record()
            self._sweep()
            return generation

    def is_compact(self) -> bool:
        """Whether there is one segment at most and nothing dead in it: a full merge would change nothing."""
        (dead,) = self._connection.execute(
            "SELECT (SELECT count(*) FROM document WHERE died IS NOT NULL) + "
            "(SELECT count(*) FROM access WHERE died IS NOT NULL)"
        ).fetchone()
        return not dead and len(self.segments()) <= 1

    def shrink(self) -> None:
        """Give the catalog's unused pages back to the file system; needs room for a second catalog while it runs."""
        with changing(self.path):
            (unused,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if unused:
                self._connection.execute("VACUUM")

    def analyse_again(
        self, analyse: Analyse, *, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Give every current chunk new terms, made with the analyzer and in the fields of the manifest. Returns the new generation.

        Vectors and tokens stay as they are, their files are only linked. ``progress`` is called with (rows done, rows in all).
        """
        # The old terms are not read: that they are damaged does not matter.
        fields = self._manifest.fields
        return self._renew(
            lambda segment, name: renew_terms(
                self._connection, self.path, segment, name, fields, analyse, progress
            ),
            is_posting_file,
        )

    def change_words(self) -> int | None:
        """Give the chunks that hold a changed word of the company's own their new terms; None when more than words differ from the manifest.

        Returns how many chunks have other terms now.
        """
        with changing(self.path):
            change = word_change(self._connection, self._manifest)
        if change is None:
            return None
        touched: list[int] = []

        def make(segment: Segment, name: str) -> tuple[FileRecord, ...]:
            records, n_rows = reword(self._connection, self.path, segment, name, change)
            touched.append(n_rows)
            return records

        self._renew(make)
        return sum(touched)

    def _renew(
        self,
        make: Callable[[Segment, str], tuple[FileRecord, ...]],
        skip: Callable[[str], bool] | None = None,
    ) -> int:
        """Write every segment under a new name, as ``make`` does, and take over what is renewable of the manifest."""
        with changing(self.path):
            generation = self.generation + 1
            segments = self.segments()
            require_sound_segments(self.path, segments, skip=skip)
            renewed: dict[str, tuple[FileRecord, ...]] = {}
            try:
                for segment in segments:
                    name = self._free_name(generation)
                    renewed[name] = make(segment, name)
            except BaseException:
                for name in renewed:
                    shutil.rmtree(self.path / SEGMENTS_NAME / name, ignore_errors=True)
                raise
            meta = self._manifest.as_meta()
            with self._committing(*renewed):
                for segment, (name, records) in zip(segments, renewed.items(), strict=True):
                    self._connection.execute(
                        "UPDATE segment SET name = ? WHERE segment_no = ?", (name, segment.number)
                    )
                    self._connection.execute(
                        "DELETE FROM segment_file WHERE segment_no = ?", (segment.number,)
                    )
                    insert_files(self._connection, segment.number, records)
                set_values(
                    self._connection,
                    {"generation": str(generation)} | {key: meta[key] for key in RENEWABLE},
                )
            self._sweep()
            return generation
