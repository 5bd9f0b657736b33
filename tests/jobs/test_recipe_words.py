"""The company's own words, from the recipe's files to what is found; with the hashing encoder, which knows no meaning."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ragjp.config import Recipe, load_recipe
from ragjp.engine import Engine
from ragjp.errors import RecipeError
from ragjp.index.storage.catalog import meta_value, open_catalog
from ragjp.jobs.build import BuildReport, build
from ragjp.types import View

EVERYONE = View.of("everyone")
DOCUMENTS = {
    "all/休暇.txt": "年次有給休暇は二十日とする。",
    "all/食堂.txt": "社員食堂は十一時に開く。",
    "all/他.txt": "車の鍵は総務課の窓口で受け取る。",
    "secret/人事.txt": "年次有給休暇の買い上げは年次有給休暇の残り日数による。",
}
RECIPE = """\
name = "toy"
[[sources]]
path = "all"
access = ["everyone"]
[[sources]]
path = "secret"
access = ["group:人事"]
[encoder]
model = "hashing"
[rerank]
maxsim = false
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def recipe(base: Path, japanese: str = "", **files: str) -> Recipe:
    for name, text in files.items():
        (base / f"{name}.txt").write_text(text, encoding="utf-8")
    path = base / "toy.toml"
    path.write_text(f"{RECIPE}[japanese]\nbuiltin_synonyms = false\n{japanese}", encoding="utf-8")
    return load_recipe(path)


def run(base: Path, chosen: Recipe) -> BuildReport:
    return build(chosen, base=base, into=base / "toy")


def found(index: Path, query: str, view: View = EVERYONE) -> list[tuple[str, float]]:
    with Engine.open(index) as engine:
        ranking = engine.search(query, view=view, ranking="bm25")
        return [(hit.doc_id.rpartition("/")[2], hit.score) for hit in ranking.hits]


SYNONYMS = 'synonyms = "s.txt"\n'


def test_a_synonym_finds_without_building_again(base: Path) -> None:
    """Guards the promise: a line in the file, and the next question finds."""
    run(base, recipe(base, SYNONYMS, s="社食\t食堂\n"))
    with Engine.open(base / "toy") as engine:

        def names(query: str) -> list[str]:
            hits = engine.search(query, view=EVERYONE, ranking="bm25").hits
            return [hit.doc_id.rpartition("/")[2] for hit in hits]

        assert names("社食") == ["食堂.txt"]
        assert "休暇.txt" not in names("ねんきゅう")
        (base / "s.txt").write_text("社食\t食堂\nねんきゅう\t有給休暇\n", encoding="utf-8")
        assert "休暇.txt" in names("ねんきゅう")


def test_an_index_carried_elsewhere_answers_the_same(base: Path, tmp_path: Path) -> None:
    """Guards an index that depends on a file that stayed behind."""
    run(base, recipe(base, SYNONYMS, s="社食\t食堂\n"))
    here = found(base / "toy", "社食")
    shutil.copytree(base / "toy", tmp_path / "elsewhere" / "toy")
    assert found(tmp_path / "elsewhere" / "toy", "社食") == here != []


def test_a_hidden_document_changes_nothing_through_a_synonym(base: Path) -> None:
    """Guards the statistics of a group: what 人事 alone may read must not lower the others' scores."""
    chosen = recipe(base, SYNONYMS, s="ねんきゅう\t有給休暇\n")
    run(base, chosen)
    with_hidden = found(base / "toy", "ねんきゅう")
    assert len(found(base / "toy", "ねんきゅう", View.of("group:人事"))) == 1
    (base / "secret" / "人事.txt").write_text("別の話。", encoding="utf-8")
    run(base, chosen)
    assert found(base / "toy", "ねんきゅう") == with_hidden != []


def test_the_built_in_list_can_be_switched_off(base: Path) -> None:
    """Guards the switch, both ways."""
    run(base, recipe(base))
    assert found(base / "toy", "年休") == []
    chosen = recipe(base)
    japanese = chosen.japanese.model_copy(update={"builtin_synonyms": True})
    run(base, chosen.model_copy(update={"japanese": japanese}))
    assert found(base / "toy", "年休")[0][0] == "休暇.txt"


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (None, "words_missing", "s.txt を開けません"),
        ("年休\n".encode() + "有給\t年休".encode("cp932"), "words_encoding", "2 行目が UTF-8"),
        (b"a" * ((1 << 20) + 1), "words_too_large", "大きすぎます"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    base: Path, data: bytes | None, code: str, said: str
) -> None:
    """Guards an index that is built without the words that its recipe names."""
    if data is not None:
        (base / "s.txt").write_bytes(data)
    with pytest.raises(RecipeError, match=said) as error:
        recipe(base, SYNONYMS)
    assert error.value.code == code


def test_a_wrong_line_stops_the_build_before_anything_is_written(base: Path) -> None:
    """Guards an index that nobody could open."""
    with pytest.raises(RecipeError, match=r"s\.txt の 2 行目"):
        run(base, recipe(base, SYNONYMS, s="社食\t食堂\n年休\n"))
    assert not (base / "toy").exists()


