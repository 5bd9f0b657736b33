"""The reading process: whatever a document does to it, the batch goes on and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ragjp.config import Limits
from ragjp.documents import DocumentReader, child, read_document_here, reader
from ragjp.documents.framing import document_from_json, document_to_json
from ragjp.errors import DocumentError
from ragjp.types import Document, Page, Remark

Write = Callable[[str, bytes], Path]
PROSE = "経費の精算は、月末までに行うこと。\n"
LIMITS = Limits(seconds=2, memory_mib=256)


def faulty(behaviour: str = "") -> list[str]:
    """The command of a reading process that does what the name of the file says, or behaves badly by itself."""
    script = Path(__file__).with_name("faulty_worker.py")
    boot = f"import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); runpy.run_path({str(script)!r}, run_name='__main__')"
    return [sys.executable, "-I", "-X", "utf8", "-c", boot, child.worker_command()[-1], behaviour]


@pytest.fixture
def faulty_reader() -> Iterator[DocumentReader]:
    with DocumentReader(LIMITS, command=faulty()) as opened:
        yield opened


def processes_of_session(session: int) -> list[int]:
    """Running processes of a session, zombies left out (a container's first process may not collect them)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = (
                status.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[:4]
            )
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(status.parent.name))
    return found


def is_gone(pid: int) -> bool:
    """Neither running nor a zombie."""
    return not Path(f"/proc/{pid}").exists()


def test_agrees_with_reading_in_this_process(write: Write, pdfs: ModuleType) -> None:
    """Guards against anything that gets lost between the processes."""
    files = {
        "a.md": f"---\ntitle: 規程\n---\n# 一\n{PROSE}## 二\n𠮷野家\n".encode(),
        "b.txt": (PROSE * 20_000).encode("cp932"),
        "c.html": f"<h1>見出し</h1><p>{PROSE}".encode("euc_jp"),
        "d.pdf": pdfs.make_pdf([["第1条"], [], ["第2条"]]),
    }
    with DocumentReader(Limits()) as opened:
        for name, raw in files.items():
            path = write(name, raw)
            assert opened.read(path, f"部/{name}") == read_document_here(
                path, f"部/{name}", Limits()
            )


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("sleep", "timed_out"),
        ("spin", "timed_out"),
        ("grow", "out_of_memory"),
        ("grow-natively", "out_of_memory"),
        ("abort", "reader_crashed"),
        ("segfault", "reader_crashed"),
        ("exit", "reader_crashed"),
        ("raise", "reader_failed"),
        ("recurse", "reader_failed"),
        ("write", "reader_failed"),
        ("lie", "reader_crashed"),
    ],
)
def test_a_fault_costs_one_document(
    faulty_reader: DocumentReader, write: Write, fault: str, code: str
) -> None:
    """Guards against one file that ends the batch, hangs it, or leaves a process or a zombie."""
    good = write("good.txt", PROSE.encode())
    assert faulty_reader.read(good, "good").pages[0].text == PROSE
    before = faulty_reader.pid
    assert before is not None
    with pytest.raises(DocumentError) as caught:
        faulty_reader.read(write(f"{fault}.txt", b"x"), "規程/x.txt")
    assert caught.value.code == code
    assert "規程/x.txt" in caught.value.sentence
    assert is_gone(before) == (code != "reader_failed")
    assert faulty_reader.read(good, "good").pages[0].text == PROSE
    last = faulty_reader.pid
    faulty_reader.close()
    assert last is not None
    assert is_gone(last)
    assert all(path.stat().st_size == 0 for path in good.parent.glob("*.out"))


def test_what_a_reader_starts_ends_with_it(faulty_reader: DocumentReader, write: Write) -> None:
    """Guards against grandchildren that outlive the batch."""
    faulty_reader.read(write("good.txt", PROSE.encode()), "good")
    session = faulty_reader.pid
    assert session is not None
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.update(processes_of_session(session))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(DocumentError) as caught:
        faulty_reader.read(write("grandchild.txt", b"x"), "x")
    over.set()
    watcher.join()
    assert caught.value.code == "timed_out"
    assert len(seen) == 2, "the grandchild never ran, so this test shows nothing"
    assert processes_of_session(session) == []


def test_what_libraries_print_stays_out_of_the_replies(
    faulty_reader: DocumentReader, write: Write
) -> None:
    """Guards against a library that writes to descriptor 1 and shifts every reply by one."""
    document = faulty_reader.read(write("noise.txt", PROSE.encode()), "noise")
    assert document.pages[0].text == PROSE


