"""The table of stages against stages, on made-up scores."""

import numpy as np

from evals.dataset import Query
from evals.measures import NDCG, PerQuery
from evals.never_worse import WHOLE, NeverWorse, lines, never_worse, to_json
from evals.report import NAMES

N = 240
KINDS = ("table", "image", "table", "paragraph")  # half, a quarter, a quarter


def questions() -> list[Query]:
    return [
        Query(f"q{i:03d}", "長" * (5 + i % 40), slices={"kind": KINDS[i % 4]}) for i in range(N)
    ]


def row(values: np.ndarray) -> PerQuery:
    return {NDCG: {f"q{i:03d}": float(value) for i, value in enumerate(values)}}


def table_of(
    bm25: np.ndarray, dense: np.ndarray, fused: np.ndarray, reranked: np.ndarray
) -> NeverWorse:
    rows = {"bm25": row(bm25), "dense": row(dense), "fused": row(fused), "reranked": row(reranked)}
    return never_worse(questions(), rows)


def base() -> np.ndarray:
    return np.random.default_rng(1).choice([0.3869, 0.6309, 1.0], size=N, p=[0.1, 0.2, 0.7])


def test_equal_stages_hold_everywhere() -> None:
    """Guards against a table that needs an improvement to hold, and against slices too small to judge or missing."""
    table = table_of(base(), base(), base(), base())
    assert table.holds
    assert {(r.verdict, r.difference, r.p_holm) for r in table.rows} == {("even", 0.0, 1.0)}
    groups = {r.group for r in table.rows}
    assert WHOLE in groups
    assert {"種類: table", "種類: image", "種類: paragraph"} <= {
        g.replace("kind", "種類") for g in groups
    }
    assert sum("文字" in group for group in groups) == 3
    assert all(r.n >= 50 for r in table.rows)


def test_a_fusion_below_a_parent_is_found_on_the_whole_set_however_little() -> None:
    """Guards against a fusion that loses a little on every set and is called noise each time."""
    fused = base()
    fused[np.flatnonzero(fused == 1.0)[0]] = 0.6309
    table = table_of(base(), base() - 0.1, fused, fused)
    (broken,) = table.broken
    assert (broken.later, broken.earlier, broken.group, broken.verdict) == (
        "fused",
        "bm25",
        WHOLE,
        "even",
    )
    assert "← 前の段より低い" in "\n".join(lines(table, NAMES))


def test_a_slice_that_pays_for_the_others_is_found() -> None:
    """Guards against a gain on tables bought with the images, which the mean over all hides."""
    kinds = np.array([KINDS[i % 4] for i in range(N)])
    reranked = base()
    reranked[kinds == "image"] -= 0.1
    reranked[kinds == "table"] += 0.2
    table = table_of(base(), base(), base(), reranked)
    broken = [(r.group.partition(": ")[2], r.later) for r in table.broken]
    assert broken == [("image", "reranked")]
    (found,) = table.broken
    assert found.difference < 0
    assert found.interval.high < 0
    text = "\n".join(lines(table, NAMES))
    assert "1 か所で破れています" in text
    assert "下回る" in text


def test_noise_on_a_slice_is_not_called_worse() -> None:
    """Guards against a promise that chance breaks: shuffled gains and losses of a few questions."""
    reranked = base()
    moved = np.random.default_rng(4).permutation(N)[:24]
    reranked[moved] += np.tile([0.11, -0.1], 12)
    table = table_of(base(), base(), base(), reranked)
    assert table.holds
    assert {r.verdict for r in table.rows} == {"even"}
    assert to_json(table)["holds"] is True


def test_pairs_that_were_not_run_are_left_out() -> None:
    """Guards against a table that cannot be made of a run without reranking, or of no questions."""
    rows = {"bm25": row(base()), "fused": row(base())}
    assert {(r.later, r.earlier) for r in never_worse(questions(), rows).rows} == {
        ("fused", "bm25")
    }
    assert never_worse([], {"bm25": {NDCG: {}}, "fused": {NDCG: {}}}).rows == ()
