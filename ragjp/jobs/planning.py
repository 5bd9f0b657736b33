"""What a build will do, before it does anything: every file compared with the catalog, and what is gone weighed.

A file that is as the last build saw it is not read (:mod:`ragjp.jobs.seen`). A file's documents are those with its id, and for a mail
or an archive those whose id begins with its id and a slash: they stand and fall with it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ragjp.config import Recipe
from ragjp.documents.formats import is_container
from ragjp.documents.reasons import LASTING
from ragjp.errors import DocumentError
from ragjp.jobs.outcomes import Failure
from ragjp.jobs.seen import FileState, Seen, Sight, readers_fingerprint
from ragjp.jobs.sources import FileItem, Item

#: This many documents may always go: three of four are nothing to stop a job for.
FREE_REMOVALS = 10

#: doc_id → (content hash, principals) of every current document.
Known = Mapping[str, tuple[str, frozenset[str]]]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A file to read: new, changed, or under a new name.

    old : ids of the documents that the index holds of it. moved_from : the id of the file that is gone and had this content.
    """

    item: Item
    content: str
    content_hash: str
    old: tuple[str, ...]
    moved_from: str = ""

    @property
    def n_bytes(self) -> int:
        """Size of the file, for what is read ahead; 0 where it is no file."""
        state = state_of(self.item)
        return 0 if state is None else state.n_bytes


