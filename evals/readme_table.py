"""The tables of quality in both READMEs, and that of speed, made from ``evals/results``: ``python -m evals.readme_table --write``.

Between two marker comments stands what this module makes and nothing else; a test fails when it is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evals.measures import MRR, NDCG, R1, R5, R10, R100
from evals.provenance import ROOT
from evals.report import write
from evals.speed_table import speed_table
from evals.statistics import holm, verdict_of

RESULTS: Final = ROOT / "evals" / "results"
QUALITY: Final = "quality"
SPEED: Final = "speed"
COLUMNS: Final = (NDCG, R1, R5, R10, R100, MRR)
#: Results in the order of the table.
SETS: Final = ("jsquad-valid", "jaquad-dev", "enterprise-ja-test", "demo-test")


@dataclass(frozen=True, slots=True)
class Words:
    """What one language calls things; ``sets`` by result, with places for the numbers of questions and documents."""

    head: str
    rankings: Mapping[str, str]
    sets: Mapping[str, str]
    note: str


ENGLISH: Final = Words(
    "dataset (questions / documents)",
    {
        "bm25": "BM25 alone",
        "dense": "dense alone",
        "fused": "fusion",
        "reranked": "fusion + MaxSim",
    },
    {
        "jsquad-valid": "JSQuAD `valid` ({queries} / {documents})",
        "jaquad-dev": "JaQuAD `dev` ({queries} / {documents})",
        "enterprise-ja-test": "government and industry PDFs, by page ({queries} / {documents})",
        "demo-test": "demo, by page ({queries} / {documents})",
    },
    "▲ significantly above every row before it of the same set, ▼ significantly below one (nDCG@10, paired randomisation with 10,000 "
    "permutations, Holm over the set's comparisons, p < 0.05); no mark: not told from chance. In brackets: 95 % bootstrap interval (BCa).",
)
JAPANESE: Final = Words(
    "データ（質問 / 文書）",
    {
        "bm25": "BM25 のみ",
        "dense": "ベクトルのみ",
        "fused": "融合",
        "reranked": "融合＋再順位付け",
    },
    {
        "jsquad-valid": "JSQuAD `valid`（{queries} / {documents}）",
        "jaquad-dev": "JaQuAD `dev`（{queries} / {documents}）",
        "enterprise-ja-test": "官公庁や企業の PDF、ページ単位（{queries} / {documents}）",
        "demo-test": "見本の文書、ページ単位（{queries} / {documents}）",
    },
    "▲ は同じデータの前の行のすべてを有意に上回ること、▼ は前の行のどれかを有意に下回ることを示します（nDCG@10、"
    "1 万回の対応のある並べ替え検定、データごとの Holm 補正後 p < 0.05）。印がなければ、差があるとは言えません。"
    "［ ］は 95% 信頼区間（ブートストラップ BCa 法）です。",
)
FILES: Final = {"README.md": ENGLISH, "README.ja.md": JAPANESE}


def load(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Read the results that the table shows; sets that were not measured are left out."""
    paths = {name: folder / f"{name}.json" for name in SETS}
    return {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def table(results: Mapping[str, Mapping[str, Any]], words: Words) -> str:
    """Make the table and its note, as Markdown.

    Parameters
    ----------
    results
        What ``ragjp eval`` and ``python -m evals.conditions --results`` write, by name.
    """
    lines = [
        f"| {words.head} | ranking | " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    if words is JAPANESE:
        lines[0] = lines[0].replace("| ranking |", "| 順位付け |")
    for name, result in results.items():
        title = words.sets[name].format(
            queries=f"{result['n_queries']:,}", documents=f"{result['n_documents']:,}"
        )
        marks = _marks(result)
        for row in result["conditions"]:
            ranking = row["condition"]
            cells = [_figure(row["measures"].get(measure)) for measure in COLUMNS]
            cells[0] += marks.get(ranking, "") + _interval(result, ranking)
            lines.append(f"| {title} | {words.rankings[ranking]} | " + " | ".join(cells) + " |")
            title = ""
    commits = sorted({str(r["commit"]) for r in results.values() if "commit" in r})
    measured = f" commit {', '.join(f'`{one}`' for one in commits)}." if commits else ""
    return "\n".join([*lines, "", words.note + measured])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(result: Mapping[str, Any], ranking: str) -> str:
    found = result.get("intervals", {}).get(ranking, {}).get(NDCG)
    return f" [{found[0]:.3f}–{found[1]:.3f}]" if found else ""


def _marks(result: Mapping[str, Any]) -> dict[str, str]:
    """▲ where a ranking is significantly above every earlier one, ▼ where it is below one."""
    pairs = result["never_worse"]["pairs"]
    adjusted = holm([pair["p"] for pair in pairs])
    verdicts: dict[str, list[str]] = {}
    for pair, p_holm in zip(pairs, adjusted, strict=True):
        verdict = verdict_of(pair["differences"][NDCG], p_holm)
        verdicts.setdefault(pair["later"], []).append(verdict)
    marks = {}
    for ranking, found in verdicts.items():
        if "worse" in found:
            marks[ranking] = " ▼"
        elif all(verdict == "better" for verdict in found):
            marks[ranking] = " ▲"
    return marks


def markers(name: str) -> tuple[str, str]:
    """What stands before and behind a table."""
    return f"<!-- {name}: made by python -m evals.readme_table --write -->", f"<!-- /{name} -->"


def with_table(text: str, name: str, made: str) -> str:
    """Put a table between its markers in a text.

    Raises
    ------
    ValueError
        When the text does not have each marker once, in order.
    """
    first, last = markers(name)
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in after or last in after:
        raise ValueError(f"the markers of {name} are not there, once each and in order")
    return f"{before}{first}\n\n{made}\n\n{last}{after}"


def renewed(root: Path) -> dict[Path, tuple[str, str]]:
    """Each README: its text, and what it should be."""
    results = load(root / "evals" / "results")
    found = {}
    for name, words in FILES.items():
        text = (root / name).read_text(encoding="utf-8")
        new = with_table(text, QUALITY, table(results, words))
        if words is ENGLISH:
            new = with_table(new, SPEED, speed_table(root / "evals" / "results" / "bench"))
        found[root / name] = text, new
    return found


def stale(root: Path = ROOT) -> list[str]:
    """Name the files whose table is not what the results say."""
    return [path.name for path, (text, new) in renewed(root).items() if text != new]


def main(argv: Sequence[str] | None = None) -> int:
    """Check the tables, or write them; 1 when one is stale."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.readme_table",
        description="README の正しさと速さの表を evals/results から作る",
    )
    parser.add_argument("--write", action="store_true", help="確かめるだけでなく、書き直す")
    if parser.parse_args(argv).write:
        for path, (_, new) in renewed(ROOT).items():
            write(path, new)
    old = stale()
    if old:
        print(
            f"{'、'.join(old)} の表が evals/results と違います。python -m evals.readme_table --write で作り直してください。",
            file=sys.stderr,
        )
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
