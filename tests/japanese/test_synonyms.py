"""The list of synonyms: what a line means, and what is refused with its number."""

from __future__ import annotations

import pytest

from ragjp.errors import RecipeError
from ragjp.japanese import synonyms as module
from ragjp.japanese.spelling import occurrences, stands_alone
from ragjp.japanese.synonyms import Synonyms, builtin_synonyms, parse_synonyms


def test_a_group_leads_both_ways_and_an_arrow_one_way() -> None:
    """Guards => read as a group, folding, blanks, comments and the C# that is no comment."""
    text = "# 注\n\n情シス\t 情報システム課 \tＩＴ課 # 2024年から\n社食 => 食堂\tカフェ\nC#\tシーシャープ\n"
    links = parse_synonyms(text, where="x").links
    assert links["情シス"] == ("情報システム課", "it課")
    assert links["it課"] == ("情シス", "情報システム課")
    assert links["社食"] == ("食堂", "カフェ")
    assert "食堂" not in links
    assert links["c#"] == ("シーシャープ",)


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_word() -> None:
    """Guards files from Excel and Notepad."""
    assert parse_synonyms("\ufeffa1\tb1\r\nc1\td1\r\n", where="x").links["b1"] == ("a1",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("一つだけ", "一つしかありません"),
        ("社食 =>", "ことばがありません"),
        ("=> 食堂", "ことばがありません"),
        ("ＡＢＣ\tabc", "「abc」が二つあります"),
        ("社食 => 社食", "両側にあります"),
        ("社食\t、。", "記号だけ"),
        ("社食\t" + "あ" * 101, "100 文字を超える"),
        ("年休\t休み", "「年休」は 1 行目にもあります"),
        ("\t".join(f"語{n}" for n in range(65)), "64 個を超えて"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_line(line: str, said: str) -> None:
    """Guards a list that is half read, and an error that leaves the operator to search the file."""
    with pytest.raises(RecipeError) as error:
        parse_synonyms(f"年休\t有給\n\n{line}\n", where="社内.tsv")
    assert "社内.tsv の 3 行目" in error.value.sentence
    assert said in error.value.sentence
    assert error.value.code == "bad_synonyms"


def test_too_many_lines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the first question, which would wait for all of them to be analysed."""
    monkeypatch.setattr(module, "MOST_LINES", 2)
    with pytest.raises(RecipeError, match="3 行目: 2 行を超えて"):
        parse_synonyms("a1\tb1\nc1\td1\ne1\tf1\n", where="x")


def test_two_lists_lead_to_what_either_says() -> None:
    """Guards the company's list that would hide what the built-in one says of a word."""
    one = parse_synonyms("年休\t有給", where="x")
    both = one.joined(parse_synonyms("年休 => 休暇", where="y"))
    assert both.links["年休"] == ("有給", "休暇")
    assert one.joined(Synonyms()).links == one.links


def test_the_built_in_list_can_be_read() -> None:
    """Guards a line of it that the reader refuses: every search would fail."""
    assert len(builtin_synonyms().links) > 20


def test_a_word_is_not_found_inside_a_longer_one() -> None:
    """Guards テスト in コンテスト and AI in OpenAI; kanji and hiragana have no such borders."""
    assert list(occurrences("テスト", "コンテストとテストの")) == [6]
    assert list(occurrences("ai", "openai ai ai2")) == [7]
    assert list(occurrences("情シ", "情シ課情シ")) == [0, 3]
    assert stands_alone("a社", 0, 1)
