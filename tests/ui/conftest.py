"""A small engine with scripted pages, in place of the one the app opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import ragjp
from ragjp.chain.events import Delta, Event, Finished, Retrieved, Searching
from ragjp.config import Recipe
from ragjp.errors import AccessDenied
from ragjp.japanese.located import FoldedPart, LocatedTerm, LocatedWord
from ragjp.retrieval.explain import (
    Explanation,
    HitExplained,
    Place,
    QuestionExplained,
    Ranks,
    Share,
    TermMatch,
    TermWeight,
    TokenMatch,
)
from ragjp.types import Answer, Citation, Hit, Ranking, Span, View

APP = Path(__file__).resolve().parents[2] / "ui" / "app.py"


def explained_hit(rank: int, hit: Hit) -> HitExplained:
    """A hit found by the first two characters of its page."""
    place = Place("text", hit.page, hit.start, hit.start + 2, hit.text[:2])
    return HitExplained(
        hit,
        Ranks(rank, None, rank, rank),
        (TermMatch("lemma", hit.text[:2], "synonym", "別の言葉", 1, 9.0, (place,)),),
        (TokenMatch("問", hit.text[:1], 0.75, 0.75, Span(hit.start, hit.start + 1)),),
        (),
        (
            Share("bm25", 9.0, 1.0, 0.5, 0.5),
            Share("maxsim", 0.75, 1.0, 0.5, 0.5),
            Share("baseline", 0.1, 0.1, -1.0, -0.1),
        ),
    )


@dataclass
class FakeEngine:
    """Answers every question with the first sentence of its first page; keeps what it was asked, and as whom."""

    pages: dict[tuple[str, int], str]
    titles: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    answered: bool = True
    written_by: str = "extractive"
    examples: tuple[str, ...] = ()
    failure: Exception | None = None
    failure_of_opening: Exception | None = None
    failure_of_refresh: Exception | None = None
    heading: str = "第1章 総則"
    asked: list[str] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    refreshed: int = 0
    explained: int = 0

    def open(self, path: str) -> FakeEngine:
        self.opened.append(path)
        if self.failure_of_opening is not None:
            raise self.failure_of_opening
        return self

    @property
    def recipe(self) -> Recipe:
        return Recipe.model_validate({"name": "fake", "ui": {"examples": self.examples}})

    def refresh(self) -> bool:
        self.refreshed += 1
        if self.failure_of_refresh is not None:
            raise self.failure_of_refresh
        return False

    def search(self, query: str, *, view: View, k: int = 10, operators: bool = False) -> Ranking:
        self._note(query, view)
        hits = []
        for rank, ((doc_id, page), text) in enumerate(self.pages.items()):
            title = self.titles.get(doc_id, "")
            score = 1.0 / (rank + 1)
            scores = {"bm25": 9.0 * score, "dense": score, "maxsim": score}
            hits.append(
                Hit(
                    doc_id,
                    f"{doc_id}#p{page}:0-{len(text)}",
                    page,
                    0,
                    len(text),
                    text,
                    title,
                    (self.heading,),
                    score,
                    scores,
                )
            )
        return Ranking(query, tuple(hits[:k]), 1)

    def explain(
        self, query: str, *, view: View, k: int = 10, operators: bool = False
    ) -> Explanation:
        """Explain that every hit was found by the first two characters of its page, half of it by their meaning."""
        ranking = self.search(query, view=view, k=k, operators=operators)
        self.explained += 1
        return Explanation(
            QuestionExplained(
                query,
                query,
                query,
                (FoldedPart("Ａ", "a", Span(0, 1)),),
                (
                    LocatedWord(query, query, "", "名詞", Span(0, len(query)), query, "term"),
                    LocatedWord("の", "の", "", "助詞", Span(0, 1), "", "particle"),
                ),
                (LocatedTerm("@2024", Span(0, len(query))),),
                (),
                (),
                (),
                (),
                (),
                (),
            ),
            (TermWeight("lemma", "どこにもない", "word", "", 1, 0, 0.0, 0.0),),
            tuple(explained_hit(rank, hit) for rank, hit in enumerate(ranking.hits, 1)),
            len(self.pages),
            len(self.pages),
            1,
            {},
            {},
        )

    def stream(self, question: str, *, view: View) -> Iterator[Event]:
        yield Searching(question)
        ranking = self.search(question, view=view)
        yield Retrieved(ranking)
        if not self.answered:
            answer = Answer(
                question, "文書の中に答えは見つかりませんでした。", "no_answer", (), ranking
            )
            yield Finished(answer)
            return
        (doc_id, page), source = next(iter(self.pages.items()))
        start = max(source.find("国内の日当"), 0)
        end = source.index("。", start) + 1
        quote = source[start:end]
        text = self.text or f"{quote}[1]"
        for piece in (text[:5], text[5:]):
            yield Delta(piece)
        cited = Citation(doc_id, page, quote, start, end)
        yield Finished(
            Answer(question, text, "answered", (cited,), ranking, written_by=self.written_by)
        )

    def page_text(self, doc_id: str, page: int, *, view: View) -> str:
        self._note(f"{doc_id}#p{page}", view)
        if (doc_id, page) not in self.pages:
            raise AccessDenied("この文書は開けません。管理者に確かめてください。")
        return self.pages[doc_id, page]

    def _note(self, what: str, view: View) -> None:
        self.asked.append(what)
        self.views.append(view)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """The engine that the app opens, whatever index it is told to."""
    fake = FakeEngine(
        pages={
            (
                "規程/旅費規程.pdf",
                2,
            ): "第3条（日当）\n  国内の日当は2,500円とする。\n海外は別に定める。\n",
            ("FAQ/旅費.md", 1): "出張の前に申請してください。\n",
        },
        titles={"規程/旅費規程.pdf": "旅費規程"},
    )
    monkeypatch.setitem(vars(ragjp), "open_index", fake.open)
    for name in ("RAGJP_INDEX", "RAGJP_UI_PRINCIPALS"):
        monkeypatch.delenv(name, raising=False)
    st.cache_resource.clear()
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def ask_page() -> AppTest:
    """The whole app; it opens on the page that answers questions."""
    return AppTest.from_file(APP, default_timeout=30)


@pytest.fixture
def search_page() -> AppTest:
    """The page that finds passages, without the frame around it (AppTest turns to pages that are files only)."""

    def page() -> None:
        from ui.app import search_page

        search_page()

    return AppTest.from_function(page, default_timeout=30)


#: A folder of documents for the real engine: one with the answer, one that tries everything on the reader's browser.
DOCUMENTS = {
    "規程/旅費規程.md": (
        "# 旅費規程\n\n## 第1条（目的）\n\nこの規程は、社員が出張する場合の旅費について定める。\n\n"
        + "".join(
            f"## 第{number}条（細則その{number}）\n\n手続きその{number}は、別表{number}に定めるところによる。\n\n"
            for number in range(2, 12)
        )
        + "## 第12条（日当）\n\n国内出張の日当は1日につき2,500円とする。ただし、日帰りの場合は半額とする。\n\n"
        "## 第13条（改廃）\n\nこの規程の改廃は、取締役会の決議による。\n"
    ),
    "通達/注意.txt": (
        "毒入りの画像 ![毒](https://example.com/pixel.png) と "
        '<img src="https://example.com/毒.png"> と https://example.com/毒 と www.example.com、'
        "$\\href{https://example.com/毒}{毒}$、:red[毒]、:smile: が入った不審なメールに注意してください。\n"
    ),
}


@pytest.fixture(scope="session")
def tiny_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of :data:`DOCUMENTS`, built by the real engine with the hashing encoder."""
    base = tmp_path_factory.mktemp("ui")
    for doc_id, source in DOCUMENTS.items():
        path = base / "source" / doc_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "sources": [{"path": "source", "access": ["everyone"]}],
            "encoder": {"model": "hashing"},
            "ui": {"examples": ["国内出張の日当はいくらですか。"]},
        }
    )
    report = ragjp.build(recipe, base=base, into=base / "tiny")
    assert report.n_documents == len(DOCUMENTS)
    return base / "tiny"
