"""Start the page for the people at this machine: ``python -m ui --index indexes/demo``."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tomllib
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def _options() -> dict[str, object]:
    """Read the section ``server`` of the options the page runs with."""
    options = tomllib.loads((_FOLDER / ".streamlit" / "config.toml").read_text("utf-8"))
    server: dict[str, object] = options["server"]
    return server


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def safe_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment without Streamlit's own variables, which would override ``.streamlit/config.toml``."""
    return {name: value for name, value in environment.items() if not name.startswith("STREAMLIT_")}


def command_line(index: Path | None, port: int) -> list[str]:
    """Return the command that serves the page; every other option is in ``.streamlit/config.toml``."""
    command = [sys.executable, "-m", "streamlit", "run", str(_FOLDER / "app.py")]
    command += [f"--server.port={port}"]
    return [*command, "--", f"--index={index}"] if index else command


def main(arguments: list[str] | None = None) -> None:
    """Say which address to open, and become the server; exit with 2 when the port is taken."""
    server = _options()
    address = str(server["address"])
    parser = argparse.ArgumentParser(
        prog="python -m ui", description="検索の画面を、この機械だけで開きます。"
    )
    parser.add_argument(
        "--index", type=Path, help="索引のフォルダー（なければ RAGJP_INDEX、indexes/demo の順）"
    )
    parser.add_argument("--port", type=int, default=server["port"], help="画面のポート番号")
    chosen = parser.parse_args(arguments)
    if not _is_free(address, chosen.port):
        sys.stderr.write(
            f"ポート {chosen.port} はほかのプログラムが使っているので、--port で別の番号を指定してください。\n"
        )
        sys.exit(2)
    sys.stdout.write(
        f"ブラウザーで http://{address}:{chosen.port} を開いてください。終わるときは Ctrl+C を押します。\n"
    )
    sys.stdout.flush()
    command = command_line(chosen.index, chosen.port)
    os.execve(command[0], command, safe_environment(dict(os.environ)))


if __name__ == "__main__":
    main()
