"""OLE2 files made by hand ([MS-CFB], version 3), and Outlook messages in them ([MS-OXMSG]): the truth that the reader is held against."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
Tree = dict[str, "bytes | Tree"]


@dataclass
class _Entry:
    name: str
    kind: int  # 1 storage, 2 stream, 5 root
    data: bytes = b""
    children: list[int] = field(default_factory=list)
    left: int = FREE
    right: int = FREE
    child: int = FREE
    start: int = END


def make_ole2(tree: Tree) -> bytes:
    """Write storages (dicts) and streams (bytes)."""
    entries = [_Entry("Root Entry", 5)]
    _add(entries, 0, tree)
    mini = bytearray()
    mini_fat: list[int] = []
    big: list[tuple[_Entry, bytes]] = []
    for entry in entries[1:]:
        if entry.kind != 2 or not entry.data:
            continue
        if len(entry.data) >= CUTOFF:
            big.append((entry, entry.data))
            continue
        n = -(-len(entry.data) // MINI)
        entry.start = len(mini_fat)
        mini_fat += [*range(entry.start + 1, entry.start + n), END]
        mini += entry.data.ljust(n * MINI, b"\0")
    entries[0].data = bytes(mini)
    chunks: list[bytes] = []
    fat: list[int] = []

    def put(data: bytes) -> int:
        n = -(-len(data) // SECTOR)
        start = len(fat)
        fat.extend([*range(start + 1, start + n), END])
        chunks.append(data.ljust(n * SECTOR, b"\0"))
        return start

    for entry, data in big:
        entry.start = put(data)
    if mini:
        entries[0].start = put(bytes(mini))
    mini_start = (
        put(struct.pack(f"<{len(mini_fat)}L", *mini_fat).ljust(SECTOR, b"\xff")) if mini else END
    )
    n_mini = -(-4 * len(mini_fat) // SECTOR) if mini else 0
    directory = b"".join(map(_packed, entries))
    directory_start = put(directory + b"\0" * (-len(directory) % SECTOR))
    n_fat = 1
    while n_fat * SECTOR // 4 < len(fat) + n_fat:
        n_fat += 1
    fat_start = len(fat)
    fat += [FAT] * n_fat
    table = struct.pack(f"<{len(fat)}L", *fat)
    chunks.append(table + b"\xff" * (n_fat * SECTOR - len(table)))
    header = struct.pack(
        "<8s16s5H6s9L",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"",
        0, n_fat, directory_start, 0, CUTOFF, mini_start, n_mini, END, 0,
    )  # fmt: skip
    places = [fat_start + at for at in range(n_fat)]
    return header + struct.pack("<109L", *places, *[FREE] * (109 - n_fat)) + b"".join(chunks)


def _add(entries: list[_Entry], parent: int, tree: Tree) -> None:
    numbers = []
    for name, value in tree.items():
        numbers.append(len(entries))
        entries.append(_Entry(name, 1 if isinstance(value, dict) else 2))
        if isinstance(value, dict):
            _add(entries, numbers[-1], value)
        else:
            entries[numbers[-1]].data = value
    numbers.sort(key=lambda at: (len(entries[at].name), entries[at].name.upper()))
    entries[parent].child = _balanced(entries, numbers)


def _balanced(entries: list[_Entry], numbers: list[int]) -> int:
    if not numbers:
        return FREE
    middle = len(numbers) // 2
    at = numbers[middle]
    entries[at].left = _balanced(entries, numbers[:middle])
    entries[at].right = _balanced(entries, numbers[middle + 1 :])
    return at


def _packed(entry: _Entry) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBB3L16sL2QLQ",
        name, len(name), entry.kind, 1, entry.left, entry.right, entry.child, b"", 0, 0, 0,
        entry.start, len(entry.data),
    )  # fmt: skip


def stream_name(tag: int, kind: int) -> str:
    return f"__substg1.0_{tag:04X}{kind:04X}"


def make_message(
    texts: dict[int, str] | None = None,
    *,
    narrow: dict[int, bytes] | None = None,
    binary: dict[int, bytes] | None = None,
    numbers: dict[tuple[int, int], int] | None = None,
    attachments: list[Tree] | None = None,
    head: int = 32,
) -> Tree:
    """The storage of a message: texts as UTF-16 or (``narrow``) in a code page; ``numbers``: (tag, type) to value."""
    counts = b"\0" * 20 + len(attachments or []).to_bytes(4, "little")
    tree: Tree = {"__properties_version1.0": properties(numbers or {}, head, counts)}
    for tag, text in (texts or {}).items():
        tree[stream_name(tag, 0x1F)] = text.encode("utf-16-le")
    for tag, raw in (narrow or {}).items():
        tree[stream_name(tag, 0x1E)] = raw
    for tag, raw in (binary or {}).items():
        tree[stream_name(tag, 0x102)] = raw
    for at, attachment in enumerate(attachments or []):
        tree[f"__attach_version1.0_#{at:08X}"] = attachment
    return tree


def make_attachment(
    name: str, data: bytes | Tree, *, content_id: str = "", hidden: bool = False
) -> Tree:
    tree: Tree = {"__properties_version1.0": properties({(0x7FFE, 0xB): int(hidden)}, 8)}
    tree[stream_name(0x3707, 0x1F)] = name.encode("utf-16-le")
    if content_id:
        tree[stream_name(0x3712, 0x1F)] = content_id.encode("utf-16-le")
    tree[stream_name(0x3701, 0xD if isinstance(data, dict) else 0x102)] = data
    return tree


def properties(numbers: dict[tuple[int, int], int], head: int, counts: bytes = b"") -> bytes:
    return counts.ljust(head, b"\0") + b"".join(
        struct.pack("<HHLQ", kind, tag, 6, value) for (tag, kind), value in numbers.items()
    )
