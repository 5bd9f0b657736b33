"""Nothing leaves the building: the whole journey with every way out of the machine watched and shut."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ragjp.config import DEFAULT_ENCODER
from ragjp.offline import SWITCHES, stay_offline

#: Loaded by every Python process of the journey (as sitecustomize). Anything but loopback and local sockets is written down and refused.
GUARD = """
import os
import sys

INSIDE = ("127.", "::1", "localhost")
LOG = os.environ["AIRGAP_LOG"]


def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
        if not isinstance(address, tuple):
            return
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0] or ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host)
    if host and not host.startswith(INSIDE):
        with open(LOG, "a") as log:
            log.write(f"{event} {host}\\n")
        raise OSError(f"airgap: {event} {host}")


sys.addaudithook(refuse)
with open(LOG, "a") as log:
    log.write("guarded\\n")
"""


@pytest.fixture
def guarded(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that cannot leave this machine, and whose shell asks for every kind of report."""
    folder = tmp_path / "guard"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    noisy = {name: "true" if value == "false" else "0" for name, value in SWITCHES.items()}
    return {
        **environment,
        **noisy,
        "LANGSMITH_API_KEY": "a-key",
        "PYTHONPATH": f"{folder}:{environment['PYTHONPATH']}",
        "AIRGAP_LOG": str(tmp_path / "attempts.log"),
    }


def run(arguments: list[str], environment: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        arguments, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempts(environment: dict[str, str]) -> list[str]:
    lines = Path(environment["AIRGAP_LOG"]).read_text(encoding="utf-8").splitlines()
    assert "guarded" in lines, "the guard was never loaded: this test would pass vacuously"
    return [line for line in lines if line != "guarded"]


def test_the_guard_catches_who_tries(guarded: dict[str, str], tmp_path: Path) -> None:
    """A guard that lets everything through would make the next test pass for nothing."""
    code = (
        "import socket\n"
        "for call in (lambda: socket.create_connection(('192.0.2.1', 80), 1),\n"
        "             lambda: socket.getaddrinfo('example.invalid', 443)):\n"
        "    try:\n"
        "        call()\n"
        "    except OSError as error:\n"
        "        assert 'airgap' in str(error)\n"
        "    else:\n"
        "        raise SystemExit('let through')\n"
    )
    run([sys.executable, "-c", code], guarded, tmp_path)
    assert "socket.getaddrinfo example.invalid" in attempts(guarded)
    assert any("192.0.2.1" in line for line in attempts(guarded))


def use_bundled_encoder(folder: Path) -> None:
    """Let the tiny recipe use the encoder that the package carries."""
    recipe = folder / "tiny.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("hashing", DEFAULT_ENCODER), encoding="utf-8")


def journey(folder: Path, environment: dict[str, str], *, inside: tuple[str, ...] = ()) -> None:
    """Index, search, ask and diagnose, each as a user starts it."""
    ragjp = [*inside, sys.executable, "-m", "ragjp"]
    index = str(folder / "tiny")
    made = json.loads(run([*ragjp, "index", f"{index}.toml", "--json"], environment, folder))
    assert made["added"] == 4
    hits = json.loads(run([*ragjp, "search", index, "日当", "--json"], environment, folder))["hits"]
    assert hits[0]["doc_id"] == "規程/旅費規程.md"
    asked = [*ragjp, "ask", index, "国内出張の日当はいくらですか", "--json"]
    assert json.loads(run(asked, environment, folder))["status"] == "answered"
    run([*ragjp, "doctor", "--json"], environment, folder)


def test_the_journey_never_tries_to_leave(guarded: dict[str, str], tiny_folder: Path) -> None:
    """A library that phones home, asks a hub for a newer model, or traces to somebody's cloud."""
    use_bundled_encoder(tiny_folder)
    journey(tiny_folder, guarded)
    assert attempts(guarded) == []


def test_the_journey_needs_no_network_at_all(
    environment: dict[str, str], tiny_folder: Path
) -> None:
    """Compiled code does not pass through Python's sockets: in an empty network namespace it has nowhere to go."""
    inside = ("unshare", "--user", "--map-root-user", "--net")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system does not let us make a network namespace (unshare --user --net)")
    use_bundled_encoder(tiny_folder)
    journey(tiny_folder, environment, inside=inside)


def test_switches_win_over_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in somebody's profile that switches reporting back on."""
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "true")
    for name in set(SWITCHES) - {"LANGSMITH_TRACING", "STREAMLIT_BROWSER_GATHER_USAGE_STATS"}:
        monkeypatch.delenv(name, raising=False)
    stay_offline()
    import os

    assert {name: os.environ[name] for name in SWITCHES} == SWITCHES
