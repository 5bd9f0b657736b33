"""Results as text for people and as plain values for JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ragjp.japanese.layout import unwrap
from ragjp.types import Answer, Confidence, Hit, Ranking

if TYPE_CHECKING:
    from ragjp.index.upkeep.check import CheckReport, Problem
    from ragjp.index.upkeep.repair import RepairReport
    from ragjp.jobs.build import BuildReport

#: Characters of a passage shown in a list of hits.
SNIPPET_CHARS = 160
#: Failures listed one by one; the rest are counted.
SHOWN_FAILURES = 20


def printable(text: str) -> str:
    r"""Drop what could steer a terminal: a document must not be able to repaint the screen of who reads it.

    >>> printable("消去\x1b[2J\tする\n")
    '消去[2J\tする\n'
    """
    return "".join(char for char in text if char.isprintable() or char in "\n\t　")


def one_line(text: str, limit: int) -> str:
    r"""Fold blanks and cut to ``limit`` characters.

    >>> one_line("第１条\n  この規程は", 7)
    '第１条 この…'
    """
    folded = " ".join(printable(text).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


# ------------------------------------------------------------------------------------------------- search


def ranking_values(ranking: Ranking) -> dict[str, Any]:
    """Return a ranking as the contract's JSON."""
    return {
        "query": ranking.query,
        "hits": [hit_values(hit) for hit in ranking.hits],
        "generation": ranking.generation,
        "timings_ms": rounded(ranking.timings_ms),
    }


def hit_values(hit: Hit) -> dict[str, Any]:
    """Return a hit as the contract's JSON."""
    return {
        "doc_id": hit.doc_id,
        "chunk_id": hit.chunk_id,
        "page": hit.page,
        "start": hit.start,
        "end": hit.end,
        "score": float(hit.score),
        "text": hit.text,
        "title": hit.title,
        "heading_path": list(hit.heading_path),
        "scores": {name: float(score) for name, score in hit.scores.items()},
    }


def ranking_text(ranking: Ranking) -> str:
    """Return a ranking as lines for a person."""
    if not ranking.hits:
        return "見つかりませんでした。言葉を変えるか、短くして探してください。"
    lines = [line for rank, hit in enumerate(ranking.hits, 1) for line in _hit_lines(rank, hit)]
    total = ranking.timings_ms.get("total")
    took = "" if total is None else f"（{total:.0f} ミリ秒）"
    return "\n".join([*lines, f"{len(ranking.hits)} 件{took}"])


def _hit_lines(rank: int, hit: Hit) -> Iterable[str]:
    shares = "、".join(f"{name} {score:.3f}" for name, score in hit.scores.items())
    yield f"{rank:>2}. {one_line(hit.doc_id, 200)}  {hit.page} ページ"
    headings = [one_line(part, 60) for part in (hit.title, *hit.heading_path) if part]
    if headings:
        yield f"    {' ＞ '.join(dict.fromkeys(headings))}"
    yield f"    {one_line(hit.text, SNIPPET_CHARS)}"
    yield f"    点数 {hit.score:.3f}（{shares}）"


