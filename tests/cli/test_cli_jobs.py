"""`ragjp index` as a scheduler sees it: exit codes, reports, the lock; and `ragjp forget` with its proof."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragjp.index.storage.lock import writer_lock

Run = Callable[..., Any]


def grown(folder: Path, n: int) -> None:
    for number in range(n):
        path = folder / "source" / "多数" / f"{number:02}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"通達{number}の番号は{number * 37}です。", encoding="utf-8")


def test_a_dry_run_writes_nothing_but_its_reports(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A look that builds; or a plan that says something else than what then happens."""
    recipe, report, page = (tiny_folder / name for name in ("tiny.toml", "r.jsonl", "r.html"))
    ran = ragjp_cli("index", recipe, "--dry-run", "--json", "--report", report, "--html", page)
    assert ran.code == 0
    assert (ran.values["dry_run"], ran.values["added"]) == (True, 4)
    assert not (tiny_folder / "tiny").exists()
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert lines[0]["totals"]["by_status"] == {"pending": 4}
    assert {line["doc_id"] for line in lines[1:]} >= {"規程/旅費規程.md"}
    assert "下調べ" in page.read_text("utf-8")
    assert "何も変えていません" in ragjp_cli("index", recipe, "--dry-run").out


def test_withheld_deletions_have_an_exit_code(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A share that came back half empty: the job passes for done."""
    grown(tiny_folder, 20)
    recipe = tiny_folder / "tiny.toml"
    assert ragjp_cli("index", recipe).code == 0
    for path in (tiny_folder / "source" / "多数").iterdir():
        path.unlink()
    for arguments in ([], ["--dry-run"]):
        ran = ragjp_cli("index", recipe, "--json", *arguments)
        assert (ran.code, ran.values["removed"], ran.values["kept"]) == (3, 0, 20)
        assert "--allow-deletions" in ran.sentence
    assert ragjp_cli("search", tiny_folder / "tiny", "通達7の番号", "--json").values["hits"]
    ran = ragjp_cli("index", recipe, "--json", "--allow-deletions")
    assert (ran.code, ran.values["removed"]) == (0, 20)


def test_a_locked_index_names_who_holds_it(ragjp_cli: Run, tiny_folder: Path) -> None:
    """Two schedules meet, and nobody can tell which process to look for."""
    with writer_lock(tiny_folder / "tiny", create=True):
        ran = ragjp_cli("index", tiny_folder / "tiny.toml")
    assert ran.code == 4
    assert f"プロセス {os.getpid()}" in ran.sentence
    assert ragjp_cli("index", tiny_folder / "tiny.toml").code == 0


def test_a_watch_is_no_dry_run(ragjp_cli: Run, tiny_folder: Path) -> None:
    ran = ragjp_cli("index", tiny_folder / "tiny.toml", "--watch", "--dry-run")
    assert ran.code == 2
    assert "--watch" in ran.sentence
    assert ragjp_cli("index", tiny_folder / "tiny.toml", "--interval", "nan").code == 2


def test_a_report_that_cannot_be_written_is_named(ragjp_cli: Run, tiny_folder: Path) -> None:
    ran = ragjp_cli("index", tiny_folder / "tiny.toml", "--report", tiny_folder / "無い" / "r")
    assert ran.code == 1
    assert "無い" in ran.sentence


def test_a_forgotten_document_and_the_proof(ragjp_cli: Run, tiny_folder: Path) -> None:
    """The journey of a deletion request, from the command to the auditor."""
    index, receipt = tiny_folder / "tiny", tiny_folder / "受領書.json"
    ragjp_cli("index", tiny_folder / "tiny.toml")
    document = "規程/旅費規程.md"
    ran = ragjp_cli("forget", index, document, "--receipt", receipt)
    assert ran.code == 0
    assert document in ran.out
    assert "exclude" in ran.sentence  # the file is still there
    hits = ragjp_cli("search", index, "日当", "--json").values["hits"]
    assert all(hit["doc_id"] != document for hit in hits)
    proof = ragjp_cli("check", index, "--receipt", receipt, "--json")
    assert (proof.code, proof.values["forgotten"], proof.values["traces"]) == (0, document, [])
    assert ragjp_cli("forget", index, document).code == 2
    ragjp_cli("index", tiny_folder / "tiny.toml")
    proof = ragjp_cli("check", index, "--receipt", receipt)
    assert proof.code == 1
    assert "跡が残っています" in proof.out
    assert ragjp_cli("check", index, "--receipt", receipt, "--repair").code == 2
