"""ZIP: the files in it, each a document of its own. Nothing is unpacked to disk, ever: an entry is read, in memory, when its turn comes.

Passed over without a word: folders, hidden files, and what systems leave (``__MACOSX``, ``Thumbs.db``). Refused with a reason, each for
itself: names that point outside, links, encrypted entries, entries that share bytes, bombs.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from ragjp.documents.formats import CONTAINERS, kind_of, reader_for
from ragjp.documents.reasons import reason
from ragjp.documents.walk import MAX_PARTS, Part, Room
from ragjp.documents.zip_directory import Directory, Entry
from ragjp.documents.zip_names import danger_in, decode_names, is_litter, safe_name

#: Entries looked at: folders and litter are no parts.
_MOST_ENTRIES = 2 * MAX_PARTS
_DOS_FOLDER = 0x10


def parts(raw: bytes, doc_id: str, room: Room) -> Iterator[Part]:
    """Yield the files of an archive in the order of its directory.

    Raises
    ------
    DocumentError
        ``zip_damaged``, ``wrong_extension``.
    """
    kind = kind_of(raw)
    if kind and not kind.startswith("ZIP") and not raw.startswith(b"MZ"):
        raise reason("wrong_extension", doc_id, suffix=".zip", detail=kind)
    directory = Directory(raw, doc_id, _MOST_ENTRIES)
    names = decode_names(directory.entries)
    for place, (entry, name) in enumerate(zip(directory.entries, names, strict=True)):
        if not (_is_folder(entry, name) or is_litter(safe_name(name))):
            suffix = PurePosixPath(name.rstrip(". ")).suffix.lower()
            load = _loader(directory, place, name, suffix, doc_id, room)
            yield Part(safe_name(name), load, suffix)


def _is_folder(entry: Entry, name: str) -> bool:
    is_folder = bool(entry.attributes & _DOS_FOLDER) or entry.unix_type == stat.S_IFDIR
    return name.endswith("/") or (is_folder and not entry.size)


def _loader(
    directory: Directory, place: int, name: str, suffix: str, doc_id: str, room: Room
) -> Callable[[], bytes]:
    entry = directory.entries[place]
    shown = f"{doc_id}/{safe_name(name)}"

    def load() -> bytes:
        if danger := danger_in(name):
            raise reason("zip_name_unsafe", shown, detail=danger)
        if entry.unix_type == stat.S_IFLNK:
            raise reason("zip_symlink", shown)
        if entry.unix_type not in (0, stat.S_IFREG):
            raise reason("not_a_file", shown)
        directory.check(place, shown)
        if suffix not in CONTAINERS:
            reader_for(suffix, shown)  # what is of no known format is not even unpacked
        room.take_bytes(entry.size, shown)
        return directory.read(place, shown)

    return load
