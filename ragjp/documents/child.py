"""The parent's side of the reading process: start it, ask it, and end it whatever state it is in."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ragjp.documents.framing import LENGTH, pack, unpack
from ragjp.documents.office.converter import find_converter
from ragjp.documents.worker import address_space_bytes

#: Modules are found where the parent finds them, whatever the current folder is; ``-I`` keeps the environment and it out.
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ragjp.documents.worker import serve; serve()"
#: The parent's environment may hold keys; a reader of strangers' files needs none of it but where libraries are.
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
_START_S = 60.0
#: How often the size of a busy child is looked at.
_LOOK_S = 0.05


class ChildLate(Exception):
    """No reply in time."""


class ChildDied(Exception):
    """The process ended, or said something that is no reply.

    Attributes
    ----------
    status
        As :attr:`subprocess.Popen.returncode`: minus the signal, or the exit status; none if it was still running.
    peak_bytes
        The largest address space seen.
    """

    def __init__(self, status: int | None, peak_bytes: int) -> None:
        super().__init__(status)
        self.status = status
        self.peak_bytes = peak_bytes


def worker_command() -> list[str]:
    """Give the command that starts a reading process with this interpreter and this process's module path."""
    folders = [str(Path(folder).absolute()) for folder in sys.path if folder]
    package_root = str(Path(__file__).absolute().parents[2])
    if package_root not in folders:
        folders.insert(0, package_root)
    return [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOT, json.dumps(folders)]


class Child:
    """One running reading process, in a session (so a process group) of its own.

    Raises
    ------
    ChildLate, ChildDied, OSError
        When it does not start.
    """

    def __init__(self, command: Sequence[str]) -> None:
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        #: Of a converter that the child may start; removed with the child.
        self._folder = tempfile.mkdtemp(prefix="ragjp-") if find_converter() else ""
        if self._folder:
            kept["TMPDIR"] = self._folder
        self._process = self._start(command, kept)
        self.n_read = 0
        self.start_bytes = 0
        self._peak_bytes = 0
        assert self._process.stdin is not None  # both are pipes, asked for above
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._replies.fileno(), False)
        try:
            self._receive(time.monotonic() + _START_S, 1 << 10)
            self.start_bytes = self._look()
        except BaseException:
            self.kill()
            raise

    def _start(self, command: Sequence[str], kept: dict[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                close_fds=True,
                start_new_session=True,
                cwd="/",
                env={
                    **kept,
                    "LANG": "C.UTF-8",
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                },
            )
        except BaseException:
            self._remove_folder()
            raise

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def ask(
        self, request: dict[str, Any], *, seconds: float, max_reply_bytes: int
    ) -> dict[str, Any]:
        """Send a request and wait for its reply. After any error the child is of no more use: kill it.

        Raises
        ------
        ChildLate
            When there is no whole reply after ``seconds``.
        ChildDied
            When the process ended, or its reply is larger than ``max_reply_bytes`` or no JSON object.
        """
        self.send(request)
        return self.receive(seconds=seconds, max_reply_bytes=max_reply_bytes)

    def send(self, request: dict[str, Any]) -> None:
        """Send a request. Raises ChildDied when the process has ended."""
        self.n_read += 1
        self._peak_bytes = 0
        try:
            self._requests.write(
                pack(request)
            )  # shorter than a pipe's buffer: a path and a few numbers
        except BrokenPipeError as error:
            raise self._died() from error

    def receive(self, *, seconds: float, max_reply_bytes: int) -> dict[str, Any]:
        """Wait for the next frame of a reply. Raises as :meth:`ask`."""
        return self._receive(time.monotonic() + seconds, max_reply_bytes)

    def kill(self) -> None:
        """End the process and all that it may have started, and leave no zombie."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._replies.close()
        self._remove_folder()

    def _receive(self, deadline: float, max_bytes: int) -> dict[str, Any]:
        (size,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if size > max_bytes:
            raise ChildDied(None, self._peak_bytes)
        try:
            return unpack(self._read(size, deadline))
        except ValueError as error:
            raise ChildDied(None, self._peak_bytes) from error

    def _read(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        while len(parts) < size:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise ChildLate
            if not poll.poll(1000 * min(left_s, _LOOK_S)):
                self._look()
                continue
            part = self._replies.read(min(size - len(parts), 1 << 20))
            if part == b"":
                raise self._died()
            parts += part or b""
        return bytes(parts)

    def _look(self) -> int:
        """Remember the largest address space; a process that has ended has none."""
        with suppress(OSError, IndexError, ValueError):
            self._peak_bytes = max(self._peak_bytes, address_space_bytes(self._process.pid))
        return self._peak_bytes

    def _died(self) -> ChildDied:
        """Wait for the end of a process that has closed its pipe; a moment is enough unless it hangs."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return ChildDied(self._process.returncode, self._peak_bytes)
