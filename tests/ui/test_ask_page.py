"""The page that answers questions, over an engine with scripted answers."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from ragjp.errors import IndexCorrupt, IndexMissing, LLMError
from ragjp.types import View
from ui import text

QUOTE = "国内の日当は2,500円とする。"


def texts(page: AppTest) -> list[str]:
    return [element.value.strip("\u2060") for element in page.text]


def button(page: AppTest, label: str) -> Button:
    return next(found for found in page.button if found.label == label)


def ask(page: AppTest, question: str) -> AppTest:
    page.run()
    page.text_input(key="typed_question").set_value(question)
    button(page, text.ASK_BUTTON).click()
    return page.run()


def test_an_answer_is_shown_with_its_citation(engine: Any, ask_page: AppTest) -> None:
    """Guards against an answer without the place it was taken from."""
    ask(ask_page, "日当はいくらですか。")
    shown = texts(ask_page)
    assert f"{QUOTE}[1]" in shown
    assert "旅費規程" in shown
    assert "規程/旅費規程.pdf　2 ページ" in shown
    assert QUOTE in shown
    assert not ask_page.exception
    assert not ask_page.error


def test_the_draft_and_the_phase_are_gone_when_the_answer_is_there(
    engine: Any, ask_page: AppTest
) -> None:
    """Guards against an unchecked draft left beside the checked answer."""
    engine.text = "下書きのままの文[1]"
    ask(ask_page, "日当は？")
    assert texts(ask_page).count("下書きのままの文[1]") == 1
    assert not ask_page.status


def test_a_citation_opens_its_page_with_the_quote_marked(engine: Any, ask_page: AppTest) -> None:
    """Guards against marking another stretch of the page than the one cited."""
    ask(ask_page, "日当は？")
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    marked = ask_page.get_by_key("marked").text
    assert [element.value for element in marked] == [QUOTE]
    paper = "".join(element.value for element in ask_page.get_by_key("paper").text)
    assert paper.replace("\u2060", "") == engine.pages["規程/旅費規程.pdf", 2]


def test_a_page_that_changed_is_shown_without_a_mark(engine: Any, ask_page: AppTest) -> None:
    """Guards against marking whatever stands at the old place after an update of the index."""
    ask(ask_page, "日当は？")
    engine.pages["規程/旅費規程.pdf", 2] = "全面改定。日当は廃止する。"
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    assert text.PAGE_CHANGED in [warning.value for warning in ask_page.warning]
    with pytest.raises(KeyError):
        ask_page.get_by_key("marked")
    assert "全面改定。日当は廃止する。" in texts(ask_page)


def test_a_page_that_is_no_longer_visible_is_one_sentence(engine: Any, ask_page: AppTest) -> None:
    """Guards against a traceback, or the old text, where access was taken away."""
    ask(ask_page, "日当は？")
    engine.pages.pop(("規程/旅費規程.pdf", 2))
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    assert "この文書は開けません。管理者に確かめてください。" in texts(ask_page)
    assert not ask_page.exception


def test_a_long_page_is_cut_around_the_quote_until_the_whole_is_asked_for(
    engine: Any, ask_page: AppTest
) -> None:
    """Guards against a quote that the reader has to scroll a long page for."""
    engine.pages["規程/旅費規程.pdf", 2] = "前文。\n" * 500 + QUOTE + "\n後文。" * 500
    ask(ask_page, "日当は？")
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    shown = "".join(element.value for element in ask_page.get_by_key("paper").text)
    assert QUOTE in shown
    assert len(shown) < 1200
    ask_page.toggle[0].set_value(True)
    button(ask_page, text.OPEN_PAGE).click()  # AppTest runs the whole page, not the drawer alone
    ask_page.run()
    shown = "".join(element.value for element in ask_page.get_by_key("paper").text)
    assert shown.replace("\u2060", "") == engine.pages["規程/旅費規程.pdf", 2]


def test_no_answer_offers_the_nearest_pages(engine: Any, ask_page: AppTest) -> None:
    """Guards against a dead end, and against nearest pages that look like an answer."""
    engine.answered = False
    ask(ask_page, "社長の好物は？")
    assert text.NO_ANSWER in [info.value for info in ask_page.info]
    assert text.NEAREST in [found.value for found in ask_page.subheader]
    assert text.CITATIONS not in [found.value for found in ask_page.subheader]
    assert "FAQ/旅費.md　1 ページ" in texts(ask_page)
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    marked = ask_page.get_by_key("marked").text[0].value
    assert marked.strip("\u2060") == engine.pages["規程/旅費規程.pdf", 2]


def test_no_answer_and_nothing_near(engine: Any, ask_page: AppTest) -> None:
    """Guards against a heading over nothing."""
    engine.answered = False
    engine.pages.clear()
    ask(ask_page, "？")
    assert not ask_page.subheader
    assert not ask_page.exception


@pytest.mark.parametrize(
    ("written_by", "said"), [("extractive", text.EXTRACTED), ("gemma3", text.WRITTEN)]
)
def test_who_wrote_the_answer_is_said(
    engine: Any, ask_page: AppTest, written_by: str, said: str
) -> None:
    """Guards against a model's words passing for the document's."""
    engine.written_by = written_by
    ask(ask_page, "日当は？")
    assert said in [caption.value for caption in ask_page.caption]


def test_an_example_asks_its_question(engine: Any, ask_page: AppTest) -> None:
    """Guards against a button that asks its label (made safe for Markdown) instead of the question."""
    engine.examples = ("R5.4.1 以降の日当は? (国内)",)
    ask_page.run()
    ask_page.button(key="example-0").click()
    ask_page.run()
    assert engine.asked[0] == "R5.4.1 以降の日当は? (国内)"
    assert ask_page.text_input(key="typed_question").value == "R5.4.1 以降の日当は? (国内)"


def test_a_question_is_asked_once(engine: Any, ask_page: AppTest) -> None:
    """Guards against asking the LLM again on every click."""
    ask(ask_page, "日当は？")
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    assert engine.asked.count("日当は？") == 1


@pytest.mark.parametrize("question", ["", "　 "])
def test_an_empty_question_is_not_asked(engine: Any, ask_page: AppTest, question: str) -> None:
    """Guards against an error where a hint is enough."""
    ask(ask_page, question)
    assert text.EMPTY_QUESTION in [info.value for info in ask_page.info]
    assert not engine.asked


def test_every_read_takes_the_configured_view(
    engine: Any, ask_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a page that reads as somebody else, or as everybody at once."""
    monkeypatch.setenv("RAGJP_UI_PRINCIPALS", "everyone, group:総務部")
    ask(ask_page, "日当は？")
    button(ask_page, text.OPEN_PAGE).click()
    ask_page.run()
    assert len(engine.views) >= 2
    assert set(engine.views) == {View.of("everyone", "group:総務部")}


