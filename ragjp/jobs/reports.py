"""Reports of a build as files: JSON Lines for scripts, one HTML page for people. Each appears whole or not at all.

The page needs nothing but itself: no script, no link, no picture; whatever a file is called is text in it and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from ragjp.index.storage.disk import on_disk, whole_file
from ragjp.jobs.outcomes import LABELS, BuildReport, Outcome
from ragjp.jobs.pace import in_words

#: Rows of one kind shown on the page; what is beyond is in the JSON report.
MOST_ROWS = 5_000
#: Kinds of outcome that are open when the page is.
_OPEN = ("refused", "kept", "partly")
_STYLE = (
    "body{font-family:sans-serif;line-height:1.6;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{border:1px solid #bbb;padding:.25rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#eee}td.n{text-align:right;white-space:nowrap}"
    "summary{font-weight:bold;cursor:pointer;margin:.8rem 0}.warn{border-left:.4rem solid #b00;padding:.3rem 1rem;background:#fdf0f0}"
)


def totals(report: BuildReport) -> dict[str, Any]:
    """The numbers of a report as plain values."""
    return {
        "dry_run": report.dry_run,
        "interrupted": report.interrupted,
        "by_status": {name: count for name, count in report.by_status.items() if count},
        "by_reason": report.by_reason,
        "deletions_withheld": report.kept_why,
        "n_documents": report.n_documents,
        "n_chunks": report.n_chunks,
        "embedded_chunks": report.embedded_chunks,
        "reused_chunks": report.reused_chunks,
        "generation": report.generation,
        "seconds": round(report.seconds, 3),
        "encoder_share": round(report.encoder_share, 3),
        "stage_seconds": {name: round(spent, 3) for name, spent in report.stage_seconds.items()},
    }


def write_json_report(path: Path, report: BuildReport) -> None:
    """Write JSON Lines: the totals in the first line (``"totals"``), then one object for each document.

    Raises
    ------
    StorageFailed
        When it cannot be written.
    """
    first: dict[str, Any] = {"totals": totals(report)}
    lines = [first, *(_values(outcome) for outcome in report.outcomes)]
    _write(path, (json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _values(outcome: Outcome) -> dict[str, Any]:
    """What is not empty of an outcome; its name and status always."""
    values = asdict(outcome)
    return {key: value for key, value in values.items() if value or key in ("doc_id", "status")}


def write_html_report(path: Path, report: BuildReport, *, title: str, at: datetime) -> None:
    """Write one HTML page in Japanese.

    Parameters
    ----------
    title
        What was built.
    at
        When.

    Raises
    ------
    StorageFailed
        When it cannot be written.
    """
    _write(path, _page(report, title, at))


def _page(report: BuildReport, title: str, at: datetime) -> Iterator[str]:
    kind = "取り込みの下調べ" if report.dry_run else "取り込みの報告"
    heading = _text(f"{kind}: {title}")
    yield (
        '<!doctype html>\n<html lang="ja"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{heading}</title><style>{_STYLE}</style></head><body>\n<h1>{heading}</h1>\n"
        f"<p>{at:%Y年%-m月%-d日 %H:%M}、{in_words(report.seconds)}。"
        f"索引の文書 {report.n_documents} 件、断片 {report.n_chunks} 個、第 {report.generation} 世代。</p>\n"
    )
    if report.kept_why:
        yield f'<p class="warn">{_text(report.kept_why)}</p>\n'
    if report.interrupted:
        yield '<p class="warn">途中で止めました。埋め込みの済んだ文書は索引に入っています。同じコマンドで続きから再開できます。</p>\n'
    yield _table(
        ("結果", "件数"),
        ((LABELS[status], count) for status, count in report.by_status.items() if count),
    )
    if report.by_reason:
        yield "<h2>理由ごとの件数</h2>\n" + _table(("理由", "件数"), report.by_reason.items())
    yield "<h2>文書ごと</h2>\n"
    for status, group in groupby(report.outcomes, key=lambda outcome: outcome.status):
        outcomes = list(group)
        opened = " open" if status in _OPEN else ""
        yield f"<details{opened}><summary>{_text(LABELS[status])} {len(outcomes)} 件</summary>\n"
        yield _table(
            ("文書", "理由", "説明", "ページ", "断片"),
            (
                (
                    one.doc_id,
                    one.code,
                    f"もとの名前: {one.moved_from}" if one.moved_from else one.sentence,
                    one.n_pages or "",
                    one.n_chunks or "",
                )
                for one in outcomes[:MOST_ROWS]
            ),
        )
        if len(outcomes) > MOST_ROWS:
            yield f"<p>ほか {len(outcomes) - MOST_ROWS} 件は --report のファイルにあります。</p>\n"
        yield "</details>\n"
    yield "</body></html>\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{_text(name)}</th>" for name in head) + "</tr>"]
    for row in rows:
        cells = (
            f'<td class="n">{cell:,}</td>' if isinstance(cell, int) else f"<td>{_text(cell)}</td>"
            for cell in row
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>\n"])


def _text(value: object) -> str:
    """Text and nothing else: no markup, no character that steers, no half of a character."""
    shown = "".join(char if char.isprintable() else "�" for char in str(value))
    return escape(shown.encode("utf-8", "replace").decode())


def _write(path: Path, parts: Iterable[str]) -> None:
    with on_disk(path), whole_file(path) as file:
        file.writelines(part.encode("utf-8", "backslashreplace") for part in parts)
