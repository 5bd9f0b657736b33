"""Variants: whether a passage is found that writes the word in another way.

``python -m evals.robustness.variants`` asks for every pair of ``evals/data/variants/pairs.tsv``, in both directions, the whole pipeline and BM25
alone; a hit is the right passage at rank 1 by itself (a tie counts as missed). Pairs of ``apart.tsv`` must keep their passages apart
and must not have the same terms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.indexes import Condition
from evals.robustness.variants_corpus import DATA, Pair, Trials, read_pairs, trials, trials_apart
from ragjp.types import Hit, Ranking, View

if TYPE_CHECKING:
    from ragjp.config import Recipe

CONDITIONS: tuple[Condition, ...] = ("bm25", "reranked")
DIRECTIONS = ("one finds other", "other finds one")
#: Share of the pairs that has to be found in each direction.
GOAL = 0.97
_SEED = 4

#: Ranks the passages of :class:`Trials` for all its questions: condition → one ranking a question.
Rank = Callable[[Trials], Mapping[Condition, Sequence[Ranking]]]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one pair in one direction under one condition."""

    pair: Pair
    direction: str
    condition: Condition
    first: str
    hit: bool


def measure(pairs: Sequence[Pair], apart: Sequence[Pair], rank: Rank) -> list[Found]:
    """Ask for every pair in both directions."""
    found: list[Found] = []
    for swapped, direction in enumerate(DIRECTIONS):
        asked = trials(pairs, apart, swapped=bool(swapped), seed=_SEED)
        found += _judge(pairs, asked, rank(asked), direction)
    return found


def measure_apart(apart: Sequence[Pair], rank: Rank) -> list[Found]:
    """Ask for each word of the pairs that are to stay apart."""
    found: list[Found] = []
    for swapped, direction in enumerate(DIRECTIONS):
        asked = trials_apart(apart, swapped=bool(swapped), seed=_SEED)
        found += _judge(apart, asked, rank(asked), direction)
    return found


def _judge(
    pairs: Sequence[Pair],
    asked: Trials,
    rankings: Mapping[Condition, Sequence[Ranking]],
    direction: str,
) -> list[Found]:
    return [
        Found(pair, direction, condition, _first(asked, ranking), alone(ranking) == trial.gold)
        for condition, rows in rankings.items()
        for pair, trial, ranking in zip(pairs, asked.trials, rows, strict=True)
    ]


def _first(asked: Trials, ranking: Ranking) -> str:
    return asked.passages[ranking.hits[0].doc_id].text if ranking.hits else ""


def alone(ranking: Ranking) -> str:
    """Return what is best by itself; "" when nothing is, or two share the best score."""
    hits = ranking.hits
    if not hits or (len(hits) > 1 and hits[1].score >= hits[0].score):
        return ""
    return hits[0].doc_id


