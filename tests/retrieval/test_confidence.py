"""Confidence: monotone in its signals, calibrated where it is fitted, blind to what a view may not see, never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragjp.config import Recipe, parse_recipe
from ragjp.engine import Engine
from ragjp.index.dense.derived import DERIVED_NAME
from ragjp.jobs.build import build
from ragjp.retrieval import background
from ragjp.retrieval.background import NAME, draft_question
from ragjp.retrieval.confidence import (
    KINDS,
    SIGNALS,
    Model,
    choose_model,
    sigmoid,
    token_signals,
)
from ragjp.types import View

EVERYONE = View.of("everyone")
OPERATOR = View.unrestricted_by_operator()
TOPICS = "旅費 宿泊 日当 出張 休暇 賞与 給与 残業 保険 年金 車両 駐車 印章 契約 発注 検収 備品 廃棄 防火 避難".split()
SHIPPED = [
    choose_model("multilingual-e5-small", tokens=True),
    choose_model("multilingual-e5-small", tokens=False),
    choose_model("hashing", tokens=True),
]


def write(folder: Path, topics: list[str], start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, topic in enumerate(topics, start):
        articles = "\n\n".join(
            f"## 第{n}条 {topic}その{n}\n\n{topic}に関する手続き第{n}号は、{number * 7 + n}日以内に担当部署{number}へ届け出るものとする。"
            + f"届け出には様式{number}-{n}を用い、{topic}台帳に記録しなければならない。"
            for n in range(1, 9)
        )
        (folder / f"{topic}.md").write_text(f"# {topic}規程\n\n{articles}\n", encoding="utf-8")


def recipe(**sources: tuple[str, ...]) -> Recipe:
    return parse_recipe(
        {
            "name": "toy",
            "sources": [{"path": name, "access": list(to)} for name, to in sources.items()],
            "encoder": {"model": "hashing"},
            "chunks": {"target_chars": 50, "max_chars": 80},
        },
        where="test",
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of rules that everyone may read; read only."""
    base = tmp_path_factory.mktemp("confidence")
    write(base / "open", TOPICS[:12])
    build(recipe(open=("everyone",)), base=base, into=base / "index")
    return base


# ------------------------------------------------------------------------------------------------- the model


@given(
    signals=st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    place=st.integers(0, 5),
    more=st.floats(0, 1),
    model=st.sampled_from(SHIPPED),
)
def test_more_of_any_signal_never_makes_an_answer_less_likely(
    signals: list[float], place: int, more: float, model: Model
) -> None:
    """Guards against a fitted weight that nobody could explain: more of the question found, less confidence."""
    before = np.array([signals])
    after = before.copy()
    after[0, place] += more
    assert model.logit(after) >= model.logit(before) - 1e-9


@given(st.lists(st.lists(st.floats(-1, 1), min_size=6, max_size=6), min_size=1, max_size=5))
def test_another_passage_never_makes_an_answer_less_likely(rows: list[list[float]]) -> None:
    """Guards against a mean over passages where the best one decides."""
    for model in SHIPPED:
        assert model.logit(np.array(rows)) >= model.logit(np.array(rows[:1])) - 1e-9


def test_the_shipped_weights_are_as_they_are_documented() -> None:
    """Guards against a file written by hand: negative weights, quantiles that fall, signals of another order."""
    for model in SHIPPED:
        width = len(KINDS[model.kind])
        assert len(model.weights) == len(model.mean) == len(model.scale) == width
        assert min(model.weights) >= 0 < min(model.scale)
        for quantiles in (model.answerable, model.unanswerable):
            assert len(quantiles) == 101
            assert list(quantiles) == sorted(quantiles)
        assert model.answerable[50] > model.unanswerable[50]
        assert KINDS[model.kind] == SIGNALS[:width]


