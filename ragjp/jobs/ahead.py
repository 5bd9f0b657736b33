"""Reading ahead of the encoder: several reading processes, one thread that cuts and analyses, batches in the order of the files.

Nothing of it depends on which reader is faster: files come out in the order in which they went in, and a batch is closed by the number of
its chunks. What is waiting is bounded, in files, in bytes, and to one batch that is ready while another is embedded.
"""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ragjp.config import Recipe
from ragjp.documents import DocumentReader
from ragjp.documents.contents import Contents, Finding
from ragjp.documents.reasons import LASTING, reason
from ragjp.index.storage.batch import NewDocument
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.columns import TermColumn
from ragjp.jobs.pace import PREPARE, READ, Pace
from ragjp.jobs.planning import Change
from ragjp.types import Chunk

#: Readers when the recipe does not say: more hardly help, since they share the cores with the encoder.
MOST_READERS = 4
#: Files that a reader may be ahead, and bytes that all may be.
_FILES_EACH = 8
_AHEAD_BYTES = 64 << 20
#: How often a waiting thread looks whether it should stop, in seconds.
_LOOK_S = 0.1

Analyse = Callable[[Sequence[Chunk]], Mapping[str, TermColumn]]


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file that has been read: its documents cut into chunks, and how each of them, and what was refused, ended."""

    change: Change
    documents: tuple[NewDocument, ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Prepared:
    """Files for one commit, in order, with the terms of all their chunks."""

    files: list[FileRead] = field(default_factory=list)
    n_chunks: int = 0
    terms: Mapping[str, TermColumn] = field(default_factory=dict)

    @property
    def documents(self) -> list[NewDocument]:
        """The documents of all files, in order."""
        return [new for file in self.files for new in file.documents]


def n_readers(recipe: Recipe) -> int:
    """How many reading processes to use."""
    return recipe.jobs.readers or min(os.cpu_count() or 1, MOST_READERS)


@contextmanager
def prepared_ahead(
    changes: Sequence[Change],
    recipe: Recipe,
    analyse: Analyse,
    *,
    batch_chunks: int,
    pace: Pace,
    stop: Callable[[], bool],
) -> Iterator[Iterator[Prepared]]:
    """Read, cut and analyse files while the batch before is embedded; gives the batches, in order.

    Leaving the block ends the readers, whatever they are at.

    Parameters
    ----------
    batch_chunks
        A batch is closed when it holds this many chunks.
    stop
        Asked while waiting; the batches end when it says so.
    """
    ahead = _Ahead(changes, recipe, analyse, batch_chunks, pace)
    ahead.start()
    try:
        yield ahead.batches(stop)
    finally:
        ahead.end()


class _Ahead(threading.Thread):
    """The thread that prepares, and the queue of one batch between it and the encoder."""

    def __init__(
        self,
        changes: Sequence[Change],
        recipe: Recipe,
        analyse: Analyse,
        batch_chunks: int,
        pace: Pace,
    ) -> None:
        super().__init__(name="ragjp-prepare", daemon=True)
        self._changes, self._recipe, self._analyse = changes, recipe, analyse
        self._batch_chunks, self._pace = batch_chunks, pace
        self._ended = threading.Event()
        self._ready: queue.Queue[Prepared | BaseException | None] = queue.Queue(maxsize=1)

    def run(self) -> None:
        """Prepare all batches, then None; an error instead, where there is one."""
        try:
            with _Readers(self._recipe, n_readers(self._recipe), self._pace) as readers:
                files = readers.read_in_order(self._changes, self._ended)
                for batch in self._make(files):
                    self._put(batch)
            self._put(None)
        except BaseException as error:  # it is raised where the batches are waited for
            self._put(error)

    def batches(self, stop: Callable[[], bool]) -> Iterator[Prepared]:
        """Give the batches as they are ready."""
        while not stop():
            try:
                what = self._ready.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if what is None:
                return
            if isinstance(what, BaseException):
                raise what
            yield what

    def end(self) -> None:
        """Stop at once."""
        self._ended.set()
        self.join()

    def _put(self, what: Prepared | BaseException | None) -> None:
        while not self._ended.is_set():
            try:
                self._ready.put(what, timeout=_LOOK_S)
            except queue.Full:
                continue
            return

    def _make(self, files: Iterator[tuple[Change, Contents]]) -> Iterator[Prepared]:
        batch = Prepared()
        for change, contents in files:
            with self._pace.at(PREPARE):
                file = _cut(change, contents, self._recipe)
            batch.files.append(file)
            batch.n_chunks += sum(len(new.chunks) for new in file.documents)
            if batch.n_chunks >= self._batch_chunks:
                yield self._analysed(batch)
                batch = Prepared()
        if batch.files and not self._ended.is_set():
            yield self._analysed(batch)

    def _analysed(self, batch: Prepared) -> Prepared:
        with self._pace.at(PREPARE):
            batch.terms = self._analyse([c for new in batch.documents for c in new.chunks])
        return batch


def _cut(change: Change, contents: Contents, recipe: Recipe) -> FileRead:
    """Cut the documents of a file into chunks; one without any is refused."""
    cut = {
        document.doc_id: tuple(chunk_document(document, recipe.chunks))
        for document in contents.documents
    }
    findings = tuple(
        one if cut.get(one.doc_id, True) else no_text(one.doc_id) for one in contents.findings
    )
    content_hash = change.content_hash
    if any(one.status == "refused" and one.code not in LASTING for one in findings):
        # What fails for the moment is tried again: the next build takes the file for changed.
        content_hash = hashlib.sha256(f"{content_hash}\0again".encode()).hexdigest()
    documents = tuple(
        NewDocument(document, content_hash, change.item.access, chunks)
        for document in contents.documents
        if (chunks := cut[document.doc_id])
    )
    return FileRead(change, documents, findings)


def no_text(doc_id: str) -> Finding:
    """Say that there is no text in a document."""
    return Finding(doc_id, "refused", "no_text", reason("no_text", doc_id).sentence)


class _Readers:
    """Some :class:`DocumentReader` and a thread for each; as many processes run as have been needed at once."""

    def __init__(self, recipe: Recipe, n: int, pace: Pace) -> None:
        self._pace = pace
        self._all = [DocumentReader(recipe.limits) for _ in range(n)]
        self._idle: queue.LifoQueue[DocumentReader] = queue.LifoQueue()
        for reader in self._all:
            self._idle.put(reader)
        self._pool = ThreadPoolExecutor(max_workers=n, thread_name_prefix="ragjp-read")
        #: What has been handed to the pool and not been taken from it.
        self._submitted: deque[Future[Contents]] = deque()

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._running:  # a hung file is not waited for
            for reader in self._all:
                if (pid := reader.pid) is not None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
            wait(self._running, timeout=_LOOK_S)
        self._pool.shutdown(wait=True)
        for reader in self._all:
            reader.close()

    @property
    def _running(self) -> list[Future[Contents]]:
        return [future for future in list(self._submitted) if not future.done()]

    def read_in_order(
        self, changes: Sequence[Change], ended: threading.Event
    ) -> Iterator[tuple[Change, Contents]]:
        """Read files, some at a time; gives them in the order of ``changes``."""
        waiting: deque[Change] = deque()
        most = _FILES_EACH * len(self._all)
        ahead_bytes = 0
        upcoming = iter(changes)
        following = next(upcoming, None)
        while waiting or following is not None:
            while following is not None and (
                not waiting
                or (len(waiting) < most and ahead_bytes + following.n_bytes <= _AHEAD_BYTES)
            ):
                self._submitted.append(self._pool.submit(self._read, following))
                waiting.append(following)
                ahead_bytes += following.n_bytes
                following = next(upcoming, None)
            future = self._submitted[0]
            while not ended.is_set() and not wait([future], timeout=_LOOK_S).done:
                pass
            if ended.is_set():
                return
            self._submitted.popleft()
            change = waiting.popleft()
            ahead_bytes -= change.n_bytes
            yield change, future.result()

    def _read(self, change: Change) -> Contents:
        reader = self._idle.get()
        try:
            with self._pace.at(READ):
                return change.item.load(reader)
        finally:
            self._idle.put(reader)