def test_a_failure_of_the_family_is_its_sentence(engine: Any, ask_page: AppTest) -> None:
    """Guards against tracebacks, and against a failed question that keeps the previous answer on the page."""
    ask(ask_page, "日当は？")
    engine.failure = LLMError("LLM サーバーが応答しません。管理者に知らせてください。")
    ask(ask_page, "宿泊費は？")
    shown = texts(ask_page)
    assert "LLM サーバーが応答しません。管理者に知らせてください。" in shown
    assert f"{QUOTE}[1]" not in shown
    assert not ask_page.exception


def test_any_other_failure_tells_nothing_of_itself(
    engine: Any, ask_page: AppTest, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against internals on the page; they belong in the server's log."""
    engine.failure = ZeroDivisionError("秘密の内部事情")
    ask(ask_page, "日当は？")
    assert text.UNEXPECTED in [error.value for error in ask_page.error]
    assert not ask_page.exception
    assert "秘密の内部事情" not in str(ask_page)
    assert "秘密の内部事情" in caplog.text


def test_a_missing_index_says_how_to_build_one(engine: Any, ask_page: AppTest) -> None:
    """Guards against a blank page on the first start."""
    engine.failure_of_opening = IndexMissing("索引がありません。ragjp index で作ってください。")
    ask_page.run()
    assert "索引がありません。ragjp index で作ってください。" in texts(ask_page)
    assert any("make demo" in caption.value for caption in ask_page.caption)
    assert not ask_page.exception


def test_the_index_is_opened_once_and_kept_fresh(engine: Any, ask_page: AppTest) -> None:
    """Guards against loading the model at every click, and against answering from an old generation for ever."""
    ask(ask_page, "日当は？")
    ask(ask_page, "宿泊費は？")
    assert len(engine.opened) == 1
    assert engine.refreshed >= 2


def test_an_index_that_broke_is_opened_anew(engine: Any, ask_page: AppTest) -> None:
    """Guards against a page that stays broken until it is restarted, after the index was rebuilt."""
    engine.failure_of_refresh = IndexCorrupt("索引が壊れています。作り直してください。")
    ask_page.run()
    assert "索引が壊れています。作り直してください。" in texts(ask_page)
    engine.failure_of_refresh = None
    ask(ask_page, "日当は？")
    assert f"{QUOTE}[1]" in texts(ask_page)
    assert len(engine.opened) == 2
