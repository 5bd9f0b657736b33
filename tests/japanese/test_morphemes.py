"""The fast tagger against fugashi's own nodes, and what it says when the dictionary is another."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.errors import IndexMismatch, MissingExtra
from ragjp.japanese.dictionary import Dictionary
from ragjp.japanese.morphemes import Morpheme, NodeTagger, Tagger, pieces
from ragjp.japanese.normalize import fold

VARIED = [
    "",
    " ",
    "\t \n",
    "サーバーの申込は令和5年4月1日から。",
    "田中さんが東京駅で３,０００円を払った",
    'カンマ,引用"符"と,"両方",を含む',
    "未知語ゑゐ々〆ヶ 邉 彁 ｱｲｳ 😀👍🏽 \U00020bb7野家",
    "Latin words, e.g. x@y.com http://a.jp/?q=1#z C++ v1.8.0",
    "行\nの\r終わり\x0bと\x0c制御\x00文字\x85\u2028",
    "　全角の空白　から　",
    "和名 銀白 流刑 黄土 砂岩 ロブスタ 挿し木",  # entries that tie in everything but the reading
    "あ" * 300,
    "a" * 300,
    "1" * 300,
]


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger()


@pytest.fixture(scope="module")
def oracle() -> NodeTagger:
    return NodeTagger()


@pytest.mark.parametrize("text", VARIED)
def test_fast_and_plain_agree(text: str, tagger: Tagger, oracle: NodeTagger) -> None:
    assert tagger(text) == oracle(text)
    assert tagger(fold(text)) == oracle(fold(text))


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from([*VARIED, "は", "、", "東京", "ー", '"', ",", "\t"])
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        max_size=8,
    )
)
def test_fast_and_plain_agree_on_anything(parts: list[str]) -> None:
    text = "".join(parts)
    assert _TAGGER(text) == _ORACLE(text)


_TAGGER = Tagger()
_ORACLE = NodeTagger()


def test_a_very_long_text_is_cut_between_words(tagger: Tagger, oracle: NodeTagger) -> None:
    """MeCab holds a whole text at once; the pieces must lose nothing and keep their places."""
    text = "経費の申請は、所属長の承認を得る。" * 8000
    found = tagger(text)
    assert found == oracle(text)
    assert len(found) == 8000 * len(tagger("経費の申請は、所属長の承認を得る。"))
    assert all(text[m.start : m.end] == m.surface for m in found)
    assert "".join(pieces(text)) == text
    assert "".join(pieces("漢" * 120_000)) == "漢" * 120_000


def test_fields(tagger: Tagger) -> None:
    assert tagger("サーバーを 申込")[0] == Morpheme(
        "サーバー", "サーバー", "サーバー", "名詞,普通名詞,一般", 0, 4
    )
    assert tagger("サーバーを 申込")[-1] == Morpheme(
        "申込", "申し込み", "モウシコミ", "名詞,普通名詞,一般", 6, 8
    )
    name, unknown = tagger("東京xyzzy")
    assert (name.lemma, name.pos) == ("トウキョウ", "名詞,固有名詞,地名,一般")
    assert (unknown.lemma, unknown.reading) == ("xyzzy", "")


def test_threads_may_share_a_tagger(tagger: Tagger) -> None:
    texts = [f"第{i}条の経費は{i * 7}円とする。" for i in range(400)]
    expected = [tagger(text) for text in texts]
    barrier = threading.Barrier(4)

    def work(_: int) -> list[list[Morpheme]]:
        barrier.wait()
        return [tagger(text) for text in texts]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(work, range(4)))


def test_another_dictionary_is_refused_by_name() -> None:
    assert Tagger("unidic-lite 1.0.8").dictionary == "unidic-lite 1.0.8"
    with pytest.raises(IndexMismatch, match=r"ipadic 2\.7\.0") as caught:
        Tagger("ipadic 2.7.0")
    assert caught.value.code == "dictionary_mismatch"


@pytest.mark.parametrize("package", ["fugashi", "unidic_lite"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=package.replace("_", "-")):
        Tagger()


def test_a_broken_dictionary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sys.dic"
    for content in (b"", b"short", b"\0" * 200):
        path.write_bytes(content)
        with pytest.raises(IndexMismatch, match=r"sys\.dic"):
            Dictionary(path)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc on this system")
def test_taggers_share_one_open_dictionary() -> None:
    """Fugashi never closes its tagger: every engine that was opened and closed left the whole dictionary mapped."""

    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("unidic_lite/dicdir/matrix.bin")

    Tagger()("経費精算")
    before = maps()
    for _ in range(3):
        assert [word.surface for word in Tagger()("経費精算")] == ["経費", "精算"]
    assert maps() == before
