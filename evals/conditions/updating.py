"""Writing what was measured back into a condition's file and its baseline, for a person to read as a diff and to commit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from evals import gate
from evals.command import baseline_of
from evals.conditions.reading import NamedCondition
from evals.report import write
from evals.runner import EvaluationReport

_SECTION = re.compile(r"\[([\w.-]+)\]\s*(?:#.*)?$")
_SCORE = re.compile(r'("(?P<measure>[^"]+)"\s*=\s*)[\d.]+')


def with_scores(text: str, measured: Mapping[str, Mapping[str, float]]) -> str:
    r"""Put measured scores (ranking → measure → mean) in place of the expected ones; nothing else of the text changes.

    >>> print(with_scores('[rankings.bm25]\n"R@1" = 0.5  # why', {"bm25": {"R@1": 0.61234}}))
    [rankings.bm25]
    "R@1" = 0.6123  # why
    """
    ranking = ""
    lines = []
    for line in text.split("\n"):
        section = _SECTION.match(line)
        if section:
            ranking = section[1].removeprefix("rankings.")
        found = _SCORE.match(line)
        if found and found["measure"] in measured.get(ranking, {}):
            line = f"{found[1]}{measured[ranking][found['measure']]:.4f}{line[found.end() :]}"
        lines.append(line)
    return "\n".join(lines)


def update(condition: NamedCondition, report: EvaluationReport) -> None:
    """Write the scores of a run into the condition's file, and its questions' scores into its baseline.

    A baseline keeps the tolerance that it had.
    """
    measured = {str(row.condition): row.measures for row in report.conditions}
    text = condition.path.read_text(encoding="utf-8")
    write(condition.path, with_scores(text, measured))
    if condition.baseline is None:
        return
    old = gate.read(condition.baseline).tolerance if condition.baseline.exists() else gate.TOLERANCE
    write(condition.baseline, gate.to_json(baseline_of(report, old)))
