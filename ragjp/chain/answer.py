"""From a question to an answer: retrieve → prompt → LLM → checked citations, or retrieve → sentences cut from the sources.

The steps are methods of :class:`Answerer`. :func:`ragjp.chain.runnable.answer_chain` composes them as LangChain runnables;
:meth:`Answerer.stream` runs the same steps and tells what happens as it happens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ragjp.chain.completion import OPENING, STOP, completion_prompt
from ragjp.chain.endpoint import Resolve, addresses_of
from ragjp.chain.events import Delta, Event, Finished, Retrieved, Searching
from ragjp.chain.extractive import evidence_sentence, extract_answer, supporting_hits
from ragjp.chain.grounding import check_citations
from ragjp.chain.llm import llm_errors, make_llm
from ragjp.chain.ports import ConfidenceSource, PageSource, Searcher, TermStatistics
from ragjp.chain.prompt import NOT_FOUND, Prompt, chat_prompt
from ragjp.chain.words import WordReader
from ragjp.config import Answering
from ragjp.errors import LLMError
from ragjp.types import Answer, Confidence, Ranking, View

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

#: Hits asked of the search: what the extractive answer reads, and the answer's ranking shows.
K = 10

EXTRACTIVE = "extractive"
FALLEN_BACK = "（LLM サーバーが答えられなかったため、文書の文をそのまま示します。）"


class Clock:
    """Milliseconds of each stage, and of the whole."""

    def __init__(self) -> None:
        self._started = self._lapped = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to a stage."""
        now = time.perf_counter()
        self._laps[stage] = 1000 * (now - self._lapped)
        self._lapped = now

    def first(self, event: str) -> None:
        """Note when something first happened, counted from the question."""
        self._laps.setdefault(event, 1000 * (time.perf_counter() - self._started))

    def timings(self) -> dict[str, float]:
        """Milliseconds by stage, and ``total``."""
        return {**self._laps, "total": 1000 * (time.perf_counter() - self._started)}


@dataclass(frozen=True, slots=True)
class Journey:
    """A question on its way through the steps; each step returns it with more in it."""

    question: str
    view: View
    clock: Clock
    ranking: Ranking
    confidence: Confidence | None = None
    #: None: nothing is sent to an LLM, the answer is cut from the passages.
    prompt: Prompt | None = None
    text: str = ""
    #: Whether the LLM failed and the answer is cut from the passages instead.
    failed: bool = False


