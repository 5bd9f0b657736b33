"""The page that answers a question. Each question stands alone: the engine keeps no conversation."""

from __future__ import annotations

import streamlit as st

import ragjp
from ragjp.chain.events import Delta, Finished, Retrieved, Searching
from ui import text
from ui.citations import draw_citations, draw_nearest
from ui.inert import draw_text, inert, label
from ui.session import Session, failures_in_words

#: Keys of the session state: what is typed, what is to be asked in this run, what was answered last.
TYPED = "typed_question"
ASKED = "asked_question"
ANSWERED = "last_answer"


def draw(session: Session) -> None:
    """Draw the question box, and the answer to the question asked last."""
    st.title(text.ASK, anchor=False)
    st.caption(text.ASK_LEAD)
    _question_box()
    _examples(session.engine.recipe.ui.examples)
    question = st.session_state.pop(ASKED, None)
    with failures_in_words():
        if question is not None:
            st.session_state.pop(ANSWERED, None)
            if question.strip():
                st.session_state[ANSWERED] = _stream(session, question.strip())
            else:
                st.info(text.EMPTY_QUESTION)
        answer: ragjp.Answer | None = st.session_state.get(ANSWERED)
        if answer is not None:
            _draw_answer(session, answer)


def _question_box() -> None:
    # Streamlit does not submit on the Enter that ends a Japanese input method's conversion.
    with (
        st.form("ask", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        typed = st.text_input(
            text.QUESTION_LABEL,
            key=TYPED,
            placeholder=text.QUESTION_HINT,
            max_chars=1000,
            autocomplete="off",
        )
        if st.form_submit_button(text.ASK_BUTTON, type="primary"):
            st.session_state[ASKED] = typed


def _examples(questions: tuple[str, ...]) -> None:
    if not questions:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="examples"):
        st.caption(text.EXAMPLES, width="content")
        for number, question in enumerate(questions):
            st.button(
                label(question),
                key=f"example-{number}",
                wrap=True,
                on_click=_ask_example,
                args=(question,),
            )


def _ask_example(question: str) -> None:
    st.session_state[TYPED] = question
    st.session_state[ASKED] = question


def _stream(session: Session, question: str) -> ragjp.Answer | None:
    """Draw the answer as it is written, and return it once its citations are checked."""
    phase, draft = st.empty(), st.empty()
    written = ""
    answer: ragjp.Answer | None = None
    try:
        for event in session.engine.stream(question, view=session.view):
            match event:
                case Searching():
                    phase.status(text.SEARCHING)
                case Retrieved():
                    phase.status(text.READING)
                case Delta():
                    if not written:
                        phase.status(text.WRITING)
                    written += event.text
                    draft.text(inert(written))
                case Finished():
                    answer = event.answer
    finally:
        phase.empty()
        draft.empty()
    return answer


def _draw_answer(session: Session, answer: ragjp.Answer) -> None:
    with st.container(key="asked"):
        draw_text(answer.question)
    if answer.status == "no_answer":
        st.info(text.NO_ANSWER, icon=":material/search_off:")
        st.caption(text.NO_ANSWER_ADVICE)
        draw_nearest(session, answer.ranking)
        return
    with st.container(border=True, key="answer"):
        draw_text(answer.text)
        st.caption(text.EXTRACTED if answer.written_by == "extractive" else text.WRITTEN)
    draw_citations(session, answer)
