"""What the last build saw of each file, so that the next need not read what has not changed: a cache, never needed, only faster.

An entry says: a file of this size, these times and this inode had this content. Whether the index holds that content is for the
catalog to say, so that a lost, old or edited cache can cost time, never a document: a file is taken for unchanged only when what the
cache says of its content is what the catalog says of its document.

A file changed shortly before it was hashed could change again without its times showing it (file systems count in steps of up to
two seconds, and a server's clock may differ from ours): such a file gets no entry, and is hashed once more the next time. git does
likewise with its index.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import ragjp.documents
from ragjp.index.storage.disk import whole_file
from ragjp.jobs.outcomes import Failure

SEEN_NAME = "seen.json"
_FORMAT = 1
#: A file must have been left alone for this long before it was looked at, to be taken for unchanged by its times alone.
SETTLED_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells without reading it that a file has changed. Times in ns; ``mounted``: on another file system than the source's root."""

    n_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int
    mounted: bool = False

    @classmethod
    def of(cls, found: os.stat_result, root_device: int) -> FileState:
        """Take it from what the system says."""
        return cls(
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_ino,
            found.st_dev != root_device,
        )

    def is_settled(self, now_ns: int) -> bool:
        """Whether the file had been left alone long enough before ``now_ns``."""
        return max(self.modified_ns, self.changed_ns) + SETTLED_NS < now_ns


@dataclass(frozen=True, slots=True)
class Sight:
    """One file as it was seen: its state (None when it was not settled), the hash of its bytes, and what of it was refused.

    ``readers`` is the fingerprint of the readers that refused it.
    """

    state: FileState | None
    content: str
    refusals: tuple[Failure, ...] = ()
    readers: str = ""


@dataclass(slots=True)
class Seen:
    """File's doc_id → what was seen of it."""

    files: dict[str, Sight] = field(default_factory=dict)

    @classmethod
    def read(cls, index: Path) -> Seen:
        """Read the cache of an index; empty where there is none, or none that could be understood."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            path = index / SEEN_NAME
            if path.is_file():  # a pipe in its place would keep us waiting
                values = json.loads(path.read_bytes())
                if values["format"] == _FORMAT:
                    return cls({name: _sight(row) for name, row in values["files"].items()})
        return cls()

    def content_of(self, doc_id: str, state: FileState | None) -> str | None:
        """The hash of a file's bytes, if the file is as it was when it was hashed."""
        sight = self.files.get(doc_id)
        return sight.content if sight and state is not None and sight.state == state else None

    def refusals_of(self, doc_id: str, content: str, readers: str) -> tuple[Failure, ...]:
        """What of these bytes was refused, if readers of this fingerprint have refused it."""
        sight = self.files.get(doc_id)
        if sight is None or sight.content != content or sight.readers != readers:
            return ()
        return sight.refusals

    def write(self, index: Path) -> None:
        """Write the cache; whole or not at all. A disk that refuses costs the next run its time."""
        body = {"format": _FORMAT, "files": {name: _row(one) for name, one in self.files.items()}}
        text = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
        with suppress(OSError), whole_file(index / SEEN_NAME, durable=False) as file:
            file.write(text.encode("ascii"))


def readers_fingerprint(limits: Mapping[str, object]) -> str:
    """Name what decides whether a content is refused: the code of the readers, and the limits."""
    digest = sha256(json.dumps(limits, sort_keys=True).encode())
    folder = Path(ragjp.documents.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _row(sight: Sight) -> list[object]:
    state = sight.state
    numbers = (
        None
        if state is None
        else [
            state.n_bytes,
            state.modified_ns,
            state.changed_ns,
            state.inode,
            int(state.mounted),
        ]
    )
    row: list[object] = [numbers, sight.content]
    if sight.refusals:
        refusals = [[one.doc_id, one.code, one.sentence] for one in sight.refusals]
        row += [sight.readers, refusals]
    return row


def _sight(row: list[object]) -> Sight:
    match row:
        case [None | list() as numbers, str(content), *more]:
            state = None if numbers is None else _state(numbers)
            match more:
                case [str(readers), list(refusals)]:
                    return Sight(state, content, tuple(map(_refusal, refusals)), readers)
            return Sight(state, content)
    raise ValueError("a row that is not as agreed")


def _refusal(row: object) -> Failure:
    match row:
        case [str(doc_id), str(code), str(sentence)]:
            return Failure(doc_id, code, sentence)
    raise ValueError("a refusal that is not as agreed")


def _state(numbers: list[object]) -> FileState:
    match numbers:
        case [int(n_bytes), int(modified), int(changed), int(inode), int(mounted)]:
            return FileState(n_bytes, modified, changed, inode, bool(mounted))
    raise ValueError("a state that is not as agreed")