def test_keeping_more_refuses_less() -> None:
    """Guards against a threshold on the wrong side; at 1 nothing is refused."""
    for model in SHIPPED:
        thresholds = [model.threshold(keep) for keep in (0.5, 0.8, 0.95, 0.99, 1.0)]
        assert thresholds == sorted(thresholds, reverse=True)
        refused = [model.refused(threshold) for threshold in thresholds]
        assert refused == sorted(refused, reverse=True)
        assert refused[-1] == 0
        assert model.confidence(np.full((1, 6), -9.0), keep=1.0).is_enough


def test_nothing_found_is_no_answer() -> None:
    """Guards against a question without candidates that counts as half answered."""
    judged = SHIPPED[0].confidence(np.empty((0, 6)), keep=0.95)
    assert (judged.probability, judged.is_enough, judged.signals) == (0.0, False, {})


def test_the_rate_that_is_shown_is_the_one_of_this_index() -> None:
    """Guards against the error rate of an encyclopedia beside an answer from a company's rules."""
    model = SHIPPED[0]
    signals = np.zeros((1, 6))
    threshold = model.threshold(0.95)
    halves = [threshold - 1, threshold, threshold + 1]
    ours = model.confidence(signals, keep=0.95, drafted=halves)
    shipped = model.confidence(signals, keep=0.95)
    assert (ours.refused, ours.basis) == (pytest.approx(0.5), "index")
    assert (shipped.refused, shipped.basis) == (model.refused(threshold), "shipped")
    assert ours.probability == shipped.probability
    assert shipped.floor < shipped.threshold


def test_the_length_of_a_query_token_is_its_weight_and_not_its_similarity() -> None:
    """Guards against assuming length 1: a token twice as long weighs double and is as well matched as before."""
    alike = token_signals(np.array([[0.9, 0.5], [0.8, 0.4]]), np.array([1.0, 1.0]))
    longer = token_signals(np.array([[1.8, 1.0], [1.6, 0.8]]), np.array([2.0, 2.0]))
    np.testing.assert_allclose(alike, longer)
    unused = token_signals(np.array([[0.9, 0.5], [0.8, 0.4], [0.0, 0.0]]), np.array([1.0, 1.0, 0]))
    np.testing.assert_allclose(alike, unused)


@given(st.floats(allow_nan=False))
def test_the_logistic_function_never_overflows(logit: float) -> None:
    assert 0 <= sigmoid(logit) <= 1


# ------------------------------------------------------------------------------------------------- an index


def test_what_is_there_is_more_likely_than_what_is_not(base: Path) -> None:
    """Guards against signals read for the wrong rows."""
    with Engine.open(base / "index") as engine:
        there = engine.confidence("旅費に関する手続きは何日以内に届け出ますか", view=EVERYONE)
        not_there = engine.confidence("深海魚の寿命は何年ですか", view=EVERYONE)
    assert there is not None
    assert not_there is not None
    assert there.probability > not_there.probability
    assert not not_there.is_enough
    assert (there.kept, 0 < there.refused < 1) == (0.95, True)
    assert set(there.signals) == set(KINDS["lexical"])  # none is fitted for the hashing encoder


def test_an_unlikely_answer_is_not_given_and_says_why(base: Path) -> None:
    """Guards against a confidence that nobody acts on."""
    with Engine.open(base / "index") as engine:
        answer = engine.ask("深海魚の寿命は何年ですか", view=EVERYONE)
    assert answer.status == "no_answer"
    assert answer.citations == ()
    assert answer.confidence is not None
    assert not answer.confidence.is_enough
    assert "confidence" in answer.timings_ms


@pytest.mark.parametrize("question", ["。", "？！", "は", "🦈", "ａ" * 300])
def test_no_question_is_too_odd_to_be_judged(base: Path, question: str) -> None:
    """Guards against a division by no terms, no tokens or no candidates."""
    with Engine.open(base / "index") as engine:
        judged = engine.confidence(question, view=EVERYONE)
    assert judged is not None
    assert 0 <= judged.probability <= 1


