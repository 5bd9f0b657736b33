"""From question to answer: events in order, the same answer on every path, nothing read without a view."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from ragjp.chain.answer import EXTRACTIVE, FALLEN_BACK, Answerer
from ragjp.chain.events import Delta, Event, Finished, Retrieved, Searching
from ragjp.chain.prompt import NOT_FOUND
from ragjp.chain.runnable import answer_chain
from ragjp.config import Answering
from ragjp.errors import LLMError
from ragjp.types import Answer, View
from tests.chain.conftest import STAFF, Library, ScriptedServer

QUESTION = "国内出張の日当はいくらですか"
QUOTE = "国内出張の日当は、１日につき２，５００円とする。"


@pytest.fixture
def extractive(library: Library) -> Answerer:
    return Answerer(library, library, Answering())


def by_server(library: Library, server: ScriptedServer, **settings: object) -> Answerer:
    values = {"endpoint": server.endpoint, "model": "scripted", "timeout_s": 5, **settings}
    return Answerer(library, library, Answering.model_validate(values))


def verbatim(answer: Answer, library: Library) -> bool:
    return all(
        library.page_text(c.doc_id, c.page, view=STAFF)[c.start : c.end] == c.quote
        for c in answer.citations
    )


def kinds(events: list[Event]) -> list[type]:
    return list(dict.fromkeys(type(event) for event in events))


def test_an_extractive_answer(extractive: Answerer, library: Library) -> None:
    """Guards against an answer without a server being an error, or having no page."""
    answer = extractive.answer(QUESTION, view=STAFF)
    assert answer.status == "answered"
    assert answer.written_by == EXTRACTIVE
    assert [(c.doc_id, c.page, c.quote) for c in answer.citations] == [("旅費規程.pdf", 2, QUOTE)]
    assert answer.text == f"{QUOTE}[1]"
    assert verbatim(answer, library)
    assert {"search", "extract", "total"} <= set(answer.timings_ms)


def test_nothing_found_says_so(extractive: Answerer) -> None:
    """Guards against an answer made up when the documents have none."""
    answer = extractive.answer("社員食堂の営業時間は何時からですか", view=STAFF)
    assert (answer.status, answer.text, answer.citations) == ("no_answer", NOT_FOUND, ())


def test_the_events_of_an_answer(
    extractive: Answerer, library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against passages that come after the answer, and streams that end without one."""
    for answerer in (extractive, by_server(library, llm_server)):
        events = list(answerer.stream(QUESTION, view=STAFF))
        assert kinds(events) == [Searching, Retrieved, Delta, Finished]
        assert isinstance(events[-1], Finished)
        assert events[-1].answer.citations[0].quote == QUOTE


def test_the_text_comes_in_pieces(library: Library, llm_server: ScriptedServer) -> None:
    """Guards against a stream that waits for the whole answer."""
    llm_server.reply = lambda script: script.stream("国内出張の", "日当は", "2,500円です", "[1]。")
    events = list(by_server(library, llm_server).stream(QUESTION, view=STAFF))
    pieces = [event.text for event in events if isinstance(event, Delta)]
    assert pieces == ["国内出張の", "日当は", "2,500円です", "[1]。"]
    assert (
        "first_token" in events[-1].answer.timings_ms if isinstance(events[-1], Finished) else False
    )


