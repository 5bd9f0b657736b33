"""The LLM client: where it goes, what it sends, and what every kind of failure says."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ragjp.chain.answer import Answerer
from ragjp.chain.endpoint import parse_endpoint
from ragjp.chain.events import Delta, Event, Finished, Retrieved
from ragjp.chain.llm import make_llm
from ragjp.config import Answering
from ragjp.errors import LLMError, RecipeError
from tests.chain.conftest import STAFF, Library, Reply, Script, ScriptedServer, slowly

QUESTION = "国内出張の日当はいくらですか"


def nowhere(name: str) -> list[str]:
    raise AssertionError(f"{name} was looked up")


def asking(library: Library, endpoint: str, **settings: object) -> Answerer:
    answering = Answering.model_validate(
        {"endpoint": endpoint, "model": "scripted", "timeout_s": 5, **settings}
    )
    return Answerer(library, library, answering, resolve=nowhere)


def failure(answerer: Answerer) -> LLMError:
    with pytest.raises(LLMError) as caught:
        answerer.answer(QUESTION, view=STAFF)
    return caught.value


REPLIES: list[tuple[str, Reply, str]] = [
    (
        "500",
        lambda s: s.send(500, "application/json", '{"error": {"message": "boom"}}'),
        "llm_failed",
    ),
    ("busy", lambda s: s.send(503, "text/plain", "loading model"), "llm_failed"),
    ("html", lambda s: s.send(200, "text/html", "<html>welcome</html>"), "llm_failed"),
    ("not json", lambda s: s.send(200, "text/event-stream", "data: {oops\n\n"), "llm_failed"),
    ("empty", lambda s: s.send(200, "text/event-stream", ""), "llm_failed"),
    (
        "error event",
        lambda s: s.send(200, "text/event-stream", 'data: {"error": {"message": "x"}}\n\n'),
        "llm_failed",
    ),
    ("cut", lambda s: s.stream("日当は", finish=False), "llm_failed"),
    (
        "key",
        lambda s: s.send(401, "application/json", '{"error": {"message": "bad key"}}'),
        "llm_refused",
    ),
    (
        "model",
        lambda s: s.send(404, "application/json", '{"error": {"message": "no model"}}'),
        "llm_refused",
    ),
    (
        "too long",
        lambda s: s.send(
            400,
            "application/json",
            '{"error": {"message": "This model\'s maximum context length is 4096 tokens"}}',
        ),
        "llm_refused",
    ),
    (
        "redirect",
        lambda s: s.send(307, "text/plain", "", location="http://203.0.113.9/v1"),
        "llm_failed",
    ),
]


@pytest.mark.parametrize(("reply", "code"), [r[1:] for r in REPLIES], ids=[r[0] for r in REPLIES])
def test_every_failure_is_one_sentence_with_a_code(
    library: Library, llm_server: ScriptedServer, reply: Reply, code: str
) -> None:
    """Guards against stack traces, empty answers taken for answers, and asking a failing server again and again."""
    llm_server.reply = reply
    error = failure(asking(library, llm_server.endpoint))
    assert error.code == code
    assert llm_server.endpoint in error.sentence
    assert error.sentence.endswith("ください。")
    assert len(llm_server.requests) == 1


def test_a_prompt_longer_than_the_context_says_what_to_change(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against "400" as the only thing that an operator learns."""
    llm_server.reply = next(reply for name, reply, _ in REPLIES if name == "too long")
    assert "answer.prompt_tokens" in failure(asking(library, llm_server.endpoint)).sentence


def test_a_server_that_is_down(library: Library) -> None:
    """Guards against a refused connection that reads like a failure of the index."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    assert failure(asking(library, endpoint)).code == "llm_down"


def test_a_server_that_is_slow(library: Library, llm_server: ScriptedServer) -> None:
    """Guards against waiting without end, and against a second try that doubles the wait."""
    llm_server.reply = slowly(1.0)
    error = failure(asking(library, llm_server.endpoint, timeout_s=0.2))
    assert error.code == "llm_slow"
    assert len(llm_server.requests) == 1


async def test_failures_are_the_same_without_blocking(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against the asynchronous path raising what the synchronous one translates."""
    llm_server.reply = lambda script: script.send(500, "text/plain", "boom")
    answerer = asking(library, llm_server.endpoint)
    with pytest.raises(LLMError) as failed:
        await answerer.aanswer(QUESTION, view=STAFF)
    assert failed.value.code == "llm_failed"
    llm_server.reply = slowly(1.0)
    with pytest.raises(LLMError) as slow:
        await asking(library, llm_server.endpoint, timeout_s=0.2).aanswer(QUESTION, view=STAFF)
    assert slow.value.code == "llm_slow"


def _collect(events: Iterator[Event], seen: list[Event]) -> None:
    for event in events:
        seen.append(event)


