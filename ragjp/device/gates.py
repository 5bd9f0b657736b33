"""The gate: for each fast path on the GPU a decision with a sentence, on or why not. What ``ragjp doctor`` prints.

A decision is a function of :class:`Facts`, which :func:`look` gathers, so every sentence is tested without a card. Heavy packages are
imported only where the driver has reported a card: what is installed may still be broken.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

from ragjp.config import DeviceName, DeviceUse, device_wanted
from ragjp.device import Gate, cuda
from ragjp.errors import DeviceUnavailable

#: The least compute capability that the kernels are compiled for (Turing: tensor cores for int8).
LEAST_CAPABILITY = (7, 5)


@dataclass(frozen=True, slots=True)
class FastPath:
    """Something that the GPU computes in place of the CPU.

    name : for a person. module : where it is. packages : what it imports, with a name in them that only a build for GPUs has.
    served : whether a search of this version asks it. Switched on here, by whoever wires it into :mod:`ragjp.engine` through
    :class:`ragjp.device.accelerator.Accelerator`, and nowhere else.
    """

    name: str
    module: str
    packages: tuple[tuple[str, str], ...] = (("cupy", "RawModule"),)
    served: bool = False


PATHS = (
    FastPath("密ベクトル検索（GPU、CuPy）", "ragjp.index.dense.exact_gpu"),
    FastPath(
        "密ベクトル検索（GPU、FAISS）",
        "ragjp.index.dense.faiss_gpu",
        (("faiss", "StandardGpuResources"),),
    ),
    FastPath("語の検索 BM25（GPU）", "ragjp.index.lexical.bm25_gpu"),
    FastPath("読み比べ MaxSim（GPU）", "ragjp.rerank.maxsim_gpu"),
    FastPath("順位の統合と多様化（GPU、CUDA グラフ）", "ragjp.rerank.mmr_gpu"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decisions follow from.

    wanted : by the environment, else by the recipe. gate : the driver's answer. problems : package → why it cannot be used, for
    those that cannot. modules : those of :data:`PATHS` that this version has.
    """

    wanted: DeviceName
    gate: Gate
    problems: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """A path, whether searches take it, and one sentence that says where or why not."""

    path: FastPath
    on: bool
    sentence: str


def look(settings: DeviceUse | None = None) -> Facts:
    """Gather the facts of this process.

    Raises
    ------
    RecipeError
        ``RAGJP_DEVICE`` says what it cannot.
    """
    wanted, gate = device_wanted(settings), cuda()
    if wanted == "cpu" or not gate.available:
        return Facts(wanted, gate)
    packages = {package: mark for path in PATHS for package, mark in path.packages}
    problems = {name: why for name, mark in packages.items() if (why := _problem(name, mark))}
    found = (path.module for path in PATHS if _found(path.module))
    return Facts(wanted, gate, problems, frozenset(found))


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a folder on the way is missing
        return False


def _problem(package: str, mark: str) -> str:
    """Say why a package cannot be used; empty when it can."""
    if not _found(package):
        return f"パッケージ {package} が入っていません。pip install 'ragjp[gpu]' で入れてください。"
    try:
        module = importlib.import_module(package)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return f"パッケージ {package} が壊れています（{what}）。入れ直してください。"
    if not hasattr(module, mark):
        return f"入っているパッケージ {package} は GPU に対応していません。pip install 'ragjp[gpu]' で入れ替えてください。"
    return ""


def decide(path: FastPath, facts: Facts) -> Decision:
    """Decide on one path: the first reason against it, in the order in which a person would remove them."""
    why = _against(path, facts)
    if why:
        return Decision(path, False, why)
    major, minor = facts.gate.capability
    return Decision(path, True, f"使えます（{facts.gate.name}、sm_{major}{minor}）")


def _against(path: FastPath, facts: Facts) -> str:
    gate = facts.gate
    if not gate.available:
        return gate.reason
    if facts.wanted == "cpu":
        return "GPU は使いません（レシピの device.use が cpu です）。CPU で計算します。"
    if gate.capability < LEAST_CAPABILITY:
        have, need = (".".join(map(str, pair)) for pair in (gate.capability, LEAST_CAPABILITY))
        return f"{gate.name} の世代（{have}）では使えません（{need} 以上が要ります）。CPU で計算します。"
    for package, _ in path.packages:
        if package in facts.problems:
            return facts.problems[package]
    if path.module not in facts.modules:
        return "この版にはまだありません。CPU で計算します。"
    return (
        "" if path.served else "部品はありますが、この版の検索はまだ使いません。CPU で計算します。"
    )


def decisions(settings: DeviceUse | None = None) -> list[Decision]:
    """Decide on every path; see :func:`look`."""
    facts = look(settings)
    return [decide(path, facts) for path in PATHS]


def use_gpu(settings: DeviceUse | None = None) -> bool:
    """Whether an index is to be opened on the GPU: where there is one that some served path can use, and nobody said ``cpu``.

    Raises
    ------
    DeviceUnavailable
        ``cuda`` was asked for by name (``RAGJP_DEVICE``, ``device.use``) and no path is on: with the first reason.
    RecipeError
        ``RAGJP_DEVICE`` says what it cannot.
    """
    if device_wanted(settings) == "cpu":
        return False
    found = decisions(settings)
    if any(decision.on for decision in found):
        return True
    if device_wanted(settings) == "cuda":
        raise DeviceUnavailable(
            f"GPU を指定されましたが使えません：{found[0].sentence.rstrip('。')}。RAGJP_DEVICE かレシピの device.use を auto か cpu にしてください。"
        )
    return False
