"""BM25 beside bm25s (numba), rank-bm25 and tantivy on the same terms, at JaQuAD's size and at a million; and what a view costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evals.bench import bm25_peers as peers
from evals.bench.agreement import overlap, same_outside_ties
from evals.bench.bm25_ours import FIELD, Ours
from evals.bench.growth import large_index
from evals.bench.lines import Line, Target
from evals.bench.material import prepare
from evals.bench.results import Options, Result
from evals.bench.source import read_source
from evals.bench.timing import Times, interleaved, milliseconds, summaries, summary
from ragjp.index.lexical.postings import Postings, merge_postings
from ragjp.japanese.terms import Analyzer

DEPTHS = (10, 100)
VIEWS = (0.01, 0.05, 0.20)
_SLOW = "rank-bm25"
#: rank-bm25 takes seconds a question at a million passages: so many are asked there.
_FEW = 3


def run(options: Options) -> Result:
    """Measure at both sizes; only the small one when it is to be quick."""
    material = prepare("jaquad", "dev", 30 if options.quick else 300)
    analyzer = Analyzer()
    questions = [analyzer.lemmas(query.text) for query in material.questions]
    result = Result("bm25", sizes={"questions": len(questions), "field": FIELD})
    result.notes = [
        f"k1 {peers.K1}, b {peers.B}; one question at a time, one thread, from strings to rows; p50 over questions of the median of 3 rounds",
        "fast: ours, bm25s and tantivy in turn; slow: ours and rank-bm25 in turn, which leaves the processor's caches to nobody",
        "tantivy keeps lengths in one byte, so its scores differ a little: overlap of the first ten is given; rank-bm25 has another idf",
        "first_times: a question that the index has not seen yet (what ours keeps of a term is made then); the others are warm",
        "a view's mean lengths are made once (resolve_ms), a term's frequency in it when it is first asked for (its first_times_ms)",
    ]
    _measure(result, "11k", material.index, questions, small=True)
    if not options.quick:
        large = large_index(read_source(material.index))
        _measure(result, "1M", large, questions[::3], small=False)
    return result


def _measure(
    result: Result, size: str, index: Path, questions: Sequence[Sequence[str]], *, small: bool
) -> None:
    with Ours.open(index) as ours:
        segments = ours.segments
        whole = segments[0] if len(segments) == 1 else _whole(segments)
        numbers = peers.vocabulary(whole)
        asked = [terms for terms in questions if any(term in numbers for term in terms)]
        found: dict[str, Any] = {
            "rows": len(whole.lengths),
            "terms": len(numbers),
            "postings": len(whole.rows),
            "questions": len(asked),
        }
        result.measured[size] = found
        contestants: dict[str, peers.Search] = {"ragjp": ours.search}
        bm25s_index = peers.bm25s_index(whole, numbers)
        contestants["bm25s"] = peers.bm25s_search(bm25s_index)
        if small:
            lists = peers.term_lists(whole, numbers)
            found["bm25s_built_by_itself_differs_by"] = peers.differs_from_its_own(
                bm25s_index, lists
            )
            contestants["rank-bm25"] = peers.rank_bm25_search(whole, numbers)
            contestants["tantivy"] = peers.tantivy_search(lists, numbers)
            del lists
        found["first_times_ms"] = first = summaries(_first_times(contestants, asked))
        found["agreement"] = agreement = _agreement(contestants, asked)
        found["times_ms"] = {f"k={k}": _times(contestants, asked, k) for k in DEPTHS}
        result.lines.append(
            Line(
                f"BM25 {size} k=10、初めての質問",
                "ms",
                first["ragjp"]["p50"],
                first["bm25s"]["p50"],
                "bm25s",
            )
        )
        _peer_lines(result, size, found["times_ms"]["k=10"], agreement)
        found["views"] = _views(result, size, ours, whole, asked)
        if not small:
            del bm25s_index, contestants
            found["rank-bm25"] = _slow_peer(result, size, ours, whole, numbers, asked)


def _first_times(
    contestants: Mapping[str, peers.Search], asked: Sequence[Sequence[str]]
) -> dict[str, Times]:
    """Times of questions that an index has never seen, in turn; only kernels are loaded before, by two questions of no account."""
    for search in contestants.values():
        for terms in asked[:2]:
            search(terms, 10)
    rest = asked[2:]
    calls = {
        name: partial(_ask, search, 10) for name, search in contestants.items() if name != _SLOW
    }
    return interleaved(calls, rest, rounds=1)


def _times(
    contestants: Mapping[str, peers.Search], asked: Sequence[Sequence[str]], k: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Times of the fast ones in turn, and of ours in turn with the slow one.

    rank-bm25 walks through a dictionary for every passage: after it, no cache holds anything of anybody's, and the others would be
    timed on how fast memory is.
    """
    calls = {name: partial(_ask, search, k) for name, search in contestants.items()}
    slow = {name: calls[name] for name in ("ragjp", _SLOW) if _SLOW in calls}
    fast = {name: call for name, call in calls.items() if name != _SLOW}
    found = {"fast": summaries(interleaved(fast, asked))}
    if slow:
        found["slow"] = summaries(interleaved(slow, asked))
    return found


def _ask(search: peers.Search, k: int, terms: Sequence[str]) -> object:
    return search(terms, k)


def _whole(segments: Sequence[Postings]) -> Postings:
    """Several segments' postings as one, rows numbered on."""
    return merge_postings([(each, np.arange(len(each.lengths))) for each in segments])