def test_the_passages_are_there_before_the_failure(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against losing the search with the server."""
    llm_server.reply = lambda script: script.stream("日当は", finish=False)
    seen: list[Event] = []
    with pytest.raises(LLMError):
        _collect(asking(library, llm_server.endpoint).stream(QUESTION, view=STAFF), seen)
    assert any(isinstance(event, Retrieved) and event.ranking.hits for event in seen)
    assert Delta("日当は") in seen


def test_falling_back_is_asked_for_and_said(library: Library, llm_server: ScriptedServer) -> None:
    """Guards against falling back in silence, or not at all when asked to."""
    llm_server.reply = lambda script: script.send(500, "text/plain", "boom")
    answering = Answering(endpoint=llm_server.endpoint, model="scripted")
    answer = Answerer(library, library, answering, fallback=True).answer(QUESTION, view=STAFF)
    assert answer.status == "answered"
    assert answer.written_by == "extractive"
    assert "LLM サーバーが答えられなかった" in answer.text


def test_what_is_sent(
    library: Library, llm_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against keys and settings of other services in the environment reaching the server, or replacing the recipe."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://203.0.113.1/v1")
    monkeypatch.setenv("OPENAI_API_BASE", "http://203.0.113.1/v1")
    monkeypatch.setenv("OPENAI_PROXY", "http://203.0.113.2:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://203.0.113.3:3128")
    monkeypatch.setenv("ALL_PROXY", "http://203.0.113.3:3128")
    monkeypatch.setenv("LLM_KEY", "sk-ours")
    answer = asking(library, llm_server.endpoint, api_key_env="LLM_KEY", max_tokens=77).answer(
        QUESTION, view=STAFF
    )
    assert answer.status == "answered"
    ((path, headers, body),) = llm_server.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer sk-ours"
    assert body["model"] == "scripted"
    assert body["max_tokens"] == 77
    assert body["temperature"] == 0
    assert "sk-not-for-you" not in f"{headers}{body}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost:11434/v1",
        "http://10.1.2.3/v1",
        "http://172.31.0.1/v1",
        "https://192.168.1.5:8443/v1",
        "http://[::1]:8080/v1",
        "http://[fd12::1]/v1",
        "http://0.0.0.0:8000/v1",
        "http://llm:8000/v1",
        "http://gpu01.corp.example/v1",
        "http://unknown.example/v1",
    ],
)
def test_servers_inside_the_network_pass(url: str) -> None:
    """Guards against refusing the usual addresses of a company's own server."""
    inside = {
        "localhost": ["127.0.0.1", "::1"],
        "llm": ["172.18.0.5"],
        "gpu01.corp.example": ["10.9.9.9"],
        "unknown.example": [],
    }
    parse_endpoint(url).check(resolve=lambda name: inside[name])


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://api.llm.example/v1", ["203.0.113.80"]),
        ("http://203.0.113.80/v1", []),
        ("http://172.32.0.1/v1", []),
        ("http://100.64.0.1/v1", []),
        ("http://[2001:db8::1]/v1", []),
        ("http://[::ffff:203.0.113.80]/v1", []),
        ("http://mixed.corp.example/v1", ["10.0.0.1", "203.0.113.80"]),
    ],
)
def test_servers_outside_the_network_are_refused(url: str, addresses: list[str]) -> None:
    """Guards against passages of a company's documents being sent out of it."""
    with pytest.raises(RecipeError) as caught:
        make_llm(Answering(endpoint=url), resolve=lambda name: addresses)
    assert caught.value.code == "endpoint_public"


def test_a_public_range_can_be_called_ones_own() -> None:
    """Guards against a company with public addresses inside its walls being locked out."""
    endpoint = parse_endpoint("http://203.0.113.80/v1", ("203.0.113.0/24",))
    endpoint.check(resolve=nowhere)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "http://[bad", "http://h:99999/v1"]
)
def test_an_address_that_is_none(url: str) -> None:
    """Guards against a typing error that is found only when somebody asks."""
    with pytest.raises(RecipeError) as caught:
        make_llm(Answering(endpoint=url), resolve=nowhere)
    assert caught.value.code == "endpoint_bad"


def test_the_address_is_checked_again_at_every_request(
    library: Library, llm_server: ScriptedServer
) -> None:
    """Guards against a name that moves out of the network after the recipe was read."""
    answers = iter([["127.0.0.1"], ["203.0.113.80"]])
    url = llm_server.endpoint.replace("127.0.0.1", "localhost")
    answering = Answering(endpoint=url, model="scripted")
    answerer = Answerer(library, library, answering, resolve=lambda name: next(answers))
    with pytest.raises(RecipeError) as caught:
        answerer.answer(QUESTION, view=STAFF)
    assert caught.value.code == "endpoint_public"
    assert llm_server.requests == []


@pytest.mark.parametrize(
    "name", ["LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"]
)
def test_the_environment_cannot_switch_tracing_on(
    library: Library,
    llm_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Guards against a line in somebody's shell profile that posts prompts and answers to LangSmith."""
    from langchain_core.tracers.context import _tracing_v2_is_enabled

    def posted(*args: object, **kwargs: object) -> None:
        raise AssertionError("a tracer was made")

    monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_test")
    monkeypatch.setattr("langchain_core.tracers.langchain.LangChainTracer.__init__", posted)
    answer = asking(library, llm_server.endpoint).answer(QUESTION, view=STAFF)
    assert answer.status == "answered"
    assert not _tracing_v2_is_enabled()


def _hang_up(script: Script) -> None:
    script.connection.close()


def test_a_connection_closed_without_a_word(library: Library, llm_server: ScriptedServer) -> None:
    """Guards against a server that dies while answering being reported as something else than a failure of the server."""
    llm_server.reply = _hang_up
    assert failure(asking(library, llm_server.endpoint)).code in {"llm_down", "llm_failed"}


def test_the_last_event_is_the_checked_answer(library: Library, llm_server: ScriptedServer) -> None:
    """Guards against a stream that ends with unchecked text."""
    events = list(asking(library, llm_server.endpoint).stream(QUESTION, view=STAFF))
    assert isinstance(events[-1], Finished)
    assert (
        events[-1].answer.citations[0].quote == "国内出張の日当は、１日につき２，５００円とする。"
    )
