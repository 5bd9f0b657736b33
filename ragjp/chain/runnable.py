"""The journey from question to answer as a LangChain runnable: each step a runnable of its own, named as it shows in a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragjp.types import View

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from ragjp.chain.answer import Answerer, Journey
    from ragjp.types import Answer


def answer_chain(answerer: Answerer, *, view: View) -> Runnable[str, Answer]:
    """Compose ``question | retrieve and rerank | prompt | (LLM | check citations, or extract)`` for one view.

    Question in, :class:`~ragjp.types.Answer` out; it has ``batch``, ``ainvoke`` and ``astream_events`` (with the LLM's
    tokens as they come) like any other runnable, and composes with others.
    """
    from langchain_core.runnables import RunnableBranch, RunnableLambda

    from ragjp.chain.privacy import disable_tracing

    disable_tracing()

    def begin(question: str) -> Journey:
        return answerer.begin(question, view=view)

    def has_no_prompt(journey: Journey) -> bool:
        return journey.prompt is None

    write = RunnableLambda(answerer.write, afunc=answerer.awrite, name="llm")
    written = write | RunnableLambda(answerer.check, name="check_citations")
    chain: Runnable[str, Answer] = (
        RunnableLambda(begin, name="question")
        | RunnableLambda(answerer.retrieve, name="retrieve_and_rerank")
        | RunnableLambda(answerer.compose, name="prompt")
        | RunnableBranch((has_no_prompt, RunnableLambda(answerer.extract, name="extract")), written)
    )
    return chain.with_config(run_name="ragjp")
