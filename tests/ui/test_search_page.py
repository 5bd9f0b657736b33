"""The page that finds passages, over an engine with scripted pages."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

from ragjp.types import Hit, Ranking
from ui import text
from ui.citations import nearest_places, snippet
from ui.search import highest_scores


def texts(page: AppTest) -> list[str]:
    return [element.value.strip("\u2060") for element in page.text]


def find(page: AppTest, query: str, count: int = 10) -> AppTest:
    page.run()
    page.radio[0].set_value(count)
    page.text_input[0].set_value(query)
    page.button[0].click()
    return page.run()


def test_hits_are_shown_with_their_place_and_open_their_page(
    engine: Any, search_page: AppTest
) -> None:
    """Guards against a hit that opens another page than its own."""
    find(search_page, "申請")
    assert "規程/旅費規程.pdf　2 ページ" in texts(search_page)
    assert "第1章 総則" in texts(search_page)
    search_page.button(key="open-hit-2").click()
    search_page.run()
    assert search_page.get_by_key("marked").text[0].value.strip("\u2060") == (
        "出張の前に申請してください。\n"
    )


def test_no_more_hits_are_asked_for_than_chosen(engine: Any, search_page: AppTest) -> None:
    """Guards against a number of results that changes nothing."""
    engine.pages = {(f"{number}.md", 1): f"{number} 番" for number in range(30)}
    find(search_page, "番", count=5)
    assert text.found(5) in [caption.value for caption in search_page.caption]
    assert sum(found.label == text.OPEN_PAGE for found in search_page.button) == 5


def test_nothing_found_is_said(engine: Any, search_page: AppTest) -> None:
    """Guards against an empty page that looks broken."""
    engine.pages.clear()
    find(search_page, "申請")
    assert text.NO_HITS in [info.value for info in search_page.info]


def test_an_empty_query_is_not_searched(engine: Any, search_page: AppTest) -> None:
    """Guards against an error where a hint is enough."""
    find(search_page, "  ")
    assert text.EMPTY_QUERY in [info.value for info in search_page.info]
    assert not engine.asked


def test_scores_are_folded_away_and_named(engine: Any, search_page: AppTest) -> None:
    """Guards against figures in the way of people who want the page, and against bars under no name."""
    find(search_page, "申請")
    folded = search_page.get("popover")
    assert {box.proto.popover.label for box in folded} == {text.SCORES}
    bars = [[(bar.text, bar.value) for bar in box.get("progress")] for box in folded]
    assert (text.score("bm25", 9.0), 100) in bars[0]
    assert (text.score("bm25", 4.5), 50) in bars[1]
    assert len(search_page.get("progress")) == len(bars[0]) + len(bars[1])


def hit(doc_id: str, page: int, score: float, scores: dict[str, float]) -> Hit:
    return Hit(doc_id, f"{doc_id}#p{page}:0-1", page, 0, 1, "本", "", (), score, scores)


def test_scores_below_nothing_do_not_break_the_bars(engine: Any, search_page: AppTest) -> None:
    """Guards against a bar of negative length: a cosine can be negative."""
    engine.search = lambda query, *, view, k, operators: Ranking(
        query, (hit("a", 1, 0.1, {"dense": -0.2}), hit("b", 1, 0.0, {"dense": -0.4, "odd": 1.0})), 1
    )
    find(search_page, "申請")
    assert not search_page.exception
    assert [bar.value for bar in search_page.get("progress")] == [0, 0]


def test_highest_scores_are_per_ranking() -> None:
    """Guards against measuring one ranking's bar by another's scale."""
    ranking = Ranking("q", (hit("a", 1, 1, {"bm25": 3.0}), hit("b", 1, 1, {"bm25": 7.0})), 1)
    assert highest_scores(ranking) == {"bm25": 7.0}


def test_nearest_pages_are_different_pages() -> None:
    """Guards against offering one page three times."""
    hits = [hit("a", 1, 4, {}), hit("a", 1, 3, {}), hit("a", 2, 2, {}), hit("b", 1, 1, {})]
    places = nearest_places(Ranking("q", tuple(hits), 1))
    assert [(place.doc_id, place.page) for place in places] == [("a", 1), ("a", 2), ("b", 1)]


def test_a_long_passage_is_cut() -> None:
    """Guards against a list of results that nobody can look over."""
    assert len(snippet("あ" * 500)) < 200
    assert snippet("あ" * 500).endswith("…")
