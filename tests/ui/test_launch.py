"""How the page is started: on this machine, saying nothing to anybody."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path

import pytest

from ragjp.config import ui_settings
from ui.__main__ import command_line, main, safe_environment

CONFIG = Path(__file__).resolve().parents[2] / "ui" / ".streamlit" / "config.toml"


def test_the_options_keep_the_page_inside() -> None:
    """Guards against an option that opens the page to the network, reports its use, or shows its insides."""
    options = tomllib.loads(CONFIG.read_text("utf-8"))
    assert options["server"]["address"] == "127.0.0.1"
    assert options["server"]["allowedHosts"] == ["127.0.0.1", "localhost"]
    assert options["server"]["enableStaticServing"] is False
    assert options["server"]["fileWatcherType"] == "none"
    assert options["browser"]["gatherUsageStats"] is False
    assert options["client"]["showErrorDetails"] == "none"
    assert "://" not in options["theme"]["font"]


def test_the_environment_cannot_loosen_the_options() -> None:
    """Guards against a STREAMLIT_ variable left over in a shell, which would win over the file."""
    loose = {"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true", "PATH": "/bin", "RAGJP_CACHE": "/c"}
    assert safe_environment(loose) == {"PATH": "/bin", "RAGJP_CACHE": "/c"}


def test_the_index_is_handed_on() -> None:
    """Guards against Streamlit taking the app's own argument for its own."""
    command = command_line(Path("indexes/demo"), 8600)
    assert command[-2:] == ["--", "--index=indexes/demo"]
    assert "--server.port=8600" in command
    assert "--" not in command_line(None, 8600)


def test_a_taken_port_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Guards against an address that leads to somebody else's program."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            main(["--port", str(port)])
    assert stopped.value.code == 2
    assert f"ポート {port}" in capsys.readouterr().err


def test_the_view_is_never_unrestricted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against an empty setting that means nobody to one and everybody to another."""
    monkeypatch.setenv("RAGJP_UI_PRINCIPALS", " , ")
    assert ui_settings().principals == ("everyone",)
    monkeypatch.setenv("RAGJP_UI_PRINCIPALS", "user:tanaka,everyone")
    assert ui_settings().principals == ("user:tanaka", "everyone")


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against opening another index than the one named."""
    monkeypatch.setenv("RAGJP_INDEX", "indexes/other")
    assert ui_settings(Path("indexes/mine")).index == Path("indexes/mine")
    assert ui_settings().index == Path("indexes/other")
