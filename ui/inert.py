"""Text that somebody else wrote, drawn so that it can do nothing but be read.

Streamlit's Markdown turns text into links, images that are fetched, formulas, colours and icons. Escaping cannot be made
complete: a bare address becomes a link even when its punctuation is written as entities (seen with Streamlit 1.67). So no text of a
document, a model, a user or an error goes through Markdown or HTML at all: it is drawn with ``st.text``, which makes one text
node in the browser. What ``st.text`` still does to it, and what characters can do by themselves, is settled here.
"""

from __future__ import annotations

import re
import textwrap

import streamlit as st

#: Controls other than tab and newline, and the marks that reorder what a reader sees (CVE-2021-42574).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\ufffd"
#: An invisible character that is not a blank, so that blanks beside it are kept.
_GUARD = "\u2060"
#: ASCII punctuation, but not the point of a number nor the hyphen of a model's name.
_PUNCTUATION = re.compile(r"(?!(?<=\d)\.(?=\d)|(?<=[0-9A-Za-z])-(?=[0-9A-Za-z]))[!-/:-@\[-`{-~]")
_TO_FULL_WIDTH = 0xFEE0


def inert(text: str) -> str:
    r"""Return what to hand to ``st.text`` so that the reader sees ``text``, line for line, and nothing else.

    Line ends become ``\n``; control and direction marks become U+FFFD. ``st.text`` trims and dedents what it is given, which
    would move the first line of a table or join a quote to the line before it; an invisible guard keeps the blanks.

    Examples
    --------
    >>> inert("![](https://example.com/a.png)")
    '![](https://example.com/a.png)'
    >>> inert("明細\r\n") == "\u2060明細\n\u2060"
    True
    """
    shown = _CONTROLS.sub(_REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))
    if textwrap.dedent(shown).strip() == shown:
        return shown
    return f"{_GUARD}{shown}{_GUARD}"


def label(text: str) -> str:
    """Return ``text`` as one line for a button, whose label is always Markdown: ASCII punctuation becomes full-width.

    Without ASCII punctuation there is no Markdown, no directive, no address and no emoji name. A point
    between digits and a hyphen inside a word stay.

    Examples
    --------
    >>> label("R5.4.1 の E-04 と *日当* は？ www.example.com")
    'R5.4.1 の E-04 と ＊日当＊ は？ www．example．com'
    """
    one_line = " ".join(_CONTROLS.sub(_REPLACEMENT, text).split())
    return _PUNCTUATION.sub(lambda found: chr(ord(found.group()) + _TO_FULL_WIDTH), one_line)


def draw_text(text: str) -> None:
    """Draw somebody else's text over the width there is."""
    st.text(inert(text), width="stretch")
