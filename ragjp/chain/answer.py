"""From a question to an answer: retrieve → prompt → LLM → checked citations, or retrieve → sentences cut from the sources.

The steps are LangChain runnables composed in :func:`answer_chain`; :class:`Answerer` runs the same steps and tells what happens
as it happens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ragjp.chain.completion import OPENING, STOP, completion_prompt
from ragjp.chain.endpoint import Resolve, addresses_of
from ragjp.chain.events import Delta, Event, Finished, Retrieved, Searching
from ragjp.chain.extractive import evidence_sentence, extract_answer, supporting_hits
from ragjp.chain.grounding import check_citations
from ragjp.chain.llm import llm_errors, make_llm
from ragjp.chain.ports import PageSource, Searcher, TermStatistics
from ragjp.chain.prompt import NOT_FOUND, Prompt, chat_prompt
from ragjp.chain.words import WordReader
from ragjp.config import Answering
from ragjp.errors import LLMError
from ragjp.types import Answer, Ranking, View

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

#: Hits asked of the search: what the extractive answer reads, and the answer's ranking shows.
K = 10

EXTRACTIVE = "extractive"


class Answerer:
    """Answers questions over one searcher. Safe to use from many threads.

    Parameters
    ----------
    searcher, pages
        Retrieval with reranking, and the text of pages: an open engine is both.
    statistics
        How common words are; without it the extractive answer counts among the hits.
    settings
        The LLM server. ``endpoint = None``: extractive answers, and nothing of LangChain is loaded.
    fallback
        When the server fails, answer extractively and say so in the answer's text. Off unless asked for: the failure is raised.
    resolve
        Name to addresses, for the check that the server stands inside this network; given by tests.
    """

    def __init__(
        self,
        searcher: Searcher,
        pages: PageSource,
        settings: Answering,
        *,
        statistics: TermStatistics | None = None,
        fallback: bool = False,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._searcher = searcher
        self._pages = pages
        self._statistics = statistics
        self._settings = settings
        self._fallback = fallback
        self._words = WordReader()
        self._llm = None if settings.endpoint is None else make_llm(settings, resolve=resolve)

    # ------------------------------------------------------------------------------------- whole answers

    def answer(self, question: str, *, view: View) -> Answer:
        """Answer a question from what ``view`` may read.

        Raises
        ------
        LLMError
            When a server is configured and fails, unless ``fallback`` was asked for.
        RequestError
            When the question does not fit the prompt's budget.
        """
        return _last(list(self.stream(question, view=view)))

    async def aanswer(self, question: str, *, view: View) -> Answer:
        """Answer without blocking the event loop; see :meth:`answer`."""
        return _last([event async for event in self.astream(question, view=view)])

    # ------------------------------------------------------------------------------------- events

    def stream(self, question: str, *, view: View) -> Iterator[Event]:
        """Yield :class:`Searching`, :class:`Retrieved`, pieces of text, then :class:`Finished` with the checked answer.

        When the server fails the error is raised after :class:`Retrieved`: the passages found have been handed over.
        """
        clock = _Clock()
        yield Searching(question)
        ranking = self._search(question, view, clock)
        yield Retrieved(ranking)
        prompt = self._prompt(question, ranking, view, clock)
        if prompt is None:
            yield from self._extractive_events(question, ranking, view, clock)
            return
        written: list[str] = []
        try:
            for text in self._write(prompt):
                clock.first("first_token")
                written.append(text)
                yield Delta(text)
        except LLMError as error:
            yield Finished(self._fall_back(error, question, ranking, view, clock))
            return
        clock.lap("llm")
        yield Finished(self._checked(question, "".join(written), prompt, ranking, view, clock))

    async def astream(self, question: str, *, view: View) -> AsyncIterator[Event]:
        """Yield the same events without blocking the event loop: searching and checking run in threads."""
        clock = _Clock()
        yield Searching(question)
        ranking = await asyncio.to_thread(self._search, question, view, clock)
        yield Retrieved(ranking)
        prompt = await asyncio.to_thread(self._prompt, question, ranking, view, clock)
        if prompt is None:
            for event in await asyncio.to_thread(
                lambda: list(self._extractive_events(question, ranking, view, clock))
            ):
                yield event
            return
        written: list[str] = []
        try:
            async for text in self._awrite(prompt):
                clock.first("first_token")
                written.append(text)
                yield Delta(text)
        except LLMError as error:
            answer = await asyncio.to_thread(self._fall_back, error, question, ranking, view, clock)
            yield Finished(answer)
            return
        clock.lap("llm")
        yield Finished(
            await asyncio.to_thread(
                self._checked, question, "".join(written), prompt, ranking, view, clock
            )
        )

    # ------------------------------------------------------------------------------------- steps

    def _search(self, question: str, view: View, clock: _Clock) -> Ranking:
        k = max(K, self._settings.max_passages)
        ranking = self._searcher.search(question, view=view, k=k)
        clock.lap("search")
        return ranking

    def _prompt(self, question: str, ranking: Ranking, view: View, clock: _Clock) -> Prompt | None:
        """Return the prompt; None when there is no server to send it to, or nothing was found to put in it."""
        if self._llm is None or not ranking.hits:
            return None
        if self._settings.style == "completion":
            prompt = self._completion(question, ranking, view)
        else:
            prompt = chat_prompt(
                question,
                ranking.hits,
                max_passages=self._settings.max_passages,
                budget=self._settings.prompt_tokens,
            )
        clock.lap("prompt")
        return prompt

    def _completion(self, question: str, ranking: Ranking, view: View) -> Prompt | None:
        hits = supporting_hits(
            question,
            ranking,
            pages=self._pages,
            view=view,
            words=self._words,
            statistics=self._statistics,
        )
        if not hits:
            return None
        # The others are company: shown one passage alone, a small model rewords the question instead of quoting.
        others = [hit for hit in ranking.hits if hit not in hits]
        return completion_prompt(
            question,
            [*hits, *others][: self._settings.max_passages],
            line_of=lambda hit: evidence_sentence(question, hit, words=self._words),
            budget=self._settings.prompt_tokens,
        )

    def writer(self) -> Runnable[Prompt, str]:
        """Return the part that LangChain runs: prompt → messages → LLM → text."""
        from langchain_core.output_parsers import StrOutputParser
        from langchain_core.runnables import RunnableLambda

        assert self._llm is not None
        model: Any = self._llm
        if self._settings.style == "completion":
            model = model.bind(stop=list(STOP))
        chain: Runnable[Prompt, str] = (
            RunnableLambda(Prompt.as_prompt_value) | model | StrOutputParser()
        )
        return chain

    def _write(self, prompt: Prompt) -> Iterator[str]:
        if opening := self._opening():
            yield opening
        with llm_errors(self._settings):
            for text in self.writer().stream(prompt):
                if text:
                    yield text

    async def _awrite(self, prompt: Prompt) -> AsyncIterator[str]:
        if opening := self._opening():
            yield opening
        with llm_errors(self._settings):
            async for text in self.writer().astream(prompt):
                if text:
                    yield text

    def _opening(self) -> str:
        return OPENING if self._settings.style == "completion" else ""

    def _checked(
        self,
        question: str,
        text: str,
        prompt: Prompt,
        ranking: Ranking,
        view: View,
        clock: _Clock,
    ) -> Answer:
        hits = [passage.hit for passage in prompt.passages]
        citing = check_citations(text, hits, pages=self._pages, view=view, words=self._words)
        clock.lap("check")
        return Answer(
            question=question,
            text=citing.text,
            status="answered" if citing.citations else "no_answer",
            citations=citing.citations,
            ranking=ranking,
            timings_ms=clock.timings(),
            written_by=self._settings.model,
        )

    def _extractive_events(
        self, question: str, ranking: Ranking, view: View, clock: _Clock
    ) -> Iterator[Event]:
        answer = self._extract(question, ranking, view, clock)
        yield Delta(answer.text)
        yield Finished(answer)

    def _extract(self, question: str, ranking: Ranking, view: View, clock: _Clock) -> Answer:
        found = extract_answer(
            question,
            ranking,
            pages=self._pages,
            view=view,
            words=self._words,
            statistics=self._statistics,
        )
        clock.lap("extract")
        return Answer(
            question=question,
            text=found.text if found else NOT_FOUND,
            status="answered" if found else "no_answer",
            citations=found.citations if found else (),
            ranking=ranking,
            timings_ms=clock.timings(),
            written_by=EXTRACTIVE,
        )

    def _fall_back(
        self, error: LLMError, question: str, ranking: Ranking, view: View, clock: _Clock
    ) -> Answer:
        if not self._fallback:
            raise error
        clock.lap("llm")
        answer = self._extract(question, ranking, view, clock)
        note = "（LLM サーバーが答えられなかったため、文書の文をそのまま示します。）"
        return replace(answer, text=f"{note}\n{answer.text}")


class _Clock:
    """Milliseconds of each stage, and of the whole."""

    def __init__(self) -> None:
        self._started = self._lapped = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = 1000 * (now - self._lapped)
        self._lapped = now

    def first(self, event: str) -> None:
        """Note when something first happened, counted from the question."""
        self._laps.setdefault(event, 1000 * (time.perf_counter() - self._started))

    def timings(self) -> dict[str, float]:
        return {**self._laps, "total": 1000 * (time.perf_counter() - self._started)}


def _last(events: list[Event]) -> Answer:
    final = events[-1]
    assert isinstance(final, Finished)
    return final.answer


def answer_chain(answerer: Answerer, *, view: View) -> Runnable[str, Answer]:
    """Return the whole journey as a LangChain runnable, question in, :class:`~ragjp.types.Answer` out, for one view.

    It composes with other runnables, and has ``batch`` and ``ainvoke`` like any other.
    """
    from langchain_core.runnables import RunnableLambda

    from ragjp.chain.privacy import disable_tracing

    disable_tracing()

    def ask(question: str) -> Answer:
        return answerer.answer(question, view=view)

    async def ask_without_blocking(question: str) -> Answer:
        return await answerer.aanswer(question, view=view)

    return RunnableLambda(ask, afunc=ask_without_blocking, name="ragjp")