def rounded(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Return times with microseconds as the last digit."""
    return {name: round(float(value), 3) for name, value in timings_ms.items()}


# ------------------------------------------------------------------------------------------------- ask


def answer_values(answer: Answer) -> dict[str, Any]:
    """Return an answer as the contract's JSON."""
    return {
        "question": answer.question,
        "answer": answer.text,
        "status": answer.status,
        "citations": [
            {
                "doc_id": citation.doc_id,
                "page": citation.page,
                "quote": citation.quote,
                "start": citation.start,
                "end": citation.end,
            }
            for citation in answer.citations
        ],
        "written_by": answer.written_by,
        "confidence": None if answer.confidence is None else confidence_values(answer.confidence),
        "generation": answer.ranking.generation,
        "timings_ms": rounded(answer.timings_ms),
    }


def confidence_values(confidence: Confidence) -> dict[str, Any]:
    """Return a confidence as JSON, with the error rates of acting on it."""
    return {
        "probability": round(confidence.probability, 4),
        "threshold": round(confidence.threshold, 4),
        "floor": round(confidence.floor, 4),
        "answerable_refused": round(1 - confidence.kept, 4),
        "unanswerable_answered": round(1 - confidence.refused, 4),
        "basis": confidence.basis,
        "signals": {name: round(value, 4) for name, value in confidence.signals.items()},
    }


def citations_text(answer: Answer) -> str:
    """Return where the answer stands, as lines for a person."""
    lines = []
    for number, citation in enumerate(answer.citations, 1):
        lines.append(f"  [{number}] {one_line(citation.doc_id, 200)}  {citation.page} ページ")
        lines.append(f"      「{one_line(unwrap(citation.quote), 300)}」")
    total = answer.timings_ms.get("total")
    by = "文書からの抜き出し" if answer.written_by == "extractive" else answer.written_by
    took = "" if total is None else f"、{total:.0f} ミリ秒"
    return "\n".join([*(["出典:"] if lines else []), *lines, f"（{by}{took}）"])


# ------------------------------------------------------------------------------------------------- index, check


def build_values(report: BuildReport, into: str) -> dict[str, Any]:
    """Return the report of a build as JSON."""
    return {
        "index": into,
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "moved": report.moved,
        "partly": report.by_status["partly"],
        "kept": report.by_status["kept"],
        "kept_why": report.kept_why,
        "dry_run": report.dry_run,
        "interrupted": report.interrupted,
        "failed": len(report.failures),
        "failures": [
            {"doc_id": failure.doc_id, "code": failure.code, "message": failure.sentence}
            for failure in report.failures
        ],
        "n_documents": report.n_documents,
        "n_chunks": report.n_chunks,
        "embedded_chunks": report.embedded_chunks,
        "reused_chunks": report.reused_chunks,
        "generation": report.generation,
        "seconds": round(report.seconds, 3),
    }


def build_text(report: BuildReport, into: str) -> str:
    """Return the report of a build as lines for a person, without the failures."""
    lines = ["下調べ（何も変えていません）:"] if report.dry_run else []
    lines.append(
        f"追加 {report.added}、更新 {report.updated}、変更なし {report.unchanged}、"
        f"削除 {report.removed}、失敗 {len(report.failures)}（{report.seconds:.1f} 秒）"
    )
    counts = report.by_status
    rare: dict[str, int] = {
        "移動": report.moved,
        "一部だけ読めた": counts["partly"],
        "消えたが残した": counts["kept"],
        "まだ": 0 if report.dry_run else counts["pending"],
    }
    if any(rare.values()):
        lines.append(
            "うち " + "、".join(f"{name} {count}" for name, count in rare.items() if count)
        )
    lines.append(
        f"索引 {into}: 文書 {report.n_documents} 件、断片 {report.n_chunks} 個、第 {report.generation} 世代"
    )
    return "\n".join(lines)


def failures_text(report: BuildReport, where: str) -> str:
    """Return the documents that could not be read: counted by reason, the first listed, and where all of them are."""
    counts = Counter(failure.code for failure in report.failures)
    reasons = "、".join(f"{code} {count} 件" for code, count in counts.most_common())
    shown = [
        f"  {one_line(failure.doc_id, 200)} [{failure.code}] {one_line(failure.sentence, 400)}"
        for failure in report.failures[:SHOWN_FAILURES]
    ]
    rest = len(report.failures) - len(shown)
    more = [f"  ほか {rest} 件"] if rest else []
    return "\n".join(
        [f"読めなかった文書（{reasons}）:", *shown, *more, f"全部の一覧は {where} にあります。"]
    )


def check_values(report: CheckReport, index: str) -> dict[str, Any]:
    """Return the result of a check as JSON."""
    return {
        "index": index,
        "ok": not report.problems,
        "problems": _problem_values(report.problems),
        "warnings": _problem_values(report.warnings),
        "n_documents": report.n_documents,
        "n_chunks": report.n_chunks,
        "n_segments": report.n_segments,
        "n_files": report.n_files,
        "n_dead_rows": report.n_dead_rows,
        "generation": report.generation,
    }


def _problem_values(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {"code": problem.code, "where": problem.where, "message": problem.sentence}
        for problem in problems
    ]


def check_text(report: CheckReport, index: str) -> str:
    """Return the result of a check as lines for a person."""
    notes = ["知らせ:", *_problem_lines(report.warnings)] if report.warnings else []
    if report.problems:
        return "\n".join(
            [
                f"索引 {index} に {len(report.problems)} 個の誤りがあります。",
                *_problem_lines(report.problems),
                *notes,
                f"ragjp check --repair {index} で、直せるものを直せます。",
            ]
        )
    dead = f"、消した文書の行 {report.n_dead_rows} 行" if report.n_dead_rows else ""
    sound = (
        f"索引 {index} は正しい状態です: 文書 {report.n_documents} 件、断片 {report.n_chunks} 個、"
        f"ファイル {report.n_files} 個{dead}、第 {report.generation} 世代"
    )
    return "\n".join([sound, *notes])


def _problem_lines(problems: Iterable[Problem]) -> list[str]:
    return [
        f"  {one_line(problem.where, 200)} [{problem.code}] {one_line(problem.sentence, 400)}"
        for problem in problems
    ]


def repair_values(report: RepairReport, index: str) -> dict[str, Any]:
    """Return the result of a repair as JSON: the check after it, what was wrong before, what was done and what was lost."""
    return {
        **check_values(report.after, index),
        "problems_before": _problem_values(report.before.problems),
        "mended": list(report.mended),
        "removed": list(report.removed),
    }


def repair_text(report: RepairReport, index: str) -> str:
    """Return the result of a repair as lines for a person."""
    lines = [f"  {one_line(sentence, 400)}" for sentence in report.mended]
    head = ["直したもの:", *lines] if lines else ["直すものはありませんでした。"]
    if report.removed:
        head += [
            f"埋め込みか本文が壊れていたので、次の {len(report.removed)} 件を索引から外しました。"
            "ragjp index を実行すると、文書から入り直します。",
            *(f"  {one_line(name, 200)}" for name in report.removed),
        ]
    if report.after.problems:
        head += [
            "ここでは直せない誤りが残っています。控えから戻すか（ragjp restore）、索引を消して ragjp index で作り直してください。"
        ]
        return "\n".join([*head, *_problem_lines(report.after.problems)])
    return "\n".join([*head, check_text(report.after, index)])
