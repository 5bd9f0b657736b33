"""Questions as people would also have typed them: seeded, from rules, without a look at any passage.

Each kind changes a question in one way. The same seed, kind and question give the same text on any machine; a question in which there
is nothing to change stays as it is (and is counted as such).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from typing import Final, Literal, get_args

from evals.robustness.perturb_words import (
    CLOSINGS,
    ERAS,
    HALF_WIDTH,
    HOMOPHONES,
    OLD_KANJI,
    OPENINGS,
    SAME_READING,
    SAME_ROW,
    SPELLINGS,
)
from ragjp.japanese.morphemes import Tagger
from ragjp.japanese.normalize import fold

Kind = Literal["variants", "typo", "keywords", "polite", "width"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: What a kind is called in a table.
TITLES: Final[Mapping[Kind, str]] = {
    "variants": "表記ゆれ",
    "typo": "一文字の誤り",
    "keywords": "ことばだけ",
    "polite": "丁寧な言い方",
    "width": "全角・半角",
}

_END = re.compile(r"[?？。．\s]+$")
#: How a plain question ends, and what stays of it before 教えて….
_ASKED = (
    (re.compile(r"(?:ですか|でしょうか|だろうか|でしたか)$"), "か"),
    (re.compile(r"(?:ますか)$"), "ますか"),
    (re.compile(r"(?:ましたか)$"), "ましたか"),
    (re.compile(r"か$"), "か"),
)
_OPEN = re.compile(
    r"(?:何|なに|なん|誰|だれ|どこ|いつ|どれ|どちら|いくつ|いくら|何[^\s、。]{1,2})$"
)
_TOPIC = re.compile(r"(?:と?は|って)$")

_GRAMMAR = ("助詞", "助動詞", "補助記号", "記号", "感動詞", "空白", "接続詞")
#: Words that nobody types into a search box: question words, light verbs, empty nouns.
_EMPTY = frozenset(
    "何 誰 何処 何時 何れ 何方 幾つ 幾ら 何故 如何 どう どの どんな 此の 其の 為る 居る 有る 成る 言う 事 物 教える 下さる 頂く 出来る です".split()
)

_YEAR = re.compile(r"(?<![0-9０-９])(1[89][0-9]{2}|20[0-9]{2})年")
_NUMBER = re.compile(r"(?<![0-9.])([1-9][0-9]{0,2})(?=[人年月日回本個歳冊位番枚度階円])")
_KANJI_DIGITS = "〇一二三四五六七八九"


def perturb(text: str, kind: Kind, *, seed: int = 1) -> str:
    """Change a question in one way.

    >>> perturb("日本の首都はどこですか？", "keywords")
    '日本 首都'
    >>> perturb("サーバーの台数は？", "width")
    'ｻｰﾊﾞｰの台数は？'
    """
    state = hashlib.sha256(f"{seed}\0{kind}\0{text}".encode()).digest()
    return _CHANGES[kind](text, Random(int.from_bytes(state[:8], "big")))


# --------------------------------------------------------------------------------------------- spelling


def _variants(text: str, random: Random) -> str:
    """Spell every word of the tables in another way, write one year or number in another way, and one kanji in its old form."""
    for spellings in SPELLINGS:
        for spelling in sorted(spellings, key=len, reverse=True):
            if spelling in text and not _inside_kanji(text, spelling):
                others = [other for other in spellings if other != spelling]
                text = text.replace(spelling, random.choice(others), 1)
                break
    text = _YEAR.sub(lambda found: _year(int(found[1]), random), text, count=1)
    text = _NUMBER.sub(lambda found: _kanji_number(int(found[1])), text, count=1)
    if old := [place for place, c in enumerate(text) if c in OLD_KANJI]:
        place = random.choice(old)
        text = text[:place] + OLD_KANJI[text[place]] + text[place + 1 :]
    return text


def _inside_kanji(text: str, word: str) -> bool:
    """Whether a word of one kanji is part of a longer one: 事 of 事件, 誰 alone is none."""
    at = text.find(word)
    around = text[max(0, at - 1) : at] + text[at + len(word) : at + len(word) + 1]
    return len(word) == 1 and any("一" <= c <= "龥" for c in around)


def _year(year: int, random: Random) -> str:
    for era, first in ERAS:
        # The year of a change of eras has two names.
        if year > first and random.random() < 0.5:
            return f"{era}{year - first + 1}年"
        if year >= first:
            break
    return "".join(_KANJI_DIGITS[int(digit)] for digit in str(year)) + "年"


def _kanji_number(number: int) -> str:
    parts = []
    for unit, name in ((100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            parts.append(("" if digit == 1 and name else _KANJI_DIGITS[digit]) + name)
    return "".join(parts)


def _width(text: str, random: Random) -> str:
    """Katakana to half width; letters and digits to the other width."""
    del random
    return "".join(HALF_WIDTH.get(c, c) if "ァ" <= c <= "ヿ" else _other_width(c) for c in text)


def _other_width(c: str) -> str:
    if c.isascii() and c.isalnum():
        return chr(ord(c) + 0xFEE0)
    if "！" <= c <= "～" and chr(ord(c) - 0xFEE0).isalnum():
        return chr(ord(c) - 0xFEE0)
    return c


# ----------------------------------------------------------------------------------------------- typos


def _typo(text: str, random: Random) -> str:
    """One slip: two neighbours swapped, one left out, one doubled, a kana of the same row, or the wrong kanji."""
    slips: list[Callable[[str, Random], Iterator[str]]] = [_swap, _drop, _double, _row, _kanji]
    random.shuffle(slips)
    for slip in slips:
        if changed := [one for one in slip(text, random) if one != text]:
            return random.choice(changed)
    return text


def _letters(text: str) -> list[int]:
    return [place for place, c in enumerate(text) if c.isalnum()]


def _swap(text: str, random: Random) -> Iterator[str]:
    del random
    for a in _letters(text):
        if text[a + 1 : a + 2].isalnum():
            yield text[:a] + text[a + 1] + text[a] + text[a + 2 :]


def _drop(text: str, random: Random) -> Iterator[str]:
    del random
    if len(_letters(text)) > 1:
        yield from (text[:a] + text[a + 1 :] for a in _letters(text))


def _double(text: str, random: Random) -> Iterator[str]:
    del random
    yield from (text[:a] + text[a] + text[a:] for a in _letters(text))


def _row(text: str, random: Random) -> Iterator[str]:
    for a in _letters(text):
        if text[a] in SAME_ROW:
            yield text[:a] + random.choice(SAME_ROW[text[a]]) + text[a + 1 :]


def _kanji(text: str, random: Random) -> Iterator[str]:
    words = [
        text.replace(word, random.choice([other for other in row if other != word]), 1)
        for row in HOMOPHONES
        for word in row
        if word in text
    ]
    yield from words
    if not words:
        for row in SAME_READING:
            for a, c in enumerate(text):
                if c in row:
                    yield text[:a] + random.choice(row.replace(c, "")) + text[a + 1 :]


# ------------------------------------------------------------------------------------------ ways of asking


@cache
def _tagger() -> Tagger:
    return Tagger()


def _keywords(text: str, random: Random) -> str:
    """What would be typed into a search box: words that touch stay together, particles and endings go."""
    del random
    folded = fold(text)
    runs: list[str] = []
    last = -1  # where a noun ended that the next one would make a longer word with
    for word in _tagger()(folded):
        if word.pos.startswith(_GRAMMAR) or word.lemma in _EMPTY or word.pos.startswith("代名詞"):
            continue
        is_verb = word.pos.startswith(("動詞", "形容詞"))
        if word.start == last and not is_verb:
            runs[-1] += word.surface
        else:
            runs.append(word.surface)
        last = -1 if is_verb else word.end
    return " ".join(runs) or text


def _polite(text: str, random: Random) -> str:
    asked = _END.sub("", text)
    for pattern, ending in _ASKED:
        if pattern.search(asked):
            asked = pattern.sub(ending, asked)
            break
    else:
        asked = asked + "か" if _OPEN.search(asked) else _TOPIC.sub("", asked) + "について"
    comma = "、" if asked.endswith("か") and random.random() < 0.5 else ""
    return random.choice(OPENINGS) + asked + comma + random.choice(CLOSINGS)


_CHANGES: Final[Mapping[Kind, Callable[[str, Random], str]]] = {
    "variants": _variants,
    "typo": _typo,
    "keywords": _keywords,
    "polite": _polite,
    "width": _width,
}
