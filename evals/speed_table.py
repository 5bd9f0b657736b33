"""The table of speed and size in README.md, made from ``evals/results/bench/*.json`` by :mod:`evals.readme_table`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

#: A line of a benchmark as the JSON has it.
Line = Mapping[str, Any]

#: Ends of the lines that measure something else under the same beginning.
_OTHER: Final = ("初めての質問", "一文ずつ", "（3 問）")


class Row(NamedTuple):
    """A row of the table: what it is, the benchmark, how its line begins, the peer, and what a figure is written like."""

    what: str
    item: str
    line: str
    peer: str = ""
    unit: str = "ms"
    peer_is: str = ""


ROWS: Final = (
    Row("a question on 11,144 passages, all of it, p50", "query", "検索の全体 p50"),
    Row("the same, p95", "query", "検索の全体 p95"),
    Row("the same without the embedding of the question, p50", "query", "埋め込みを除く検索 p50"),
    Row("open to the first right answer, 11,144 passages, fresh process", "open", "起動から", unit="s"),
    Row("BM25, 11 k passages, same terms and ranking", "bm25", "BM25 11k k=10", "bm25s", peer_is="bm25s (numba)"),
    Row("BM25, 11 k passages", "bm25", "BM25 11k k=10", "tantivy"),
    Row("BM25, 11 k passages, timed in a pair of its own", "bm25", "BM25 11k k=10", "rank-bm25"),
    Row("BM25, 1 M passages, same terms and ranking", "bm25", "BM25 1M k=10", "bm25s", peer_is="bm25s (numba)"),
    Row("MaxSim, 100 candidates, 384 dimensions", "maxsim", "MaxSim 100 候補 × 384", "torch einsum", peer_is="torch einsum, padded"),
    Row("MaxSim, 100 candidates, 128 dimensions", "maxsim", "MaxSim 100 候補 × 128", "maxsim-cpu"),
    Row("Japanese analysis, all of it, one core", "analysis", "日本語の解析、1 コア", "MeCab のみ", "M chars/s", "MeCab splitting alone"),
    Row("the same", "analysis", "日本語の解析、1 コア", "fugashi の素性", "M chars/s", "fugashi's features"),
    Row("the same on two cores", "analysis", "日本語の解析、2 コア", "ragjp 1 コア", "M chars/s", "one core"),
    Row("a question on 1,018,524 passages, all of it, p50", "growth", "検索の全体 p50"),
    Row("the same, p95", "growth", "検索の全体 p95"),
    Row("open to the first right answer, 1,018,524 passages", "growth", "起動から", unit="s"),
    Row("memory of serving 11,144 passages", "open", "検索中の最大メモリー", unit="MiB"),
    Row("memory of indexing them", "open", "索引作成中の最大メモリー", unit="MiB"),
    Row("one per cent more passages, of a full build's time", "open", "1% 追加", unit="%"),
    Row("JaQuAD, same encoder, nDCG@10", "peers", "jaquad nDCG@10", "LangChain", "", "LangChain's BM25 + FAISS ensemble"),
    Row("the same, p50 of a question", "peers", "jaquad 1 問", "LangChain", peer_is="LangChain"),
    Row("JaQuAD, same encoder, nDCG@10", "peers", "jaquad nDCG@10", "txtai", "", "txtai hybrid with Japanese terms"),
    Row("the same, p50 of a question", "peers", "jaquad 1 問", "txtai", peer_is="txtai"),
    Row("JSQuAD, same encoder, nDCG@10", "peers", "jsquad nDCG@10", "LangChain", ""),
    Row("the same, p50 of a question", "peers", "jsquad 1 問", "LangChain"),
    Row("JSQuAD, same encoder, nDCG@10", "peers", "jsquad nDCG@10", "txtai", ""),
    Row("the same, p50 of a question", "peers", "jsquad 1 問", "txtai"),
)  # fmt: skip


def speed_table(folder: Path) -> str:
    """Make the table, as Markdown, from the results of ``make bench``.

    Raises
    ------
    KeyError
        When a benchmark has no such line: it was renamed, or not measured.
    """
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["lines"]
        for path in sorted(folder.glob("*.json"))
    }
    rows = ["| what | ragjp | peer | ratio |", "|---|---|---|---|"]
    for row in ROWS:
        line = _find(found, row)
        peer = ratio = ""
        if line["peer"] is not None:
            peer = f"{row.peer_is or row.peer} {_written(line['peer'], row.unit)}"
            ratio = f"{line['ratio']:.3g} ×"
        rows.append(f"| {row.what} | {_written(line['ours'], row.unit)} | {peer} | {ratio} |")
    return "\n".join(rows)


def _find(results: Mapping[str, list[Line]], row: Row) -> Line:
    for line in results[row.item]:
        name = line["line"]
        if (
            name.startswith(row.line)
            and line["peer_name"] == row.peer
            and not name.endswith(_OTHER)
        ):
            return line
    raise KeyError(f"{row.item}: {row.line} ({row.peer or 'no peer'})")


def _written(value: float, unit: str) -> str:
    """Three figures, and the unit behind them.

    >>> _written(0.04807, "ms"), _written(1587.5, "MiB")
    ('0.0481 ms', '1,588 MiB')
    """
    figures = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{figures} {unit}".rstrip()
