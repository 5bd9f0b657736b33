"""Nothing that somebody else wrote may do anything on the page but be read."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.text_format import MessageToString
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from ragjp.errors import LLMError
from ui.inert import inert, label
from ui.passages import Around, excerpt

#: Each holds 毒, by which it is found again on the page.
HOSTILE = (
    "![毒](https://example.com/pixel.png)",
    "![毒][a]\n\n[a]: https://example.com/pixel.png",
    '<img src="https://example.com/毒.png" onerror="alert(1)">',
    "<script>fetch('https://example.com/毒')</script>",
    "<style>@import url(https://example.com/毒.css)</style>",
    "<https://example.com/毒> https://example.com/毒 www.example.com/毒 毒@example.com",
    "[毒](javascript:alert(1)) [毒](data:text/html;base64,PHNjcmlwdD4=)",
    "$\\href{https://example.com/毒}{毒}$ $$\\includegraphics{https://example.com/毒.png}$$",
    ":red[毒] :orange-background[毒] :material/home: :smile: :streamlit: 毒",
    "# 毒\n\n毒\n===\n\n> 毒\n\n```毒```\n\n| 毒 |\n|---|\n",
    "    毒\n\t毒",
    "毒\u202etxt.exe\u2066\x1b[31m\x00",
)


def everything(page: AppTest) -> Iterator[tuple[str, str]]:
    """Yield the kind and the whole message of all that a page sends to the browser."""

    def walk(node: Any) -> Iterator[tuple[str, str]]:
        if node.proto is not None:
            yield node.type, MessageToString(node.proto, as_utf8=True)
        for child in getattr(node, "children", {}).values():
            yield from walk(child)

    for root in page._tree.children.values():
        yield from walk(root)


def written_by_others(page: AppTest) -> list[str]:
    """Return the kinds of what is drawn from hostile text."""
    return [kind for kind, message in everything(page) if "毒" in message]


def be_hostile(engine: Any) -> None:
    """Let every text that the engine gives out be hostile: one document for each payload."""
    engine.pages = {(f"{payload}.md", 1): f"{payload}。{payload}\n" for payload in HOSTILE}
    engine.titles = {f"{payload}.md": payload for payload in HOSTILE}
    engine.text = engine.heading = "\n".join(HOSTILE)


@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_is_drawn_as_text_alone(engine: Any, ask_page: AppTest, answered: bool) -> None:
    """Guards against text of a document, a model or a user that becomes Markdown, a label or a tooltip."""
    be_hostile(engine)
    engine.answered = answered
    ask_page.run()
    ask_page.text_input(key="typed_question").set_value("\n".join(HOSTILE))
    ask_page.button[0].click()
    ask_page.run()
    next(found for found in ask_page.button if (found.key or "").startswith("open-")).click()
    ask_page.run()
    assert ask_page.get_by_key("marked").text
    kinds = written_by_others(ask_page)
    assert kinds.count("text") >= 6
    assert set(kinds) <= {"text", "text_input"}


def test_hits_are_drawn_as_text_alone(engine: Any, search_page: AppTest) -> None:
    """Guards against the same in the list of results."""
    be_hostile(engine)
    search_page.run()
    search_page.text_input[0].set_value("問い")
    search_page.radio[0].set_value(20)
    search_page.button[0].click()
    search_page.run()
    kinds = written_by_others(search_page)
    assert len(kinds) >= 4 * len(HOSTILE)
    assert set(kinds) == {"text"}


def test_the_sentence_of_an_error_is_drawn_as_text_alone(engine: Any, ask_page: AppTest) -> None:
    """Guards against an error that quotes a file's name, or a server's reply, into Markdown."""
    engine.failure = LLMError("サーバーの返事: ![毒](https://example.com/毒.png)")
    ask_page.run()
    ask_page.text_input(key="typed_question").set_value("日当は？")
    ask_page.button[0].click()
    ask_page.run()
    assert written_by_others(ask_page) == ["text"]


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_label_holds_nothing_that_markdown_acts_on(payload: str) -> None:
    """Guards against a question in a recipe that draws an image on its button."""
    made = label(payload)
    assert "毒" in made
    assert not re.search(r"[^\w\s\ufffd\u0080-\U0010ffff.-]|_", made)
    assert not re.search(r"(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)", made)
    assert "\n" not in made


@given(st.text())
def test_streamlit_leaves_inert_text_as_it_is(text: str) -> None:
    """Guards against the trimming and dedenting of ``st.text``, which would shift tables and join lines."""
    shown = inert(text)
    sent = textwrap.dedent(shown).strip()
    blank_lines_trimmed = re.sub(r"(?m)^[ \t]+$", "", shown)
    assert sent in (shown, blank_lines_trimmed)


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs"))))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    """Guards against losing characters that do no harm."""
    assert inert(text).strip("\u2060") == text


AROUND = st.builds(Around, st.integers(1, 20), st.integers(1, 4)) | st.none()
#: Short lines, with every kind of line end that Python knows.
PAGES = st.text(st.sampled_from("あい。\n\r\x0b\x85\u2028 "), min_size=1)


@given(PAGES, st.data(), AROUND)
def test_the_parts_of_an_excerpt_are_the_page(
    page: str, data: st.DataObject, around: Around | None
) -> None:
    """Guards against text lost or doubled where a page is cut, and against a mark that slips."""
    start = data.draw(st.integers(0, len(page)))
    end = data.draw(st.integers(start, len(page)))
    cut = excerpt(page, start, end, around)
    hidden, rest = page[: cut.n_hidden_before], page[len(page) - cut.n_hidden_after :]
    assert hidden + cut.before + cut.quote + cut.after + rest == page
    assert cut.quote == page[start:end]
    if around is None:
        assert not cut.n_hidden_before
        assert not cut.n_hidden_after
        return
    for side in (cut.before, cut.after):
        assert len(side) <= around.chars
        assert len(side.splitlines()) <= around.lines


def test_the_page_never_allows_html() -> None:
    """Guards against the two doors that no escaping here would hold: raw HTML and scripts in it."""
    sources = list((Path(__file__).resolve().parents[2] / "ui").glob("*.py"))
    assert len(sources) > 5
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                names = {keyword.arg for keyword in node.keywords}
                assert not names & {"unsafe_allow_html", "unsafe_allow_javascript"}, source.name
