"""The READMEs' tables of quality are the results that are committed beside them."""

import json
import shutil
from pathlib import Path

import pytest

from evals.readme_table import ENGLISH, FILES, JAPANESE, load, markers, stale, table, with_table
from evals.speed_table import speed_table

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
    shutil.copytree(root / "evals" / "results" / "bench", tmp_path / "evals" / "results" / "bench")
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
    begin, end = markers("quality")
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert with_table(text, "quality", "new") == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    for broken in ("nothing", f"{end}{begin}", text + text):
        with pytest.raises(ValueError, match="markers"):
            with_table(broken, "quality", "new")


def test_a_changed_time_makes_the_table_of_speed_stale(root: Path, tmp_path: Path) -> None:
    """Guards against a table of speed that is written by hand, and a benchmark's line that nobody finds any more."""
    folder = tmp_path / "bench"
    shutil.copytree(root / "evals" / "results" / "bench", folder)
    made = speed_table(folder)
    path = folder / "bm25.json"
    result = json.loads(path.read_text("utf-8"))
    for line in result["lines"]:
        if line["peer_name"] == "tantivy":
            line["ours"] *= 3
    path.write_text(json.dumps(result), "utf-8")
    assert speed_table(folder) != made
    result["lines"] = []
    path.write_text(json.dumps(result), "utf-8")
    with pytest.raises(KeyError, match="bm25"):
        speed_table(folder)