@dataclass(slots=True)
class Plan:
    """The difference between the sources and the index."""

    changes: list[Change] = field(default_factory=list)
    access_changes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Documents whose file is gone and that go too; those of moved files go when the file has been read under its new name.
    removed: list[str] = field(default_factory=list)
    #: Id of a file that is gone → its documents, which leave with the change that has it as ``moved_from``.
    moved: dict[str, list[str]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    kept_why: str = ""
    unchanged: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    known: frozenset[str] = frozenset()
    #: What this run saw; refusals of what it reads come to it later.
    seen: Seen = field(default_factory=Seen)
    readers: str = ""
    stopped: bool = False

    def refuse(self, change: Change, refusals: Sequence[Failure], *, kept: bool) -> None:
        """Note what of a file could not be read, so that the same bytes are not tried again in vain.

        ``kept``: whether what the index holds of the file stays.
        """
        sight = self.seen.files.get(change.item.doc_id)
        if sight is not None and all(one.code in LASTING for one in refusals):
            self.seen.files[change.item.doc_id] = Sight(
                sight.state, sight.content, tuple(refusals), self.readers
            )
        for one in refusals:
            note = "（以前の版を残しました）" if kept and one.doc_id in change.old else ""
            self.failures.append(Failure(one.doc_id, one.code, one.sentence + note))


def make_plan(
    items: Sequence[Item],
    known: Known,
    recipe: Recipe,
    seen: Seen,
    *,
    verify_content: bool = False,
    allow_deletions: bool = False,
    tell: Tell | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """Compare every item with the index.

    Parameters
    ----------
    seen
        What the last build saw.
    verify_content
        Trust no size and no time: hash every file, and try again what was refused.
    allow_deletions
        Take out whatever is gone, however much it is.
    stop
        Asked before each file; the plan is then that of the files looked at, and takes nothing out.
    """
    plan = Plan(known=frozenset(known))
    plan.readers = readers_fingerprint(recipe.limits.model_dump())
    trusted = Seen() if verify_content else seen
    documents = _by_file(known, {item.doc_id for item in items})
    # Chunk sizes decide the chunks: a change of them is a change of every document (whose unchanged chunks are not re-embedded).
    shape = json.dumps(recipe.chunks.model_dump(), sort_keys=True)
    # Folders that cannot be looked into: what is known of them stays, for those who may read it now.
    closed: dict[str, tuple[str, ...]] = {}
    for done, item in enumerate(items, 1):
        if stop():
            plan.stopped = True
            return plan
        mine = tuple(documents.pop(item.doc_id, ()))
        # Who may read it changes even where the document cannot be read any more and its last version stays.
        for doc_id in mine:
            if known[doc_id][1] != frozenset(item.access):
                plan.access_changes[doc_id] = item.access
        try:
            content = _content(item, plan.seen, trusted)
        except DocumentError as error:
            plan.failures.append(Failure(item.doc_id, error.code, error.sentence))
            closed[f"{item.doc_id}/"] = item.access
        else:
            content_hash = hashlib.sha256(f"{content}\0{shape}".encode()).hexdigest()
            change = Change(item, content, content_hash, mine)
            _compare(plan, change, known, trusted)
        if tell is not None:
            tell("確認", done, len(items))
    _weigh(plan, documents, known, closed, recipe, seen, items, allow_deletions=allow_deletions)
    return plan


def state_of(item: Item) -> FileState | None:
    """The state of an item's file as it was listed, if it is one."""
    return item.state if isinstance(item, FileItem) else None


def _by_file(known: Known, files: set[str]) -> dict[str, list[str]]:
    """File's id → the documents known of it. One whose file is not listed stands for itself, or with the others of its archive."""
    found: dict[str, list[str]] = defaultdict(list)
    archives: dict[tuple[str, str], list[str]] = defaultdict(list)
    for doc_id in sorted(known):
        if doc_id in files:
            found[doc_id].append(doc_id)
            continue
        above = [str(folder) for folder in PurePosixPath(doc_id).parents][::-1]
        file_id = next((path for path in above if path in files), None)
        archive = next((path for path in above if is_container(path)), doc_id)
        if file_id is None and archive != doc_id:
            # What came from one file carries that file's hash; a folder that is only called like an archive holds several.
            archives[archive, known[doc_id][0]].append(doc_id)
        else:
            found[file_id or doc_id].append(doc_id)
    for (archive, _), documents in archives.items():
        found[documents[0] if archive in found else archive] += documents
    return found


def _content(item: Item, now: Seen, trusted: Seen) -> str:
    """The hash of an item's bytes: of a file that is as it was, what it was then."""
    state = state_of(item)
    if state is None:
        return item.content_hash()
    started_ns = time.time_ns()
    content = trusted.content_of(item.doc_id, state)
    settled = content is not None or state.is_settled(started_ns)
    if content is None:
        content = item.content_hash()
    now.files[item.doc_id] = Sight(state if settled else None, content)
    return content


def _compare(plan: Plan, change: Change, known: Known, trusted: Seen) -> None:
    """Sort one file: unchanged, refused before, or to be read."""
    refusals = trusted.refusals_of(change.item.doc_id, change.content, plan.readers)
    if change.old and all(known[one][0] == change.content_hash for one in change.old):
        plan.unchanged.extend(change.old)
        plan.refuse(change, refusals, kept=False)
    elif any(one.doc_id == change.item.doc_id for one in refusals):
        plan.refuse(change, refusals, kept=True)
    else:
        plan.changes.append(change)


def _weigh(
    plan: Plan,
    gone: Mapping[str, list[str]],
    known: Known,
    closed: Mapping[str, tuple[str, ...]],
    recipe: Recipe,
    seen: Seen,
    items: Iterable[Item],
    *,
    allow_deletions: bool,
) -> None:
    """Decide about the documents whose files are gone: moved, removed, or kept because they are too many."""
    vanished: dict[str, list[str]] = {}
    for doc_id, documents in gone.items():
        access = next((closed[folder] for folder in closed if doc_id.startswith(folder)), None)
        if access is None:
            vanished[doc_id] = documents
            continue
        for one in documents:
            if known[one][1] != frozenset(access):
                plan.access_changes[one] = access
    _pair_moves(plan, vanished, known)
    removed = [one for documents in vanished.values() for one in documents]
    share = recipe.jobs.max_removed_share
    most = max(FREE_REMOVALS, int(share * len(known))) if share else 0
    unmounted = _unmounted(vanished, seen, items)
    if allow_deletions or (len(removed) <= most and not unmounted):
        plan.removed = removed
        return
    plan.kept = removed
    plan.seen.files.update({one: seen.files[one] for one in vanished if one in seen.files})
    why = (
        f"フォルダー {unmounted} が外れています"
        if unmounted
        else f"一度に消してよい数（{most} 件、jobs.max_removed_share）を超えています"
    )
    plan.kept_why = (
        f"{len(known)} 件のうち {len(removed)} 件の文書のファイルが見つかりませんが、{why}ので、索引から消さずに残しました。"
        "共有フォルダーのつながりを確かめ、消してよければ --allow-deletions を付けて実行してください。"
    )


def _pair_moves(plan: Plan, vanished: dict[str, list[str]], known: Known) -> None:
    """Find files that are only under another name: one is gone and one is new, with the same content; the same file name first."""
    by_content: dict[str, list[str]] = defaultdict(list)
    for file_id, documents in vanished.items():
        by_content[known[documents[0]][0]].append(file_id)
    for place, change in enumerate(plan.changes):
        candidates = by_content.get(change.content_hash, ())
        if change.old or not candidates:
            continue
        name = PurePosixPath(change.item.doc_id).name
        best = min(candidates, key=lambda file_id: (PurePosixPath(file_id).name != name, file_id))
        by_content[change.content_hash].remove(best)
        plan.moved[best] = vanished.pop(best)
        plan.changes[place] = Change(
            change.item, change.content, change.content_hash, (), moved_from=best
        )


def _unmounted(vanished: Iterable[str], seen: Seen, items: Iterable[Item]) -> str:
    """Name a folder that was another file system when its files were last seen, and is a plain folder without them now."""
    folders = {
        str(PurePosixPath(file_id).parent)
        for file_id in vanished
        if (sight := seen.files.get(file_id)) and sight.state and sight.state.mounted
    }
    if not folders:
        return ""
    # Something is still mounted there: its files were deleted.
    mounted = {_top(item.doc_id) for item in items if (state := state_of(item)) and state.mounted}
    return min((folder for folder in folders if _top(folder) not in mounted), default="")


def _top(path: str) -> str:
    return path.split("/", 1)[0]
