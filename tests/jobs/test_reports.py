"""The reports of a build: every document in them once, and nothing of a document's name that is more than text."""

from __future__ import annotations

import json
from datetime import datetime
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from zipfile import ZipFile

import pytest
from builds import recipe, run
from hypothesis import given, settings
from hypothesis import strategies as st

from ragjp.jobs.build import build, plan_build
from ragjp.jobs.outcomes import STATUSES, BuildReport, Outcome, Status, in_order
from ragjp.jobs.reports import write_html_report, write_json_report
from ragjp.jobs.settling import page_list

PDF_BYTES = Path(__file__).parents[1] / "documents" / "pdf_bytes.py"
AT = datetime.fromisoformat("2026-11-23T02:00:00+09:00")


def report_of(outcomes: list[Outcome]) -> BuildReport:
    return BuildReport(0, 0, 0, 0, (), 3, 4, 0, 0, 7, 1.5, outcomes=in_order(outcomes))


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(report: BuildReport, path: Path) -> Tags:
    write_html_report(path, report, title="indexes/規程", at=AT)
    page = Tags()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_every_document_is_in_both_reports_once(base: Path) -> None:
    """A file that is neither indexed nor reported: nobody ever learns that it is missing."""
    (base / "source" / "空.txt").write_bytes(b"")
    with ZipFile(base / "source" / "資料.zip", "w") as zipped:
        zipped.writestr("甲.txt", "甲の契約は三年とする。")
        zipped.writestr("乙.dwg", b"\0\1binary")
    first = build(recipe(), base=base, into=base / "index")
    (base / "source" / "faq.html").unlink()
    (base / "source" / "規程" / "旅費.md").rename(base / "source" / "旅費.md")
    second = run(base)
    for report, expected in (
        (first, {"indexed": 4, "refused": 2}),
        (second, {"moved": 1, "removed": 1, "unchanged": 2, "refused": 2}),
    ):
        path = base / "report.jsonl"
        write_json_report(path, report)
        head, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        assert head["totals"]["by_status"] == expected
        names = [line["doc_id"] for line in lines]
        assert len(names) == len(set(names)) == sum(expected.values())
        assert sum(head["totals"]["by_reason"].values()) == 2
        assert all(
            line["code"] and line["sentence"] for line in lines if line["status"] == "refused"
        )
        text = page_of(report, base / "report.html").text
        assert all(name in text for name in names)
    assert first.by_reason == second.by_reason


def test_pages_without_text_are_named(base: Path) -> None:
    """Half of a scanned file was indexed, and the report said that all is well."""
    spec = spec_from_file_location("pdf_bytes", PDF_BYTES)
    assert spec is not None
    assert spec.loader is not None
    pdfs = module_from_spec(spec)
    spec.loader.exec_module(pdfs)
    raw = pdfs.make_pdf([["旅費の規程である。"], [], [], ["休暇の規程である。"], []])
    (base / "source" / "走査.pdf").write_bytes(raw)
    report = run(base)
    (partly,) = [one for one in report.outcomes if one.status == "partly"]
    assert (partly.doc_id, partly.code, partly.pages) == (
        "走査.pdf",
        "pages_without_text",
        (2, 3, 5),
    )
    assert "2–3、5" in partly.sentence


def test_a_dry_run_says_what_it_would_do(base: Path) -> None:
    report = plan_build(recipe(), base=base, into=base / "index")
    assert "下調べ" in page_of(report, base / "plan.html").text


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from(STATUSES), st.text(max_size=40))))
@settings(max_examples=30)
def test_whatever_a_file_is_called_is_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, Status, str]]
) -> None:
    """A file called <script>… runs in the operator's browser."""
    base = tmp_path_factory.mktemp("page")
    hostile = [
        Outcome("<script>alert(1)</script>.md", "refused", "empty", '"><img src=x onerror=y>'),
        Outcome("\udc81\x1b[2J.md", "partly", "&amp;", "'</td></table>"),
    ]
    given_rows = [Outcome(name, status, "code", text) for name, status, text in rows]
    report = report_of([*hostile, *given_rows])
    page = page_of(report, base / "page.html")
    assert not page.tags & {"script", "img", "a", "link", "iframe", "svg"}
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "class", "open"}
    assert "<script>alert(1)</script>.md" in page.text
    write_json_report(base / "report.jsonl", report)
    lines = (base / "report.jsonl").read_bytes().decode("utf-8").split("\n")
    assert len([json.loads(line) for line in lines if line]) == len(report.outcomes) + 1


def test_many_pages_are_named_as_runs() -> None:
    assert page_list([1, 2, 3, 7, 9, 10]) == "1–3、7、9–10"
    assert page_list(range(1, 100, 2), most=2) == "1、3 ほか"