async def test_every_path_gives_the_same_answer(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against a fix made to the synchronous path alone."""
    llm_server.reply = lambda script: script.stream("国内出張の日当は2,500円です[1]。")
    answerer = by_server(library, llm_server)
    events = [event async for event in answerer.astream(QUESTION, view=STAFF)]
    chain = answer_chain(answerer, view=STAFF)
    last = events[-1]
    assert isinstance(last, Finished)
    answers = [
        answerer.answer(QUESTION, view=STAFF),
        await answerer.aanswer(QUESTION, view=STAFF),
        last.answer,
        chain.invoke(QUESTION),
        await chain.ainvoke(QUESTION),
        *chain.batch([QUESTION]),
    ]
    assert {(a.text, a.status, a.citations, a.written_by) for a in answers} == {
        ("国内出張の日当は2,500円です[1]。", "answered", answers[0].citations, "scripted")
    }
    assert answers[0].citations[0].quote == QUOTE
    assert kinds(events) == kinds(list(answerer.stream(QUESTION, view=STAFF)))


async def test_the_chains_steps_are_runnables_and_its_tokens_stream(
    library: Library, llm_server: ScriptedServer
) -> None:
    """A chain that is one opaque function can neither be traced nor streamed by those who compose with it."""
    llm_server.reply = lambda script: script.stream("国内出張の", "日当は2,500円です", "[1]。")
    chain = answer_chain(by_server(library, llm_server), view=STAFF)
    tokens, steps = [], set()
    async for event in chain.astream_events(QUESTION):
        steps.add(event["name"])
        if event["event"] == "on_chat_model_stream":
            tokens.append(event["data"]["chunk"].content)
    assert {"retrieve_and_rerank", "prompt", "llm", "check_citations"} <= steps
    assert "".join(tokens) == "国内出張の日当は2,500円です[1]。"


async def test_the_chain_falls_back_only_when_asked_to(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against the chain and the stream disagreeing about a server that fails."""
    llm_server.reply = lambda script: script.send(500, "text/plain", "壊れました")
    chain = answer_chain(by_server(library, llm_server), view=STAFF)
    for attempt in (lambda: chain.invoke(QUESTION), lambda: asyncio.run(chain.ainvoke(QUESTION))):
        with pytest.raises(LLMError):
            await asyncio.to_thread(attempt)
    forgiving = Answerer(
        library,
        library,
        Answering(endpoint=llm_server.endpoint, model="scripted"),
        statistics=None,
        fallback=True,
    )
    chain = answer_chain(forgiving, view=STAFF)
    for answer in (chain.invoke(QUESTION), await chain.ainvoke(QUESTION)):
        assert answer.text.startswith(FALLEN_BACK)
        assert answer.written_by == EXTRACTIVE
        assert answer.citations


def test_an_unsupported_answer_of_the_server_is_not_shown(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against answers from the model's own knowledge."""
    llm_server.reply = lambda script: script.stream(
        "日本の首都は東京です[1]。日当は9,000円です[2]。"
    )
    answer = by_server(library, llm_server).answer(QUESTION, view=STAFF)
    assert (answer.status, answer.text, answer.citations) == ("no_answer", NOT_FOUND, ())
    assert answer.ranking.hits


def test_without_passages_the_server_is_not_asked(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against an LLM that answers from its own knowledge because nothing was found, and against leaks between views."""
    answer = by_server(library, llm_server).answer(QUESTION, view=View.of("guest"))
    assert answer.status == "no_answer"
    assert llm_server.requests == []


def test_a_base_model_is_not_asked_what_the_passages_are_not_about(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against a model that cannot say no being made to quote something."""
    answerer = by_server(library, llm_server, style="completion")
    assert answerer.answer("野球部の練習日はいつですか", view=STAFF).status == "no_answer"
    assert llm_server.requests == []


def test_a_base_model_continues_an_open_quotation(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against the opening bracket, which the prompt has and the reply has not, being lost to the check."""
    reply = '{"id":"1","object":"text_completion","created":0,"model":"m","choices":[{"index":0,"text":"%s","finish_reason":null}]}'
    text = "国内出張の日当は、1日につき2,500円とする。」[1]"
    llm_server.reply = lambda script: script.send(
        200, "text/event-stream", f"data: {reply % text}\n\ndata: [DONE]\n\n"
    )
    answer = by_server(library, llm_server, style="completion").answer(QUESTION, view=STAFF)
    assert answer.citations[0].quote == QUOTE
    ((path, _, body),) = llm_server.requests
    assert path == "/v1/completions"
    assert body["stop"] == ["\n"]
    assert str(body["prompt"]).endswith("答え: 「")


def test_many_threads(library: Library, extractive: Answerer) -> None:
    """Guards against one asker's words in another's answer."""
    questions = [QUESTION, "宿泊料の上限は甲地でいくらですか", "社用車の予約はいつまでですか"] * 4
    alone = [extractive.answer(question, view=STAFF).text for question in questions]
    together: dict[int, str] = {}

    def work(place: int) -> None:
        together[place] = extractive.answer(questions[place], view=STAFF).text

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[place] for place in range(len(questions))] == alone


def test_extractive_answers_load_no_langchain(environment: dict[str, str]) -> None:
    """Guards against seconds of imports, and LangChain's tracers, where no LLM is configured."""
    code = """
import sys
from ragjp.chain.answer import Answerer
from ragjp.config import Answering
from ragjp.errors import LLMError
from ragjp.types import Hit, Ranking, View
text = "日当は2,500円とする。"
class Library:
    def search(self, query, *, view, k):
        return Ranking(query, (Hit("a", "a#p1:0-12", 1, 0, len(text), text, "", (), 1.0, {}),), 1)
    def page_text(self, doc_id, page, *, view):
        return text
answer = Answerer(Library(), Library(), Answering()).answer("日当はいくらですか", view=View.of("x"))
assert answer.status == "answered", answer
loaded = [name for name in sys.modules if name.split(".")[0] in {"langchain_core", "langchain", "openai", "langsmith"}]
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_public_names() -> None:
    """Guards against names that are promised and not there, and an import that loads what it only promises."""
    import ragjp.chain

    for name in ragjp.chain.__all__:
        assert getattr(ragjp.chain, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        ragjp.chain.no_such_name  # noqa: B018
