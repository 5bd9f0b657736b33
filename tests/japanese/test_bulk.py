"""Analysis in bulk says what analysis one by one says, whatever the text and the machine."""

from __future__ import annotations

import gc
import json
import random
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragjp import compiled
from ragjp.index.lexical.postings import build_postings
from ragjp.japanese import bulk, library, terms
from ragjp.japanese.bulk import BulkAnalyzer
from ragjp.japanese.character_tables import LAST_WORD_CHARACTER
from ragjp.japanese.columns import TermColumn, column_of, joined
from ragjp.japanese.numbering import Numbering
from ragjp.japanese.terms import FIELDS, KERNELS, Analyzer, searched_text

ANALYZER = Analyzer()
needs_kernels = pytest.mark.skipif(
    bool(ANALYZER.why_no_bulk), reason=ANALYZER.why_no_bulk or "bulk analysis is there"
)

#: Whatever depends on its neighbours: marks, blanks, dashes, digits in all shapes, surrogate planes.
TRICKY = (
    "アカサーかがは日本東京國髙﨑、。」)・ABab019０９，．,.①½㈱ｶﾞ゛\u3099\u200b\U000e0100 \u3000\n\r\t\f\x00"
    "\u2028-−～ーˣ_İ한\u1161𠮷𝟙😀年月日令和五%円々〇ゝゔヵ"
)
any_text = st.text(st.characters(exclude_categories=["Cs"]))
tricky_text = st.text(TRICKY, max_size=30)
numbers_text = st.text("0123456789,.．，三十年月 円/r-ー", max_size=30)

HARD = [
    "",
    " \n",
    "\0",
    "a\0b",
    "。" * 300,
    "旅費" * 40_000,
    ("経費の申請は3.5日以内。" * 5_000)[:50_001],
    "ー" * 5_000,
    "9" * 5_000,
    "1.8.0と192.168.0.1と3.5.と.5と3..5と12,34と1,234,567円",
    "1." * 100 + "5",
    "1. 2023年、 2.5 と2 .5",
    "サ-バ-は、サ−バ‐。A-B 03ー1234―5678",
    "調　査　目　的\n\n出張\r\nとは\t勤務地 \n JR\n東京",
    "㈱髙島屋のＩＴ統制、第②条　ｻｰﾊﾞｰ　3½",
    "北斗(株)",
    "(有)山川と(財)白樺、駐車場(有)",
    "(有",
    ")斎藤とヴェネツィアのWi-Fi、03-1234-5678、トランスデューサー",
    "か\u3099か゛ハ゜\u200b葛\U000e0100城",
    "😀👨‍👩‍👧𠮷野家と吉野家",
    "ゴゴゴパパ vQzrt-77 ﷺ العربية 한국어 Привет",
    "令和５年４月１日から三百万円、R5.4.1、二〇二三年、三一九二三年、s1923年、fy2023",
    "々々ー々。ゝ。〇。ヶ",
    "İstanbul ß ſ ǅ Σςσ",
]


def same(texts: Sequence[str], columns: dict[str, TermColumn]) -> None:
    for text, lemma, bigram in zip(texts, columns["lemma"], columns["bigram"], strict=True):
        assert {"lemma": lemma, "bigram": bigram} == ANALYZER.terms(text), text[:80]


@pytest.fixture
def always_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few characters there are."""
    monkeypatch.setattr(terms, "_FEWEST_CHARS", 0)
    monkeypatch.setattr(terms, "_WORTH_WAITING_CHARS", 0)


@needs_kernels
@pytest.mark.usefixtures("always_bulk")
@pytest.mark.parametrize("workers", [1, 2])
def test_hard_texts_have_the_same_terms(workers: int) -> None:
    same(HARD, ANALYZER.terms_many(HARD, workers=workers))
    same(HARD[::-1], ANALYZER.terms_many(HARD[::-1], workers=workers))


@needs_kernels
@pytest.mark.usefixtures("always_bulk")
@settings(max_examples=300, deadline=None)
@given(st.lists(tricky_text | numbers_text | any_text, max_size=6))
@example(["カ-", "カ"])
@example(["1", ",234"])
@example(["日", "", " 本"])
@example(["3", ".5"])
def test_any_texts_have_the_same_terms(texts: list[str]) -> None:
    """A table that misses a rule, or a text that sees its neighbour in the batch."""
    same(texts, ANALYZER.terms_many(texts))


@needs_kernels
def test_the_first_texts_do_not_wait_for_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update of one document would take a second instead of a tenth of it."""
    monkeypatch.setattr(compiled, "ready", lambda module: None)
    monkeypatch.setattr(BulkAnalyzer, "columns", None)
    texts = ["経費の申請は3.5日以内。"] * 3_000
    same(texts[:9], ANALYZER.terms_many(texts[:9]))
    assert len(ANALYZER.terms_many(texts)["lemma"]) == 3_000


@needs_kernels
def test_every_character_has_the_same_terms() -> None:
    """Hypothesis samples; this looks at every character, between kana, digits and by itself."""
    every = [chr(c) for c in range(0x30000) if not 0xD800 <= c <= 0xDFFF]
    folded = BulkAnalyzer(ANALYZER).fold([f"ア{c}ア1{c}1 {c}" for c in every]).texts
    for c, found in zip(every, folded, strict=True):
        assert found == searched_text(f"ア{c}ア1{c}1 {c}"), hex(ord(c))
    lines = ["\n\n".join(every[start : start + 64]) for start in range(0, len(every), 64)]
    sample = random.Random(3).sample(lines[:1024], 256)
    same(sample, ANALYZER.terms_many(sample))


