"""What a disk may hold after a power cut, computed from a log of what was written and forced to it.

The model, and what it assumes:

* Data. A write is volatile until its file is fsynced. Until then each of its pieces of 512 bytes (cut where the file's sectors
  are) is on the disk or not, independently of all others and of the order in which they were written: writes are lost, torn and
  reordered. Bytes outside the range of a write are not harmed by it (SQLite's ``SQLITE_IOCAP_POWERSAFE_OVERWRITE``, which it
  assumes too). What lies behind the end of what was written reads as zeros, never as another file's old bytes.
* Size. ``ftruncate`` is volatile like a write, and no write moves across it; a file may have grown and hold zeros.
* Names. Making, renaming and removing an entry is volatile until its folder is fsynced; each is whole or absent, and any subset
  of them may be lost (POSIX; a journalling file system would lose only the latest). fsync of a file forces nothing about its
  name. A rename within one folder is atomic.
* An fsync that has returned has told the truth.
* ``-shm`` files are memory to SQLite, which makes them anew: they are in no image.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from filelayer import Op

SECTOR = 512
ChangeT = TypeVar("ChangeT")
_HEAD = struct.Struct("=iiiIIIq")


@dataclass(frozen=True)
class Event:
    """One call as ``shim.c`` has logged it."""

    op: Op
    fd: int
    flags: int
    offset: int
    first: str
    second: str
    data: bytes


def read_log(path: Path) -> list[Event]:
    """Read the log of a recorded process."""
    raw, at, events = path.read_bytes(), 0, []
    while at < len(raw):
        op, fd, flags, *lengths, offset = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        parts = []
        for length in lengths:
            parts.append(raw[at : at + length])
            at += length
        names = [os.fsdecode(part) for part in parts[:2]]
        events.append(Event(Op(op), fd, flags, offset, names[0], names[1], parts[2]))
    return events


@dataclass(eq=False)
class Folder:
    """Entries as they are seen, and as they are on the disk."""

    entries: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    #: Changes since the last fsync: (name, what it names now or None), those of one call together.
    pending: list[tuple[tuple[str, Node | None], ...]] = field(default_factory=list)

    def change(self, *changes: tuple[str, Node | None]) -> None:
        self.pending.append(changes)
        _apply(self.entries, changes)

    def sync(self) -> None:
        self.durable, self.pending = dict(self.entries), []


@dataclass(eq=False)
class File:
    """Bytes as they are seen, and as they are on the disk."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    #: Since the last fsync: (offset, bytes), or (size, None) for a truncation.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, offset: int, data: bytes | None) -> None:
        self.pending.append((offset, data))
        _overwrite(self.seen, offset, data)

    def sync(self) -> None:
        self.durable, self.pending = bytes(self.seen), []


Node = Folder | File


def _apply(entries: dict[str, Node], changes: tuple[tuple[str, Node | None], ...]) -> None:
    for name, node in changes:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _overwrite(content: bytearray, offset: int, data: bytes | None) -> None:
    end = offset if data is None else offset + len(data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset:end] = data


