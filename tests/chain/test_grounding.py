"""No citation without a quote that stands on its page; no number that the page does not have; no answer without a citation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.chain.grounding import Citing, check_citations
from ragjp.chain.prompt import NOT_FOUND
from ragjp.chain.words import WordReader
from ragjp.types import View
from tests.chain.conftest import STAFF, Library


@pytest.fixture(scope="module")
def reader() -> WordReader:
    return WordReader()


def checked(text: str, library: Library, reader: WordReader, view: View = STAFF) -> Citing:
    citing = check_citations(text, library.hits(), pages=library, view=view, words=reader)
    for citation in citing.citations:
        page = library.pages[citation.doc_id, citation.page]
        assert page[citation.start : citation.end] == citation.quote
        assert citation.quote.strip()
    return citing


def test_a_quotation_is_cut_from_the_source(library: Library, reader: WordReader) -> None:
    """Guards against showing the model's half-width copy as what the page says."""
    citing = checked("「国内出張の日当は、1日につき2,500円とする。」[1]", library, reader)
    assert [c.quote for c in citing.citations] == [
        "国内出張の日当は、１日につき２，５００円とする。"
    ]
    assert citing.citations[0].page == 2


def test_a_statement_in_other_words_gets_the_sentence_that_bears_it(
    library: Library, reader: WordReader
) -> None:
    """Guards against dropping honest paraphrases, and against citing the whole passage for one sentence of it."""
    citing = checked("社用車は前日の17時までに総務課へ予約を申し込みます[3]。", library, reader)
    assert [c.quote for c in citing.citations] == [
        "社用車の予約は、使用する日の前日の17時までに総務課へ申し込む。"
    ]
    assert citing.text == "社用車は前日の17時までに総務課へ予約を申し込みます[1]。"


@pytest.mark.parametrize(
    "text",
    [
        "国内出張の日当は1日につき2,600円です[1]。",
        "国内出張の日当は令和5年から2,500円です[1]。",
        "「国内出張の日当は、1日につき3,500円とする。」[1]",
        "「日当は2,500円」[3]",
        "社用車の予約は前日の18時までです[3]。",
        "宿泊料の上限は13,000円です[3]。",
        "有給休暇は入社した日に与えられます[1]。",
        "国内出張の日当は1日につき2,500円です[9]。",
        "国内出張の日当は1日につき2,500円です[0]。",
        "国内出張の日当は1日につき2,500円です。",
        "見つかりませんでした[1]。",
        "[1]",
        "「」[1]",
        "",
    ],
    ids=lambda text: text[:16],
)
def test_what_the_passage_does_not_bear_out_is_no_answer(
    text: str, library: Library, reader: WordReader
) -> None:
    """Guards against wrong amounts, dates, invented quotations and passage numbers that carry a citation all the same."""
    assert checked(text, library, reader).citations == ()
    assert checked(text, library, reader).text == NOT_FOUND


def test_dropped_markers_go_and_the_rest_count_anew(library: Library, reader: WordReader) -> None:
    """Guards against source numbers that do not agree with the list of sources."""
    citing = checked(
        "日当は1日9,999円です[1]。宿泊料の上限は甲地で13,000円です[2]。国内出張の日当は1日につき2,500円です[1][3]。"
        "宿泊料の上限は甲地で13,000円です[2]。",
        library,
        reader,
    )
    assert citing.text == (
        "日当は1日9,999円です。宿泊料の上限は甲地で13,000円です[1]。国内出張の日当は1日につき2,500円です[2]。"
        "宿泊料の上限は甲地で13,000円です[1]。"
    )
    assert [citation.page for citation in citing.citations] == [3, 2]
    assert citing.dropped == 2


def test_a_marker_after_the_full_stop_belongs_to_the_sentence_before(
    library: Library, reader: WordReader
) -> None:
    """Guards against checking a citation against the sentence that follows it."""
    citing = checked(
        "国内出張の日当は1日につき2,500円です。[1] 宿泊料の上限は甲地で13,000円です。[2]",
        library,
        reader,
    )
    assert [citation.page for citation in citing.citations] == [2, 3]


def test_equal_values_written_otherwise_agree(library: Library, reader: WordReader) -> None:
    """Guards against dropping 二千五百円 because the page has ２，５００円."""
    assert checked("国内出張の日当は1日につき二千五百円です[1]。", library, reader).citations


def test_a_page_that_the_view_may_not_read_is_not_cited(
    library: Library, reader: WordReader
) -> None:
    """Guards against hits of one person's search being cited to another."""
    text = "国内出張の日当は1日につき2,500円です[1]。"
    assert checked(text, library, reader, View.of("guest")).citations == ()


def test_a_page_that_changed_since_is_not_cited(library: Library, reader: WordReader) -> None:
    """Guards against offsets of an old text applied to a new one."""
    text = "国内出張の日当は1日につき2,500円です[1]。"
    newer = Library(
        {**library.pages, ("旅費規程.pdf", 2): "改定により、日当は2,500円を廃止する。" * 3}
    )
    citing = check_citations(text, library.hits(), pages=newer, view=STAFF, words=reader)
    assert citing.citations == ()


@given(st.text(alphabet="[]［］【】「」123456789０、,。 \n日当円は出張", max_size=60))
def test_whatever_a_model_writes(text: str) -> None:
    """Guards against text that breaks the parser, and against markers that name no citation."""
    library = Library({("a.txt", 1): "国内出張の日当は、１日につき２，５００円とする。"})
    citing = checked(text, library, _READER)
    assert citing.citations or citing.text == NOT_FOUND


_READER = WordReader()
