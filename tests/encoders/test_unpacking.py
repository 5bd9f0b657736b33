from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ragjp.encoders.unpacking import MANIFEST, ensure_folder, is_intact
from ragjp.errors import RagjpError


def _make(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("a")
    (folder / "b.bin").write_bytes(b"b" * 1000)


def _nothing(_: str) -> None:
    return


def _hidden(parent: Path) -> list[str]:
    return [path.name for path in parent.iterdir() if path.name.startswith(".") and path.is_dir()]


def test_made_once_and_found_again(tmp_path: Path) -> None:
    """Guards against unpacking at every start."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        _make(folder)

    for _ in range(3):
        assert ensure_folder(tmp_path / "x", make, _nothing) == tmp_path / "x"
    assert len(made) == 1
    assert (tmp_path / "x" / "sub" / "a.txt").read_text() == "a"
    assert not _hidden(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "same size", "removed", "manifest", "empty manifest"])
def test_damage_is_seen_and_remade(tmp_path: Path, damage: str) -> None:
    """Guards against vectors computed from half a file for years."""
    place = ensure_folder(tmp_path / "x", _make, _nothing)
    target = place / "b.bin"
    if damage == "cut":
        target.write_bytes(b"b" * 10)
    elif damage == "same size":
        target.write_bytes(b"c" * 1000)
    elif damage == "removed":
        target.unlink()
    elif damage == "manifest":
        (place / MANIFEST).write_text("{")
    else:
        (place / MANIFEST).write_text('{"files": {}}')
    assert not is_intact(place)
    told: list[str] = []
    ensure_folder(place, _make, told.append)
    assert is_intact(place)
    assert target.read_bytes() == b"b" * 1000
    assert any("壊れている" in line for line in told)
    assert not _hidden(tmp_path)


def test_a_copy_with_other_times_is_intact(tmp_path: Path) -> None:
    """Guards against remaking (on a read-only file system: failing) when a cache was copied into an image."""
    place = ensure_folder(tmp_path / "x", _make, _nothing)
    shutil.copytree(place, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "b.bin", ns=(1, 1))
    assert is_intact(tmp_path / "copy")


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Guards against a half-made folder in the place of a whole one."""

    def fail(folder: Path) -> None:
        _make(folder)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        ensure_folder(tmp_path / "x", fail, _nothing)
    assert not (tmp_path / "x").exists()
    assert not _hidden(tmp_path)


def test_no_right_to_write_is_one_sentence(tmp_path: Path) -> None:
    """Guards against a traceback where the cache cannot be a folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RagjpError, match="RAGJP_CACHE") as caught:
        ensure_folder(tmp_path / "file" / "x", _make, _nothing)
    assert caught.value.code == "cache_unwritable"


_SCRIPT = """
import sys, time
from pathlib import Path
from ragjp.encoders.unpacking import ensure_folder, is_intact
place = Path(sys.argv[1])
def make(folder):
    (folder / "a.txt").write_text("a" * 100)
    with (place.parent / "log").open("a") as log:
        log.write("made\\n")
    print("half", flush=True)
    time.sleep(float(sys.argv[2]))
    (folder / "b.txt").write_text("b" * 100)
ensure_folder(place, make, lambda line: None)
print("whole" if is_intact(place) else "damaged", flush=True)
"""


def _start(place: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_SCRIPT), str(place), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    """Guards against two makers at once, where the loser breaks the winner's folder."""
    running = [_start(tmp_path / "x", 0.5) for _ in range(3)]
    outputs = [process.communicate()[0].split() for process in running]
    assert [lines[-1] for lines in outputs] == ["whole"] * 3
    assert (tmp_path / "log").read_text().count("made") == 1
    assert not _hidden(tmp_path)


def test_a_kill_in_the_middle_leaves_nothing_half(tmp_path: Path) -> None:
    """Guards against a folder that looks whole after a kill, and against leftovers nobody sweeps."""
    process = _start(tmp_path / "x", 60)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "x").exists()
    assert _hidden(tmp_path), "the kill came too late to test anything"
    ensure_folder(tmp_path / "x", _make, _nothing)
    assert is_intact(tmp_path / "x")
    assert not _hidden(tmp_path)
