"""Chunks: nothing lost, nothing torn, headings carried."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.config import Chunking
from ragjp.japanese.chunks import chunk_document
from ragjp.japanese.headings import find_heading
from ragjp.types import Chunk, Document, Page

TRICKY = "あ漢A1 　\n\r\t。．！？、「」（）・●①第条章節■-|"
SENTENCE = "経費の申請は、支払の日から七日以内に所属長の承認を得て行う。"


def document(*pages: str | Page) -> Document:
    made = tuple(
        page if isinstance(page, Page) else Page(i, page) for i, page in enumerate(pages, start=1)
    )
    return Document("規程/経費.md", "経費規程", made, "md")


def chunks(*pages: str | Page, **sizes: int) -> list[Chunk]:
    return chunk_document(document(*pages), Chunking(**sizes))


PARTS = (
    "第1章　総則\n",
    "第1条（目的）\n",
    "（定義）\n",
    "第２条　用語は次による。\n",
    "■ 手順\n",
    "1. 概要\n",
    "1.1 範囲\n",
    "・項目\n",
    "- 3 -\n",
    "目次 ...... 3\n",
    "\n\n",
    SENTENCE,
    SENTENCE * 9,
    "長" * 700,
    "長い、" * 300,
)
page_text = st.text(TRICKY, max_size=400) | st.lists(st.sampled_from(PARTS), max_size=25).map(
    "".join
)


@settings(max_examples=250)
@given(
    st.lists(page_text, max_size=3),
    st.integers(50, 400),
    st.integers(80, 700),
    st.integers(0, 3),
)
def test_chunks_are_cut_from_their_page_and_lose_nothing(
    texts: list[str], target: int, most: int, overlap: int
) -> None:
    sizes = Chunking(target_chars=target, max_chars=max(target, most), overlap_sentences=overlap)
    made = document(*texts)
    found = chunk_document(made, sizes)
    for page in made.pages:
        here = [chunk for chunk in found if chunk.page == page.number]
        covered = set()
        for chunk in here:
            assert chunk.text == page.text[chunk.start : chunk.end]
            assert 0 < len(chunk.text) <= sizes.max_chars
            assert chunk.text == chunk.text.strip()
            covered.update(range(chunk.start, chunk.end))
        if here:
            lost = [i for i, c in enumerate(page.text) if not c.isspace() and i not in covered]
            assert lost == []
        else:
            assert not page.text.strip(" \t\r\n　-123１")
        starts = [chunk.start for chunk in here]
        assert starts == sorted(starts)
        assert len({chunk.chunk_id for chunk in here}) == len(here)


@pytest.mark.parametrize("n", [1, 5, 19])
def test_a_short_passage_is_one_chunk(n: int) -> None:
    """A benchmark passage is judged as a whole; cutting it would halve its score."""
    text = "第1章 総則\n1. 概要\n\n" + SENTENCE * n
    (chunk,) = chunks(text)
    assert chunk.text == text


def test_an_article_stays_whole_and_starts_a_chunk() -> None:
    articles = [f"第{i}条（項目{i}）\n" + SENTENCE * 8 for i in range(1, 5)]
    found = chunks("第1章　総則\n" + "\n".join(articles))
    assert [chunk.text.rpartition("第1章　総則\n")[2] for chunk in found] == articles
    assert [chunk.heading_path for chunk in found] == [
        ("第1章 総則", f"第{i}条（項目{i}）") for i in range(1, 5)
    ]


def test_a_long_article_is_cut_evenly_between_sentences() -> None:
    found = chunks("第1条（目的）\n" + SENTENCE * 30)
    assert all(chunk.text.endswith("。") for chunk in found)
    lengths = [len(chunk.text) for chunk in found]
    assert max(lengths) - min(lengths) <= 2 * len(SENTENCE)
    assert {chunk.heading_path for chunk in found} == {("第1条（目的）",)}


def test_headings_go_on_from_page_to_page() -> None:
    """第3章 continues on the next page of a PDF, whose text does not repeat it."""
    found = chunks(
        "第3章 海外旅費\n第10条（日当）\n" + SENTENCE * 5,
        SENTENCE * 5 + "\n第11条（宿泊料）\n" + SENTENCE * 8 + "\n第4章 精算\n" + SENTENCE * 5,
    )
    assert [(chunk.page, chunk.heading_path) for chunk in found] == [
        (1, ("第3章 海外旅費", "第10条（日当）")),
        (2, ("第3章 海外旅費", "第10条（日当）")),
        (2, ("第3章 海外旅費", "第11条（宿泊料）")),
        (2, ("第4章 精算",)),
    ]
    assert found[1].context == "経費規程 第3章 海外旅費 第10条（日当）"


def test_headings_of_the_format_are_believed() -> None:
    text = f"導入\n{SENTENCE * 8}\n■ 印\n{SENTENCE * 4}\n詳細\n{SENTENCE * 8}"
    page = Page(1, text, ((0, 1, "導入"), (text.index("詳細"), 2, "詳細")))
    found = chunks(page)
    assert {chunk.heading_path for chunk in found} == {("導入",), ("導入", "詳細")}
    assert next(c for c in found if c.heading_path[-1] == "詳細").text.startswith("詳細\n")


def test_tiny_sections_join_a_neighbour() -> None:
    found = chunks("\n".join(f"第{i}条（項目）\n短い。" for i in range(1, 80)))
    assert all(len(chunk.text) >= 80 for chunk in found)


def test_a_page_number_makes_no_chunk() -> None:
    assert chunks("- 3 -", "12", "4/17ページ") == []
    (chunk,) = chunks("- 3 -", SENTENCE * 3 + "\n- 4 -")
    assert chunk.page == 2


def test_an_overlong_sentence_is_cut_at_a_comma_else_hard() -> None:
    found = chunks("数値、" * 500)
    assert all(chunk.text.endswith("、") for chunk in found)
    found = chunks("漢" * 1500)
    assert "".join(chunk.text for chunk in found) == "漢" * 1500


def test_overlap_repeats_whole_sentences_inside_a_section_only() -> None:
    parts = [f"第{i}文。" + SENTENCE for i in range(40)]
    plain = chunks("".join(parts))
    found = chunks("".join(parts), overlap_sentences=2)
    assert [chunk.end for chunk in found] == [chunk.end for chunk in plain]
    for last, chunk in pairwise(found):
        shared = last.text[chunk.start - last.start :]
        assert shared
        assert shared.endswith("。")
        assert chunk.text.startswith(shared)
    apart = chunks(
        f"第1条（甲）\n{SENTENCE * 12}\n第2条（乙）\n{SENTENCE * 12}", overlap_sentences=2
    )
    assert apart[1].text.startswith("第2条")


@pytest.mark.parametrize(
    ("line", "following", "level", "title"),
    [
        ("第１章　総　則", "", 2, "第１章 総 則"),
        ("第十二条の二（経費）", "", 6, "第十二条の二（経費）"),
        ("第3条　従業員は、誠実に勤務しなければならない。", "", 6, "第3条"),
        ("（目的）", "第1条　この規程は、経費を定める。", 6, "第1条（目的）"),
        ("附則", "", 2, "附則"),
        ("3.2 設定", "本文。", 8, "3.2 設定"),
        ("７　陳列と販売", "本文。", 7, "７ 陳列と販売"),
        ("■ 手順", "本文。", 11, "■ 手順"),
    ],
)
def test_headings_are_found(line: str, following: str, level: int, title: str) -> None:
    found = find_heading(line, following)
    assert found is not None
    assert (found.level, found.title) == (level, title)


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("第3条の規定により支払う。", ""),
        ("第1章　総則 ........ 3", ""),
        ("1. りんご", "2. みかん"),
        ("● りんご", "● みかん"),
        ("（参考）", "本文。"),
        ("2023年の概要", ""),
        ("10 月の予定", ""),
        ("65 億円", "本文。"),
        ("12 遠藤 (2019)", "本文。"),
        ("41 コラム 11 参照", "本文。"),
        ("7 脚注の文", ""),
        (SENTENCE, ""),
    ],
)
def test_what_only_looks_like_a_heading(line: str, following: str) -> None:
    assert find_heading(line, following) is None
