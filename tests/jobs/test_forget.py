"""A forgotten document: found by nobody, in no file of the index, and the receipt notices when it is otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from builds import FILES, found, run
from hypothesis import given
from hypothesis import strategies as st

from ragjp.engine import Engine
from ragjp.errors import IndexCorrupt, RequestError
from ragjp.index.upkeep.check import check
from ragjp.jobs.forgetting import forget
from ragjp.jobs.probes import WINDOW, choose_windows, found_in_file, probe_of, rolling
from ragjp.jobs.receipts import (
    Receipt,
    read_receipt,
    receipt_values,
    verify_receipt,
    write_receipt,
)
from ragjp.types import View

SECRET = "社外秘/買収.md"
#: Of words that stand nowhere else.
TEXT = (
    "# 買収計画 珊瑚鶴\n\n珊瑚鶴商会を蒼鷺電機が百二十億円で買収する計画は、常務会だけが知る。\n\n"
    "## 日程\n\n瑠璃鶯会議を経て、翡翠祭の翌日に公表する。担当は鷹匠部の朱鷺田主査とする。\n"
)
SHARED = (
    "この文書は、別に定める規程に従って保管し、保存期間が過ぎたら速やかに廃棄しなければならない。\n"
)


def forgotten(base: Path, doc_id: str = SECRET) -> Receipt:
    return forget(base / "index", doc_id, handed_over=lambda receipt: None)


def write(base: Path, name: str, text: str) -> None:
    path = base / "source" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def files_with(base: Path, *pieces: str) -> list[str]:
    raw = {path: path.read_bytes() for path in (base / "index").rglob("*") if path.is_file()}
    return [str(path) for path, held in raw.items() for p in pieces if p.encode() in held]


@pytest.fixture
def secret(base: Path) -> Path:
    write(base, SECRET, TEXT)
    run(base)
    return base


def test_nothing_of_it_is_left_in_any_file(secret: Path) -> None:
    """Deleted documents that peers still answer from; and their words in a vocabulary, a cache or a free page."""
    words = ("珊瑚鶴", "蒼鷺", "瑠璃鶯", "翡翠祭", "朱鷺田", "常務会")
    assert files_with(secret, *words)
    receipt = forgotten(secret)
    assert files_with(secret, *words) == []
    pieces = [TEXT[at : at + 8] for at in range(len(TEXT) - 8)]
    assert files_with(secret, *(piece for piece in pieces if "\n" not in piece)) == []
    assert (receipt.n_pages, receipt.documents) == (1, (SECRET,))
    assert receipt.n_probes == len(receipt.probes) > 50
    assert verify_receipt(secret / "index", receipt) == []
    assert check(secret / "index").problems == ()


def test_nobody_finds_it_in_a_thousand_probes(secret: Path) -> None:
    """A row that lives on in one of the rankings."""
    with Engine.open(secret / "index") as engine:
        everything = View.unrestricted_by_operator()
        forgotten(secret)
        lengths = (2, 5, 9, 17)
        probes = [TEXT[at : at + n] for n in lengths for at in range(0, len(TEXT) - n, 3)]
        for probe in probes:
            assert all(
                hit.doc_id != SECRET for hit in engine.search(probe, view=everything, k=20).hits
            )
        assert SECRET not in {info.doc_id for info in engine.documents(view=everything)}
    assert {doc_id for doc_id, _ in found(secret, "課長の宿泊料")} <= set(FILES)


def test_the_other_documents_answer_as_a_fresh_build_does(secret: Path, tmp_path: Path) -> None:
    (secret / "source" / SECRET).unlink()
    forgotten(secret)
    before = found(secret, "宿泊料と休暇")
    fresh = secret / "fresh"
    (fresh).mkdir()
    (secret / "source").rename(fresh / "source")
    run(fresh)
    assert found(fresh, "宿泊料と休暇") == before


def test_older_editions_and_removed_documents_are_forgotten_too(base: Path) -> None:
    """An index keeps dead rows and their text until a merge: what was deleted by an update long ago was still on the disk."""
    for number in range(40):
        write(base, f"{number:02}.txt", f"通達{number}の番号は{number * 37}です。")
    write(base, SECRET, TEXT)
    run(base)
    write(base, SECRET, TEXT.replace("百二十億円", "九十億円"))
    run(base)
    (base / "source" / SECRET).unlink()
    run(base)
    assert files_with(base, "珊瑚鶴商会")
    receipt = forgotten(base)
    assert len(receipt.doc_numbers) == 2
    assert files_with(base, "珊瑚鶴商会", "九十億円", "百二十億円") == []
    assert verify_receipt(base / "index", receipt) == []


def test_text_that_others_have_too_stays_theirs(base: Path) -> None:
    """A clause that a hundred contracts share must not make the proof fail, nor go from them."""
    write(base, SECRET, TEXT + SHARED)
    write(base, "契約.md", f"# 契約\n\n{SHARED}")
    run(base)
    receipt = forgotten(base)
    assert 0 < len(receipt.probes) < receipt.n_probes
    assert verify_receipt(base / "index", receipt) == []
    assert "契約.md" in {doc_id for doc_id, _ in found(base, "保存期間が過ぎたら廃棄")}


def test_an_archive_goes_with_all_that_is_in_it(base: Path) -> None:
    with ZipFile(base / "source" / "資料.zip", "w") as zipped:
        zipped.writestr("甲.txt", TEXT)
        zipped.writestr("乙.txt", "乙の契約は五年とする。")
    run(base)
    receipt = forgotten(base, "資料.zip")
    assert set(receipt.documents) == {"資料.zip/甲.txt", "資料.zip/乙.txt"}
    assert files_with(base, "珊瑚鶴", "乙の契約") == []


@pytest.mark.parametrize(("name", "says"), [("無い.md", "ありません"), ("規程", "フォルダー")])
def test_what_is_not_there_is_named_and_nothing_goes(base: Path, name: str, says: str) -> None:
    """A slip in the name reported as success; or a folder's name that takes everything in it."""
    run(base)
    with pytest.raises(RequestError, match=says):
        forgotten(base, name)
    assert run(base).unchanged == 3


