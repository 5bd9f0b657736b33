import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.bench import __main__ as command
from evals.bench.agreement import same_outside_ties
from evals.bench.child import run_child
from evals.bench.lines import Line, Target, table
from evals.bench.material import spread
from evals.bench.results import Options, Result, load, save, to_json
from evals.bench.timing import interleaved, rounded, summary
from evals.dataset import Query


def test_every_contestant_answers_every_question_and_nobody_is_always_first() -> None:
    """Guards against a peer that always finds the caches cold."""
    asked: list[tuple[str, int]] = []

    def contestant(name: str) -> Callable[[int], None]:
        return lambda question: asked.append((name, question))

    times = interleaved({"a": contestant("a"), "b": contestant("b")}, [1, 2, 3], rounds=2)
    assert sorted(asked) == sorted([(n, q) for n in "ab" for q in (1, 2, 3)] * 2)
    firsts = [asked[place][0] for place in range(0, len(asked), 2)]
    assert firsts == ["a", "b", "a", "b", "a", "b"]
    assert {name: each.shape for name, each in times.items()} == {"a": (3,), "b": (3,)}
    assert (times["a"] >= 0).all()


def test_a_summary_is_of_all_values() -> None:
    """Guards against a median of something else."""
    found = summary(np.arange(1.0, 102.0))
    assert found == {"p50": 51.0, "p95": 96.0, "mean": 51.0, "n": 101}


@pytest.mark.parametrize(
    ("ours", "peer", "better", "ratio"),
    [(2.0, 8.0, "less", 4.0), (2.0, 8.0, "more", 0.25)],
)
def test_the_ratio_says_how_many_times_better_ours_is(
    ours: float, peer: float, better: str, ratio: float
) -> None:
    """Guards against a table in which slower looks faster."""
    line = Line("x", "ms", ours, peer, "peer", better)  # type: ignore[arg-type]
    assert line.ratio == ratio


def test_a_target_on_the_ratio_is_not_met_without_a_peer() -> None:
    """Guards against a promise that counts as kept because nothing was compared."""
    target = Target("ratio", "at least", 1.0)
    assert Line("x", "ms", 1.0, target=target).met is False
    assert Line("x", "ms", 1.0, 1.0, "peer", target=target).met is True
    assert Line("x", "ms", 1.0).met is None


def test_the_table_shows_what_could_not_be_the_same() -> None:
    """Guards against a comparison of different things that looks like one of equal things."""
    lines = [
        Line("等しい", "ms", 1.0, 2.0, "peer", equal="同じ").to_json(),
        Line("違う", "ms", 1.0, 2.0, "peer", differs="k1 が違う").to_json(),
    ]
    drawn = table(lines)
    assert "違う *" in drawn
    assert "* 違う: k1 が違う" in drawn
    assert "等しい *" not in drawn


scores = st.lists(st.sampled_from([3.0, 2.0, 1.0]), min_size=1, max_size=8).map(
    lambda values: sorted(values, reverse=True)
)


@given(values=scores, seed=st.integers(0, 1000))
def test_orders_that_differ_only_inside_ties_are_the_same(values: list[float], seed: int) -> None:
    """Guards against a peer that is called wrong because it breaks ties its own way."""
    ids = list(range(len(values)))
    shuffled = list(ids)
    np.random.default_rng(seed).shuffle(shuffled)
    other = sorted(shuffled, key=lambda place: -values[place])
    assert same_outside_ties((ids, values), (other, values))


def test_orders_that_differ_in_ids_or_scores_are_not_the_same() -> None:
    """Guards against a wrong result that is timed as if it were right."""
    assert not same_outside_ties(([1, 2, 3], [3.0, 2.0, 1.0]), ([1, 9, 3], [3.0, 2.0, 1.0]))
    assert not same_outside_ties(([1, 2], [3.0, 2.0]), ([1, 2], [3.0, 1.9]))
    assert not same_outside_ties(([1, 2], [3.0, 2.0]), ([1], [3.0]))


def test_questions_are_taken_from_the_whole_split() -> None:
    """Guards against measuring one article's questions."""
    queries = [Query(str(n), "質問", answerable=n % 2 == 0) for n in range(100)]
    taken = spread(queries, 5)
    assert [query.query_id for query in taken] == ["0", "20", "40", "60", "80"]
    assert len(spread(queries, 1000)) == 50


def test_a_result_is_written_and_read_with_all_that_it_depends_on(tmp_path: Path) -> None:
    """Guards against figures that nobody can tell the machine, versions or commit of."""
    result = Result("x", [Line("一", "ms", 1.23456)], {"n": np.int64(3)}, {"a": [np.float32(0.5)]})
    values = to_json(result, busy_before=2.0, options=Options())
    save(tmp_path, values)
    (read,) = load(tmp_path, ["x", "missing"])
    assert read == json.loads(json.dumps(values))
    assert read["quiet"] is False
    assert {"machine", "versions", "commit", "date"} <= set(read)
    assert read["lines"][0]["ours"] == 1.2346
    assert rounded({"a": (1.00001, None, "b")}) == {"a": [1.0, None, "b"]}


def test_an_unknown_item_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against a run of an hour that leaves out what was misspelt."""
    assert command.main(["--items", "query,bm52"]) == 2
    assert "bm52" in capsys.readouterr().out


def test_every_item_can_be_run() -> None:
    """Guards against a table of items that names a module which is not there."""
    import importlib

    for module in command.ITEMS.values():
        assert callable(importlib.import_module(module).run)


def test_a_child_reports_its_memory_and_what_it_printed() -> None:
    """Guards against memory that is measured of the wrong process: this one is larger than the child."""
    ours = b"x" * 400_000_000
    code = "held = b'x' * 200_000_000\ntime.sleep(0.4)\nprint(json.dumps({'n': arguments['n'], 'late': since_start()}))"
    report = run_child(code, {"n": 7})
    assert report.values["n"] == 7
    assert report.values["late"] >= 0.4
    assert 200_000_000 < report.peak_rss < 300_000_000
    assert report.peak_anonymous > 150_000_000
    assert len(ours) > report.peak_rss


def test_a_child_that_fails_says_why() -> None:
    """Guards against a crash that is taken for a measurement."""
    with pytest.raises(RuntimeError, match="no such thing"):
        run_child("raise ValueError('no such thing')", {})


def test_the_curves_are_drawn_from_the_results_and_twice_alike(tmp_path: Path) -> None:
    """Guards against a picture that changes when the figures have not, or that falls over a stage that was not measured."""
    pytest.importorskip("matplotlib")
    from evals.bench.growth_plot import draw

    kinds = ("vectors", "postings", "tokens", "derived", "catalog")
    points = [
        {
            "rows": rows,
            "real_rows": min(rows, 3000),
            "warm": {"whole": {"p50": rows / 100}, "stages_p50": {"bm25": 1.0, "dense": 2.0}},
            "bytes": dict.fromkeys(kinds, rows * 1000) | {"derived": 0},
            "memory": {"peak_rss_mib": 300.0},
            "opening": {"answered_s": 0.5},
        }
        for rows in (1000, 3000, 30000)
    ]
    first, second = (draw(points, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second
    assert first.startswith(b"<?xml")
