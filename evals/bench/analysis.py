"""Japanese analysis: characters a second of the whole (folding, morphemes, terms of every field) beside MeCab alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evals.bench.lines import Line, Target
from evals.bench.material import data_folder
from evals.bench.results import Options, Result
from evals.bench.timing import settle
from ragjp.japanese.terms import Analyzer

ONE, TWO = "ragjp, 1 worker", "ragjp, 2 workers"
Work = Callable[[Sequence[str]], object]


def run(options: Options) -> Result:
    """Analyse JaQuAD's passages, by each in turn, in several rounds."""
    rounds, per_round = (1, 300) if options.quick else (7, 3600)
    texts = _passages()[:per_round]
    analyzer = Analyzer()
    contestants = _contestants(analyzer)
    for work in contestants.values():
        work(texts[:300] * 2)
    settle()
    some = texts[:600]
    columns = {name: list(column) for name, column in analyzer.terms_many(some, workers=2).items()}
    one_by_one = [analyzer.terms(text) for text in some]
    same = columns == {name: [row[name] for row in one_by_one] for name in columns}
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    busy: list[float] = []
    # The same passages in every round, met once before: who comes first would otherwise pay for the others' new words.
    part = texts
    n_chars = sum(map(len, part))
    started = time.perf_counter()
    contestants[ONE](part)
    first = n_chars / (time.perf_counter() - started) / 1e6
    for turn in range(rounds):
        # One worker beside two is the closest call: they alternate three times in a round, the others have one turn.
        names = [ONE, TWO] * 2 + list(contestants)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started, worked = time.perf_counter(), time.process_time()
            contestants[name](part)
            took = time.perf_counter() - started
            rates[name].append(n_chars / took / 1e6)
            if name == TWO:
                busy.append((time.process_time() - worked) / took)
    medians = {name: float(np.median(each)) for name, each in rates.items()}
    return Result(
        "analysis",
        _lines(medians, same),
        {"passages": len(texts), "characters": sum(map(len, texts)), "rounds": rounds},
        {
            "million_chars_per_s": medians,
            "all_rounds": rates,
            "first_time": first,
            "cores_busy_of_two_workers": float(np.median(busy)),
        },
        [
            "cores_busy_of_two_workers: processor seconds of the process for each second that passes",
            "every round takes the same passages; first_time is what one worker needs for them when it has seen none of their words",
            "ragjp: Analyzer.terms_many, as an index is built: folding, morphemes, lemmas, dates, numbers, bigrams; workers are threads",
            "mecab: fugashi's GenericTagger with -Owakati, one call a passage; features: fugashi.Tagger, surface, lemma and part of speech of each node",
        ],
    )


def _contestants(analyzer: Analyzer) -> Mapping[str, Work]:
    import fugashi
    import unidic_lite

    folder = unidic_lite.DICDIR
    options = f'-r "{folder}/mecabrc" -d "{folder}"'
    bare = fugashi.GenericTagger(f"{options} -Owakati")
    named = fugashi.Tagger(options)

    def features(texts: Sequence[str]) -> None:
        for text in texts:
            for word in named(text):
                _ = word.surface, word.feature.lemma, word.feature.pos1

    def one_by_one(texts: Sequence[str]) -> None:
        for text in texts:
            analyzer.terms(text)

    return {
        ONE: lambda texts: analyzer.terms_many(texts, workers=1),
        TWO: lambda texts: analyzer.terms_many(texts, workers=2),
        "ragjp, one text at a time": one_by_one,
        "mecab": lambda texts: [bare.parse(text) for text in texts],
        "fugashi features": features,
    }


def _lines(medians: Mapping[str, float], same: bool) -> list[Line]:
    one, two = medians[ONE], medians[TWO]
    unit = "百万字/秒"
    return [
        Line("日本語の解析、1 コア", unit, one, medians["mecab"], "MeCab のみ", "more",
             Target("ratio", "at least", 0.7), differs="MeCab は分けるだけ。ragjp は畳み込み・語・日付・数・2 字組まで作る"),
        Line("日本語の解析、1 コア", unit, one, medians["fugashi features"], "fugashi の素性", "more"),
        Line("日本語の解析、1 コア、一文ずつ", unit, medians["ragjp, one text at a time"], medians["mecab"], "MeCab のみ", "more"),
        Line("日本語の解析、2 コア", unit, two, one, "ragjp 1 コア", "more", Target("ratio", "at least", 1.7),
             equal="600 段落で同じ語（順序も同じ）" if same else "", differs="" if same else "語が違う"),
    ]  # fmt: skip


def _passages() -> list[str]:
    corpus = data_folder() / "jaquad" / "corpus.jsonl"
    return [json.loads(line)["text"] for line in corpus.read_text(encoding="utf-8").splitlines()]
