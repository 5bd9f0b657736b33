"""What one source file gives: documents, each with its id, and a finding for everything in it, read or not.

A container (mail, archive) gives several documents. Their ids begin with the container's: a file's documents are those whose id is
the file's or begins with it and a slash (:func:`belongs_to`); no folder can have the file's name beside it. A mail's own text has
the mail's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ragjp.documents.reasons import LOSSES, reason
from ragjp.types import Document, Remark

Status = Literal["indexed", "partly", "refused"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How reading one thing ended: indexed; partly (``sentence`` says what is missing); or refused (no document)."""

    doc_id: str
    status: Status
    code: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read from one source file. Every document has a finding; what was refused has one and no document."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """How the source file as a whole ended."""
        if not self.documents:
            return "refused"
        whole = all(finding.status == "indexed" for finding in self.findings)
        return "indexed" if whole else "partly"


def belongs_to(doc_id: str, source_id: str) -> bool:
    """Tell whether a document comes from the source file of this id.

    >>> belongs_to("2024/mail.eml/見積.pdf", "2024/mail.eml"), belongs_to("a.zip2/x.txt", "a.zip")
    (True, False)
    """
    return doc_id == source_id or doc_id.startswith(source_id + "/")


def remark(code: str, name: str, *, page: int = 0, detail: str = "") -> Remark:
    """Make a remark of a sentence of :data:`ragjp.documents.reasons.SENTENCES`."""
    return Remark(code, page, reason(code, name, detail=detail).sentence)


def finding_for(document: Document) -> Finding:
    """Say how reading a document ended: ``partly`` where a remark says that text is missing."""
    lost = next((known for known in document.remarks if known.code in LOSSES), None)
    if lost is None:
        return Finding(document.doc_id, "indexed")
    return Finding(document.doc_id, "partly", lost.code, lost.sentence)
