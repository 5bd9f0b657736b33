"""An explanation adds up to the search that it explains, quotes what the pages say, and knows nothing beyond the view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from ragjp.config import Recipe
from ragjp.engine import Engine
from ragjp.errors import RequestError
from ragjp.jobs.build import build
from ragjp.retrieval.explain import Explanation, TermWeight
from ragjp.types import View

ALL = View.of("everyone")
QUESTIONS = (
    "令和６年の ｻｰﾊﾞ 室の費用は300万円ですか",
    "国内出張の日当はいくらですか",
    "社用車の予約を申込みたい",
    "夏季休業",
    "ＰＣの購入",
    "、。",
)
#: More passages than are reranked below, of several lengths.
FILLER = {
    f"別表/{number:02}.txt": f"別表{number}　旅費の区分{number}は、{number}00円とする。\n"
    * (1 + number % 4)
    for number in range(16)
}
SECRET = {
    "秘/役員.txt": "役員の出張の日当は、1日につき9,900円とする。サーバー室の鍵は役員室に置く。\n"
}


OPEN = {"path": "open", "access": ["everyone"]}
CLOSED = {"path": "closed", "access": ["group:役員"]}


def recipe_of(**changes: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "explained",
            "sources": [OPEN, CLOSED],
            "encoder": {"model": "hashing"},
            **changes,
        }
    )


def built(base: Path, folders: dict[str, dict[str, str]], recipe: Recipe) -> Path:
    for folder, files in folders.items():
        (base / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = base / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    report = build(recipe, base=base, into=base / recipe.name)
    assert not report.failures
    return base / recipe.name


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The tiny documents and some more for everyone, and one document for the board."""
    base = tmp_path_factory.mktemp("explained")
    copytree(tiny_base / "source", base / "open")
    return built(base, {"open": FILLER, "closed": SECRET}, recipe_of())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The same without the board's document."""
    base = tmp_path_factory.mktemp("alone")
    copytree(tiny_base / "source", base / "open")
    return built(base, {"open": FILLER}, recipe_of(sources=[OPEN]))


@pytest.fixture(scope="module")
def engine(index: Path) -> Iterator[Engine]:
    with Engine.open(index) as opened:
        yield opened


def changed(index: Path, **stages: dict[str, object]) -> Engine:
    """The index searched in another way."""
    return Engine.open(index, recipe=recipe_of(**stages))


def assert_adds_up(explained: Explanation) -> None:
    for one in explained.hits:
        scores = one.hit.scores
        assert sum(each.contribution for each in one.terms) == pytest.approx(
            scores["bm25"], rel=1e-6, abs=1e-6
        )
        assert sum(each.value for each in one.fused) == pytest.approx(scores["fused"], abs=1e-6)
        assert sum(each.value for each in one.final) == pytest.approx(one.hit.score, abs=1e-6)
        assert bool(one.tokens) == ("maxsim" in scores)
        if one.tokens:
            # The search rounds the question's tokens to 16 bits.
            total = sum(each.contribution for each in one.tokens)
            assert total == pytest.approx(scores["maxsim"], abs=5e-5)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_parts_sum_to_the_scores(engine: Engine, question: str) -> None:
    """An explanation of another score than the one that ordered the hits."""
    explained = engine.explain(question, view=ALL, k=40)
    assert explained.hits
    assert_adds_up(explained)
    assert set(explained.differences) >= {"bm25", "fused", "final"}
    assert max(explained.differences.values()) < 5e-5


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_explains_the_search_itself(engine: Engine, question: str) -> None:
    """Hits, order, scores and ranks that are not those of the search."""
    every = engine.search_all(question, view=ALL, k=5)
    explained = engine.explain(question, view=ALL, k=5)
    assert tuple(one.hit for one in explained.hits) == every["reranked"].hits
    for name in ("bm25", "dense", "fused"):
        first = every[name].hits[0].chunk_id if every[name].hits else None
        ranked = {getattr(one.ranks, name): one.hit.chunk_id for one in explained.hits}
        assert ranked.get(1, first) == first
    assert [one.ranks.final for one in explained.hits] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "stages",
    [
        {"rerank": {"depth": 3}},
        {"rerank": {"maxsim": False}},
        {"rerank": {"page_share": 0.0}},
        {"rerank": {"page_share": 1.0}},
        {"rerank": {"mmr_lambda": 0.5}},
        {"rerank": {"maxsim_weight": 1.0, "dense_weight": 0.5}},
        {"retrieval": {"title_weight": 0.4, "lemma_weight": 0.0}},
        {"retrieval": {"n_candidates": 4, "k1": 1.2, "b": 0.75, "dense_weight": 1.0}},
    ],
    ids=str,
)
def test_other_recipes_add_up_too(index: Path, stages: dict[str, dict[str, object]]) -> None:
    """Parts that only fit the default weights: below the depth, without late interaction, in another order, with titles."""
    with changed(index, **stages) as engine:
        for question in QUESTIONS[:3]:
            explained = engine.explain(question, view=ALL, k=10)
            assert_adds_up(explained)
            assert (
                tuple(one.hit for one in explained.hits)
                == engine.search(question, view=ALL, k=10).hits
            )


