"""Content words of a text, and how far a piece of evidence covers those of a question or a statement."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ragjp.chain.ports import TermStatistics
from ragjp.japanese.morphemes import Morpheme, Tagger
from ragjp.japanese.normalize import fold
from ragjp.types import View

#: Words that ask, point or join and tell nothing about the subject. As lemmas of UniDic.
_EMPTY = frozenset(
    "明治 大正 昭和 平成 令和 年 月 日 年度 何 何時 幾ら 幾つ 幾 誰 何処 何れ 何方 どう どの 此れ 其れ 此の 其の 為る 有る 居る 成る 出来る 言う 教える 下さる "
    "頂く 致す 知る 良い 無い 思う 御座る 仕舞う 時 事 物 者 場合 後 為 所 方 様 際 訳 内 中 他 等 度 程 半 さん 私 当社 答え 質問".split()
)
#: Words of almost any question or rule: they count, a little.
_COMMON = frozenset(
    "必要 以内 以上 以下 以降 以前 迄 名前 名称 意味 方法 内容 対応 確認 使う 行う 貰う 受ける 出る 出す 書く 取る 取れる 入れる 入る "
    "決まる 決める 見る 聞く 残す 残る 前 次 新しい 現在 会社 社内 規程 規則 規定 最長 最大 一人 一番 表示 状態 種類".split()
)
_SKIPPED_POS = (
    "助詞",
    "助動詞",
    "補助記号",
    "記号",
    "空白",
    "接尾辞",
    "接頭辞",
    "代名詞",
    "感動詞",
    "接続詞",
    "連体詞",
)
_NAME_POS = ("名詞,固有名詞,地名", "名詞,固有名詞,人名")
_KANJI_PAIR = re.compile(r"[\u4e00-\u9fff]{2}")

COMMON_WEIGHT = 0.25
VERB_WEIGHT = 0.5
#: What a word counts that the evidence only has spelled out: 育休 for 育児休業, 年休 for 年次有給休暇.
ABBREVIATION_CREDIT = 0.8


@dataclass(frozen=True, slots=True)
class Word:
    """A content word: ``term`` as in the index's ``lemma`` field, ``surface`` as folded text has it."""

    term: str
    surface: str
    factor: float
    is_name: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """A folded text with the terms in it, to check words against."""

    text: str
    terms: frozenset[str]

    def credit(self, word: Word) -> float:
        """How far the text has a word, from 0 to 1: as a term, inside a longer word, or spelled out."""
        if word.term in self.terms:
            return 1.0
        if len(word.surface) > 1 and word.surface in self.text:
            return 1.0
        if _KANJI_PAIR.fullmatch(word.surface):
            spelled_out = rf"{word.surface[0]}[\u4e00-\u9fff]{{1,3}}{word.surface[1]}"
            return ABBREVIATION_CREDIT if re.search(spelled_out, self.text) else 0.0
        return 0.0

    def __or__(self, other: Evidence) -> Evidence:
        return Evidence(f"{self.text}\n{other.text}", self.terms | other.terms)


class WordReader:
    """Reads content words with the tagger that the index uses; remembers the last few thousand sentences.

    Parameters
    ----------
    tagger
        Folded text to morphemes; ``None`` makes a :class:`ragjp.japanese.morphemes.Tagger`.
    """

    def __init__(self, tagger: Callable[[str], list[Morpheme]] | None = None) -> None:
        self._tagger = tagger or Tagger()
        self._read = lru_cache(maxsize=4096)(self._read_once)

    def words(self, text: str) -> tuple[Word, ...]:
        """Return the content words of a source text, each once, in order; numbers are not among them."""
        return self._read(fold(text))[0]

    def topic(self, question: str) -> frozenset[str]:
        """Return the terms of what a question is about: the nouns, joined by の, that stand before its first は."""
        phrase: list[str] = []
        for morpheme in self._tagger(fold(question)):
            if morpheme.surface == "は" and morpheme.pos.startswith("助詞,係助詞"):
                return frozenset(phrase)
            if morpheme.pos.startswith(("名詞", "接尾辞", "接頭辞", "形状詞")):
                phrase.append(_term(morpheme))
            elif morpheme.surface != "の":
                phrase = []
        return frozenset()

    def evidence(self, text: str) -> Evidence:
        """Return a source text as evidence."""
        folded = fold(text)
        return Evidence(folded, self._read(folded)[1])

    def _read_once(self, folded: str) -> tuple[tuple[Word, ...], frozenset[str]]:
        words: dict[str, Word] = {}
        terms: set[str] = set()
        for morpheme in self._tagger(folded):
            term = _term(morpheme)
            terms.add(term)
            if term not in words and (factor := _factor(morpheme, term)) > 0:
                is_name = morpheme.pos.startswith(_NAME_POS)
                words[term] = Word(term, morpheme.surface, factor, is_name)
        return tuple(words.values()), frozenset(terms)


def _term(morpheme: Morpheme) -> str:
    """The term that the index's ``lemma`` field has for a morpheme."""
    proper = morpheme.pos.startswith("名詞,固有名詞")
    return morpheme.surface if proper else fold(morpheme.lemma)


def _factor(morpheme: Morpheme, term: str) -> float:
    """Say how much a morpheme tells about the subject, from 0 (nothing) to 1."""
    pos = morpheme.pos
    if pos.startswith((*_SKIPPED_POS, "名詞,数詞")) or term in _EMPTY or not term:
        return 0.0
    if not any(map(str.isalpha, morpheme.surface)):
        return 0.0
    if len(term) == 1 and (term.isascii() or "\u3041" <= term <= "\u3096"):
        return 0.0
    if term in _COMMON or "助数詞" in pos:
        return COMMON_WEIGHT
    return VERB_WEIGHT if pos.startswith(("動詞", "副詞")) else 1.0


def coverage(weights: Mapping[Word, float], evidence: Evidence) -> float:
    """Return the share of the words' weight that the evidence has, from 0 to 1; 1 when there are no words."""
    total = sum(weights.values())
    if total == 0:
        return 1.0
    return sum(weight * evidence.credit(word) for word, weight in weights.items()) / total


def weigh(
    words: Sequence[Word],
    *,
    statistics: TermStatistics | None,
    view: View,
    candidates: Sequence[Evidence],
) -> dict[Word, float]:
    """Give each word its weight: how rare it is among the chunks that the view may read, times how much it tells.

    ``log(1 + N / (df + 0.5))``, with df and N of the visible chunks, or of the candidates where no statistics are at hand.
    """
    if statistics is not None:
        counts = statistics.document_frequency([word.term for word in words], view=view)
        n_chunks = statistics.document_count(view=view)
    else:
        counts = {word.term: sum(word.term in one.terms for one in candidates) for word in words}
        n_chunks = len(candidates)
    return {
        word: word.factor * math.log(1 + max(n_chunks, 1) / (counts.get(word.term, 0) + 0.5))
        for word in words
    }