@needs_kernels
@pytest.mark.usefixtures("always_bulk")
@pytest.mark.parametrize("text", ["\ud800", "経費\udfff"])
def test_half_a_character_fails_as_it_does_alone(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        ANALYZER.terms(text)
    with pytest.raises(UnicodeEncodeError):
        ANALYZER.terms_many(["経費", text])
    same(["経費"], ANALYZER.terms_many(["経費"]))


@needs_kernels
def test_passages_have_the_same_terms_and_titles() -> None:
    passages = [
        ("経費規程", "精算は3営業日以内。"),
        ("", "経費規程"),
        ("経費規程", "前の章と同じ題。"),
        ("第1.2版", ""),
    ] * 700
    columns = ANALYZER.passages_terms(passages, workers=2)
    assert tuple(columns) == FIELDS
    for i in (0, 1, 2, 3, -1):
        alone = ANALYZER.passage_terms(*passages[i])
        assert {name: column[i] for name, column in columns.items()} == alone
    assert all(len(column) == len(passages) for column in columns.values())


@needs_kernels
@pytest.mark.usefixtures("always_bulk")
def test_a_full_memory_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of numbers and names that never ends would take all memory."""
    monkeypatch.setattr(bulk, "MOST_ENTRIES", 50)
    analyzer = Analyzer()
    texts = [f"第{i}条 {chr(0x4E00 + i)}田 x{i}" for i in range(60)]
    for start in range(0, 60, 20):
        same(texts[start : start + 20], analyzer.terms_many(texts[start : start + 20]))


@pytest.mark.usefixtures("always_bulk")
def test_without_the_library_the_terms_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fugashi built from source has no libmecab beside it."""
    monkeypatch.setattr(library, "_PLACES", ())
    analyzer = Analyzer()
    assert analyzer.why_no_bulk
    same(HARD[8:], analyzer.terms_many(HARD[8:], workers=2))


@pytest.mark.usefixtures("always_bulk")
def test_without_numba_the_terms_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "load", lambda module: None)
    monkeypatch.setattr(compiled, "why_not", lambda: "numba が入っていません。")
    analyzer = Analyzer()
    assert "numba" in analyzer.why_no_bulk
    same(HARD[8:], analyzer.terms_many(HARD[8:]))


@needs_kernels
def test_nodes_of_another_shape_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another libmecab would give wrong words without a word."""
    columns = BulkAnalyzer.columns
    monkeypatch.setattr(
        BulkAnalyzer, "columns", lambda self, texts: columns(self, ["別"] * len(texts))
    )
    assert "libmecab" in Analyzer().why_no_bulk


@needs_kernels
def test_an_analyzer_can_be_let_go() -> None:
    """Each holds a tagger outside of Python's memory."""
    analyzer = Analyzer()
    assert not analyzer.why_no_bulk
    gone = weakref.ref(analyzer)
    del analyzer
    gc.collect()
    assert gone() is None


def test_no_letter_stands_beyond_the_tables() -> None:
    assert not any(chr(c).isalnum() for c in range(LAST_WORD_CHARACTER + 1, sys.maxunicode + 1))


@needs_kernels
def test_numbering_is_that_of_a_dictionary() -> None:
    """A table that grows must not lose a key, nor take two for one."""
    kernels = compiled.load(KERNELS)
    assert kernels is not None
    keys = np.random.default_rng(1).integers(-3, 150_000, 400_000)
    keys[::7] <<= 40
    numbering = Numbering(kernels)
    numbers = np.concatenate([numbering.of(part) for part in np.split(keys, 8)])
    known: dict[int, int] = {}
    expected = [known.setdefault(k, len(known)) if k > 0 else -1 for k in keys.tolist()]
    assert numbers.tolist() == expected
    assert numbering.keys.tolist() == list(known)


words = st.lists(st.lists(st.sampled_from(["経費", "旅費", "a", "b"]), max_size=4), max_size=5)


@given(st.lists(words, min_size=1, max_size=4))
def test_a_column_is_the_list_of_its_terms(parts: list[list[list[str]]]) -> None:
    whole = [row for rows in parts for row in rows]
    column = joined([column_of(rows) for rows in parts])
    assert list(column) == whole
    assert column[:] == whole
    assert [column[i] for i in range(-len(whole), 0)] == whole
    assert len(set(column.terms)) == len(column.terms)
    picked = np.arange(len(whole))[::-1].repeat(2)
    assert list(column.rows(picked)) == [whole[i] for i in picked]
    with pytest.raises(IndexError):
        column[len(whole)]


@needs_kernels
def test_a_corpus_has_the_same_terms(data_folder: Path) -> None:
    """Real text: what no list of hard cases thinks of."""
    texts: list[str] = []
    for name, share in (("jaquad", 12), ("enterprise-ja", 1)):
        for path in sorted((data_folder / name).glob("corpus.jsonl")):
            with path.open(encoding="utf-8") as lines:
                texts += [json.loads(line)["text"] for line in list(lines)[::share]]
    assert len(texts) > 500
    same(texts, ANALYZER.terms_many(texts, workers=2))


@given(words)
def test_a_column_has_the_postings_of_its_lists(rows: list[list[str]]) -> None:
    """Spellings that no row uses must not become terms of the index."""
    column = column_of([*rows, ["出張"]]).rows(np.arange(len(rows)))
    expected, found = build_postings(rows).arrays("lemma"), build_postings(column).arrays("lemma")
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