@pytest.mark.parametrize("question", QUESTIONS[:4])
def test_places_are_what_the_pages_say(engine: Engine, question: str) -> None:
    """A mark beside the word that matched."""
    n_places = 0
    for one in engine.explain(question, view=ALL, k=10).hits:
        page = engine.page_text(one.hit.doc_id, one.hit.page, view=ALL)
        for match in one.terms:
            assert match.count > 0
            assert match.places
            for place in match.places:
                if place.where == "text":
                    assert page[place.start : place.end] == place.written
                    assert one.hit.start <= place.start < place.end <= one.hit.end
                    n_places += 1
        for token in one.tokens:
            if token.span is not None:
                assert page[slice(*token.span)].strip() == token.found
    assert n_places


def test_the_pages_share_is_told_apart(tmp_path: Path) -> None:
    """What the rest of a page brought, shown as the passage's own."""
    page = "".join(f"第{n}条　旅費の区分{n}は、{n}00円とする。\n" for n in range(1, 80))
    path = built(tmp_path, {"open": {"a.txt": page, **FILLER}}, recipe_of(sources=[OPEN]))
    with Engine.open(path, recipe=recipe_of(rerank={"page_share": 0.5})) as engine:
        explained = engine.explain("旅費の区分7", view=ALL, k=10)
    assert_adds_up(explained)
    for one in explained.hits:
        shares = {share.name: share for share in one.final}
        assert shares["maxsim"].score == pytest.approx(one.hit.scores["maxsim"], abs=1e-6)
        assert shares["page"].score >= shares["maxsim"].score - 1e-6
    assert any(
        share.name == "page" and share.score > one.hit.scores["maxsim"] + 1e-3
        for one in explained.hits
        for share in one.final
    )


def test_a_variant_is_shown_as_it_is_written(engine: Engine) -> None:
    """A match of サーバ with サーバー, or of 300万円 with 三百万円, that shows the question's spelling."""
    best = engine.explain(QUESTIONS[0], view=ALL, k=1).hits[0]
    written = {match.term: [place.written for place in match.places] for match in best.terms}
    assert best.hit.doc_id == "議事録/定例会議.txt"
    assert written["サーバー"] == ["サーバー"]
    assert written["#3000000円"] == ["三百万円"]
    assert written["@2024"] == ["令和6年"]


def test_the_question_is_taken_apart(engine: Engine) -> None:
    """A folding, a dropped particle or a hidden form that is not shown."""
    read = engine.explain(QUESTIONS[0], view=ALL, k=1).question
    assert [(part.source, part.folded) for part in read.changes] == [
        ("６", "6"),
        (" ｻｰﾊﾞ ", "サーバ"),
    ]
    fates = {word.surface: word.fate for word in read.words}
    assert fates["サーバ"] == "term"
    assert fates["の"] == "particle"
    assert {form.term for form in read.hidden} == {"@2024", "#3000000円"}
    assert "".join(read.tokens) == "".join(QUESTIONS[0].split())


def test_operators_are_named(engine: Engine) -> None:
    """A restriction of which the explanation says nothing."""
    asked = engine.explain('"日当" -海外 title:旅費規程', view=ALL, k=5, operators=True)
    assert asked.question.phrases == ("日当",)
    assert asked.question.excluded == ("海外",)
    assert asked.question.titles == ("旅費規程",)
    assert {one.hit.doc_id for one in asked.hits} == {"規程/旅費規程.md"}
    assert_adds_up(asked)


def test_unseen_terms_are_named(engine: Engine) -> None:
    """A word that is in no passage, and looks as if it had been searched in vain by mistake."""
    terms = engine.explain("宇宙旅行の日当", view=ALL, k=1).terms
    seen = {term.term: term.known for term in terms if term.field == "lemma"}
    assert seen == {"宇宙": False, "旅行": False, "日当": True}


def test_words_that_were_left_out_are_named(engine: Engine) -> None:
    """A word that the search passes over, shown as if it had been looked for."""
    explained = engine.explain("誰が社用車を予約する", view=ALL, k=1)
    assert explained.question.unused == ("誰",)
    assert "誰" not in {term.term for term in explained.terms}