class Disk:
    """The files under one folder, as a log of events makes them."""

    def __init__(self, base: Path) -> None:
        self._base = str(base)
        self.root = Folder()
        self.marks = 0
        self._open: dict[int, Node] = {}
        self._appending: set[int] = set()

    def load(self, real: Path, folder: Folder | None = None) -> None:
        """Begin with the files of a folder, all of them on the disk."""
        folder = folder or self.root
        for path in real.iterdir():
            if path.is_dir():
                made = Folder()
                self.load(path, made)
                folder.entries[path.name] = made
            else:
                content = path.read_bytes()
                folder.entries[path.name] = File(bytearray(content), content)
        folder.sync()

    def _place(self, path: str) -> tuple[Folder, str]:
        """The folder that holds a path's entry, and the entry's name."""
        parts = Path(path).relative_to(self._base).parts
        here = self.root
        for part in parts[:-1]:
            step = here.entries[part]
            assert isinstance(step, Folder)
            here = step
        return here, parts[-1]

    def take(self, event: Event) -> None:
        """Do what one event did."""
        if event.op is Op.MARK:
            self.marks = event.fd
        elif event.op is Op.OPEN:
            self._opened(event)
        elif event.op is Op.CLOSE:
            self._open.pop(event.fd, None)
        elif event.op in (Op.WRITE, Op.TRUNCATE, Op.SYNC):
            self._changed(event)
        else:
            self._renamed(event)

    def _opened(self, event: Event) -> None:
        node: Node = self.root
        if event.first != self._base:
            folder, name = self._place(event.first)
            if name not in folder.entries:
                folder.change((name, File()))
            node = folder.entries[name]
        if event.flags & os.O_TRUNC and isinstance(node, File) and node.seen:
            node.change(0, None)
        self._open[event.fd] = node

    def _changed(self, event: Event) -> None:
        node = self._open[event.fd]
        if event.op is Op.SYNC:
            node.sync()
            return
        assert isinstance(node, File)
        at_end = event.op is Op.WRITE and event.offset < 0
        node.change(
            len(node.seen) if at_end else event.offset,
            event.data if event.op is Op.WRITE else None,
        )

    def _renamed(self, event: Event) -> None:
        folder, name = self._place(event.first)
        if event.op is Op.MKDIR:
            folder.change((name, Folder()))
        elif event.op is Op.UNLINK:
            folder.change((name, None))
        else:
            target, new_name = self._place(event.second)
            node = folder.entries[name]
            if event.op is Op.LINK:
                target.change((new_name, node))
            elif target is folder:
                folder.change((name, None), (new_name, node))
            else:
                target.change((new_name, node))
                folder.change((name, None))

    def image(self, rng: random.Random) -> Iterator[tuple[str, bytes | None]]:
        """One of the states that the disk may be in: (relative path, bytes), bytes None for a folder; parents first."""
        yield from _folder_image(self.root, "", rng, rng.choice(_FATES), rng.choice(_FATES))

    def now(self) -> Iterator[tuple[str, bytes | None]]:
        """Everything as it is seen, as if all had been forced to the disk."""
        yield from _folder_image(self.root, "", random.Random(0), "kept", "kept")


#: What becomes of the pending changes of all folders, or all files, of one image. "mixed" draws one for each.
_FATES = ("kept", "lost", "first", "some", "torn", "mixed")


def _folder_image(
    folder: Folder, at: str, rng: random.Random, names_fate: str, data_fate: str
) -> Iterator[tuple[str, bytes | None]]:
    entries = dict(folder.durable)
    for changes in _survivors(folder.pending, rng, names_fate):
        _apply(entries, changes)
    for name, node in sorted(entries.items()):
        if isinstance(node, Folder):
            yield at + name, None
            yield from _folder_image(node, f"{at}{name}/", rng, names_fate, data_fate)
        else:
            yield at + name, _file_image(node, rng, data_fate)


def _file_image(file: File, rng: random.Random, fate: str) -> bytes:
    fate = rng.choice(_FATES[:-1]) if fate == "mixed" else fate
    content = bytearray(file.durable)
    pending = _shuffled_sectors(file.pending, rng) if fate == "torn" else file.pending
    for offset, data in _survivors(pending, rng, fate):
        _overwrite(content, offset, data)
    if fate == "torn" and rng.random() < 0.3 and len(content) < len(file.seen):
        content.extend(bytes(len(file.seen) - len(content)))
    return bytes(content)


def _survivors(pending: list[ChangeT], rng: random.Random, fate: str) -> list[ChangeT]:
    fate = rng.choice(_FATES[:-1]) if fate == "mixed" else fate
    if fate in ("kept", "lost"):
        return pending if fate == "kept" else []
    if fate == "first":
        return pending[: rng.randint(0, len(pending))]
    share = rng.choice((0.1, 0.5, 0.9))
    return [change for change in pending if rng.random() < share]


def _shuffled_sectors(
    pending: list[tuple[int, bytes | None]], rng: random.Random
) -> list[tuple[int, bytes | None]]:
    """Cut writes at the sectors of the file and put them in any order between two truncations."""
    result: list[tuple[int, bytes | None]] = []
    between: list[tuple[int, bytes | None]] = []
    for offset, data in [*pending, (0, None)]:
        if data is None:
            rng.shuffle(between)
            result += [*between, (offset, None)]
            between = []
            continue
        start = 0
        while start < len(data):
            end = min(start + SECTOR - (offset + start) % SECTOR, len(data))
            between.append((offset + start, data[start:end]))
            start = end
    return result[:-1]
