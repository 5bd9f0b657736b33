"""The contract that scripts rely on: index, search, ask, check, doctor, in words and in JSON."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Run

QUESTION = "国内出張の日当はいくらですか"


def test_index_builds_then_finds_nothing_to_do(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A second run that embeds again what has not changed."""
    first = ragjp_cli("index", tiny_folder / "tiny.toml", "--json")
    again = ragjp_cli("index", tiny_folder / "tiny.toml", "--json")
    assert (first.code, again.code) == (0, 0)
    assert (first.values["added"], first.values["unchanged"]) == (4, 0)
    assert (again.values["added"], again.values["unchanged"]) == (0, 4)
    assert again.values["embedded_chunks"] == 0
    assert first.values["index"] == str(tiny_folder / "tiny")
    assert again.values["n_chunks"] == first.values["n_chunks"] > 0


def test_index_reports_updates_and_removals(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A summary whose numbers do not add up to what changed on the disk."""
    ragjp_cli("index", tiny_folder / "tiny.toml")
    (tiny_folder / "source/規程/旅費規程.md").write_text(
        "# 旅費規程\n\n国内出張の日当は3,000円とする。\n", "utf-8"
    )
    (tiny_folder / "source/通達/夏季休業.html").unlink()
    ran = ragjp_cli("index", tiny_folder / "tiny.toml")
    assert ran.code == 0
    assert "追加 0、更新 1、変更なし 2、削除 1、失敗 0" in ran.out
    answer = ragjp_cli("ask", tiny_folder / "tiny", QUESTION, "--json").values
    assert "3,000円" in answer["citations"][0]["quote"]


def test_a_document_that_cannot_be_read_does_not_stop_the_others(
    ragjp_cli: Run, tiny_folder: Path
) -> None:
    """One broken file among thousands loses the night's work, or passes for success."""
    (tiny_folder / "source/壊れた.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    ran = ragjp_cli("index", tiny_folder / "tiny.toml", "--json")
    assert ran.code == 1
    assert (ran.values["added"], ran.values["failed"]) == (4, 1)
    assert ran.values["failures"][0]["doc_id"] == "壊れた.pdf"
    code = ran.values["failures"][0]["code"]
    report = tiny_folder / "tiny" / "report.jsonl"
    assert f"壊れた.pdf [{code}]" in ran.err
    assert str(report) in ran.err
    assert "壊れた.pdf" in report.read_text(encoding="utf-8")
    assert ragjp_cli("search", tiny_folder / "tiny", "日当", "--json").values["hits"]
    assert ragjp_cli("check", tiny_folder / "tiny").code == 0


def test_only_the_first_failures_are_listed(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A wall of a thousand lines that hides the summary."""
    for number in range(25):
        (tiny_folder / f"source/{number:02}.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    ran = ragjp_cli("index", tiny_folder / "tiny.toml")
    listed = [line for line in ran.err.splitlines() if line.startswith("  ") and ".pdf [" in line]
    assert len(listed) == 20
    assert "ほか 5 件" in ran.err
    assert " 25 件" in ran.err


def test_search_gives_the_contracts_json(ragjp_cli: Run, tiny_index: Path) -> None:
    """A key that scripts read was renamed."""
    ran = ragjp_cli("search", tiny_index, "日当", "-k", "2", "--json")
    assert ran.code == 0
    assert set(ran.values) == {"query", "hits", "generation", "timings_ms"}
    assert len(ran.values["hits"]) == 2
    best = ran.values["hits"][0]
    assert {"doc_id", "chunk_id", "page", "score", "text", "scores"} <= set(best)
    assert (best["doc_id"], best["page"]) == ("規程/旅費規程.md", 1)
    assert {"bm25", "dense"} <= set(best["scores"])
    assert "2,500円" in best["text"]
    assert "\\u" not in ran.out


def test_search_in_words_names_file_and_page(ragjp_cli: Run, tiny_index: Path) -> None:
    """A list of hits that does not say where they stand."""
    ran = ragjp_cli("search", tiny_index, "社用車の予約")
    assert ran.code == 0
    assert "1. 規程/車両管理規程.txt  1 ページ" in ran.out
    assert "前日" in ran.out
    assert ran.err == ""


def test_ask_gives_the_contracts_json(ragjp_cli: Run, tiny_index: Path, tiny_base: Path) -> None:
    """A key that scripts read was renamed, or a quote that is not in the document."""
    ran = ragjp_cli("ask", tiny_index, QUESTION, "--json")
    assert ran.code == 0
    assert {"answer", "status", "citations", "timings_ms"} <= set(ran.values)
    assert ran.values["status"] == "answered"
    for citation in ran.values["citations"]:
        assert set(citation) == {"doc_id", "page", "quote", "start", "end"}
    first = ran.values["citations"][0]
    assert (first["doc_id"], first["page"]) == ("規程/旅費規程.md", 1)
    assert first["quote"] in (tiny_base / "source" / first["doc_id"]).read_text(encoding="utf-8")


def test_asking_for_what_is_not_there_is_an_answer_too(ragjp_cli: Run, tiny_index: Path) -> None:
    """That nothing was found: reported as a failure, or as an answer out of thin air."""
    ran = ragjp_cli("ask", tiny_index, "社員食堂のカレーは何曜日ですか", "--json")
    assert ran.code == 0
    assert (ran.values["status"], ran.values["citations"]) == ("no_answer", [])


def test_a_streamed_answer_says_what_a_whole_one_says(ragjp_cli: Run, tiny_index: Path) -> None:
    """The answer printed twice, or with its label lost, when it is streamed."""
    whole = ragjp_cli("ask", tiny_index, QUESTION, "--no-stream").out
    streamed = ragjp_cli("ask", tiny_index, QUESTION, "--stream").out
    assert "2,500円" in whole
    assert "[1] 規程/旅費規程.md  1 ページ" in whole
    assert _without_time(streamed) == _without_time(whole)


def _without_time(text: str) -> list[str]:
    return [line for line in text.splitlines() if "ミリ秒" not in line]


@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_view_sees_only_what_its_principals_may(
    command: str, ragjp_cli: Run, tiny_folder: Path
) -> None:
    """--as read as a hint: somebody reads what his principals do not allow."""
    recipe = (tiny_folder / "tiny.toml").read_text(encoding="utf-8")
    (tiny_folder / "tiny.toml").write_text(recipe.replace("everyone", "group:人事部"), "utf-8")
    assert ragjp_cli("index", tiny_folder / "tiny.toml").code == 0
    key, nothing = {"search": ("hits", []), "ask": ("citations", [])}[command]
    ask = (command, tiny_folder / "tiny", QUESTION, "--json")
    assert ragjp_cli(*ask).values[key] != nothing
    assert ragjp_cli(*ask, "--as", "everyone", "group:人事部").values[key] != nothing
    assert ragjp_cli(*ask, "--as", "group:人事部").values[key] != nothing
    assert ragjp_cli(*ask, "--as", "everyone").values[key] == nothing
    assert ragjp_cli(*ask, "--as", "everyone", "--as", "group:人事").values[key] == nothing


def test_check_passes_a_good_index_and_names_what_is_wrong(
    ragjp_cli: Run, tiny_index: Path, tmp_path: Path
) -> None:
    """A damaged file that nobody notices until a search goes wrong."""
    copy = shutil.copytree(tiny_index, tmp_path / "copy")
    good = ragjp_cli("check", copy, "--json")
    assert (good.code, good.values["ok"], good.values["problems"]) == (0, True, [])
    assert good.values["n_documents"] == 4
    largest = max((copy / "segments").rglob("*.*"), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    damaged = bytearray(largest.read_bytes())
    damaged[-1] ^= 1
    largest.write_bytes(damaged)
    bad = ragjp_cli("check", copy, "--json")
    assert (bad.code, bad.values["ok"]) == (1, False)
    assert largest.name in str(bad.values["problems"])
    assert largest.name in ragjp_cli("check", copy).out


def test_doctor_never_fails(ragjp_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool for broken machines breaks on a broken machine."""

    def broken(name: str) -> str:
        raise RuntimeError("no metadata here")

    healthy = ragjp_cli("doctor", "--json")
    assert healthy.code == 0
    assert healthy.values["版"]["ragjp"]["state"] == "on"
    assert "GPU" in healthy.values["機械"]
    assert all(line["text"] for section in healthy.values.values() for line in section.values())
    monkeypatch.setattr("importlib.metadata.version", broken)
    ran = ragjp_cli("doctor")
    assert ran.code == 0
    assert "RuntimeError: no metadata here" in ran.out
    assert "■ モデル" in ran.out


def test_what_a_document_says_cannot_steer_the_terminal(ragjp_cli: Run, tiny_folder: Path) -> None:
    """A document with escape sequences repaints the screen of whoever searches for it."""
    (tiny_folder / "source/罠.txt").write_text(
        "秘密の通達です。\x1b[2J\x1b]0;偽の題\x07 この通達の番号は七七七です。\n", "utf-8"
    )
    ragjp_cli("index", tiny_folder / "tiny.toml")
    for command in ("search", "ask"):
        ran = ragjp_cli(command, tiny_folder / "tiny", "秘密の通達の番号は何ですか")
        assert "七七七" in ran.out
        assert "\x1b" not in ran.out
        assert "\x07" not in ran.out