def same_terms(apart: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that analysis cannot tell apart."""
    from ragjp.japanese.terms import Analyzer

    analyzer = Analyzer()
    return [pair for pair in apart if analyzer.lemmas(pair.one) == analyzer.lemmas(pair.other)]


def ranker(recipe: Recipe) -> Rank:
    """Rank with an index of the passages, built as ``recipe`` says in a folder that goes afterwards."""
    from ragjp.encoders import load_encoder
    from ragjp.engine import Engine
    from ragjp.jobs.build import build
    from ragjp.jobs.sources import CorpusSource

    encoder = load_encoder(recipe.encoder)

    def rank(asked: Trials) -> dict[Condition, list[Ranking]]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sources = [
                CorpusSource(path, tuple(map(str, rounds)))
                for path, rounds in asked.write(folder).items()
            ]
            build(recipe, base=folder, into=folder / "index", sources=sources, encoder=encoder)
            with Engine.open(folder / "index", encoder=encoder) as engine:
                rows = [
                    engine.search_all(
                        trial.question, view=View.of(str(trial.round)), k=2, rankings=CONDITIONS
                    )
                    for trial in asked.trials
                ]
        return {condition: [row[condition] for row in rows] for condition in CONDITIONS}

    return rank


def rank_by_terms(asked: Trials) -> dict[Condition, list[Ranking]]:
    """Rank by BM25 over the terms alone, with the default weights and without synonyms: no encoder, nothing on disk."""
    import numpy as np

    from ragjp.config import Retrieval
    from ragjp.index.lexical.bm25 import Bm25
    from ragjp.index.lexical.postings import build_postings
    from ragjp.index.lexical.search import LexicalIndex
    from ragjp.japanese.terms import Analyzer
    from ragjp.retrieval.candidates import field_weights

    analyzer, settings = Analyzer(), Retrieval()
    names = list(asked.passages)
    rows = [analyzer.terms(passage.text) for passage in asked.passages.values()]
    fields = {name: [build_postings([row[name] for row in rows])] for name in ("lemma", "bigram")}
    index = LexicalIndex(fields, len(rows))
    seen = [
        np.array([number in passage.rounds for passage in asked.passages.values()])
        for number in range(1 + max(trial.round for trial in asked.trials))
    ]
    views = [index.view(allowed) for allowed in seen]
    rankings = []
    for trial in asked.trials:
        terms = analyzer.question_terms(trial.question)
        constants = Bm25(settings.k1, settings.b)
        best, scores = index.search(
            terms, field_weights(settings), views[trial.round], constants, 2
        )
        hits = tuple(
            Hit(names[row], names[row], 1, 0, 0, "", "", (), score, {})
            for row, score in zip(best[:2].tolist(), scores[:2].tolist(), strict=True)
        )
        rankings.append(Ranking(trial.question, hits, 1, {}))
    return {"bm25": rankings}


def shares(found: Sequence[Found]) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Count by class (and ``all``), direction and condition: [hits, pairs]."""
    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    for one in found:
        for kind in (one.pair.kind, "held out" if one.pair.held_out else "in sight", "all"):
            by = counts.setdefault(kind, {}).setdefault(one.direction, {})
            count = by.setdefault(one.condition, [0, 0])
            count[0] += one.hit
            count[1] += 1
    return counts


def report(found: Sequence[Found]) -> str:
    """Draw a table: a line a class, hits of pairs by condition and direction."""
    counts = shares(found)
    total = counts.pop("all")
    columns = [(direction, name) for direction in DIRECTIONS for name in total[direction]]
    head = " ".join(f"{name + ' ' + '→←'[DIRECTIONS.index(d)]:>12}" for d, name in columns)
    lines = [f"{'':<14} {head}"]
    for kind, by in [*counts.items(), ("all", total)]:
        cells = (f"{by[d][name][0]}/{by[d][name][1]}" for d, name in columns)
        lines.append(f"{kind:<14} " + " ".join(f"{cell:>12}" for cell in cells))
    shares_of_all = (f"{total[d][n][0] / total[d][n][1]:.1%}" for d, n in columns)
    lines.append(f"{'':<14} " + " ".join(f"{share:>12}" for share in shares_of_all))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the goal is missed."""
    from ragjp.config import EncoderChoice, Recipe

    parser = argparse.ArgumentParser(prog="evals.robustness.variants", description=__doc__)
    parser.add_argument("--encoder", help="a preset's name instead of the default; hashing: none")
    parser.add_argument("--terms", action="store_true", help="BM25 over terms alone, in seconds")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    parser.add_argument("--misses", action="store_true", help="list what was missed")
    parser.add_argument("--held-out", action="store_true", help="list misses of held-out pairs too")
    chosen = parser.parse_args(arguments)
    encoder = EncoderChoice(model=chosen.encoder) if chosen.encoder else EncoderChoice()
    rank = rank_by_terms if chosen.terms else ranker(Recipe(name="variants", encoder=encoder))
    pairs, apart = read_pairs(DATA / "pairs.tsv"), read_pairs(DATA / "apart.tsv")
    found, kept = measure(pairs, apart, rank), measure_apart(apart, rank)
    equal = same_terms(apart)
    write = sys.stdout.write
    write(f"{report(found)}\n\nkept apart\n{report(kept)}\nwith the same terms: {len(equal)}\n")
    for one in [*found, *kept] if chosen.misses else ():
        if not one.hit and (chosen.held_out or not one.pair.held_out):
            pair = one.pair
            write(
                f"{one.condition}\t{pair.kind}\t{one.direction}\t{pair.one}\t{pair.other}\t{one.first}\n"
            )
    if chosen.json:
        values: dict[str, Any] = {"pairs": shares(found), "apart": shares(kept)}
        values |= {"same_terms": len(equal), "encoder": encoder.model}
        chosen.json.write_text(
            json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    total = shares(found)["all"]
    last: Condition = "bm25" if chosen.terms else "reranked"
    reached = all(total[d][last][0] >= GOAL * total[d][last][1] for d in DIRECTIONS)
    return 0 if reached and not equal else 1


if __name__ == "__main__":
    sys.exit(main())
