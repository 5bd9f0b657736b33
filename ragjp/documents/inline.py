"""The inline marks of Markdown: emphasis, links, images, code, escapes, stray HTML tags.

Every pattern has bounded repetition, so that a hostile line costs time linear in its length.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection

from ragjp.documents.cleaning import clean_text

#: What every mark has one of.
_MARK = re.compile(r"[\\`*_~\[<&]")
_COMMENT_START, _COMMENT_END = "<!--", "-->"
_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)(.{1,1000}?)(?<!`)\1(?!`)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_LABEL = r"!?\[([^\[\]]{0,1000})\]"
_TARGET = r"(?:<[^<>]{0,2000}>|[^\s()<>]{0,2000}(?:\([^\s()]{0,500}\)[^\s()]{0,500})?)"
_TITLE = r"(?:[ \t]{1,100}[\"'(][^\"()]{0,500}[\"')])?"
_LINK = re.compile(_LABEL + r"\([ \t]{0,100}" + _TARGET + _TITLE + r"[ \t]{0,100}\)")
_REFERENCE = re.compile(_LABEL + r"(?:\[([^\[\]]{0,200})\])?")
_AUTOLINK = re.compile(r"<((?:https?|ftp|mailto):[^\s<>]{1,2000}|[\w.+-]{1,100}@[\w.-]{1,200})>")
_STRONG = re.compile(r"(\*\*\*|\*\*|~~)(?=\S)(.{1,500}?)(?<=\S)\1")
_STRONG_UNDERSCORE = re.compile(r"(?<!\w)(__)(?=\S)(.{1,500}?)(?<=\S)\1(?!\w)")
_EMPHASIS = re.compile(
    r"(?<![A-Za-z0-9*])(\*)(?=[^\s*])([^*\n]{1,500}?)(?<=[^\s*])\1(?![A-Za-z0-9*])"
)
_EMPHASIS_UNDERSCORE = re.compile(r"(?<!\w)(_)(?=[^\s_])([^_\n]{1,500}?)(?<=[^\s_])\1(?!\w)")
_READING = re.compile(r"<r[tp]\b[^<>]{0,200}>[^<>]{0,200}</r[tp]>", re.IGNORECASE)
_BREAK = re.compile(r"[ \t]*<br[ \t]*/?>[ \t]*", re.IGNORECASE)
#: Only names that HTML knows: ``<部署名>`` and ``<YYYY-MM-DD>`` are text.
_TAG = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|center|cite|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark|ol|p|pre|q"
    r"|rb|rp|rt|ruby|s|small|span|strike|strong|sub|summary|sup|table|tbody|td|th|thead|tr|tt|u|ul|var)(?:[ \t][^<>]{0,1000})?/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
#: Where code and escaped characters wait until the marks around them are gone; cleaned text holds no NUL.
_HELD = re.compile("\x00(\\d+)\x00")


def without_comments(text: str) -> str:
    """Drop ``<!-- … -->``, over line ends too; an unclosed one is left as it stands.

    >>> without_comments("前<!-- 下書き -->後")
    '前後'
    """
    kept: list[str] = []
    at = 0
    while (start := text.find(_COMMENT_START, at)) >= 0:
        end = text.find(_COMMENT_END, start + len(_COMMENT_START))
        if end < 0:
            break
        kept.append(text[at:start])
        at = end + len(_COMMENT_END)
    kept.append(text[at:])
    return "".join(kept)


def plain_inline(line: str, labels: Collection[str] = ()) -> str:
    r"""Give one line of Markdown as it is shown.

    ``labels`` are those of the link definitions, in lower case: ``[1][2]`` is a link only where ``[2]: …`` is defined.

    >>> plain_inline("**経費**は[規程](a.md)の`a*b*c`に従う。snake_case と 3*4*5 と \\*印 は残る。")
    '経費は規程のa*b*cに従う。snake_case と 3*4*5 と *印 は残る。'
    """
    if not _MARK.search(line):
        return line
    held: list[str] = []

    def hold(text: str) -> str:
        held.append(_HELD.sub(release, text))
        return f"\x00{len(held) - 1}\x00"

    def release(found: re.Match[str]) -> str:
        return held[int(found[1])]

    def hold_code(found: re.Match[str]) -> str:
        code = found[2]
        padded = code.startswith(" ") and code.endswith(" ") and code.strip()
        return hold(code[1:-1] if padded else code)

    def reference(found: re.Match[str]) -> str:
        return found[1] if (found[2] or found[1]).lower() in labels else found[0]

    line = _CODE.sub(hold_code, line)
    line = _ESCAPE.sub(lambda found: hold(found[1]), line)
    line = _AUTOLINK.sub(lambda found: hold(found[1]), line)
    for _ in range(2):  # an image inside a link
        line = _LINK.sub(r"\1", line)
    if labels:
        line = _REFERENCE.sub(reference, line)
    for pattern in (_STRONG, _STRONG_UNDERSCORE, _EMPHASIS, _EMPHASIS_UNDERSCORE):
        line = pattern.sub(r"\2", line)
    return _HELD.sub(release, _without_html(line))


def _without_html(line: str) -> str:
    """Drop tags and the readings of ruby, and decode entities."""
    if "<" in line:
        line = _TAG.sub("", _BREAK.sub("\n", _READING.sub("", line)))
    if "&" in line:
        line = _ENTITY.sub(lambda found: clean_text(html.unescape(found[0])), line)
    return line
