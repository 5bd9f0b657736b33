"""Reading documents apart from this process: whatever a file does to its reader, this process goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ragjp.config import Limits
from ragjp.documents.child import Child, ChildDied, ChildLate, worker_command
from ragjp.documents.contents import Contents, Finding, finding_for
from ragjp.documents.formats import is_container
from ragjp.documents.framing import document_from_json
from ragjp.documents.gathering import Gathering
from ragjp.documents.reasons import reason
from ragjp.errors import DocumentError
from ragjp.types import Document

#: A process is replaced after so many documents, so that what libraries leak stays small.
DOCUMENTS_PER_PROCESS = 500
#: JSON of a page: at most four bytes a character in UTF-8, twice for headings, and the frames around them.
_REPLY_BYTES_PER_CHAR = 12
_REPLY_BYTES = 1 << 20
_TIMED_OUT_SIGNALS = (signal.SIGALRM, signal.SIGXCPU)
#: Of the memory allowed; a process that crashed above it crashed for want of memory.
_OUT_OF_MEMORY_SHARE = 0.6
_MIB = 1024 * 1024


class DocumentReader:
    """Reads documents in a child process with limits; one at a time, from any thread.

    The process is started at the first document, kept for the next ones, and replaced after a failure.

    Parameters
    ----------
    limits
        What one document may cost. ``memory_mib`` comes on top of what the empty process has (about 160 MiB of addresses).
    command
        The command of the reading process; another one than ours is for tests.
    """

    def __init__(self, limits: Limits, *, command: Sequence[str] | None = None) -> None:
        self.limits = limits
        self._command = command
        self._child: Child | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The reading process, if one runs."""
        return None if self._child is None else self._child.pid

    def read(self, path: Path, doc_id: str) -> Document:
        """Read one document.

        Parameters
        ----------
        path
            The file. Its suffix tells the format.
        doc_id
            The document's name, as the result and the errors carry it.

        Raises
        ------
        DocumentError
            With a code of :data:`ragjp.documents.reasons.SENTENCES`. The reader is ready for the next document.
        """
        with self._lock:
            child = self._ready(doc_id)
            try:
                reply = self._ask(child, path, doc_id)
                if reply.get("code") == "out_of_memory":
                    self._drop()
                return self._result(reply, doc_id)
            except DocumentError:
                raise
            except (
                BaseException
            ):  # Ctrl-C between request and reply: the next reply would be the last one's
                self._drop()
                raise

    def read_all(self, path: Path, doc_id: str) -> Contents:
        """Read a file whatever it holds: one document, or those of a mail or an archive, each with the limits of one.

        A part that ends or hangs the reading process costs itself; after too many of those, or in all too much time, the rest is
        given up. Never raises DocumentError: what could not be read is in the findings.
        """
        if not is_container(path.name):
            try:
                document = self.read(path, doc_id)
            except DocumentError as error:
                return Contents((), (Finding(doc_id, "refused", error.code, error.sentence),))
            return Contents((document,), (finding_for(document),))
        gathering = Gathering(doc_id, self.limits)
        with self._lock:
            while not gathering.is_over:
                try:
                    self._gather(path, gathering)
                except DocumentError as error:
                    gathering.strike(error)
                except BaseException:
                    self._drop()
                    raise
        return gathering.contents()

    def _gather(self, path: Path, gathering: Gathering) -> None:
        """Take frames from one process until the container is at its end or the process is."""
        child = self._ready(gathering.source_id)
        request = {**self._request(path, gathering.source_id), "parts": gathering.resume()}
        try:
            child.send(request)
            while not gathering.is_over:
                frame = child.receive(
                    seconds=self.limits.seconds, max_reply_bytes=self._max_reply_bytes
                )
                child.n_read += "start" in frame
                gathering.take(frame)
                if frame.get("code") == "out_of_memory":  # it ends itself
                    self._drop()
                    return
        except ChildLate as error:
            self._drop()
            detail = f"{self.limits.seconds:g}"
            raise reason("timed_out", gathering.current_id, detail=detail) from error
        except ChildDied as error:
            self._drop()
            raise self._why(error, child.start_bytes, gathering.current_id) from error
        except ValueError as error:
            self._drop()
            detail = "返答が正しくありません"
            raise reason("reader_crashed", gathering.current_id, detail=detail) from error
        if not gathering.is_whole:  # given up in the middle of an answer
            self._drop()

    def close(self) -> None:
        """End the reading process. Reading again starts another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _ready(self, doc_id: str) -> Child:
        """Give a living child that has not yet read too much."""
        if self._child is not None:
            if self._child.is_running() and self._child.n_read < DOCUMENTS_PER_PROCESS:
                return self._child
            self._drop()
        try:
            self._child = Child(self._command or worker_command())
        except (ChildLate, ChildDied, OSError) as error:
            raise reason("reader_not_started", doc_id, detail=type(error).__name__) from error
        return self._child

    def _ask(self, child: Child, path: Path, doc_id: str) -> dict[str, Any]:
        request = self._request(path, doc_id)
        try:
            return child.ask(
                request, seconds=self.limits.seconds, max_reply_bytes=self._max_reply_bytes
            )
        except ChildLate as error:
            self._drop()
            raise reason("timed_out", doc_id, detail=f"{self.limits.seconds:g}") from error
        except ChildDied as error:
            self._drop()
            raise self._why(error, child.start_bytes, doc_id) from error

    def _request(self, path: Path, doc_id: str) -> dict[str, Any]:
        return {
            "path": str(path.absolute()),
            "doc_id": doc_id,
            "limits": self.limits.model_dump(),
        }

    @property
    def _max_reply_bytes(self) -> int:
        return _REPLY_BYTES + _REPLY_BYTES_PER_CHAR * self.limits.max_chars

    def _why(self, error: ChildDied, start_bytes: int, doc_id: str) -> DocumentError:
        """Tell from how the process ended what the document did to it."""
        if error.status is None:
            return reason("reader_crashed", doc_id, detail="返答が正しくありません")
        if -error.status in _TIMED_OUT_SIGNALS:
            return reason("timed_out", doc_id, detail=f"{self.limits.seconds:g}")
        grown = error.peak_bytes - start_bytes
        # SIGKILL that is not ours is the kernel's, out of memory.
        if (
            -error.status == signal.SIGKILL
            or grown > _OUT_OF_MEMORY_SHARE * self.limits.memory_mib * _MIB
        ):
            return reason("out_of_memory", doc_id, detail=str(self.limits.memory_mib))
        if error.status < 0:
            return reason("reader_crashed", doc_id, detail=f"シグナル {-error.status}")
        return reason("reader_crashed", doc_id, detail=f"終了コード {error.status}")

    def _result(self, reply: dict[str, Any], doc_id: str) -> Document:
        match reply:
            case {"code": str(code), "sentence": str(sentence)}:
                raise DocumentError(sentence, code=code)
            case {"document": document}:
                try:
                    return document_from_json(document, doc_id)
                except ValueError as error:
                    self._drop()
                    raise reason(
                        "reader_crashed", doc_id, detail="返答が正しくありません"
                    ) from error
        self._drop()
        raise reason("reader_crashed", doc_id, detail="返答が正しくありません")
