"""Which words of a question have synonyms, and how those are looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragjp.config import Japanese
from ragjp.errors import RecipeError
from ragjp.japanese.synonyms import Synonyms, parse_synonyms
from ragjp.japanese.terms import Analyzer
from ragjp.retrieval.expansion import Expansion, SynonymFile

ANALYZER = Analyzer()


def expansion(text: str, builtin: str = "") -> Expansion:
    lists = [parse_synonyms(one, where="test") if one else Synonyms() for one in (text, builtin)]
    return Expansion(*lists, ANALYZER, 0.7)


def told(one: Expansion, question: str) -> dict[str, list[str]]:
    return {group.asked.text: [o.text for o in group.others] for group in one.groups(question)}


def test_the_longest_word_is_taken_where_words_overlap() -> None:
    """Guards 有給 inside 有給休暇, which would lead to two groups for one thing."""
    one = expansion("有給休暇\t年休\n有給\t給料あり")
    assert told(one, "有給休暇の日数") == {"有給休暇": ["年休"]}
    assert told(one, "有給と有給休暇") == {"有給": ["給料あり"], "有給休暇": ["年休"]}


def test_a_word_is_recognised_in_another_spelling() -> None:
    """Guards サーバの, which the dictionary unifies with サーバー, in the company's list and in the built-in one."""
    assert told(expansion("サーバー\t計算機"), "サーバの台数") == {"サーバー": ["計算機"]}
    assert told(expansion("サーバ\t計算機"), "サーバーの台数") == {"サーバ": ["計算機"]}
    assert told(expansion("", "サーバー\t計算機"), "サーバの台数") == {"サーバー": ["計算機"]}
    assert told(expansion("ｻｰﾊﾞｰ\t計算機"), "サーバーの台数") == {"サーバー": ["計算機"]}


def test_a_word_that_the_dictionary_splits_is_recognised() -> None:
    """Guards 情シス, which is 情 and シス to the dictionary, and テスト in コンテスト, which is nothing."""
    one = expansion("情シス\t情報システム課\nテスト\t試験")
    assert told(one, "情シスに聞く") == {"情シス": ["情報システム課"]}
    assert told(one, "コンテストの結果") == {}


def test_what_the_question_says_itself_is_not_added() -> None:
    """Guards words that would count twice: both members typed, or one that is a part of the other."""
    one = expansion("有給休暇\t年休\t休暇")
    assert told(one, "年休と有給休暇") == {"年休": ["休暇"]}
    assert told(one, "有給休暇") == {"有給休暇": ["年休"]}


def test_several_words_are_found_by_their_terms_and_joints_or_verbatim() -> None:
    """Guards 情報 and システム and 課 anywhere in a passage taken for 情報システム課."""
    (group,) = expansion("情シス\t情報システム課").groups("情シス")
    assert group.term == ""
    by_terms, verbatim = group.others[0].ways
    assert by_terms == (
        ("lemma", "情報"), ("lemma", "システム"), ("lemma", "課"), ("bigram", "報シ"), ("bigram", "ム課"),
    )  # fmt: skip
    assert ("bigram", "ステ") in verbatim


def test_a_word_with_a_hyphen_is_found_without_it() -> None:
    """Guards a synonym that finds Wi-Fi and not WiFi."""
    (group,) = expansion("無線LAN\tWi-Fi").groups("無線LAN")
    terms = ANALYZER.lemmas("WiFi")
    assert tuple(("lemma", one) for one in terms) in group.others[0].ways


def test_a_question_without_such_words_has_no_groups() -> None:
    """Guards any cost for the rest."""
    assert expansion("年休\t有給").groups("旅費の精算") == ()
    assert expansion("").groups("年休") == ()


def test_a_changed_file_counts_from_the_next_question_on(tmp_path: Path) -> None:
    """Guards a page that has to be restarted; a file that is taken away leaves what was stored with the index."""
    path = tmp_path / "synonyms.tsv"
    path.write_text("年休\t有給\n", encoding="utf-8")
    choice = Japanese(synonyms="synonyms.tsv", synonyms_text="年休\t休み\n", builtin_synonyms=False)
    file = SynonymFile(choice, tmp_path, ANALYZER)
    assert file.groups("年休")[0].others[0].text == "有給"
    path.write_text("年休\t休暇\n", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert file.groups("年休")[0].others[0].text == "休暇"
    path.write_text("年休\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="1 行目"):
        file.groups("年休")
    path.unlink()
    assert file.groups("年休")[0].others[0].text == "休暇"
    carried = SynonymFile(choice, tmp_path, ANALYZER)
    assert carried.groups("年休")[0].others[0].text == "休み"