def countable(explained: Explanation) -> tuple[object, ...]:
    """An explanation without what differs from run to run, and between two indexes that show the same."""
    return replace(explained, timings_ms={}, generation=0), explained.hits


@pytest.mark.parametrize("question", ["役員の日当", "役員室のサーバー", "鍵"])
def test_a_hidden_document_changes_nothing(engine: Engine, alone: Path, question: str) -> None:
    """Counts, rarities, lengths, unseen terms or ranks that tell of a document that the asker may not read."""
    with Engine.open(alone) as other:
        mine = engine.explain(question, view=ALL, k=40)
        assert countable(mine) == countable(other.explain(question, view=ALL, k=40))
        assert "9,900" not in repr(mine)
    board = engine.explain(question, view=View.of("group:役員"), k=5)
    assert {one.hit.doc_id for one in board.hits} == {"秘/役員.txt"}


def test_nobody_is_told_nothing(engine: Engine) -> None:
    """A view without documents that learns whether a word exists."""
    explained = engine.explain("役員の日当", view=View.of("guest"), k=5)
    assert explained.hits == ()
    assert explained.n_passages == explained.n_candidates == 0
    assert not any(term.known for term in explained.terms)


def by_origin(terms: tuple[TermWeight, ...], origin: str) -> dict[str, TermWeight]:
    return {term.term: term for term in terms if term.origin == origin}


def test_synonyms_are_named_and_add_up(index: Path) -> None:
    """A hit that no word of the question explains: which synonym matched, of what, where, and how much it brought."""
    recipe = recipe_of(japanese={"synonyms": "words.tsv", "builtin_synonyms": False})
    text = "公用車\t社用車\nサーバルーム\tサーバー室\n出張手当\t日当\n"
    japanese = recipe.japanese.model_copy(update={"synonyms_text": text})
    with Engine.open(index, recipe=recipe.model_copy(update={"japanese": japanese})) as engine:
        explained = engine.explain("公用車の予約と出張手当", view=ALL, k=40)
        assert_adds_up(explained)
        synonyms = by_origin(explained.terms, "synonym")
        assert synonyms["社用車"].of == "公用車"
        assert synonyms["社用車"].known
        matches = {
            (one.hit.doc_id, match.term): [place.written for place in match.places]
            for one in explained.hits
            for match in one.terms
            if match.origin == "synonym"
        }
        assert matches["規程/車両管理規程.txt", "社用車"] == ["社用車"]
        assert matches["規程/旅費規程.md", "日当"][-1] == "日当"
        # In a view that does not see them, they are not there.
        hidden = engine.explain("公用車の予約", view=View.of("group:役員"), k=5)
        assert not by_origin(hidden.terms, "synonym")["社用車"].known


def test_words_of_the_companys_dictionary_are_named(tmp_path: Path) -> None:
    """A match by a word that no dictionary but the company's has, shown as if it came from nowhere."""
    text = "情シスの窓口は、じょうしす課の受付にある。\n"
    (tmp_path / "words.csv").write_text("情シス,ジョウシス\n", "utf-8")
    recipe = recipe_of(sources=[OPEN], japanese={"dictionary": "words.csv"})
    japanese = recipe.japanese.model_copy(update={"dictionary_text": "情シス,ジョウシス\n"})
    path = built(
        tmp_path, {"open": {"a.txt": text}}, recipe.model_copy(update={"japanese": japanese})
    )
    with Engine.open(path) as engine:
        explained = engine.explain("情シスはどこ", view=ALL, k=1)
    assert [(word.term, word.span) for word in explained.question.own] == [("=情シス", (0, 3))]
    assert by_origin(explained.terms, "dictionary")["=情シス"].known
    places = [m.places for m in explained.hits[0].terms if m.term == "=情シス"]
    assert [place.written for place in places[0]] == ["情シス", "じょうしす"]
    assert_adds_up(explained)


def test_times_of_every_stage_are_given(engine: Engine) -> None:
    """A stage whose time nobody can see."""
    timings = engine.explain("日当", view=ALL, k=3).timings_ms
    stages = {"analyse", "encode", "bm25", "dense", "fuse", "rerank", "load", "total", "explain"}
    assert set(timings) == stages
    assert sum(timings[name] for name in stages - {"total", "explain"}) <= timings["total"] + 1e-6


def test_an_impossible_request_is_refused(engine: Engine) -> None:
    """An explanation that takes what a search does not."""
    with pytest.raises(RequestError):
        engine.explain(" ", view=ALL)
    with pytest.raises(RequestError):
        engine.explain("日当", view=ALL, k=0)
