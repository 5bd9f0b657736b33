"""From a plan and what was read to what became of each document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ragjp.documents.contents import belongs_to
from ragjp.index.storage.batch import NewDocument
from ragjp.jobs.ahead import FileRead
from ragjp.jobs.outcomes import Outcome, Status
from ragjp.jobs.planning import Plan

#: A page with fewer characters of text than this, blanks aside, has no usable text.
LEAST_PAGE_CHARS = 1


def outcome_of(new: NewDocument, file: FileRead) -> Outcome:
    """Say what became of a document that was committed: pages without text, and what its reader says is missing, are named."""
    document, change = new.document, file.change
    finding = next((one for one in file.findings if one.doc_id == document.doc_id), None)
    status: Status = "moved" if change.moved_from else "indexed"
    code = sentence = ""
    pages = tuple(
        page.number for page in document.pages if len("".join(page.text.split())) < LEAST_PAGE_CHARS
    )
    if finding is not None and finding.status == "partly":
        status, code, sentence = "partly", finding.code, finding.sentence
    elif pages:
        status, code = "partly", "pages_without_text"
        sentence = (
            f"{document.doc_id} の {len(pages)} ページ（{page_list(pages)}）から文字を取り出せません。"
            "画像だけのページでないか確かめてください。"
        )
    return Outcome(
        document.doc_id,
        status,
        code,
        sentence,
        pages,
        n_pages=len(document.pages),
        n_chunks=len(new.chunks),
        is_new=not change.moved_from and document.doc_id not in change.old,
        moved_from=change.moved_from,
    )


def outcomes_of_plan(plan: Plan, done: Sequence[Outcome] = ()) -> Iterator[Outcome]:
    """Say what became of every document that was not committed now."""
    settled = {outcome.doc_id for outcome in done}
    for failure in plan.failures:
        settled.add(failure.doc_id)
        yield Outcome(failure.doc_id, "refused", failure.code, failure.sentence)
    for doc_id in plan.kept:
        yield Outcome(doc_id, "kept", "deletions_withheld", plan.kept_why)
    for doc_id in plan.removed:
        if doc_id not in settled:
            yield Outcome(doc_id, "removed")
    for doc_id in plan.unchanged:
        yield Outcome(doc_id, "unchanged")
    read = {outcome.moved_from or outcome.doc_id for outcome in done}
    for change in plan.changes:
        doc_id = change.item.doc_id
        # A mail or an archive has been read when any of its documents has.
        if doc_id in settled or read & {doc_id, change.moved_from} - {""}:
            continue
        if any(belongs_to(one, doc_id) for one in settled):
            continue
        yield Outcome(
            doc_id,
            "pending",
            is_new=not change.old and not change.moved_from,
            moved_from=change.moved_from,
        )


def page_list(pages: Sequence[int], most: int = 10) -> str:
    """Name some pages: runs are joined, and what is beyond ``most`` is counted.

    >>> page_list([1, 2, 3, 7])
    '1–3、7'
    """
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    shown = "、".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs[:most])
    return shown if len(runs) <= most else f"{shown} ほか"
