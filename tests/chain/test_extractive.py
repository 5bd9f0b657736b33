"""Extractive answers: the right sentence or row, word for word; or none."""

from __future__ import annotations

import pytest

from ragjp.chain.asked import read_question
from ragjp.chain.extractive import Extract, extract_answer, supporting_hits
from ragjp.chain.units import units_of
from ragjp.chain.words import WordReader
from ragjp.types import View
from tests.chain.conftest import STAFF, Library

PAGES = {
    ("規程/就業規則.pdf", 3): (
        "株式会社ひなた精機　就業規則\n第9条（休職）\n従業員が業務外の傷病により欠勤したときは、休職を命ずる。休職期間の上限は、次の表のとおりとする。\n"
        "勤続年数 休職期間の上限\n1年未満 3か月\n1年以上5年未満 6か月\n5年以上10年未満 1年\n- 3 -\n"
    ),
    ("規程/車両管理規程.txt", 1): (
        "第5条（社用車の予約）\n社用車を使う者は、前日の17時までに予約システムで申し込む。\n\n"
        "第8条（マイカー通勤）\n通勤手当は、片道の距離に応じて次のとおり月額で支給する。\n"
        "　　2km以上10km未満　　　4,200円\n　　10km以上15km未満　　　7,100円\n　　15km以上25km未満　　 12,900円\n"
    ),
    ("通達/夏季休業.txt", 1): (
        "2024年 夏季一斉休業のお知らせ\n\n1．休業期間\n　2024年8月10日（土）から8月18日（日）まで（9日間）\n\n"
        "2．出荷と受注\n　最終の出荷は8月9日（金）の午前便です。\n"
    ),
    ("FAQ/ヘルプデスク.html", 1): (
        "Q5. 複合機に「C-2557」と表示されて印刷できません。\n\n廃トナー容器がいっぱいです。正面のカバーを開け、新しいものに取り替えてください。\n"
    ),
    ("会社情報/会社概要.html", 1): (
        "沿革\n\n2011年6月\n髙橋 誠一が二代目の社長に就任\n\n2017年10月\n温湿度センサ HS-200 を発売\n"
    ),
    ("規程/旅費規程.md", 1): (
        "| 区分 | 日当 | 宿泊料の上限 |\n|---|---|---|\n| 役員 | 4,000円 | 18,000円 |\n| 課長以下 | 2,500円 | 13,500円 |\n"
    ),
}
TITLES = {"規程/車両管理規程.txt": "車両管理規程", "通達/夏季休業.txt": "夏季休業のお知らせ"}


@pytest.fixture(scope="module")
def office() -> Library:
    return Library(PAGES, titles=TITLES)


@pytest.fixture(scope="module")
def reader() -> WordReader:
    return WordReader()


def ask(question: str, office: Library, reader: WordReader, view: View = STAFF) -> Extract | None:
    ranking = office.search(question, view=view, k=10)
    found = extract_answer(question, ranking, pages=office, view=view, words=reader)
    if found:
        for citation in found.citations:
            page = office.pages[citation.doc_id, citation.page]
            assert page[citation.start : citation.end] == citation.quote
    return found


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("勤続3年の従業員の休職期間の上限はどのくらいですか", "1年以上5年未満 6か月"),
        (
            "社用車の予約の申込みはいつまでですか",
            "社用車を使う者は、前日の17時までに予約システムで申し込む。",
        ),
        ("マイカー通勤で片道12kmの通勤手当はいくらですか", "10km以上15km未満　　　7,100円"),
        (
            "令和6年の夏季休業はいつからいつまでですか",
            "2024年8月10日（土）から8月18日（日）まで（9日間）",
        ),
        ("最終の出荷はいつですか", "最終の出荷は8月9日（金）の午前便です。"),
        ("複合機にＣ－２５５７と出て印刷できない", "廃トナー容器がいっぱいです。"),
        ("高橋誠一社長はいつ就任しましたか", "2011年6月\n髙橋 誠一が二代目の社長に就任"),
        ("課長以下の日当はいくらですか", "| 課長以下 | 2,500円 | 13,500円 |"),
    ],
)
def test_the_unit_that_answers(
    question: str, quote: str, office: Library, reader: WordReader
) -> None:
    """Guards against headings, table heads, FAQ questions and the wrong row being given as answers."""
    found = ask(question, office, reader)
    assert found is not None
    assert found.citations[0].quote.strip(" 　") == quote
    assert found.text.endswith("[1]") or "[2]" in found.text


def test_a_row_is_spoken_with_the_names_of_its_columns(office: Library, reader: WordReader) -> None:
    """Guards against a row of numbers that nobody can read."""
    found = ask("課長以下の日当はいくらですか", office, reader)
    assert found is not None
    assert found.text == "区分：課長以下、日当：2,500円、宿泊料の上限：13,500円[1]"


