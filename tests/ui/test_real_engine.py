"""The page over the real engine, in one process: what the scripted engine promises, the real one keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ui import text

QUESTION = "国内出張の日当はいくらですか。"


@pytest.fixture(autouse=True)
def opened(tiny_index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAGJP_INDEX", str(tiny_index))
    monkeypatch.delenv("RAGJP_UI_PRINCIPALS", raising=False)
    monkeypatch.delenv("RAGJP_LLM_ENDPOINT", raising=False)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def texts(page: AppTest) -> list[str]:
    return [element.value.strip("\u2060") for element in page.text]


def ask(page: AppTest, question: str) -> None:
    page.run()
    page.text_input(key="typed_question").set_value(question)
    page.button[0].click()
    page.run()


def test_a_question_is_answered_from_its_page(ask_page: AppTest) -> None:
    """Guards against events, citations or offsets that the page understands otherwise than the engine."""
    ask(ask_page, QUESTION)
    assert not ask_page.error
    assert any("2,500円" in shown for shown in texts(ask_page))
    assert "規程/旅費規程.md　1 ページ" in texts(ask_page)
    ask_page.button(key="open-cited-1").click()
    ask_page.run()
    assert "2,500円" in ask_page.get_by_key("marked").text[0].value
    assert not ask_page.warning


def test_a_search_finds_and_opens_a_page(search_page: AppTest) -> None:
    """Guards against hits whose offsets are not those of the page's text."""
    search_page.run()
    search_page.text_input[0].set_value("日当")
    search_page.button[0].click()
    search_page.run()
    assert not search_page.error
    search_page.button(key="open-hit-1").click()
    search_page.run()
    assert search_page.get_by_key("marked").text
    assert not search_page.warning


def test_another_view_sees_nothing(
    ask_page: AppTest, search_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a page that reads with more rights than it was started with."""
    monkeypatch.setenv("RAGJP_UI_PRINCIPALS", "group:他社")
    ask(ask_page, QUESTION)
    assert text.NO_ANSWER in [info.value for info in ask_page.info]
    assert not any("2,500円" in shown for shown in texts(ask_page))
    search_page.run()
    search_page.text_input[0].set_value("日当")
    search_page.button[0].click()
    search_page.run()
    assert text.NO_HITS in [info.value for info in search_page.info]


def test_no_index_is_one_sentence(
    ask_page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a traceback on the first start."""
    monkeypatch.setenv("RAGJP_INDEX", str(tmp_path / "none"))
    ask_page.run()
    assert text.FAILED in [error.value for error in ask_page.error]
    assert any("make demo" in caption.value for caption in ask_page.caption)
    assert not ask_page.exception