@pytest.mark.parametrize("name", ["../s.txt", "/etc/hostname", ""])
def test_no_file_outside_the_folder_is_read(base: Path, name: str) -> None:
    """Guards a carried index whose recipe would have another machine's files read."""
    with pytest.raises(RecipeError, match="レシピのフォルダーの中"):
        recipe(base, f'synonyms = "{name}"\n')


def test_the_text_is_stored_and_cannot_be_written_by_hand(base: Path) -> None:
    """Guards a recipe whose file and text disagree."""
    run(base, recipe(base, SYNONYMS, s="社食\t食堂\n"))
    connection = open_catalog(base / "toy")
    assert "社食" in meta_value(connection, "recipe")
    connection.close()
    with pytest.raises(RecipeError, match="synonyms_text"):
        recipe(base, 'synonyms_text = "a\\tb"\n')


DICTIONARY = 'dictionary = "d.txt"\n'


def term_rows(index: Path, term: str) -> int:
    with Engine.open(index) as engine:
        return engine.document_frequency([term], view=View.unrestricted_by_operator())[term]


def test_a_word_makes_new_terms_and_embeds_nothing(base: Path) -> None:
    """Guards the promise: a line in the file, ``ragjp index``, and the word is one term; taken out again, it is none."""
    (base / "all" / "課.txt").write_text("情シス課は三階にある。", encoding="utf-8")
    run(base, recipe(base))
    assert term_rows(base / "toy", "=情シス") == 0
    plain = found(base / "toy", "情シス")
    report = run(base, recipe(base, DICTIONARY, d="情シス,ジョウシス\n"))
    assert (report.embedded_chunks, report.updated) == (0, 0)
    assert term_rows(base / "toy", "=情シス") == 1
    assert "課.txt" in [name for name, _ in found(base / "toy", "じょうしす")]
    generation = report.generation
    assert (
        run(base, recipe(base, DICTIONARY, d="# 注\n情シス,じょうしす\n")).generation == generation
    )
    run(base, recipe(base))
    assert term_rows(base / "toy", "=情シス") == 0
    assert found(base / "toy", "情シス") == plain


def test_an_updated_index_answers_like_a_fresh_one(base: Path) -> None:
    """Guards documents that come after the word, merges, and upkeep that would forget the words."""
    from ragjp.jobs.upkeep import compact, repair_index

    chosen = recipe(base, DICTIONARY, d="情シス\n年次有給\n")
    run(base, recipe(base))
    run(base, chosen)
    (base / "all" / "課.txt").write_text("情シス課は年次有給休暇を取る。", encoding="utf-8")
    run(base, chosen)
    build(chosen, base=base, into=base / "fresh")
    expected = found(base / "fresh", "情シスの年次有給")
    assert found(base / "toy", "情シスの年次有給") == expected != []
    compact(base / "toy")
    assert found(base / "toy", "情シスの年次有給") == expected
    repair_index(base / "toy")
    assert found(base / "toy", "情シスの年次有給") == expected


def test_an_open_engine_takes_up_new_words(base: Path) -> None:
    """Guards a page that says the index does not fit, or that goes on without the words."""
    (base / "all" / "課.txt").write_text("情シス課は三階にある。", encoding="utf-8")
    run(base, recipe(base))
    with Engine.open(base / "toy") as engine:

        def names() -> list[str]:
            hits = engine.search("じょうしす", view=EVERYONE, ranking="bm25").hits
            return [hit.doc_id.rpartition("/")[2] for hit in hits]

        assert "課.txt" not in names()
        run(base, recipe(base, DICTIONARY, d="情シス,ジョウシス\n"))
        assert "課.txt" in names()


def test_a_word_is_found_by_its_synonym(base: Path) -> None:
    """Guards the two files together: the synonym is looked for as the one term that it is."""
    (base / "all" / "課.txt").write_text("情シス課は三階にある。", encoding="utf-8")
    (base / "all" / "情.txt").write_text("情の話とシスターの話。", encoding="utf-8")
    run(base, recipe(base, SYNONYMS + DICTIONARY, d="情シス\n", s="アイティー部\t情シス\n"))
    assert [name for name, _ in found(base / "toy", "アイティー部")] == ["課.txt"]


def test_a_word_that_the_segmenter_knows_is_not_counted_twice(base: Path) -> None:
    """Guards words of the list that are words of the dictionary: their weight would double."""
    run(base, recipe(base, DICTIONARY, d="休暇\n情シス\n"))
    assert term_rows(base / "toy", "=休暇") == 0


def test_a_hidden_document_changes_nothing_through_a_word(base: Path) -> None:
    """Guards the statistics of a word: its df is the view's."""
    chosen = recipe(base, DICTIONARY, d="年次有給\n")
    run(base, chosen)
    with_hidden = found(base / "toy", "年次有給")
    (base / "secret" / "人事.txt").write_text("別の話。", encoding="utf-8")
    run(base, chosen)
    assert found(base / "toy", "年次有給") == with_hidden != []
