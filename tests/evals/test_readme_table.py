"""The READMEs' tables of quality are the results that are committed beside them."""

import json
from pathlib import Path

import pytest

from evals.readme_table import BEGIN, END, ENGLISH, FILES, JAPANESE, load, stale, table, with_table

DIFFERENCES = ("bm25", "fused", 0.02, 0.001), ("dense", "fused", 0.2, 0.001)


def result(p_of_last: float = 0.03, difference: float = 0.01) -> dict[str, object]:
    """A set of four rankings; the last pair has the p and the difference given."""
    pairs = [
        {"earlier": earlier, "later": later, "differences": {"nDCG@10": d}, "p": p}
        for earlier, later, d, p in (*DIFFERENCES, ("fused", "reranked", difference, p_of_last))
    ]
    rows = [
        {"condition": name, "measures": {"nDCG@10": 0.9, "R@1": 0.8, "R@5": 0.95, "R@100": 1.0}}
        for name in ("bm25", "dense", "fused", "reranked")
    ]
    intervals = {"fused": {"nDCG@10": [0.891, 0.909]}}
    return {
        "n_queries": 1234, "n_documents": 56, "conditions": rows, "commit": "abc1234",
        "never_worse": {"pairs": pairs}, "intervals": intervals,
    }  # fmt: skip


def test_the_tables_are_not_stale() -> None:
    """Guards against figures in the README that the committed results do not have: make quality, or the command below."""
    assert stale() == [], "run: python -m evals.readme_table --write"


def test_a_changed_result_makes_them_stale(root: Path, tmp_path: Path) -> None:
    """Guards against a check that passes whatever stands there."""
    (tmp_path / "evals" / "results").mkdir(parents=True)
    for name in FILES:
        (tmp_path / name).write_text((root / name).read_text("utf-8"), "utf-8")
    for name, values in load().items():
        path = tmp_path / "evals" / "results" / f"{name}.json"
        path.write_text(json.dumps(values), "utf-8")
    assert stale(tmp_path) == []
    values["conditions"][-1]["measures"]["R@5"] -= 0.001
    path.write_text(json.dumps(values), "utf-8")
    assert stale(tmp_path) == list(FILES)


@pytest.mark.parametrize("words", [ENGLISH, JAPANESE])
def test_marks_stand_only_where_the_corrected_test_says_so(words: object) -> None:
    """Guards against a mark by the raw p, a mark on the first rows, and a fall that is shown like a rise."""
    made = table({"jaquad-dev": result()}, words)  # type: ignore[arg-type]
    rows = made.split("\n")[2:6]
    assert [("▲" in row, "▼" in row) for row in rows] == [(False, False)] * 2 + [(True, False)] * 2
    assert "0.9000 ▲ [0.891–0.909]" in rows[2]
    assert "1,234" in rows[0]
    assert rows[0].count("–") == 2  # R@10 and MRR@10 were not measured then
    assert "`abc1234`" in made
    chance = table({"jaquad-dev": result(0.06)}, words)  # type: ignore[arg-type]
    assert "▲" not in chance.split("\n")[5]
    worse = table({"jaquad-dev": result(0.001, -0.05)}, words)  # type: ignore[arg-type]
    assert "▼" in worse.split("\n")[5]


def test_only_what_is_between_the_markers_changes() -> None:
    """Guards against a generator that eats the README."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_table(text, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    for broken in ("nothing", f"{END}{BEGIN}", text + text):
        with pytest.raises(ValueError, match="markers"):
            with_table(broken, "new")
