"""One page of a document, opened at a passage: the text around it, and the passage marked."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from ui import text
from ui.inert import draw_text
from ui.session import Session, failures_in_words

#: Characters shown above and below the passage until the reader asks for the whole page.
AROUND_CHARS = 500


@dataclass(frozen=True, slots=True)
class Place:
    """A passage to open: ``quote`` was read at ``[start, end)`` of the text of ``page`` of ``doc_id``."""

    doc_id: str
    title: str
    page: int
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A page cut at a passage. The five parts, joined, are the page: the outer two are counted, not shown."""

    n_hidden_before: int
    before: str
    quote: str
    after: str
    n_hidden_after: int


def excerpt(page_text: str, start: int, end: int, *, around_chars: int | None) -> Excerpt:
    r"""Cut a page at ``[start, end)``, keeping whole lines where a line begins or ends within reach.

    Parameters
    ----------
    page_text
        The source text of the page.
    start, end
        The passage, in characters of ``page_text``.
    around_chars
        How many characters to show on each side at most; None for all.

    Examples
    --------
    >>> excerpt("一行目\n二行目\n三行目", 4, 7, around_chars=2)
    Excerpt(n_hidden_before=4, before='', quote='二行目', after='\n', n_hidden_after=3)
    """
    first, last = 0, len(page_text)
    if around_chars is not None and start > around_chars:
        first = start - around_chars
        line = page_text.find("\n", first, start)
        first = line + 1 if line >= 0 else first
    if around_chars is not None and last - end > around_chars:
        last = end + around_chars
        line = page_text.rfind("\n", end, last)
        last = line + 1 if line >= 0 else last
    return Excerpt(
        n_hidden_before=first,
        before=page_text[first:start],
        quote=page_text[start:end],
        after=page_text[end:last],
        n_hidden_after=len(page_text) - last,
    )


def draw_source(place: Place, *, key: str) -> None:
    """Draw where a passage stands: the document's title, and below it the file and the page."""
    with st.container(gap=None, key=f"source-{key}"):
        draw_text(place.title or place.doc_id)
        draw_text(f"{place.doc_id}　{text.page(place.page)}")


def open_button(session: Session, place: Place, *, key: str) -> None:
    """Draw the button that opens a passage's page beside what is on the screen."""
    if st.button(text.OPEN_PAGE, key=f"open-{key}", icon=":material/description:"):
        show_page(session, place)


@st.dialog(text.PAGE_TITLE, width="large", position="right")
def show_page(session: Session, place: Place) -> None:
    """Open a page in a drawer and mark the passage, if the page still reads as it did."""
    draw_source(place, key="page")
    with failures_in_words():
        page_text = session.engine.page_text(place.doc_id, place.page, view=session.view)
        if page_text[place.start : place.end] != place.quote:
            st.warning(text.PAGE_CHANGED)
            draw_text(page_text)
            return
        shown = excerpt(page_text, place.start, place.end, around_chars=AROUND_CHARS)
        is_cut = shown.n_hidden_before or shown.n_hidden_after
        if is_cut and st.toggle(text.WHOLE_PAGE, key=f"whole-{place.doc_id}-{place.page}"):
            shown = excerpt(page_text, place.start, place.end, around_chars=None)
        _draw_excerpt(shown)


def _draw_excerpt(shown: Excerpt) -> None:
    """Draw the three parts as one running text (``style.css``), the passage marked."""
    if shown.n_hidden_before:
        st.caption(text.hidden_before(shown.n_hidden_before))
    with st.container(border=True, gap=None, key="paper"):
        if shown.before:
            draw_text(shown.before)
        with st.container(gap=None, key="marked"):
            draw_text(shown.quote)
        if shown.after:
            draw_text(shown.after)
    if shown.n_hidden_after:
        st.caption(text.hidden_after(shown.n_hidden_after))
