"""The parent's side of reading a container: what has come from the reading process so far, and how to go on in the next one."""

from __future__ import annotations

import time
from typing import Any

from ragjp.config import Limits
from ragjp.documents.contents import Contents, Finding, belongs_to, finding_for
from ragjp.documents.framing import document_from_json
from ragjp.documents.reasons import reason
from ragjp.errors import DocumentError
from ragjp.types import Document

#: So many parts of one file may end or hang the reading process before the rest is given up.
MAX_STRIKES = 5
#: All parts together may take so many times the seconds of one.
_SECONDS_FACTOR = 60
#: Findings kept of one file: more than a file has parts, so that a process taken over cannot fill this one.
_MAX_FRAMES = 50_000


class Gathering:
    """Documents and findings of one container, checked as they come: the reading process has handled hostile files."""

    def __init__(self, source_id: str, limits: Limits) -> None:
        self.source_id = source_id
        #: The part that is being read, for the sentence of its error.
        self.current_id = source_id
        self.is_over = False
        #: Whether the last process came to the end of the container.
        self.is_whole = False
        self._limits = limits
        self._deadline = time.monotonic() + _SECONDS_FACTOR * limits.seconds
        self._documents: list[Document] = []
        self._findings: list[Finding] = []
        self._ids: set[str] = set()
        self._number = 0
        self._broken: list[int] = []
        self._n_chars = self._n_strikes = self._n_frames = 0

    def resume(self) -> dict[str, Any]:
        """Say where the next process goes on."""
        return {"after": self._number, "broken": self._broken, "n_chars": self._n_chars}

    def take(self, frame: dict[str, Any]) -> None:
        """Take one frame.

        Raises
        ------
        ValueError
            When it is not as agreed: then the process is of no more use.
        """
        self._n_frames += 1
        if self._n_frames > _MAX_FRAMES:
            raise ValueError("more frames than parts")
        match frame:
            case {"end": True}:
                self.is_over = self.is_whole = True
            case {"start": int(number), "doc_id": str(doc_id)} if number > self._number:
                self.current_id, self._number = self._checked(doc_id), number
                if time.monotonic() > self._deadline:
                    self._give_up(f"{_SECONDS_FACTOR * self._limits.seconds:g} 秒")
            case {"document": document, "doc_id": str(doc_id)}:
                self._keep(document_from_json(document, self._checked(doc_id)))
            case {"code": str(code), "sentence": str(sentence), "doc_id": str(doc_id)}:
                self._refuse(DocumentError(sentence, code=code), self._checked(doc_id))
                if code == "out_of_memory":  # the process ends; its container is not opened again
                    self._count(self._number)
            case _:
                raise ValueError("a frame that is not as agreed")

    def strike(self, error: DocumentError) -> None:
        """Note that the process ended or hung; what it was reading is refused."""
        self._refuse(error, self.current_id)
        self._count(self._number)
        if error.code == "reader_not_started":
            self.is_over = True

    def contents(self) -> Contents:
        """Give what there is."""
        return Contents(tuple(self._documents), tuple(self._findings))

    def _count(self, number: int) -> None:
        self._broken.append(number)
        self._n_strikes += 1
        if not number:  # it was the container itself
            self.is_over = True
        if self._n_strikes > MAX_STRIKES and not self.is_over:
            self._give_up(f"{self._n_strikes} 回")

    def _give_up(self, detail: str) -> None:
        self.is_over = True
        self._refuse(reason("gave_up", self.current_id, detail=detail), self.source_id)

    def _checked(self, doc_id: str) -> str:
        doc_id.encode()  # UnicodeEncodeError is a ValueError
        if not belongs_to(doc_id, self.source_id):
            raise ValueError("a part of another file")
        return doc_id

    def _keep(self, document: Document) -> None:
        if document.doc_id in self._ids:
            raise ValueError("two parts with one id")
        self._ids.add(document.doc_id)
        self._n_chars += sum(len(page.text) for page in document.pages)
        if self._n_chars > self._limits.max_chars:
            raise ValueError("more characters than allowed")
        self._documents.append(document)
        self._findings.append(finding_for(document))

    def _refuse(self, error: DocumentError, doc_id: str) -> None:
        self._findings.append(Finding(doc_id, "refused", error.code, error.sentence))
