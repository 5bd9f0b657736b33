"""What became of each document of a build, and the report of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: indexed: read and committed. partly: likewise, but for what ``sentence`` and ``pages`` name. refused: not read, an earlier version
#: stays. unchanged: not looked into. moved: the same content under a new name. removed: its file is gone. kept: its file is gone,
#: but so are too many others. pending: a build that was stopped did not come to it, or a dry run would read it.
Status = Literal["indexed", "partly", "refused", "unchanged", "moved", "removed", "kept", "pending"]
#: In the order of a report: what needs a person first.
STATUSES: tuple[Status, ...] = (
    "refused",
    "kept",
    "partly",
    "pending",
    "removed",
    "moved",
    "indexed",
    "unchanged",
)
#: What each is called for the operator.
LABELS: Mapping[Status, str] = {
    "refused": "読めない",
    "kept": "消えたが残した",
    "partly": "一部だけ読めた",
    "pending": "これから",
    "removed": "削除",
    "moved": "移動",
    "indexed": "取り込み",
    "unchanged": "変更なし",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be read: its id, a reason code, and a sentence."""

    doc_id: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document.

    code, sentence : why, where something is wrong. pages : the pages without usable text. moved_from : its name before.
    """

    doc_id: str
    status: Status
    code: str = ""
    sentence: str = ""
    pages: tuple[int, ...] = ()
    n_pages: int = 0
    n_chunks: int = 0
    is_new: bool = False
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. ``n_documents`` and ``n_chunks`` count what the index holds now."""

    added: int
    updated: int
    unchanged: int
    removed: int
    failures: tuple[Failure, ...]
    n_documents: int
    n_chunks: int
    embedded_chunks: int
    reused_chunks: int
    generation: int
    seconds: float
    #: Documents under a new name; counted in none of the numbers above.
    moved: int = 0
    #: One for every document, by status and name.
    outcomes: tuple[Outcome, ...] = ()
    #: Why documents whose files are gone were left in the index; empty when none was.
    kept_why: str = ""
    #: Whether it was asked to stop before its end.
    interrupted: bool = False
    #: Whether nothing was to be changed.
    dry_run: bool = False
    #: Stage → seconds that it was at work (reading: of all readers together).
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    #: Share of the time from the first file read to the last commit in which the encoder was at work.
    encoder_share: float = 0.0

    @property
    def by_status(self) -> dict[Status, int]:
        """How many documents ended how; every status is there."""
        counts = Counter(outcome.status for outcome in self.outcomes)
        return {status: counts[status] for status in STATUSES}

    @property
    def by_reason(self) -> dict[str, int]:
        """Reason code → how many documents, the commonest first."""
        return dict(
            Counter(outcome.code for outcome in self.outcomes if outcome.code).most_common()
        )


def in_order(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Sort by status, then by name."""
    place = {status: number for number, status in enumerate(STATUSES)}
    return tuple(sorted(outcomes, key=lambda one: (place[one.status], one.doc_id)))
