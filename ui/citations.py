"""The passages under an answer: those it cites, or the nearest ones when there is no answer."""

from __future__ import annotations

import streamlit as st

import ragjp
from ui import text
from ui.inert import draw_text
from ui.passages import Place, draw_source, open_button
from ui.session import Session

#: How many pages are offered when there is no answer.
N_NEAREST = 3
_SNIPPET_CHARS = 160


def cited_places(answer: ragjp.Answer) -> list[Place]:
    """Return the cited passages in the order of their numbers, with the titles the search found them under."""
    titles = {hit.doc_id: hit.title for hit in answer.ranking.hits}
    return [
        Place(
            cited.doc_id,
            titles.get(cited.doc_id, ""),
            cited.page,
            cited.start,
            cited.end,
            cited.quote,
        )
        for cited in answer.citations
    ]


def hit_place(hit: ragjp.Hit) -> Place:
    """Return the passage that a search found."""
    return Place(hit.doc_id, hit.title, hit.page, hit.start, hit.end, hit.text)


def nearest_places(ranking: ragjp.Ranking) -> list[Place]:
    """Return the best passage of each of the first few different pages."""
    best: dict[tuple[str, int], Place] = {}
    for hit in ranking.hits:
        best.setdefault((hit.doc_id, hit.page), hit_place(hit))
    return list(best.values())[:N_NEAREST]


def snippet(passage: str) -> str:
    r"""Return the beginning of a passage on one line.

    Examples
    --------
    >>> snippet("第3条\n  日当は2,500円とする。")
    '第3条 日当は2,500円とする。'
    """
    one_line = " ".join(passage.split())
    return one_line if len(one_line) <= _SNIPPET_CHARS else one_line[:_SNIPPET_CHARS] + "…"


def draw_citations(session: Session, answer: ragjp.Answer) -> None:
    """List the cited passages under the numbers that the answer's text uses."""
    st.subheader(text.CITATIONS, anchor=False)
    for number, place in enumerate(cited_places(answer), start=1):
        with st.container(border=True, key=f"cited-{number}"):
            with st.container(horizontal=True, key=f"numbered-{number}"):
                st.badge(text.citation(number))
                draw_source(place, key=f"cited-{number}")
            with st.container(key=f"quote-{number}"):
                draw_text(place.quote)
            open_button(session, place, key=f"cited-{number}")


def draw_nearest(session: Session, ranking: ragjp.Ranking) -> None:
    """Offer the pages nearest to a question that has no answer."""
    places = nearest_places(ranking)
    if not places:
        return
    st.subheader(text.NEAREST, anchor=False)
    st.caption(text.NEAREST_LEAD)
    for number, place in enumerate(places, start=1):
        with st.container(border=True, key=f"near-{number}"):
            draw_source(place, key=f"near-{number}")
            draw_text(snippet(place.quote))
            open_button(session, place, key=f"near-{number}")
