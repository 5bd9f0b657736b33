"""From bytes to text: the encoding is what the byte order mark says, else the most plausible of those that decode every byte.

Nothing is ever decoded with replacement: a text that no encoding decodes is refused, because a wrong guess would be indexed,
found and cited as if somebody had written it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

from ragjp.documents.legacy import decode_cp932, decode_eucjp, decode_iso2022jp
from ragjp.documents.plausible import plausibility
from ragjp.documents.reasons import reason

#: Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DESIGNATION = re.compile(rb"\x1b(\$[@B(]|\([IJ])")
_THREE_BYTES = re.compile("[\u0800-\U0010ffff]")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

#: A candidate below this is not believed.
_BELIEVABLE = 0.35
#: A marked text below this is mostly control characters and unassigned code points: data that happens to begin like a mark.
_NO_TEXT = -0.5
#: Likewise for the share of a language that charset-normalizer recognises.
_BELIEVABLE_COHERENCE = 0.2
#: UTF-8's own structure speaks for it even where its characters do not (European text); a declaration speaks for itself.
_UTF8_FLOOR = 0.75
_DECLARED_BONUS = 0.25
#: Without a mark, UTF-16 shows by its high bytes: ASCII's 00, kana's 30, full-width forms' FF at every other place.
_UTF16_BONUS = 0.25
_HIGH_BYTES = b"\x00\x30\xff"
_HIGH_BYTE_SHARE = 0.3
_HIGH_BYTE_RATIO = 3
#: Detectors of other languages' encodings look at this much.
_DETECT_BYTES = 64 * 1024
_TEXT_CONTROL_SHARE = 0.02

_JAPANESE: dict[str, Callable[[bytes], str]] = {
    "cp932": decode_cp932,
    "euc-jp": decode_eucjp,
    "iso-2022-jp": decode_iso2022jp,
}
#: Names in documents to names here; what is not listed goes to Python's codecs as it is.
_ALIASES = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "ms932": "cp932",
    "ms_kanji": "cp932",
    "euc_jp": "euc-jp",
    "x-euc-jp": "euc-jp",
    "eucjp": "euc-jp",
    "iso-2022-jp-1": "iso-2022-jp",
    "csiso2022jp": "iso-2022-jp",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
}


def _decoded(raw: bytes, encoding: str) -> str | None:
    """Decode every byte, or nothing."""
    try:
        if own := _JAPANESE.get(encoding):
            return own(raw)
        codec = codecs.lookup(encoding)
        if not codec._is_text_encoding:  # base64, rot13 and the like
            return None
        return raw.decode(codec.name)
    except (UnicodeError, LookupError, ValueError):
        return None


def decode_as(raw: bytes, encoding: str) -> str | None:
    r"""Decode every byte in an encoding called as documents call it (``x-sjis``, ``ISO-2022-JP``); nothing where that fails.

    >>> decode_as(b"\x1b$B-!\x1b(B", "iso-2022-jp"), decode_as(b"\xff", "utf-8")
    ('①', None)
    """
    known = encoding.strip().strip("\"'").lower()
    return _decoded(raw, _ALIASES.get(known, known)) if known else None


def decode(raw: bytes, *, declared: str = "", name: str = "この文書") -> tuple[str, str]:
    """Decode a whole text.

    Parameters
    ----------
    raw
        The file's bytes.
    declared
        The encoding that the document itself names (``<meta charset>``), believed where it is plausible.
    name
        The document, for the error's sentence.

    Returns
    -------
    tuple
        The text without its byte order mark, line ends as they were; and the encoding's name: ``utf-8``, ``utf-16-le``,
        ``utf-16-be``, ``utf-32-le``, ``utf-32-be``, ``iso-2022-jp``, ``cp932`` (Shift_JIS with the vendors' characters),
        ``euc-jp`` (likewise), or that of another language.

    Raises
    ------
    DocumentError
        ``not_text`` for binary data, ``encoding_unknown`` for text in no encoding that can be told.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            text = _decoded(raw[len(mark) :], encoding)
            if text is None or plausibility(text) < _NO_TEXT:
                raise reason("encoding_unknown" if text is None else "not_text", name)
            return text, encoding
    if (
        _DESIGNATION.search(raw)
        and (text := _decoded(raw, "iso-2022-jp"))
        and plausibility(text) > 0
    ):
        return text, "iso-2022-jp"
    text = _decoded(raw, "utf-8")
    # Three bytes for one character, and right: that never happens to text of another encoding. (Two bytes do.)
    if (
        text is not None
        and not _CONTROLS.search(raw)
        and (raw.isascii() or _THREE_BYTES.search(text))
    ):
        return text, "utf-8"
    return _most_plausible(
        raw, _ALIASES.get(declared.strip().lower(), declared.strip().lower()), name
    )


def _candidates(raw: bytes, declared: str) -> Iterator[tuple[float, str, str]]:
    """Yield (plausibility, encoding, text) for every encoding that decodes all of ``raw``."""
    names = ["utf-8", "cp932", "euc-jp", "cp1252"]
    if len(raw) % 2 == 0:
        names += ["utf-16-le", "utf-16-be"]
    if declared and declared not in names:
        names.append(declared)
    for encoding in names:
        text = _decoded(raw, encoding)
        if not text:
            continue
        score = plausibility(text)
        if encoding == "utf-8" and not raw.isascii() and not _CONTROLS.search(raw):
            score = max(score, _UTF8_FLOOR)
        if encoding.startswith("utf-16"):
            score += _utf16_evidence(raw, encoding)
        if encoding == declared and score > 0:
            score += _DECLARED_BONUS
        yield score, encoding, text


def _utf16_evidence(raw: bytes, encoding: str) -> float:
    """Compare the places of high bytes with those of low bytes."""
    sample = raw[: 2 * _DETECT_BYTES]
    places = sample[0::2], sample[1::2]
    high, low = places if encoding == "utf-16-be" else reversed(places)
    n_high, n_low = (sum(map(place.count, _HIGH_BYTES)) for place in (high, low))
    evident = n_high >= _HIGH_BYTE_SHARE * len(high) and n_high >= _HIGH_BYTE_RATIO * n_low
    return _UTF16_BONUS if evident else -_UTF16_BONUS


def _most_plausible(raw: bytes, declared: str, name: str) -> tuple[str, str]:
    best = max(_candidates(raw, declared), key=lambda candidate: candidate[0], default=None)
    if best is not None and best[0] >= _BELIEVABLE:
        return best[2], best[1]
    if len(_CONTROLS.findall(raw[:_DETECT_BYTES])) > _TEXT_CONTROL_SHARE * len(raw[:_DETECT_BYTES]):
        raise reason("not_text", name)
    other = _other_language(raw)
    if other is None:
        raise reason("encoding_unknown", name)
    return other


def _other_language(raw: bytes) -> tuple[str, str] | None:
    """Ask charset-normalizer about Chinese, Korean, Cyrillic and the rest; believed only where it recognises a language."""
    from charset_normalizer import from_bytes

    found = from_bytes(raw[:_DETECT_BYTES], threshold=0.1).best()
    if found is None or found.coherence < _BELIEVABLE_COHERENCE:
        return None
    text = _decoded(raw, found.encoding)
    return None if text is None else (text, found.encoding.replace("_", "-"))
