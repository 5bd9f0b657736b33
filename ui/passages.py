"""One page of a document, opened at a passage: the text around it, and the passage marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import streamlit as st

from ui import text
from ui.inert import draw_text
from ui.session import Session, failures_in_words


class Around(NamedTuple):
    """How much of a page is shown on each side of a passage, at most: few enough that it is in sight at once."""

    chars: int = 300
    lines: int = 8


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


def excerpt(page_text: str, start: int, end: int, around: Around | None) -> Excerpt:
    r"""Cut a page at ``[start, end)``, keeping whole lines where a line begins or ends within reach.

    Parameters
    ----------
    page_text
        The source text of the page.
    start, end
        The passage, in characters of ``page_text``.
    around
        How much to show on each side; None for all.

    Examples
    --------
    >>> excerpt("一行目\n二行目\n三行目", 4, 7, Around(chars=2, lines=2))
    Excerpt(n_hidden_before=4, before='', quote='二行目', after='\n', n_hidden_after=3)
    """
    before, after = page_text[:start], page_text[end:]
    if around is not None:
        before, after = _end_of(before, around), _beginning_of(after, around)
    return Excerpt(
        n_hidden_before=start - len(before),
        before=before,
        quote=page_text[start:end],
        after=after,
        n_hidden_after=len(page_text) - end - len(after),
    )


def _end_of(text: str, around: Around) -> str:
    kept = text[-around.chars :] if around.chars < len(text) else text
    if len(kept) < len(text) and "\n" in kept:
        kept = kept[kept.index("\n") + 1 :]
    return "".join(kept.splitlines(keepends=True)[-around.lines :])


def _beginning_of(text: str, around: Around) -> str:
    kept = text[: around.chars]
    if len(kept) < len(text) and "\n" in kept:
        kept = kept[: kept.rindex("\n") + 1]
    return "".join(kept.splitlines(keepends=True)[: around.lines])


def draw_source(place: Place, *, key: str, headings: tuple[str, ...] = ()) -> None:
    """Draw where a passage stands: the document's title, below it the file and the page, then the headings."""
    with st.container(gap=None, key=f"source-{key}"):
        draw_text(place.title or place.doc_id)
        draw_text(f"{place.doc_id}　{text.page(place.page)}")
        if headings:
            draw_text(" › ".join(headings))


def open_button(session: Session, place: Place, *, key: str) -> None:
    """Draw the button that opens a passage's page beside what is on the screen."""
    if st.button(text.OPEN_PAGE, key=f"open-{key}", icon=":material/description:"):
        show_page(session, place)


@st.dialog(text.PAGE_TITLE, width="medium", position="right")
def show_page(session: Session, place: Place) -> None:
    """Open a page in a drawer and mark the passage, if the page still reads as it did."""
    draw_source(place, key="page")
    with failures_in_words():
        page_text = session.engine.page_text(place.doc_id, place.page, view=session.view)
        if page_text[place.start : place.end] != place.quote:
            st.warning(text.PAGE_CHANGED)
            draw_text(page_text)
            return
        shown = excerpt(page_text, place.start, place.end, Around())
        is_cut = shown.n_hidden_before or shown.n_hidden_after
        if is_cut and st.toggle(text.WHOLE_PAGE, key=f"whole-{place.page}-{place.start}"):
            shown = excerpt(page_text, place.start, place.end, None)
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