def _agreement(
    contestants: Mapping[str, peers.Search], asked: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """For each peer, the share of questions with the same first ten outside ties, and the mean overlap of the first ten."""
    expected = [contestants["ragjp"](terms, 10) for terms in asked]
    found: dict[str, dict[str, float]] = {}
    for name, search in contestants.items():
        if name == "ragjp":
            continue
        orders = [search(terms, 10) for terms in asked]
        pairs = [(_positive(a), _positive(b)) for a, b in zip(expected, orders, strict=True)]
        same = [same_outside_ties(a, b) for a, b in pairs]
        found[name] = {
            "same": float(np.mean(same)),
            "overlap": float(np.mean([overlap(a[0], b[0]) for a, b in pairs])),
        }
    return found


def _positive(
    order: tuple[Sequence[int], Sequence[float]],
) -> tuple[list[int], list[float]]:
    """Rows that match: some peers fill their k with rows of score 0."""
    kept = [(int(row), float(score)) for row, score in zip(*order, strict=True) if score > 0]
    return [row for row, _ in kept], [score for _, score in kept]


def _peer_lines(
    result: Result,
    size: str,
    times: Mapping[str, Mapping[str, Mapping[str, float]]],
    agreement: Mapping[str, Mapping[str, float]],
) -> None:
    least = {"bm25s": 1.0, "rank-bm25": 100.0, "tantivy": 1.0}
    for peer, found in agreement.items():
        same, shared = found["same"], found["overlap"]
        beside = times["slow" if peer == _SLOW else "fast"]
        result.lines.append(
            Line(
                f"BM25 {size} k=10",
                "ms",
                beside["ragjp"]["p50"],
                beside[peer]["p50"],
                peer,
                target=Target("ratio", "at least", least[peer]),
                equal="全問で同点を除き同じ順位・点" if same == 1.0 else "",
                differs="" if same == 1.0 else f"式が違うので順位は同じではない（上位 10 件の重なり {shared:.3f}）"
                if peer != "bm25s"
                else f"同点を除き同じ順位・点なのは {100 * same:.1f}% の質問",
            )
        )  # fmt: skip


def _views(
    result: Result, size: str, ours: Ours, whole: Postings, asked: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """What searching a share of the rows costs, and whether the order is that of an index of these rows alone."""
    rng = np.random.default_rng(7)
    n_rows = len(whole.lengths)
    views = {f"{100 * share:g}%": ours.restricted(rng.random(n_rows) < share) for share in VIEWS}
    found: dict[str, Any] = {}
    for name, view in views.items():
        rows = np.flatnonzero(view.view.rows)
        alone = Ours.of_postings([merge_postings([(whole, rows)])])
        same = 0
        first: list[float] = []
        for terms in asked:
            first.append(milliseconds(partial(_ask, view.search, 10), terms))
            seen, scores = view.search(terms, 10)
            others, other_scores = alone.search(terms, 10)
            expected = ([int(rows[row]) for row in others], list(map(float, other_scores)))
            same += (list(map(int, seen)), list(map(float, scores))) == expected
        found[name] = {
            "same_as_alone": same,
            "questions": len(asked),
            "resolve_ms": view.resolve_ms,
            "first_times_ms": summary(first),
        }
    searches = {"all": ours.search} | {name: view.search for name, view in views.items()}
    times = summaries(
        interleaved({name: partial(_ask, search, 10) for name, search in searches.items()}, asked)
    )
    for name in views:
        found[name]["times_ms"] = times[name]
        found[name]["cost"] = cost = times[name]["p50"] / times["all"]["p50"]
        same, n_asked = found[name]["same_as_alone"], found[name]["questions"]
        result.lines.append(
            Line(
                f"BM25 {size}、{name} だけ見える人の費用（全部見える人の何倍か）",
                "倍",
                cost,
                target=Target("ours", "at most", 1.5),
                equal="見える部分だけの索引と、順位も点もビットまで同じ" if same == n_asked else "",
                differs="" if same == n_asked else f"{n_asked - same} / {n_asked} 問で見える部分だけの索引と違う",
            )
        )  # fmt: skip
    found["all"] = {"times_ms": times["all"]}
    return found


def _slow_peer(
    result: Result,
    size: str,
    ours: Ours,
    whole: Postings,
    numbers: dict[str, int],
    asked: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """rank-bm25 at a million passages, on a few questions, once each."""
    few = asked[:: max(1, len(asked) // _FEW)][:_FEW]
    peer = peers.rank_bm25_search(whole, numbers)
    times = summaries(
        interleaved(
            {"ragjp": partial(_ask, ours.search, 10), "rank-bm25": partial(_ask, peer, 10)},
            few,
            rounds=1,
        )
    )
    shared = [overlap(_positive(ours.search(t, 10))[0], _positive(peer(t, 10))[0]) for t in few]
    result.lines.append(
        Line(
            f"BM25 {size} k=10（{len(few)} 問）",
            "ms",
            times["ragjp"]["p50"],
            times["rank-bm25"]["p50"],
            "rank-bm25",
            target=Target("ratio", "at least", 100.0),
            differs=f"式が違うので順位は同じではない（上位 10 件の重なり {np.mean(shared):.3f}）",
        )
    )
    return {"times_ms": times, "overlap": float(np.mean(shared))}