def test_what_the_process_can_reach(
    faulty_reader: DocumentReader, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against sockets, files and keys of this process in the hands of a hostile file."""
    monkeypatch.setenv("SECRET_API_KEY", "hunter2")
    with socket.socket() as ours, write("ours.txt", b"x").open("rb") as file:
        os.set_inheritable(ours.fileno(), True)
        os.set_inheritable(file.fileno(), True)
        found = json.loads(faulty_reader.read(write("inventory.txt", b"x"), "x").pages[0].text)
    assert not [name for name in found["files"] if name.startswith("socket:") or "ours" in name]
    assert any(name.startswith("pipe:") for name in found["files"])
    assert "hunter2" not in json.dumps(found["environment"])
    assert found["folder"] == "/"


@pytest.mark.parametrize("behaviour", ["garbage", "huge"])
def test_replies_are_not_trusted(write: Write, behaviour: str) -> None:
    """Guards against a taken-over process that makes this one allocate, or believe."""
    with DocumentReader(LIMITS, command=faulty(behaviour)) as opened:
        with pytest.raises(DocumentError) as caught:
            opened.read(write("a.txt", PROSE.encode()), "a")
        assert caught.value.code == "reader_crashed"
        assert opened.pid is None


@pytest.mark.parametrize("command", [faulty("mute"), ["/nowhere/python"]])
def test_a_process_that_does_not_start(write: Write, command: list[str]) -> None:
    """Guards against blaming the document, and against waiting."""
    with DocumentReader(LIMITS, command=command) as opened, pytest.raises(DocumentError) as caught:
        opened.read(write("a.txt", PROSE.encode()), "a")
    assert caught.value.code == "reader_not_started"


def test_a_process_that_was_killed_while_idle_is_replaced(write: Write) -> None:
    """Guards against the first document after an idle hour being lost."""
    path = write("a.txt", PROSE.encode())
    with DocumentReader(LIMITS) as opened:
        opened.read(path, "a")
        first = opened.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert opened.read(path, "a").pages[0].text == PROSE
        assert opened.pid != first
        assert is_gone(first)


def test_the_process_is_kept_and_then_replaced(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards against a process per document (slow) and one for ever (leaks)."""
    monkeypatch.setattr(reader, "DOCUMENTS_PER_PROCESS", 2)
    path = write("a.txt", PROSE.encode())
    with DocumentReader(LIMITS) as opened:
        pids = []
        for _ in range(5):
            opened.read(path, "a")
            pids.append(opened.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_an_interrupt_does_not_mix_up_replies(faulty_reader: DocumentReader, write: Write) -> None:
    """Guards against Ctrl-C after which every document gets the text of the one before."""
    good = write("good.txt", PROSE.encode())
    faulty_reader.read(good, "good")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            faulty_reader.read(write("sleep.txt", b"x"), "x")
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert faulty_reader.pid is None
    assert faulty_reader.read(good, "good").pages[0].text == PROSE


def test_works_from_anywhere(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against modules being looked for in the current folder, where the documents are."""
    for module in ("json", "ragjp", "resource"):
        write(f"{module}.py", b"raise SystemExit(9)")
    write("a.txt", PROSE.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with DocumentReader(LIMITS) as opened:
        assert opened.read(Path("a.txt"), "a").pages[0].text == PROSE


def test_hostile_file_names(write: Write) -> None:
    """Guards against names that JSON, UTF-8 or a terminal cannot hold."""
    with DocumentReader(LIMITS) as opened:
        for raw_name in (
            b"\xff\x80.txt",
            "改行\n引用\"'$(x).txt".encode(),
            b"-rf.txt",
            "が".encode() + b".txt",
        ):
            path = write(os.fsdecode(raw_name), PROSE.encode())
            assert opened.read(path, "a").pages[0].text == PROSE
        with pytest.raises(DocumentError) as caught:
            opened.read(Path(os.fsdecode(b"/nowhere/\xff\n.txt")), "規程/\udcff\n.txt")
        assert caught.value.code == "file_missing"
        assert "規程/??.txt" in caught.value.sentence
        caught.value.sentence.encode()


def test_threads_take_turns(write: Write) -> None:
    """Guards against two threads reading each other's replies."""
    paths = [write(f"{at}.txt", f"文書{at}。".encode()) for at in range(8)]
    wrong: list[str] = []
    with DocumentReader(LIMITS) as opened:

        def read_all() -> None:
            wrong.extend(
                path.name
                for path in paths * 5
                if opened.read(path, path.name).pages[0].text != f"文書{path.stem}。"
            )

        threads = [threading.Thread(target=read_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_documents_survive_the_way_and_others_do_not() -> None:
    """Guards against headings outside of their page and other values nobody expects further on."""
    document = Document(
        "a",
        "題",
        (
            Page(1, "本文", ((0, 1, "本"),)),
            Page(2, ""),
            Page(3, "x", (), "表", ((0, 1, "A1"),), ((0, 1, "エ"),)),
        ),
        "pdf",
        {"k": "v"},
        (Remark("hidden_sheet", 2, "表示されないシートです。"),),
    )
    packed = json.loads(json.dumps(document_to_json(document)))
    assert document_from_json(packed, "a") == document
    for path, wrong in (
        (("title",), 1),
        (("pages",), [[1, 2, [], {}]]),
        (("pages",), [[1, "x", [[5, 1, "x"]], {}]]),
        (("pages",), [[1, "x", [], {"places": [[0, 2, "A1"]]}]]),
        (("remarks",), [["hidden_sheet", "1", "x"]]),
        (("metadata",), []),
    ):
        with pytest.raises(ValueError, match="not as agreed"):
            document_from_json({**packed, path[0]: wrong}, "a")
