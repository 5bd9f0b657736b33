"""The perturbation of questions: the same on every machine, one change at a time, and what is lost counted right."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.dataset import DatasetError, Query, Split
from evals.robustness.perturb import KINDS, Kind, perturb
from evals.robustness.perturb_report import chosen_kinds, loss_json, loss_table, losses
from evals.robustness.perturb_words import HALF_WIDTH, HOMOPHONES, OLD_KANJI, SAME_ROW, SPELLINGS
from ragjp.japanese.normalize import fold
from ragjp.types import Hit, Ranking, View

QUESTION = "1996年のコンピューター大会で、誰が申し込みを行ったのですか？"
TEXTS = st.text(alphabet="あいかがパーア漢字国学期間対象事1a、 ？", min_size=1, max_size=30)


def test_a_question_changes_in_the_same_way_everywhere() -> None:
    """Guards figures that nobody can repeat: these texts are the seed's, on any machine and in any order."""
    assert perturb(QUESTION, "keywords") == "1996年 コンピューター大会 申し込み 行っ"
    assert perturb(QUESTION, "width") == "１９９６年のｺﾝﾋﾟｭｰﾀｰ大会で、誰が申し込みを行ったのですか？"
    for kind in KINDS:
        assert perturb(QUESTION, kind) == perturb(QUESTION, kind)
    assert len({perturb(QUESTION, "typo", seed=seed) for seed in range(20)}) > 5


@settings(deadline=None)
@given(TEXTS, st.sampled_from(KINDS), st.integers(0, 3))
def test_any_text_can_be_changed(text: str, kind: Kind, seed: int) -> None:
    """Guards an evaluation that ends at its thousandth question."""
    assert perturb(text, kind, seed=seed).strip() or not text.strip()


@settings(deadline=None)
@given(TEXTS)
def test_width_changes_nothing_that_is_folded(text: str) -> None:
    """Guards a change of width that is a change of letters."""
    assert fold(perturb(text, "width")) == fold(text)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 5))
def test_a_typo_is_one_slip(text: str, seed: int) -> None:
    """Guards a slip that garbles the question: at most one letter more or less, at most two places (or one word) differ."""
    changed = perturb(text, "typo", seed=seed)
    assert abs(len(changed) - len(text)) <= 1
    same = 0
    while same < min(len(text), len(changed)) and text[same] == changed[same]:
        same += 1
    tail = 0
    while tail < min(len(text), len(changed)) - same and text[-1 - tail] == changed[-1 - tail]:
        tail += 1
    assert max(len(text), len(changed)) - same - tail <= 2


def test_polite_forms_keep_the_question() -> None:
    """Guards a polite form that loses what was asked, and は before について."""
    assert "誰が申し込みを行ったのか" in perturb(QUESTION, "polite")
    assert "はについて" not in perturb("仙台市の人口は？", "polite")


def test_the_tables_hold_no_word_twice() -> None:
    """Guards a table that leads from a word to itself."""
    for table in (SPELLINGS, HOMOPHONES):
        words = [word for row in table for word in row]
        assert len(words) == len(set(words))
        assert all(len(row) > 1 for row in table)
    assert all(kana not in others for kana, others in SAME_ROW.items())
    assert all(old != new for new, old in OLD_KANJI.items())
    assert all(fold(half) == fold(full) for full, half in HALF_WIDTH.items() if full.isalpha())


class _Engine:
    """Finds unit ``a`` first for the question as it stands, and nothing for any other."""

    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    def search_all(
        self, query: str, *, view: View, k: int, rankings: Sequence[str]
    ) -> dict[str, Ranking]:
        self.asked.append(query)
        known = query.startswith("問")
        hits = (Hit("a", "a#p1:0-1", 1, 0, 1, "", "", (), 1.0, {}),) if known else ()
        return {"reranked": Ranking(query, hits, 1)}


def test_losses_count_every_question_and_ask_no_unchanged_one_again() -> None:
    """Guards a loss over the changed questions alone, which would be another figure on every set."""
    queries = (Query("1", "問アの"), Query("2", "問いの"), Query("3", "だめ", answerable=False))
    split = Split("toy", "train", "document", queries, {"1": {"a": 1}, "2": {"a": 1}}, "digest")
    engine = _Engine()
    (width,) = losses(split, engine, ("width",))  # type: ignore[arg-type]
    assert (width.n_queries, width.changed, width.before, width.after) == (2, 1, 1.0, 1.0)
    assert engine.asked == ["問アの", "問ｱの", "問いの"]
    assert "全角・半角" in loss_table([width])
    assert json.loads(json.dumps(loss_json([width])))[0]["lost"] == 0.0


def test_a_loss_is_marked_and_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards a table without the mark for more than two points."""
    from evals.robustness import perturb_report

    monkeypatch.setattr(perturb_report, "perturb", lambda text, kind, seed: f"別{text}")
    queries = tuple(Query(str(n), f"問{n}") for n in range(30))
    split = Split("toy", "train", "document", queries, {q.query_id: {"a": 1} for q in queries}, "")
    (typo,) = losses(split, _Engine(), ("typo",))  # type: ignore[arg-type]
    assert typo.lost == 1.0
    assert typo.p < 0.001
    assert loss_table([typo]).endswith("!")


def test_an_unknown_kind_is_named() -> None:
    """Guards a misspelled kind that measures nothing."""
    assert chosen_kinds("keywords, typo") == ("typo", "keywords")
    assert chosen_kinds("all") == KINDS
    with pytest.raises(DatasetError, match="「typos」"):
        chosen_kinds("typos")