class Answerer:
    """Answers questions over one searcher. Safe to use from many threads.

    Parameters
    ----------
    searcher, pages
        Retrieval with reranking, and the text of pages: an open engine is both.
    statistics
        How common words are; without it the extractive answer counts among the hits.
    confidences
        Says whether the passages hold an answer at all; below its threshold nobody is asked to write one. None: never refuses by it.
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
        confidences: ConfidenceSource | None = None,
        fallback: bool = False,
        resolve: Resolve = addresses_of,
    ) -> None:
        self._searcher = searcher
        self._pages = pages
        self._statistics = statistics
        self._confidences = confidences
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
        yield Searching(question)
        journey = self.retrieve(self.begin(question, view=view))
        yield Retrieved(journey.ranking)
        journey = self.compose(journey)
        if journey.prompt is None:
            answer = self.extract(journey)
            yield Delta(answer.text)
            yield Finished(answer)
            return
        written: list[str] = []
        try:
            for text in self._write(journey.prompt):
                journey.clock.first("first_token")
                written.append(text)
                yield Delta(text)
        except LLMError as error:
            yield Finished(self.extract(self._failed(journey, error)))
            return
        yield Finished(self.check(self._written(journey, written)))

    async def astream(self, question: str, *, view: View) -> AsyncIterator[Event]:
        """Yield the same events without blocking the event loop: searching and checking run in threads."""
        yield Searching(question)
        journey = await asyncio.to_thread(self.retrieve, self.begin(question, view=view))
        yield Retrieved(journey.ranking)
        journey = await asyncio.to_thread(self.compose, journey)
        if journey.prompt is None:
            answer = await asyncio.to_thread(self.extract, journey)
            yield Delta(answer.text)
            yield Finished(answer)
            return
        written: list[str] = []
        try:
            async for text in self._awrite(journey.prompt):
                journey.clock.first("first_token")
                written.append(text)
                yield Delta(text)
        except LLMError as error:
            yield Finished(await asyncio.to_thread(self.extract, self._failed(journey, error)))
            return
        yield Finished(await asyncio.to_thread(self.check, self._written(journey, written)))

    # ------------------------------------------------------------------------------------- steps

    def begin(self, question: str, *, view: View) -> Journey:
        """Set out with a question."""
        return Journey(question, view, Clock(), Ranking(question, (), 0))

    def retrieve(self, journey: Journey) -> Journey:
        """Retrieve and rerank passages that the view may read."""
        k = max(K, self._settings.max_passages)
        ranking = self._searcher.search(journey.question, view=journey.view, k=k)
        journey.clock.lap("search")
        if self._confidences is None or not ranking.hits:
            return replace(journey, ranking=ranking)
        confidence = self._confidences.confidence(journey.question, view=journey.view)
        journey.clock.lap("confidence")
        return replace(journey, ranking=ranking, confidence=confidence)

    def compose(self, journey: Journey) -> Journey:
        """Put the passages into a prompt; none when there is no server to send it to, or nothing worth sending."""
        if self._llm is None or not journey.ranking.hits or self._refuses(journey):
            return journey
        if self._settings.style == "completion":
            prompt = self._completion(journey.question, journey.ranking, journey.view)
        else:
            prompt = chat_prompt(
                journey.question,
                journey.ranking.hits,
                max_passages=self._settings.max_passages,
                budget=self._settings.prompt_tokens,
            )
        journey.clock.lap("prompt")
        return replace(journey, prompt=prompt)

    def write(self, journey: Journey) -> Journey:
        """Have the LLM write. Raises LLMError unless falling back was asked for."""
        assert journey.prompt is not None
        try:
            return self._written(journey, list(self._write(journey.prompt)))
        except LLMError as error:
            return self._failed(journey, error)

    async def awrite(self, journey: Journey) -> Journey:
        """Have the LLM write without blocking the event loop; see :meth:`write`."""
        assert journey.prompt is not None
        try:
            return self._written(journey, [text async for text in self._awrite(journey.prompt)])
        except LLMError as error:
            return self._failed(journey, error)

    def check(self, journey: Journey) -> Answer:
        """Keep the citations whose quotes stand on their pages; without any left there is no answer."""
        if journey.prompt is None:
            return self.extract(journey)
        hits = [passage.hit for passage in journey.prompt.passages]
        citing = check_citations(
            journey.text, hits, pages=self._pages, view=journey.view, words=self._words
        )
        journey.clock.lap("check")
        return Answer(
            question=journey.question,
            text=citing.text,
            status="answered" if citing.citations else "no_answer",
            citations=citing.citations,
            ranking=journey.ranking,
            timings_ms=journey.clock.timings(),
            written_by=self._settings.model,
            confidence=journey.confidence,
        )

    def extract(self, journey: Journey) -> Answer:
        """Answer with sentences cut from the passages, or say that there is none."""
        found = (
            None
            if self._refuses(journey)
            else extract_answer(
                journey.question,
                journey.ranking,
                pages=self._pages,
                view=journey.view,
                words=self._words,
                statistics=self._statistics,
            )
        )
        journey.clock.lap("extract")
        text = found.text if found else NOT_FOUND
        return Answer(
            question=journey.question,
            text=f"{FALLEN_BACK}\n{text}" if journey.failed else text,
            status="answered" if found else "no_answer",
            citations=found.citations if found else (),
            ranking=journey.ranking,
            timings_ms=journey.clock.timings(),
            written_by=EXTRACTIVE,
            confidence=journey.confidence,
        )

    def _refuses(self, journey: Journey) -> bool:
        """Whether the passages are too unlikely to hold an answer.

        A chat model answers whatever it is shown, so there the threshold decides. The rules of the extractive answer, which also
        choose what a base model is shown, refuse by themselves: they are overruled only below the floor.
        """
        confidence = journey.confidence
        if confidence is None:
            return False
        by_rules = self._llm is None or journey.failed or self._settings.style == "completion"
        return confidence.probability < (confidence.floor if by_rules else confidence.threshold)

    def _written(self, journey: Journey, pieces: list[str]) -> Journey:
        journey.clock.lap("llm")
        return replace(journey, text="".join(pieces))

    def _failed(self, journey: Journey, error: LLMError) -> Journey:
        """Go on without the LLM where that was asked for; raise what it failed with otherwise."""
        if not self._fallback:
            raise error
        journey.clock.lap("llm")
        return replace(journey, prompt=None, failed=True)

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


def _last(events: list[Event]) -> Answer:
    final = events[-1]
    assert isinstance(final, Finished)
    return final.answer
