"""The page that finds passages."""

from __future__ import annotations

import streamlit as st

import ragjp
from ui import text, why
from ui.citations import hit_place, snippet
from ui.inert import draw_text
from ui.passages import draw_source, open_button
from ui.session import Session, failures_in_words

COUNTS = (5, 10, 20)
#: Key of the session state: what was found last.
FOUND = "last_ranking"


def draw(session: Session) -> None:
    """Draw the search box, and what the last search found."""
    st.title(text.SEARCH, anchor=False)
    st.caption(text.SEARCH_LEAD)
    with st.form("search", border=False):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            query = st.text_input(
                text.QUERY_LABEL,
                placeholder=text.QUERY_HINT,
                help=text.QUERY_HELP,
                max_chars=1000,
                autocomplete="off",
            )
            submitted = st.form_submit_button(text.SEARCH_BUTTON, type="primary")
        count = st.radio(text.COUNT_LABEL, COUNTS, index=1, format_func=text.count, horizontal=True)
    with failures_in_words():
        if submitted:
            st.session_state.pop(FOUND, None)
            why.forget()
            if query.strip():
                st.session_state[FOUND] = session.engine.search(
                    query.strip(), view=session.view, k=count, operators=True
                )
            else:
                st.info(text.EMPTY_QUERY)
        ranking: ragjp.Ranking | None = st.session_state.get(FOUND)
        if ranking is not None:
            _draw_hits(session, ranking)


def _draw_hits(session: Session, ranking: ragjp.Ranking) -> None:
    if not ranking.hits:
        st.info(text.NO_HITS, icon=":material/search_off:")
        return
    st.caption(text.found(len(ranking.hits)))
    why.draw_question(session, ranking)
    highest = highest_scores(ranking)
    for number, hit in enumerate(ranking.hits, start=1):
        place = hit_place(hit)
        with st.container(border=True, key=f"hit-{number}"):
            draw_source(place, key=f"hit-{number}", headings=hit.heading_path)
            draw_text(snippet(hit.text))
            with st.container(horizontal=True, key=f"actions-{number}"):
                open_button(session, place, key=f"hit-{number}")
                _draw_scores(hit, highest)
            why.draw_hit(session, ranking, number)


def highest_scores(ranking: ragjp.Ranking) -> dict[str, float]:
    """Return the highest score that each ranking gave to any of the hits."""
    highest: dict[str, float] = {}
    for hit in ranking.hits:
        for name, score in hit.scores.items():
            highest[name] = max(score, highest.get(name, score))
    return highest


def _draw_scores(hit: ragjp.Hit, highest: dict[str, float]) -> None:
    shown = {name: hit.scores[name] for name in text.SCORE_NAMES if name in hit.scores}
    if not shown:
        return
    with st.popover(text.SCORES, type="tertiary"):
        st.caption(text.SCORES_LEAD)
        for name, score in shown.items():
            share = score / highest[name] if highest[name] > 0 else 0.0
            st.progress(min(max(share, 0.0), 1.0), text=text.score(name, score))
