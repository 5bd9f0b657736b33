"""Quotes are found whatever widths and blanks they were copied with, and are always cut from the source."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ragjp.chain.quotes import PageText
from ragjp.japanese.normalize import fold
from ragjp.types import Span

#: What Japanese office documents are made of, the characters that fold to others or move when folded among them.
PIECES = st.sampled_from(
    [
        "日当",
        "は",
        "１日",
        "２，５００円",
        "とする。",
        "ｻｰﾊﾞｰ",
        "㈱",
        "髙橋",
        "\n",
        "　",
        " ",
        "①",
        "HS-200",
        "㍻",
        "カ-ド",
        "〜",
        "が",
        "（",
        "）",
        "A",
    ]
)
PAGES = st.lists(PIECES, min_size=3, max_size=40).map("".join)


@st.composite
def page_and_span(draw: st.DrawFn) -> tuple[str, Span]:
    page = draw(PAGES)
    start = draw(st.integers(0, len(page) - 1))
    end = draw(st.integers(start + 1, len(page)))
    return page, Span(start, end)


@given(page_and_span())
def test_what_was_cut_from_a_page_is_found_in_it(case: tuple[str, Span]) -> None:
    """Guards against dropping a quote that stands on the page, character for character."""
    page, span = case
    quote = page[span.start : span.end]
    found = PageText(page).find(quote)
    if quote.strip():
        assert found is not None
        assert page[found.start : found.end] == quote.strip()
    else:
        assert found is None


@given(st.lists(PIECES, min_size=3, max_size=30), st.data())
def test_a_quote_copied_with_other_widths_is_found_and_cut_from_the_source(
    pieces: list[str], data: st.DataObject
) -> None:
    """Guards against losing a citation because the model wrote ２，５００ as 2,500 or joined a broken line."""
    first = data.draw(st.integers(0, len(pieces) - 1))
    last = data.draw(st.integers(first + 1, len(pieces)))
    page = "".join(pieces)
    quote = "".join(pieces[first:last])
    for copied in (fold(quote), "".join(unicodedata.normalize("NFKC", quote).split())):
        if not copied.strip():
            continue
        found = PageText(page).find(copied)
        assert found is not None, (page, copied)
        cut = page[found.start : found.end]
        assert cut == cut.strip() != ""
        shown, asked = _same_marks(fold(cut)), _same_marks(fold(copied))
        if cut[0] in "㈱㍻" or cut[-1] in "㈱㍻":
            # One sign folds to several characters: a quote of a part of them is cut as the whole sign.
            assert asked in shown
        else:
            assert shown == asked


def _same_marks(folded: str) -> str:
    """Without blanks, and with the long-vowel mark and dashes as one: which it is depends on the neighbours."""
    return "".join(folded.split()).translate(str.maketrans("ー~", "--"))


def test_the_occurrence_in_the_passage_is_preferred() -> None:
    """Guards against citing the table of contents instead of the passage that was read."""
    page = PageText("第5条 日当\n…\n第5条 日当は2,500円とする。第5条 日当")
    first = page.find("第5条 日当")
    near = page.find("第5条 日当", near=Span(9, 30))
    assert first == Span(0, 6)
    assert near is not None
    assert near.start == 9


def test_what_is_not_there_is_not_found() -> None:
    """Guards against a fuzzy search that takes one amount for another."""
    page = PageText("日当は2,500円とする。")
    assert page.find("日当は2,600円とする。") is None
    assert page.find("") is None
    assert page.find("　") is None
