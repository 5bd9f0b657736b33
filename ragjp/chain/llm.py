"""The configured LLM server as a LangChain model, and what can go wrong with it as sentences.

Any OpenAI-compatible server on this network: vLLM, Ollama, llama.cpp. The client goes to the configured address and nowhere
else: no proxy from the environment, no redirect, no tracer, no retry that would ask a slow server twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ragjp.chain.endpoint import Endpoint, Resolve, addresses_of, parse_endpoint
from ragjp.chain.privacy import disable_tracing
from ragjp.config import Answering, api_key
from ragjp.errors import LLMError, RagjpError, RecipeError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseLanguageModel

#: Seconds to wait for a connection: on one's own network it comes at once or not at all.
CONNECT_TIMEOUT_S = 5.0

#: A base model that does not find the end of its line repeats itself: it gets no more than a quotation needs.
COMPLETION_TOKENS = 128

#: Words by which vLLM, llama.cpp and Ollama say that the prompt is longer than the model's context.
_TOO_LONG = (
    "context length",
    "context_length",
    "context size",
    "exceed_context",
    "too long",
    "maximum context",
)


def make_llm(choice: Answering, *, resolve: Resolve = addresses_of) -> BaseLanguageModel[Any]:
    """Make the client of the configured server: a chat model, or a completion model for ``style = "completion"``.

    Parameters
    ----------
    choice
        ``choice.endpoint`` must be set.
    resolve
        Name to addresses; given by tests.

    Raises
    ------
    RecipeError
        ``endpoint_bad``, or ``endpoint_public`` when the host is outside this network.
    """
    if choice.endpoint is None:
        raise RecipeError(
            "LLM の接続先が設定されていません。レシピの answer.endpoint に社内のサーバーを書いてください。",
            code="endpoint_bad",
        )
    endpoint = parse_endpoint(choice.endpoint, choice.own_networks)
    endpoint.check(resolve=resolve)
    disable_tracing()
    import openai
    from langchain_openai import ChatOpenAI, OpenAI

    timeout = openai.Timeout(choice.timeout_s, connect=min(CONNECT_TIMEOUT_S, choice.timeout_s))
    client: dict[str, Any] = {
        "base_url": choice.endpoint,
        "api_key": api_key(choice),
        "model": choice.model,
        "temperature": choice.temperature,
        "max_retries": 0,
        "openai_proxy": "",
        "timeout": timeout,
        # A connection per question costs nothing on this network and is never found closed by the server.
        "default_headers": {"Connection": "close"},
        **_http_clients(endpoint, timeout, resolve),
    }
    if choice.style == "completion":
        return OpenAI(max_tokens=min(choice.max_tokens, COMPLETION_TOKENS), **client)
    # ``max_tokens`` in the body: not every server knows the newer name that ChatOpenAI would send.
    return ChatOpenAI(
        extra_body={"max_tokens": choice.max_tokens},
        use_responses_api=False,
        stream_chunk_timeout=choice.timeout_s,
        **client,
    )


def _http_clients(endpoint: Endpoint, timeout: Any, resolve: Resolve) -> dict[str, Any]:  # noqa: ANN401
    """Make HTTP clients that ignore the environment, follow no redirect, and check where each request goes."""
    import openai

    def guard(request: Any) -> None:  # noqa: ANN401 - httpx or httpx2, by the version of openai
        endpoint.check(host=request.url.host, resolve=resolve)

    async def guard_async(request: Any) -> None:  # noqa: ANN401
        await asyncio.to_thread(guard, request)

    settings: dict[str, Any] = {"trust_env": False, "follow_redirects": False, "timeout": timeout}
    return {
        "http_client": openai.DefaultHttpxClient(event_hooks={"request": [guard]}, **settings),
        "http_async_client": openai.DefaultAsyncHttpxClient(
            event_hooks={"request": [guard_async]}, **settings
        ),
    }


@contextmanager
def llm_errors(choice: Answering) -> Iterator[None]:
    """Turn whatever a call to the server raises into one :class:`~ragjp.errors.LLMError` with a sentence and a code.

    ``llm_down`` nobody answers, ``llm_slow`` no answer in time, ``llm_refused`` the server refuses the request (4xx, the
    prompt longer than its context included), ``llm_failed`` anything else: 5xx, a cut stream, something that is no answer.
    """
    try:
        yield
    except (
        Exception
    ) as error:  # what comes from another party's server through another party's client
        for cause in _causes(error):
            if isinstance(cause, RagjpError):
                raise cause from error
        code, what = _diagnose(error, choice)
        raise LLMError(f"LLM サーバー {choice.endpoint} {what}", code=code) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _diagnose(error: Exception, choice: Answering) -> tuple[str, str]:
    """Say what went wrong: the reason code, and the rest of a sentence that begins with the server."""
    import openai

    if any(
        isinstance(cause, TimeoutError | openai.APITimeoutError) for cause in _causes(error)
    ) or ("Timeout" in type(error).__name__):
        return (
            "llm_slow",
            f"が {choice.timeout_s:g} 秒以内に答えませんでした。サーバーの混み具合を確かめるか、answer.timeout_s を延ばしてください。",
        )
    if isinstance(error, openai.APIStatusError):
        return _diagnose_status(error.status_code, str(error), choice)
    # ``ConnectError`` of httpx or httpx2, by the version of openai; a connection lost later on is another matter.
    if any(type(cause).__name__ == "ConnectError" for cause in _causes(error)):
        return (
            "llm_down",
            "に接続できません。サーバーが動いているか、アドレスとポートが正しいかを確かめてください。",
        )
    return (
        "llm_failed",
        f"の応答が途中で切れたか、読める形ではありません（{type(error).__name__}）。サーバーの記録を確かめ、もう一度実行してください。",
    )


def _diagnose_status(status: int, message: str, choice: Answering) -> tuple[str, str]:
    if 400 <= status < 500:
        if any(words in message.lower() for words in _TOO_LONG):
            advice = (
                "が、質問と文書がモデルの文脈長を超えるため受け付けませんでした。"
                "answer.prompt_tokens を減らすか、サーバーの文脈長を増やしてください。"
            )
        elif status in {401, 403}:
            advice = f"が認証を拒みました（{status}）。answer.api_key_env の指す環境変数の鍵を確かめてください。"
        elif status == 404:
            advice = f"にモデル「{choice.model}」かアドレスがありません（404）。answer.model と answer.endpoint を確かめてください。"
        elif status == 429:
            advice = "が混んでいて受け付けませんでした（429）。少し待ってから、もう一度実行してください。"
        else:
            advice = f"が要求を受け付けませんでした（{status}）。サーバーの記録で理由を確かめてください。"
        return "llm_refused", advice
    return (
        "llm_failed",
        f"が異常を返しました（{status}）。サーバーの記録を確かめ、もう一度実行してください。",
    )
