"""LibreOffice as a converter: one document, one fresh profile, one private folder, no macros, no links, no network, and an end.

The reading process itself can write nothing. Where LibreOffice is installed it starts with the right to give a program it starts
more than it has itself: files in the private folder that the parent made for it (``TMPDIR``) and removes with it. That program is in the same
process group, so it ends with the reading process when the document's time is up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: Where it is, beside the folders of ``PATH``.
_PLACES = ("/usr/lib/libreoffice/program", "/usr/lib64/libreoffice/program", "/opt/libreoffice/program", "/snap/bin")  # fmt: skip
_NAMES = ("soffice", "libreoffice")
#: The largest file that it may write; the files that it may hold open; its address space; its CPU time.
MOST_FILE_BYTES = 512 << 20
MOST_FILES = 1024
_MOST_ADDRESS_BYTES = 6 << 30
_MOST_CPU_S = 300
#: The parent's limit of time comes first; this is for when there is no parent.
_MOST_S = 600
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

#: Macros never, links and remote pictures never, nothing sent or looked for.
_SETTINGS = (
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Common/Misc", "FirstRun", "false"),
    ("Writer/Content/Update", "Link", "0"),
    ("Calc/Content/Update", "Link", "2"),
    ("Jobs/Jobs/org.openoffice.Office.Jobs:Job['UpdateCheck']/Arguments", "AutoCheckEnabled", "false"),
)  # fmt: skip


class ConversionFailed(Exception):
    """LibreOffice gave no document; the message says what happened, in Japanese."""


def find_converter() -> str:
    """Give the path of LibreOffice; empty where it is not installed."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    return next((found for place in _PLACES if (found := shutil.which("soffice", path=place))), "")


def convert(raw: bytes, suffix: str, wanted: str, converter: str) -> bytes:
    """Convert a document.

    Parameters
    ----------
    raw, suffix
        The document, and what it is (``.doc``).
    wanted
        What it shall become (``.docx``).
    converter
        As :func:`find_converter` gives it.

    Raises
    ------
    ConversionFailed
    """
    # Where LibreOffice puts its own pipe, names must be short.
    with _may_write(), tempfile.TemporaryDirectory(prefix="r") as name:
        folder = Path(name)
        source = folder / f"document{suffix}"
        source.write_bytes(raw)
        _write_profile(folder / "profile")
        out = folder / "out"
        out.mkdir()
        command = [
            converter,
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless",
            "--norestore",
            "--nologo",
            "--nodefault",
            "--nolockcheck",
            "--convert-to",
            wanted[1:],
            "--outdir",
            str(out),
            str(source),
        ]
        _run(command, folder)
        return _result(out / f"document{wanted}")


def _run(command: list[str], folder: Path) -> None:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "SAL_USE_VCLPLUGIN": "svp",
        # Whatever still asks for the network asks a port where nobody listens.
        **dict.fromkeys(("http_proxy", "https_proxy", "ftp_proxy"), "http://127.0.0.1:9"),
    }
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            preexec_fn=_confine,
            timeout=_MOST_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConversionFailed(f"起動できません: {type(error).__name__}") from error
    if done.returncode:
        raise ConversionFailed(f"終了コード {done.returncode}")


def _result(path: Path) -> bytes:
    """Read what was written, if it is a plain file of a size that may be."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            raw = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ConversionFailed("変換結果がありません") from error
    if not raw or len(raw) > MOST_FILE_BYTES:
        raise ConversionFailed("変換結果が空か、大きすぎます")
    return raw


def _write_profile(profile: Path) -> None:
    items = "".join(
        f'<item oor:path="/org.openoffice.Office.{path}"><prop oor:name="{key}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, key, value in _SETTINGS
    )
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry">'
        f"{items}</oor:items>\n",
        encoding="utf-8",
    )


@contextlib.contextmanager
def _may_write() -> Iterator[None]:
    """Let this process write what the converter may write too, for as long as it converts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _confine() -> None:
    """Between fork and exec: limits of the converter's own, an end with its parent, and no network where the kernel allows it."""
    for which, amount in (
        (resource.RLIMIT_FSIZE, MOST_FILE_BYTES),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_AS, _MOST_ADDRESS_BYTES),
        (resource.RLIMIT_CPU, _MOST_CPU_S),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        least = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(which, (least, least))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
