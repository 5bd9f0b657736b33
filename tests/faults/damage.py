"""What a damaged index may do: give the right answer, or refuse with one RagjpError; never another answer, a crash or a hang.

And whoever writes to it must not make the damage look sound: after a merge or a commit the answers are right, or it is refused.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from isolated import LIMIT_S, Report, isolated
from library import (
    OPERATOR,
    batch_of,
    doc_id,
    is_sentence,
    open_engine,
    open_writer,
    remember_recipe,
    warm_up,
    word,
)

from ragjp.engine import Engine
from ragjp.errors import AccessDenied, RagjpError
from ragjp.index.upkeep.check import check
from ragjp.ranking import RANKINGS
from ragjp.types import View

QUESTIONS = (word(1), word(4), "旅費と休暇の扱いを定めます", "第2版", "通達")
VIEWS = (OPERATOR, View.of("everyone"), View.of("nobody"))
N_DOCUMENTS = 8


def make_sound(work: Path) -> list[Path]:
    """Two sound indexes: one of several segments with dead rows, and the same merged."""
    warm_up()
    several, merged = work / "several", work / "merged"
    with open_writer(several) as writer:
        remember_recipe(writer)
        writer.commit(batch_of(writer, dict.fromkeys(range(N_DOCUMENTS), 1)))
        writer.commit(batch_of(writer, {0: 2, 1: 2}))
        writer.commit(batch_of(writer, {}, removed=(5,)))
    shutil.copytree(several, merged)
    with open_writer(merged) as writer:
        writer.merge()
    return [several, merged]


def _asked(engine: Engine) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Everything that is asked of an index: its name, and how to get it as JSON."""
    for number, view in enumerate(VIEWS):
        yield f"documents {number}", partial(_documents, engine, view)
        yield f"count {number}", partial(engine.document_count, view=view)
        for question in QUESTIONS:
            for ranking in RANKINGS:
                yield (
                    f"{question} {ranking} {number}",
                    partial(_hits, engine, question, view, ranking),
                )
    for number in range(N_DOCUMENTS):
        yield f"page {number}", partial(_page, engine, doc_id(number))
    yield "frequency", lambda: dict(engine.document_frequency(["版", "旅費"], view=OPERATOR))


def _documents(engine: Engine, view: View) -> list[Any]:
    return [asdict(info) for info in engine.documents(view=view)]


def _hits(engine: Engine, question: str, view: View, ranking: Any) -> list[Any]:
    found = engine.search(question, view=view, k=20, ranking=ranking)
    return [asdict(hit) for hit in found.hits]


def _page(engine: Engine, name: str) -> str:
    try:
        return engine.page_text(name, 1, view=OPERATOR)
    except AccessDenied:
        return "denied"


def answers(path: Path) -> dict[str, Any]:
    """What an index answers, by question; a RagjpError that is one sentence counts as None.

    Raises
    ------
    AssertionError
        For a RagjpError that says nothing to its reader.
    """
    try:
        engine = open_engine(path)
    except RagjpError as error:
        _require_sentence(error)
        return {}
    found: dict[str, Any] = {}
    with engine:
        for name, ask in _asked(engine):
            try:
                found[name] = json.loads(json.dumps(ask()))
            except RagjpError as error:
                _require_sentence(error)
    return found


def _require_sentence(error: RagjpError) -> None:
    if not is_sentence(error):
        raise AssertionError(repr(error))


def write_and_close(path: Path, how: str) -> None:
    """Open a writer as a job does, and merge or commit what changes no answer about the documents there are."""
    with open_writer(path) as writer:
        if how == "merge":
            writer.merge()
        else:
            writer.commit(batch_of(writer, {}, removed=(99,)))


@dataclass(frozen=True)
class Verdict:
    """How a damaged index behaved. ``wrong`` is empty, or says what is unforgivable."""

    wrong: str
    #: Whether check reported it.
    detected: bool
    #: Whether any question was refused.
    refused: bool


def behaviour(path: Path, truth: dict[str, Any], write: str) -> dict[str, Any]:
    """Run in a child: ask everything, check, then perhaps write and ask again."""
    verdict = asdict(Verdict("", _detected(path), False))
    # Where the catalog is gone there is no index: a writer makes an empty one, as it is told to.
    stages = ("", write) if (path / "catalog.sqlite").is_file() else ("",)
    for stage in stages:
        if stage:
            try:
                write_and_close(path, stage)
            except RagjpError as error:
                _require_sentence(error)
                break
            if _detected(path):
                break
        found = answers(path)
        verdict["refused"] |= found.keys() != truth.keys()
        for name, value in found.items():
            if value != truth[name]:
                verdict["wrong"] = (
                    f"after {stage or 'opening'}, {name}: {value} instead of {truth[name]}"
                )
    return verdict


def _detected(path: Path) -> bool:
    try:
        return bool(check(path).problems)
    except RagjpError as error:
        _require_sentence(error)
        return True


def judged(
    path: Path,
    truth: dict[str, Any],
    write: str,
    what: str,
    case: int,
    report: Report,
    *,
    forged: bool = False,
) -> dict[str, Any] | None:
    """Let a damaged index behave in a child, and complain where it must not behave like that.

    Parameters
    ----------
    forged
        Every checksum fits the damage: any answer is right, and any exception.
    """
    outcome = isolated(partial(behaviour, path, truth, write), limit_s=LIMIT_S)
    report.ran += 1
    verdict: dict[str, Any] | None = outcome.get("value")
    if verdict is None:
        if forged and "raised" in outcome:
            report.tally("forged: " + outcome["raised"].strip().splitlines()[-1].split(":")[0])
            return None
        report.complain(f"{what}: {outcome}", case)
        return None
    if verdict["wrong"] and not forged:
        report.complain(f"{what}: a wrong answer {verdict['wrong'][:600]}", case)
    report.tally("detected" if verdict["detected"] else "undetected")
    report.tally("refused" if verdict["refused"] else "answered rightly")
    return verdict