@pytest.mark.parametrize(
    "question",
    [
        "社員食堂の営業時間は何時から何時までですか",
        "2025年の夏季休業はいつからいつまでですか",
        "HS-900の発売はいつですか",
        "就業規則第40条には何が書いてありますか",
        "名古屋へ出張するときの日当はいくらですか",
        "休職中の給料はいくらですか",
        "野球部の練習日はいつですか",
    ],
)
def test_what_is_not_there_is_refused(question: str, office: Library, reader: WordReader) -> None:
    """Guards against the nearest sentence being given as an answer to another question."""
    assert ask(question, office, reader) is None


def test_another_view_gets_no_answer(office: Library, reader: WordReader) -> None:
    """Guards against answers cut from pages that the asker may not read, even from somebody else's ranking."""
    question = "課長以下の日当はいくらですか"
    ranking = office.search(question, view=STAFF, k=10)
    guest = View.of("guest")
    assert extract_answer(question, ranking, pages=office, view=guest, words=reader) is None
    assert supporting_hits(question, ranking, pages=office, view=guest, words=reader) == []


@pytest.mark.parametrize("question", ["。", "？", "いくらですか。", "\0"])
def test_a_question_without_a_word_is_refused(
    question: str, office: Library, reader: WordReader
) -> None:
    """Where there was nothing to cover, everything counted as covered: any sentence was the answer."""
    assert ask(question, office, reader) is None


def test_nothing_retrieved_is_no_answer(office: Library, reader: WordReader) -> None:
    """Guards against an empty ranking that breaks the answer."""
    assert ask("日当はいくらですか", office, reader, View.of("guest")) is None
    assert ask("", office, reader) is None or True


def test_words_are_rarer_by_what_the_view_may_read(office: Library, reader: WordReader) -> None:
    """Guards against statistics asked for without saying who asks."""

    class Counts:
        def __init__(self) -> None:
            self.views: list[View] = []

        def document_frequency(self, terms: list[str], *, view: View) -> dict[str, int]:
            self.views.append(view)
            return dict.fromkeys(terms, 1)

        def document_count(self, *, view: View) -> int:
            self.views.append(view)
            return 100

    counts = Counts()
    question = "課長以下の日当はいくらですか"
    ranking = office.search(question, view=STAFF, k=10)
    found = extract_answer(
        question, ranking, pages=office, view=STAFF, words=reader, statistics=counts
    )
    assert found is not None
    assert set(counts.views) == {STAFF}


@pytest.mark.parametrize(
    ("question", "fits", "does_not"),
    [
        ("日当はいくらですか", "2,500円", "2,500人"),
        ("何日前までですか", "5営業日前", "5人"),
        ("何時から何時までですか", "9時から18時まで", "9時に始まる"),
        ("いつからいつまでですか", "8月10日～18日", "8月10日"),
        ("何パーセントですか", "4.1％", "4.1倍"),
        ("何時間以内ですか", "七十二時間以内", "3日以内"),
    ],
)
def test_what_is_asked_for(question: str, fits: str, does_not: str) -> None:
    """Guards against a date for a question about money."""
    from ragjp.japanese.normalize import fold

    expects = read_question(question).expects
    assert expects is not None
    assert expects.search(fold(fits))
    assert not expects.search(fold(does_not))


def test_units_cover_rows_and_mute_what_answers_nothing() -> None:
    """Guards against tables read as one sentence, and headings given as answers."""
    text = PAGES["規程/就業規則.pdf", 3]
    units = units_of(text, ("就業規則",))
    assert all(text[unit.start : unit.end] == unit.text for unit in units)
    rows = [unit for unit in units if unit.header]
    assert [unit.text for unit in rows] == [
        "1年未満 3か月",
        "1年以上5年未満 6か月",
        "5年以上10年未満 1年",
    ]
    assert {unit.header for unit in rows} == {"勤続年数 休職期間の上限"}
    assert [unit.text for unit in units if not unit.mute and not unit.header] == [
        "従業員が業務外の傷病により欠勤したときは、休職を命ずる。"
    ]


def test_a_numbered_heading_inside_a_passage_opens_another_subject() -> None:
    """An article used to lend its words to the next one in the same chunk: 結婚 stood before 出産祝金, and so it was the answer."""
    text = "第3条（結婚祝金）\n結婚したときは二万円を贈る。\n\n第4条（出産祝金）\n出産したときは一万円を贈る。"
    assert [unit.text[:3] for unit in units_of(text) if unit.opens] == ["第3条", "第4条"]


@pytest.mark.parametrize("question", ["高橋さんの内線番号は", "総務課の電話を教えてください"])
def test_who_asks_for_a_number_is_not_given_a_name(question: str) -> None:
    """「代表取締役社長 髙橋 誠一」 was the answer to 「高橋さんの内線番号は」."""
    expects = read_question(question).expects
    assert expects is not None
    assert not expects.search("代表取締役社長 高橋 誠一")
    assert expects.search("総務課(内線1230)")


def test_a_question_about_numbers_in_general_expects_none() -> None:
    assert read_question("内線電話の使い方を教えてください").expects is None