def test_too_little_to_tell_is_said_and_stops_nobody(tiny_index: Path) -> None:
    """Guards against refusing by statistics over a handful of passages, or over none."""
    with Engine.open(tiny_index) as engine:
        assert engine.confidence("日当はいくらですか", view=EVERYONE) is None
        assert engine.confidence("日当はいくらですか", view=View.of("nobody")) is None
        answer = engine.ask("日当はいくらですか", view=EVERYONE)
    assert (answer.status, answer.confidence) == ("answered", None)


def test_a_hidden_document_changes_no_confidence(tmp_path: Path) -> None:
    """Guards against a leak: statistics, candidates or the scale of documents that the asker may not read."""
    write(tmp_path / "open", TOPICS[:12])
    write(tmp_path / "secret", TOPICS[12:], start=12)
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "alone")
    mixed = recipe(open=("everyone",), secret=("user:社長",))
    build(mixed, base=tmp_path, into=tmp_path / "mixed")
    questions = ["旅費に関する手続きは何日以内ですか", "避難に関する手続きは何日以内ですか"]
    with Engine.open(tmp_path / "alone") as alone, Engine.open(tmp_path / "mixed") as both:
        for view in (EVERYONE, View.of("everyone", "group:人事部")):
            for question in questions:
                ours = both.confidence(question, view=view)
                assert ours == alone.confidence(question, view=view)
                assert ours is not None
                assert ours != both.confidence(question, view=OPERATOR)
    scales = [scales_of(tmp_path / name)["everyone"] for name in ("alone", "mixed")]
    assert scales[0] == scales[1]
    assert scales_of(tmp_path / "mixed")["operator"] != scales[1]


def scales_of(index: Path) -> dict[str, object]:
    found = json.loads((index / DERIVED_NAME / NAME).read_text(encoding="utf-8"))["views"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"source": 1}', None])
def test_a_damaged_scale_is_passed_over_and_made_again(tmp_path: Path, damage: str | None) -> None:
    """Guards against a derived file that stops a search, or that is believed when it is wrong."""
    write(tmp_path / "open", TOPICS[:12])
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "index")
    kept = tmp_path / "index" / DERIVED_NAME / NAME
    whole = kept.read_text(encoding="utf-8")
    if damage is None:
        kept.unlink()
    else:
        kept.write_text(damage or whole.replace("views", "Views", 1), encoding="utf-8")
    with Engine.open(tmp_path / "index") as engine:
        judged = engine.confidence("旅費に関する手続きは何日以内ですか", view=EVERYONE)
    assert judged is not None
    assert judged.basis == "shipped"
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "index")
    assert kept.read_text(encoding="utf-8") == whole
    with Engine.open(tmp_path / "index") as engine:
        again = engine.confidence("旅費に関する手続きは何日以内ですか", view=EVERYONE)
    assert again is not None
    assert again.basis == "index"


def test_a_scale_is_made_again_only_when_the_index_has_changed_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against drafting questions at every build, and against never drafting them again."""
    write(tmp_path / "open", TOPICS[:12])
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "index")
    first = scales_of(tmp_path / "index")
    calls = []
    measured = background.measure_background

    def counted(*given: object, **named: object) -> object:
        calls.append(given)
        return measured(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(background, "measure_background", counted)
    write(tmp_path / "open", TOPICS[12:13], start=12)
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "index")
    assert (calls, scales_of(tmp_path / "index")) == ([], first)
    write(tmp_path / "open", TOPICS[13:], start=13)
    build(recipe(open=("everyone",)), base=tmp_path, into=tmp_path / "index")
    assert len(calls) == 1  # everyone sees what the operator sees: measured once
    assert scales_of(tmp_path / "index") != first


def test_drafted_questions_are_short_and_of_one_line() -> None:
    text = "第５条　短い。\n国内出張の日当は、\n1日につき2,500円とする。"
    drafts = [draft_question(text, number) for number in range(3)]
    assert [len(draft) <= limit for draft, limit in zip(drafts, (16, 28, 44), strict=True)] == [
        True
    ] * 3
    assert all("\n" not in draft and draft for draft in drafts)
    assert draft_question("", 0) == ""
