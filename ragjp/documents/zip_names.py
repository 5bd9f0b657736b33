"""The names in a ZIP file: in which encoding they are, and which of them point outside.

An entry's name is, in this order: Info-ZIP's Unicode extra field; UTF-8 where the entry says so; else bytes in the encoding of the
machine that packed it, which nothing tells: CP932 from Windows, UTF-8 in decomposed form from macOS. One machine packed them all, so
all names of an archive are decoded together.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ragjp.documents.cleaning import clean_text
from ragjp.documents.encoding import decode_as
from ragjp.documents.plausible import plausibility
from ragjp.documents.zip_directory import Entry

_LONGEST_NAME = 1000
_DRIVE = re.compile(r"[A-Za-z]:")
#: ``name.txt:stream`` and ``name:stream:$DATA``; a time in a name (10:30) is none.
_STREAM = re.compile(r"\.\w{1,8}:[^/:]*(:\$\w+)?$|:\$\w+$", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
#: What systems put beside the files: nobody wrote it.
_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
#: Names are in one of these; that of Windows is by far the commonest.
_LIKELY = {"cp932": 0.2, "euc-jp": 0.0}
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_LETTER_IN_WORD = re.compile(r"(?<=[A-Za-z])[À-ÿ]|[À-ÿ](?=[a-z])")
_DOUBTFUL = 0.75


def decode_names(entries: Sequence[Entry]) -> list[str]:
    """Decode the names of an archive's entries; NFC, with slashes between folders.

    A name that no encoding decodes has its wrong bytes escaped (``%81``).
    """
    unknown = [
        entry.raw_name
        for entry in entries
        if not (entry.is_utf8 or _is_plain(entry.raw_name) or entry.unicode_name)
    ]
    encoding = _encoding_of(unknown)
    names = []
    for entry in entries:
        name = entry.unicode_name or _decoded(
            entry.raw_name, "utf-8" if entry.is_utf8 else encoding
        )
        # Decoded first: the second byte of 表 in CP932 is a backslash.
        names.append(unicodedata.normalize("NFC", name.replace("\\", "/")))
    return names


def _is_plain(raw: bytes) -> bool:
    return raw.isascii() and b"\x1b" not in raw


def _encoding_of(names: list[bytes]) -> str:
    """Find the encoding that all names together are most plausible in."""
    together = b"\n".join(names)
    if b"\x1b" in together:
        return "iso-2022-jp"
    if decode_as(together, "utf-8") is not None:
        return "utf-8"
    found = [
        (plausibility(text) + bonus, name)
        for name, bonus in _LIKELY.items()
        if (text := decode_as(together, name)) is not None
    ]
    # DOS's letters in Western words decode as CP932 too: to kanji alone between Latin letters.
    is_latin = not _NOT_ASCII.search(_LETTER_IN_WORD.sub("", together.decode("cp437")))
    return max(found)[1] if found and (max(found)[0] > _DOUBTFUL or not is_latin) else "cp437"


def _decoded(raw: bytes, encoding: str) -> str:
    for candidate in dict.fromkeys((encoding, "utf-8", "cp932")):
        if (name := decode_as(raw, candidate)) is not None:
            return name
    return raw.decode("utf-8", "backslashreplace").replace("\\x", "%")


def is_litter(name: str) -> bool:
    """Tell whether a file is hidden, or one that a system left: ``__MACOSX``, ``.DS_Store``, ``Thumbs.db``."""
    return any(part.startswith(".") or part.lower() in _LITTER for part in name.split("/") if part)


def danger_in(name: str) -> str:
    """Say, for the reader of an error, why a name is refused; empty for a good one.

    Nothing is ever written under these names; but they become ids, which people and programs take for paths.

    >>> danger_in("../../etc/passwd"), danger_in("規程/経費.txt"), danger_in("議事録 10:30.txt")
    ('「..」があります', '', '')
    """
    if _UNPRINTABLE.search(name) or clean_text(name) != name:
        return "制御文字があります"
    if name.startswith("/"):
        return "絶対パスです"
    if _DRIVE.match(name):
        return "ドライブ名があります"
    if ".." in name.split("/"):
        return "「..」があります"
    if _STREAM.search(name):
        return "NTFS のストリーム名があります"
    if len(name) > _LONGEST_NAME:
        return f"{_LONGEST_NAME} 文字を超えます"
    return "" if name.strip("/. ") else "名前がありません"


def safe_name(name: str) -> str:
    r"""Make of any name one that can be shown and stored, inside of its container: for the report on what is refused.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\a.txt")
    ('etc/passwd', 'C:/a.txt')
    """
    shown = clean_text(_UNPRINTABLE.sub("_", name)).replace("\\", "/")
    parts = [part for part in shown.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:_LONGEST_NAME] or "_"
