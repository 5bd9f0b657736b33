"""Why a search found what it found: how the question was read, and under each hit what brought it there.

Computed when somebody first opens one of these, for all hits at once, and kept until the next search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import streamlit as st

import ragjp
from ragjp.retrieval.explain import Explanation, HitExplained, QuestionExplained, Share, TermMatch
from ragjp.types import Span
from ui import text
from ui.inert import draw_text, inert
from ui.session import Session

#: Key of the session state: the explanation of what was found last.
EXPLAINED = "last_explanation"
_MOST_WORDS = 60
_MOST_MATCHES = 8
_MOST_TOKENS = 8


def forget() -> None:
    """Drop the explanation of an earlier search."""
    st.session_state.pop(EXPLAINED, None)


def draw_question(session: Session, ranking: ragjp.Ranking) -> None:
    """Offer how the question was taken apart."""
    panel = st.expander(text.HOW_READ, key="how-read", on_change="rerun")
    if not panel.open:
        return
    with panel:
        explained = _explanation(session, ranking)
        read = explained.question
        _draw_words(read)
        _draw_lines(text.FOLDED, (f"{part.source} → {part.folded}" for part in read.changes))
        forms = (f"{read.text[slice(*form.span)]} → {form.term}" for form in read.hidden)
        _draw_lines(text.FORMS, forms)
        _draw_lines(text.OWN_WORDS, (word.term.removeprefix("=") for word in read.own))
        missing = (
            term.term for term in explained.terms if term.field == "lemma" and not term.known
        )
        _draw_lines(text.UNSEEN, missing)


def draw_hit(session: Session, ranking: ragjp.Ranking, number: int) -> None:
    """Offer why the hit with this number (from 1) stands where it does."""
    panel = st.expander(text.WHY, key=f"why-{number}", on_change="rerun")
    if not panel.open:
        return
    with panel:
        wanted = ranking.hits[number - 1]
        hits = _explanation(session, ranking).hits
        found = next((one for one in hits if one.hit.chunk_id == wanted.chunk_id), None)
        if found is None or found.hit.text != wanted.text:
            st.info(text.CHANGED_SINCE)
            return
        _draw_shares(found)
        _draw_marked(found, number)
        words = (_match_line(match) for match in word_matches(found)[:_MOST_MATCHES])
        _draw_lines(text.MATCHED_WORDS, words)
        _draw_lines(text.NEAR_WORDS, _token_lines(found))


def _explanation(session: Session, ranking: ragjp.Ranking) -> Explanation:
    kept: Explanation | None = st.session_state.get(EXPLAINED)
    if kept is None:
        with st.spinner(text.EXPLAINING):
            kept = session.engine.explain(
                ranking.query, view=session.view, k=max(len(ranking.hits), 1), operators=True
            )
        st.session_state[EXPLAINED] = kept
    return kept


def _draw_words(read: QuestionExplained) -> None:
    """Draw the words of the question side by side, each over what became of it."""
    unused = set(read.unused)
    with st.container(horizontal=True, key="segments"):
        for number, word in enumerate(read.words[:_MOST_WORDS]):
            fate = "unused" if word.term and word.term in unused else word.fate
            kind = "kept" if fate in ("term", "number") else "dropped"
            with st.container(border=True, gap=None, width="content", key=f"{kind}-{number}"):
                st.text(inert(word.surface))
                st.caption(text.FATES[fate])
    if len(read.words) > _MOST_WORDS:
        st.caption(text.more_words(len(read.words) - _MOST_WORDS))


def _draw_lines(heading: str, lines: Iterable[str]) -> None:
    """Draw somebody else's lines under a heading of ours; nothing where there are none."""
    listed = list(lines)
    if listed:
        st.caption(heading)
        draw_text("\n".join(listed))


def _draw_shares(found: HitExplained) -> None:
    shares = positive(found.final)
    whole = sum(share.value for share in shares)
    ranks = found.ranks
    st.caption(text.ranks(ranks.bm25, ranks.dense, ranks.fused, ranks.final))
    for share in shares:
        part = share.value / whole if whole else 0.0
        st.progress(min(max(part, 0.0), 1.0), text=text.share(share.name, part))


def positive(shares: Iterable[Share]) -> list[Share]:
    """Return what the rankings brought, without what is taken off all hits alike."""
    return [share for share in shares if share.name != "baseline" and share.value > 0]


def word_matches(found: HitExplained) -> list[TermMatch]:
    """Return the matches that a reader can see: words, dates and synonyms, not pairs of characters."""
    return [match for match in found.terms if match.field != "bigram"]


def _match_line(match: TermMatch) -> str:
    written = dict.fromkeys(place.written for place in match.places)
    return text.match("、".join(written) or match.term, match.count, match.of)


def _token_lines(found: HitExplained) -> Iterator[str]:
    named = [match for match in found.tokens if match.asked and match.found]
    best = sorted(named, key=lambda match: -match.contribution)[:_MOST_TOKENS]
    for match in best:
        yield f"{match.asked} → {match.found}　{match.similarity:.2f}"


def _draw_marked(found: HitExplained, number: int) -> None:
    """Draw the passage as one running text (``style.css``), the words that matched marked."""
    places = [
        Span(place.start - found.hit.start, place.end - found.hit.start)
        for match in word_matches(found)
        for place in match.places
        if place.where == "text"
    ]
    with st.container(border=True, gap=None, key=f"passage-{number}"):
        for part, (piece, is_marked) in enumerate(pieces(found.hit.text, places)):
            if is_marked:
                with st.container(gap=None, key=f"word-{number}-{part}"):
                    draw_text(piece)
            else:
                draw_text(piece)


def pieces(passage: str, places: Iterable[Span]) -> list[tuple[str, bool]]:
    """Cut a passage into what is marked and what is not; joined, the pieces are the passage.

    Examples
    --------
    >>> pieces("日当は2,500円", [Span(0, 2), Span(3, 8), Span(8, 9)])
    [('日当', True), ('は', False), ('2,500円', True)]
    """
    merged: list[list[int]] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    cut: list[tuple[str, bool]] = []
    at = 0
    for start, end in merged:
        cut += [(passage[at:start], False), (passage[start:end], True)]
        at = end
    cut.append((passage[at:], False))
    return [piece for piece in cut if piece[0]]
