"""The text of one Word paragraph: what is printed on the line, and what hangs on it (text boxes, notes)."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree.ElementTree import Element

from ragjp.documents.office.package import attribute, child, is_on
from ragjp.documents.office.writing import Line

#: Tracked deletions, comments, fields' instructions, properties, drawings' alternatives: not printed.
_SKIPPED = frozenset(
    "pPr rPr delText delInstrText moveFrom commentReference annotationRef sectPr tblPr trPr tcPr sdtPr sdtEndPr rubyPr"
    " proofErr bookmarkStart bookmarkEnd commentRangeStart commentRangeEnd softHyphen footnoteRef endnoteRef docPr".split()
)
_SIGNS = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}
#: Wingdings, by the last two digits of its private code point; any other sign is a mark of a list.
_WINGDINGS = {
    "52": "☑", "6C": "●", "6D": "○", "6E": "■", "6F": "□", "71": "□", "72": "□", "75": "◆", "9F": "・", "A7": "▪", "A8": "□",
    "D8": "➢", "E0": "→", "F0": "⇒", "FB": "✗", "FC": "✓", "FD": "☒", "FE": "☑",
}  # fmt: skip
_HIDDEN_FIELDS = ("EQ", "TC", "XE", "RD", "TA", "PRIVATE")
#: Word's older ruby: a field that draws the reading above the word.
_OLD_RUBY = re.compile(
    r"\s*EQ\s.*?\\o\s*(?:\\a[a-z]\s*)?\(\s*\\s\\up\s*-?\d+\s*\((?P<reading>[^()]*)\)\s*[,;](?P<base>.*)\)\s*$",
    re.IGNORECASE | re.DOTALL,
)


class Paragraph:
    """What was read of a paragraph.

    Attributes
    ----------
    line
        Its text.
    boxes
        Contents of the text boxes anchored in it (``txbxContent``).
    notes
        (kind, id) of the foot- and endnotes that it refers to, in order.
    """

    def __init__(self, dropped: Counter[str], *, rendered_breaks: bool) -> None:
        self.line = Line()
        self.boxes: list[Element] = []
        self.notes: list[tuple[str, str]] = []
        self._dropped = dropped
        self._rendered_breaks = rendered_breaks
        #: Per open field: its instruction, and whether its result is being read.
        self._fields: list[tuple[list[str], bool]] = []

    def read(self, element: Element) -> None:
        """Read all that an element (``p``, ``r``, ``ins``, ``hyperlink``, ...) holds."""
        for part in element:
            self._part(part)

    def _part(self, part: Element) -> None:
        tag = part.tag
        if tag in ("t", "r", "br", "sym", "fldChar", "instrText"):
            self._text(part)
        elif tag == "del":
            self._dropped["deletions"] += any(text.text for text in part.iter("delText"))
        elif tag in _SKIPPED:
            self._dropped["comments"] += tag == "commentReference"
        elif tag in _SIGNS:
            self._add(_SIGNS[tag])
        elif tag == "ruby":
            self._ruby(part)
        elif tag == "lastRenderedPageBreak":
            self.line.breaks.append(self.line.n_chars)
        elif tag in ("footnoteReference", "endnoteReference"):
            self.notes.append((tag.removesuffix("Reference"), attribute(part, "id")))
        elif tag == "AlternateContent":
            self._alternative(part)
        elif tag == "txbxContent":
            self.boxes.append(part)
        else:
            self.read(part)

    def _text(self, part: Element) -> None:
        match part.tag:
            case "r":
                if is_on(part, "rPr", "vanish"):
                    self._dropped["hidden_text"] += bool("".join(part.itertext()).strip())
                else:
                    self.read(part)
            case "br" if attribute(part, "type") == "page":
                if not self._rendered_breaks:
                    self.line.breaks.append(self.line.n_chars)
            case "br":
                self._add("\n")
            case "sym":
                self._add(_sign(attribute(part, "char").upper()))
            case "fldChar":
                self._field(attribute(part, "fldCharType"))
            case "instrText":
                if self._fields:
                    self._fields[-1][0].append(part.text or "")
            case _:
                self._add(part.text or "")

    def _add(self, text: str) -> None:
        if all(is_result for _, is_result in self._fields):
            self.line.add(text)

    def _field(self, kind: str) -> None:
        if kind == "begin":
            self._fields.append(([], False))
        elif self._fields and kind == "separate":
            instruction = self._fields[-1][0]
            words = "".join(instruction).split(maxsplit=1)
            hidden = bool(words) and words[0].upper() in _HIDDEN_FIELDS
            self._fields[-1] = (instruction, not hidden)
        elif self._fields and kind == "end":
            instruction, _ = self._fields.pop()
            if found := _OLD_RUBY.match("".join(instruction)):
                self.line.add_ruby(found["base"].strip(), found["reading"])

    def _ruby(self, part: Element) -> None:
        base, reading = (_only_text(child(part, name)) for name in ("rubyBase", "rt"))
        if all(is_result for _, is_result in self._fields):
            self.line.add_ruby(base, reading)

    def _alternative(self, part: Element) -> None:
        """Read the first way of writing a thing; the others say the same for older programs."""
        chosen = part.find("Choice")
        if chosen is None:
            chosen = part.find("Fallback")
        if chosen is not None:
            self.read(chosen)


def _only_text(element: Element | None) -> str:
    return "" if element is None else "".join(part.text or "" for part in element.iter("t"))


def _sign(code: str) -> str:
    """Give the character of a sign written as its code point; those of symbol fonts are private ones."""
    if code.startswith("F0"):
        return _WINGDINGS.get(code[-2:], "・")
    try:
        return chr(int(code, 16))
    except (ValueError, OverflowError):
        return ""
