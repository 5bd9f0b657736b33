"""Why a search found what it found, on the search page: drawn when it is asked for, and as text that can do nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as st_
from streamlit.testing.v1 import AppTest

from ragjp.types import Span
from ui import text
from ui.why import pieces


def texts(page: AppTest) -> list[str]:
    return [element.value.strip("\u2060") for element in page.text]


def captions(page: AppTest) -> list[str]:
    return [element.value for element in page.caption]


def find(page: AppTest, query: str) -> AppTest:
    page.run()
    page.text_input[0].set_value(query)
    page.button[0].click()
    return page.run()


def opened(page: AppTest, key: str) -> AppTest:
    page.session_state[key] = True
    return page.run()


def test_nothing_is_explained_before_it_is_asked_for(engine: Any, search_page: AppTest) -> None:
    """Every search made slower by what few people read."""
    find(search_page, "申請")
    labels = [panel.label for panel in search_page.expander]
    assert labels == [text.HOW_READ, text.WHY, text.WHY]
    assert engine.explained == 0
    assert "どこにもない" not in texts(search_page)


def test_the_question_is_taken_apart(engine: Any, search_page: AppTest) -> None:
    """Words of the question without what became of them; a word that no document has, unsaid."""
    opened(find(search_page, "申請"), "how-read")
    assert not search_page.exception
    shown = texts(search_page)
    assert {"申請", "の", "Ａ → a", "申請 → @2024", "どこにもない"} <= set(shown)
    for said in (text.FATES["term"], text.FATES["particle"], text.UNSEEN, text.FORMS):
        assert said in captions(search_page)


def test_a_hit_says_why(engine: Any, search_page: AppTest) -> None:
    """Shares, ranks and words that are not those of the hit, or no mark where the word stands."""
    opened(find(search_page, "申請"), "why-2")
    assert not search_page.exception
    bars = [(bar.text, bar.value) for bar in search_page.get("progress")]
    assert (text.share("bm25", 0.5), 50) in bars
    assert (text.share("maxsim", 0.5), 50) in bars
    assert text.ranks(2, None, 2, 2) in captions(search_page)
    assert [mark.value for mark in search_page.get_by_key("word-2-0").text] == ["出張"]
    passage = [piece.value.strip("\u2060") for piece in search_page.get_by_key("passage-2").text]
    assert "".join(passage) == "出張の前に申請してください。\n"
    assert text.match("出張", 1, "別の言葉") in texts(search_page)
    assert "問 → 出　0.75" in texts(search_page)


def test_one_explanation_serves_all_hits_of_a_search(engine: Any, search_page: AppTest) -> None:
    """The work done again for every hit, or the last search's reasons under this one's hits."""
    find(search_page, "申請")
    for key in ("why-1", "why-2", "how-read"):
        opened(search_page, key)
    assert engine.explained == 1
    find(search_page, "日当")
    assert engine.explained == 2
    assert "日当 → @2024" in texts(search_page)


def test_a_document_that_changed_since_is_said(engine: Any, search_page: AppTest) -> None:
    """Marks of the new text drawn over the old one."""
    find(search_page, "申請")
    engine.pages["FAQ/旅費.md", 1] = "書き換えた。"
    opened(search_page, "why-2")
    assert text.CHANGED_SINCE in [info.value for info in search_page.info]
    assert not search_page.exception


def test_hostile_text_is_only_text(engine: Any, search_page: AppTest) -> None:
    """A document or a question that draws, links or colours through the explanation."""
    hostile = "![毒](https://example.com/a.png) <b>太</b> :red[毒] $x$ `code`"
    engine.pages = {("毒.md", 1): hostile * 2}
    find(search_page, hostile)
    opened(opened(search_page, "how-read"), "why-1")
    assert not search_page.exception
    drawn = [*search_page.markdown, *search_page.caption, *search_page.get("progress")]
    drawn += [*search_page.expander, *search_page.info]
    said = [str(getattr(each, "value", "")) + str(getattr(each, "label", "")) for each in drawn]
    assert not any("毒" in each or "太" in each for each in said)
    assert not search_page.get("html") or all(
        "毒" not in str(each.proto) for each in search_page.get("html")
    )
    passage = [piece.value.strip("\u2060") for piece in search_page.get_by_key("passage-1").text]
    assert "".join(passage) == hostile * 2


def test_a_failure_is_one_sentence(engine: Any, search_page: AppTest) -> None:
    """A traceback where the explanation of a found page was to be."""
    find(search_page, "申請")
    engine.failure = RuntimeError("秘密の道")
    opened(search_page, "why-1")
    assert not search_page.exception
    assert text.UNEXPECTED in [error.value for error in search_page.error]


def test_the_real_engine_explains(
    tiny_index: Path, search_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that the page reads otherwise than the engine writes them."""
    monkeypatch.setenv("RAGJP_INDEX", str(tiny_index))
    monkeypatch.delenv("RAGJP_UI_PRINCIPALS", raising=False)
    st.cache_resource.clear()
    find(search_page, "国内出張の日当はいくらですか")
    opened(opened(search_page, "how-read"), "why-1")
    assert not search_page.error
    assert not search_page.exception
    assert text.FATES["particle"] in captions(search_page)
    passage = search_page.get_by_key("passage-1").text
    assert "日当" in "".join(piece.value for piece in passage)
    assert len(passage) > 2
    shares = [bar.value for bar in search_page.get("progress") if bar.text.endswith("%")]
    assert sum(shares) in range(98, 103)
    st.cache_resource.clear()


@given(
    st_.text(max_size=30),
    st_.lists(st_.tuples(st_.integers(0, 30), st_.integers(1, 6)), max_size=6),
)
def test_pieces_are_the_passage(passage: str, places: list[tuple[int, int]]) -> None:
    """Text lost or said twice where marks overlap."""
    spans = [Span(start, min(start + size, len(passage))) for start, size in places]
    spans = [span for span in spans if span.start < span.end]
    cut = pieces(passage, spans)
    assert "".join(piece for piece, _ in cut) == passage
    marked = sum(len(piece) for piece, is_marked in cut if is_marked)
    assert marked == len({at for span in spans for at in range(*span)})
