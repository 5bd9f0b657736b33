"""Questions and passages about pairs of writings: sentences that differ in one word only.

A pair (``ｻｰﾊﾞ``, ``サーバ``) becomes a question with the one and a passage with the other. Its sentence is shared with the passages of
some forty other pairs and with near misses (the next day, the next article, the words of ``apart.tsv``), so that nothing but the word tells
them apart. Pairs that share a form, or where one form is part of the other's, are a family: a passage with the very word of the question
would win, so each of a family is asked in a round of its own. A round is a group of readers; one index serves all rounds.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.dataset import DatasetError

DATA = Path(__file__).parents[1] / "data" / "variants"

#: Slot → (passage, question) of each sentence. None of their words is one of a pair.
SENTENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        (
            "{}については、担当する部署が定例の会合で見直し、結果を全員に知らせる。",
            "{}は誰が見直すか",
        ),
        ("新しい資料では、{}の説明が前の版より詳しくなった。", "{}の説明は資料でどうなったか"),
        ("来月の会合では、{}が主な議題として話し合われる。", "{}を議題とするのはいつか"),
        ("課長の話によると、{}の担当が春から替わるという。", "{}の担当はいつ替わるか"),
    ),
    "name": (
        ("会の議長は{}が務め、最後に報告をまとめた。", "{}は会で何を務めたか"),
        ("秋の講演では{}が最初に話し、多くの質問に答えた。", "{}は講演でどの順に話したか"),
    ),
    "date": (
        ("この取り決めは{}に改められ、関係する全員に伝えられた。", "{}に改められた物は何か"),
        ("今の体制は{}に始まり、その後も続いている。", "{}に始まった体制はどうなったか"),
    ),
    "amount": (
        ("この計画では、{}が上限として定められている。", "{}を上限とする物は何か"),
        ("担当者の記録によると、実際に使われたのは{}であった。", "{}を使ったのは誰か"),
    ),
    "article": (
        ("この措置は{}に基づいて行われ、その理由も公表される。", "{}に基づいて行われる物は何か"),
        ("例外は{}に定めるところによる。", "{}に定める物は何か"),
    ),
    "quote": (
        ("入口の案内板には「{}」と書かれている。", "「{}」と書かれている場所はどこか"),
        ("文書の末尾に「{}」という一文が加えられた。", "「{}」という一文はどこに加えられたか"),
    ),
}
#: A plain Arabic date, article or amount: its near misses are its neighbours.
_PLAIN = {
    "date": re.compile(r"((?:19|20)[0-9]{2})年(?:([0-9]{1,2})月)?(?:([0-9]{1,2})日)?"),
    "article": re.compile(r"第([0-9]{1,3})[条章項]"),
    "amount": re.compile(r"([0-9]{1,5})([^0-9,.]{1,5})"),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two writings, the class they belong to, the slot they fit, and whether the pair is held out."""

    kind: str
    slot: str
    one: str
    other: str
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, and the rounds in which it can be seen."""

    text: str
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """A question, the round in which it is asked, and the passage that has to come first."""

    question: str
    round: int
    gold: str


@dataclass(frozen=True, slots=True)
class Trials:
    """Passages by id, and for each pair what is asked of them, in the order of the pairs."""

    passages: dict[str, Passage]
    trials: tuple[Trial, ...]

    def write(self, folder: Path) -> dict[Path, tuple[int, ...]]:
        """Write the passages, a ``corpus.jsonl`` for those that are seen in the same rounds: file → rounds."""
        lines: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for name, passage in self.passages.items():
            record = {"_id": name, "title": "", "text": passage.text}
            lines[passage.rounds].append(json.dumps(record, ensure_ascii=False))
        written = {}
        for number, (rounds, records) in enumerate(lines.items()):
            path = folder / f"corpus-{number}.jsonl"
            path.write_text("\n".join(records), encoding="utf-8")
            written[path] = rounds
        return written


def read_pairs(path: Path) -> list[Pair]:
    """Read ``pairs.tsv`` or ``apart.tsv``; every third pair of a class is held out.

    Raises
    ------
    DatasetError
        When a line has not four columns, a slot that is none, or two equal forms; it is named.
    """
    pairs: list[Pair] = []
    counts: dict[str, int] = defaultdict(int)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        columns = [column.replace("\\n", "\n") for column in line.split("\t")]
        if len(columns) != 4 or columns[1] not in SENTENCES or columns[2] == columns[3]:
            raise DatasetError(
                f"{path} の {number} 行目が「分類・枠・書き方・別の書き方」のタブ区切りになっていません。"
                "その行を直してください。"
            )
        kind, slot, one, other = columns
        counts[kind] += 1
        pairs.append(Pair(kind, slot, one, other, held_out=counts[kind] % 3 == 0))
    return pairs


def families(pairs: Sequence[Pair]) -> list[list[int]]:
    """Group pairs (places in the list) whose forms are equal or part of one another, directly or through others."""
    family = list(range(len(pairs)))
    for i, pair in enumerate(pairs):
        for j in range(i):
            if family[i] != family[j] and _clash(_forms(pair), _forms(pairs[j])):
                family = [family[j] if one == family[i] else one for one in family]
    members: dict[int, list[int]] = defaultdict(list)
    for i, one in enumerate(family):
        members[one].append(i)
    return list(members.values())


def _forms(pair: Pair) -> tuple[str, str]:
    return pair.one, pair.other


def _clash(forms: Iterable[str], others: Iterable[str]) -> bool:
    others = tuple(others)
    return any(form in other or other in form for form in forms for other in others)


def trials(pairs: Sequence[Pair], apart: Sequence[Pair], *, swapped: bool, seed: int) -> Trials:
    """Ask for each pair's ``other`` with its ``one``, or, ``swapped``, the other way round.

    The order of the passages, which decides nothing but ties, is drawn with ``seed``.
    """
    grouped = families(pairs)
    n_rounds = max(map(len, grouped))
    passages: dict[str, Passage] = {}
    asked: dict[int, Trial] = {}
    for number, members in enumerate(grouped):
        for own_round, i in enumerate(members):
            pair = pairs[i]
            known, wanted = (pair.other, pair.one) if swapped else (pair.one, pair.other)
            passage, question = _sentence(pair.slot, number)
            # In rounds without a question of its own a family is there with its first passage.
            further = range(len(members), n_rounds) if own_round == 0 else ()
            passages[f"pair-{i:03}"] = Passage(passage.format(wanted), (own_round, *further))
            asked[i] = Trial(question.format(known), own_round, f"pair-{i:03}")
    everywhere = tuple(range(n_rounds))
    for number, text in enumerate(_near_misses(pairs, grouped, apart)):
        passages[f"miss-{number:03}"] = Passage(text, everywhere)
    return Trials(_shuffled(passages, seed), tuple(asked[i] for i in range(len(pairs))))


def trials_apart(apart: Sequence[Pair], *, swapped: bool, seed: int) -> Trials:
    """Ask for each word with itself, beside the same passages with the word it must be kept apart from."""
    passages: dict[str, Passage] = {}
    asked = []
    for own_round, pair in enumerate(apart):
        passage, question = _sentence(pair.slot, own_round)
        names = f"one-{own_round:03}", f"other-{own_round:03}"
        for name, word in zip(names, _forms(pair), strict=True):
            passages[name] = Passage(passage.format(word), (own_round,))
        asked.append(Trial(question.format(_forms(pair)[swapped]), own_round, names[swapped]))
    return Trials(_shuffled(passages, seed), tuple(asked))


def _sentence(slot: str, number: int) -> tuple[str, str]:
    return SENTENCES[slot][number % len(SENTENCES[slot])]


def _shuffled(passages: dict[str, Passage], seed: int) -> dict[str, Passage]:
    names = list(passages)
    random.Random(seed).shuffle(names)
    return {name: passages[name] for name in names}


def _near_misses(
    pairs: Sequence[Pair], grouped: Sequence[Sequence[int]], apart: Sequence[Pair]
) -> list[str]:
    """Write what stands beside the pairs in their sentences; none of it clashes with a pair of its slot."""
    forms: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        forms[pair.slot].update(_forms(pair))
    found: dict[str, None] = {}
    for number, members in enumerate(grouped):
        for i in members:
            for word in _neighbours(pairs[i]):
                if not _clash((word,), forms[pairs[i].slot]):
                    found[_sentence(pairs[i].slot, number)[0].format(word)] = None
    for number, pair in enumerate(apart):
        for word in _forms(pair) if pair.slot in {"noun", "name"} else ():
            if not _clash((word,), forms[pair.slot]):
                found[_sentence(pair.slot, number)[0].format(word)] = None
    return list(found)


def _neighbours(pair: Pair) -> Iterable[str]:
    """Name the next year and day, an article far behind, an amount with another first digit, where a form says it plainly."""
    pattern = _PLAIN.get(pair.slot)
    match = pattern and (pattern.fullmatch(pair.other) or pattern.fullmatch(pair.one))
    if not match:
        return
    if pair.slot == "amount":
        yield f"{int(match[1][0]) % 9 + 1}{match[0][1:]}"
    elif pair.slot == "article":
        yield match[0].replace(match[1], str(int(match[1]) + 200))
    else:
        year, month, day = match.groups()
        yield f"{int(year) + 40}年" + match[0].partition("年")[2]
        if day:
            yield f"{year}年{month}月{int(day) % 28 + 1}日"
        elif month:
            yield f"{year}年{int(month) % 12 + 1}月"