def test_the_list_of_failures_and_the_cache_forget_the_name(secret: Path) -> None:
    (secret / "source" / SECRET).write_bytes(b"")
    run(secret)
    assert files_with(secret, SECRET)
    forgotten(secret)
    assert files_with(secret, SECRET, json.dumps(SECRET)[1:-1]) == []


def test_a_file_that_would_bring_it_back_is_named(secret: Path) -> None:
    """Forgotten at noon, indexed again at night."""
    assert forgotten(secret).source_files == (str(secret / "source" / SECRET),)


def test_a_receipt_notices_what_came_back(secret: Path) -> None:
    receipt = forgotten(secret)
    run(secret)
    traces = verify_receipt(secret / "index", receipt)
    assert any("同じ名前" in trace for trace in traces)
    assert any("catalog.sqlite" in trace for trace in traces)


def test_text_left_in_a_strange_file_is_found(secret: Path) -> None:
    """A proof that looks only where it expects something."""
    stray = secret / "index" / "segments" / "メモ.bak"
    stray.write_bytes(b"\0" * 4_000_000 + TEXT.encode())
    with pytest.raises(IndexCorrupt, match=r"メモ\.bak"):
        forgotten(secret)
    stray.unlink()
    receipt = forgotten(secret)  # goes on from the note
    assert receipt.probes
    stray.write_bytes(b"\0" * 4_000_000 + TEXT.encode())
    assert any("メモ.bak" in trace for trace in verify_receipt(secret / "index", receipt))


def test_a_receipt_holds_no_text_and_cannot_be_edited(secret: Path) -> None:
    """The proof of a deletion that quotes what was deleted; or that says what somebody wrote into it."""
    receipt = forgotten(secret)
    path = secret / "受領書.json"
    write_receipt(path, receipt_values(receipt, "index"))
    assert read_receipt(path) == receipt
    written = path.read_text("utf-8")
    assert not any(TEXT[at : at + 4] in written for at in range(len(TEXT) - 4))
    path.write_text(written.replace('"n_chunks": ', '"n_chunks": 1'), "utf-8")
    with pytest.raises(RequestError, match="書き換えられて"):
        read_receipt(path)
    for content in ("", "{}", "[1]", '{"kind": "ragjp-forget-receipt"}'):
        path.write_text(content, "utf-8")
        with pytest.raises(RequestError):
            read_receipt(path)


@pytest.mark.slow
def test_killed_at_every_step_it_is_whole_or_gone_and_a_rerun_finishes(secret: Path) -> None:
    """A kill between the stores that a deletion touches leaves text that nobody knows of any more."""
    (secret / "doc.json").write_text(json.dumps([SECRET, TEXT.rstrip("\n")]), "utf-8")
    with Engine.open(secret / "index") as engine:
        page = engine.page_text(SECRET, 1, view=View.unrestricted_by_operator())
    (secret / "doc.json").write_text(json.dumps([SECRET, page]), "utf-8")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("forget_kills.py")), str(secret)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == {}
    assert found["kills"] >= 16


@given(st.binary(min_size=0, max_size=400))
def test_the_rolling_hash_is_that_of_each_window(raw: bytes) -> None:
    """The quick path must agree with the formula at every place, or text is overlooked."""
    expected = [probe_of(raw[at : at + WINDOW], b"").quick for at in range(len(raw) - WINDOW + 1)]
    assert rolling(raw).tolist() == expected


def test_a_window_across_two_blocks_is_found(tmp_path: Path) -> None:
    window = bytes(range(WINDOW))
    probe = probe_of(window, b"salt")
    for at in ((1 << 20) - 7, (2 << 20) - WINDOW, 3 << 20, 0):
        raw = np.random.default_rng(1).bytes(at) + window
        (tmp_path / "file").write_bytes(raw)
        assert [p for p, _ in found_in_file(tmp_path / "file", [probe], b"salt")] == [probe]
        assert [*found_in_file(tmp_path / "file", [probe], b"other")] == []


def test_windows_are_spread_over_all_texts() -> None:
    texts = [chr(0x4E00 + number) * 100 for number in range(30)]
    windows = choose_windows(texts, 90)
    assert len(windows) <= 90
    assert {window.decode("utf-8", "ignore")[1] for window in windows} == {t[0] for t in texts}
    assert choose_windows(["短い"]) == []
