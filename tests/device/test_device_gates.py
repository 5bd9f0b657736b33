"""Each fast path is on or says why not, for every reason there is."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from ragjp import device, doctor
from ragjp.config import DeviceUse
from ragjp.device import Gate, falls, gates
from ragjp.device.gates import PATHS, Facts, FastPath, decide
from ragjp.errors import DeviceUnavailable

CARD = Gate(True, "GPU が使えます", "NVIDIA Test", 1, 8 << 30, (9, 0))
PATH = FastPath("試験", "ragjp.errors", served=True)
SOUND = Facts("auto", CARD, {}, frozenset({"ragjp.errors"}))


def test_a_path_that_is_on_says_where() -> None:
    """A bare yes: the operator cannot tell on which card."""
    decision = decide(PATH, SOUND)
    assert decision.on
    assert "NVIDIA Test" in decision.sentence
    assert "sm_90" in decision.sentence


@pytest.mark.parametrize(
    ("facts", "path", "words"),
    [
        (Facts("auto", Gate(False, "GPU はありません（試験）")), PATH, "GPU はありません（試験）"),
        (Facts("cpu", CARD, {}, SOUND.modules), PATH, "device.use"),
        (
            Facts("auto", Gate(True, "", "Old", 1, 1, (7, 0)), {}, SOUND.modules),
            PATH,
            "7.5 以上",
        ),
        (Facts("auto", CARD, {"cupy": "cupy がない"}, SOUND.modules), PATH, "cupy がない"),
        (Facts("auto", CARD), PATH, "まだありません"),
        (SOUND, FastPath("試験", "ragjp.errors"), "まだ使いません"),
    ],
)
def test_a_path_that_is_off_says_why(facts: Facts, path: FastPath, words: str) -> None:
    """A slow search without a reason; a path called on that no search takes."""
    decision = decide(path, facts)
    assert not decision.on
    assert words in decision.sentence


def test_a_package_for_another_path_is_no_reason() -> None:
    """MaxSim switched off for want of FAISS."""
    assert decide(PATH, Facts("auto", CARD, {"faiss": "faiss がない"}, SOUND.modules)).on


def test_without_a_card_nothing_heavy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of imports to learn that there is no GPU."""
    monkeypatch.setattr(gates, "cuda", lambda: Gate(False, "GPU はありません（試験）"))
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it fails
    facts = gates.look()
    assert facts.problems == {}
    assert {decision.sentence for decision in gates.decisions()} == {"GPU はありません（試験）"}


def test_packages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command again, without effect: "not installed" said of what is broken, or of a build for CPUs."""
    monkeypatch.setattr(gates, "cuda", lambda: CARD)
    assert "入っていません" in gates._problem("no_such_package", "x")
    assert "GPU に対応していません" in gates._problem("json", "StandardGpuResources")
    assert gates._problem("json", "loads") == ""

    def broken(name: str) -> ModuleType:
        raise OSError("libcudart.so: cannot open\nshared object")

    monkeypatch.setattr(gates.importlib, "import_module", broken)
    assert "壊れています（OSError: libcudart.so: cannot open shared object）" in gates._problem(
        "json", "loads"
    )


def test_the_recipe_and_the_environment_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """``RAGJP_DEVICE=cpu`` that leaves one path on the GPU."""
    monkeypatch.setattr(gates, "cuda", lambda: CARD)
    monkeypatch.setattr(gates, "PATHS", (PATH,))
    monkeypatch.setattr(gates, "_problem", lambda package, mark: "")
    assert [decision.on for decision in gates.decisions()] == [True]
    assert [decision.on for decision in gates.decisions(DeviceUse(use="cpu"))] == [False]
    monkeypatch.setenv("RAGJP_DEVICE", "cpu")
    assert [decision.on for decision in gates.decisions()] == [False]


def test_a_gpu_asked_for_by_name_is_used_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """``RAGJP_DEVICE=cuda`` that quietly computes on the CPU; ``auto`` that fails without a card."""
    monkeypatch.setattr(gates, "PATHS", (PATH,))
    monkeypatch.setattr(gates, "_problem", lambda package, mark: "")
    monkeypatch.setattr(gates, "cuda", lambda: CARD)
    assert gates.use_gpu()
    assert not gates.use_gpu(DeviceUse(use="cpu"))
    monkeypatch.setattr(gates, "cuda", lambda: Gate(False, "GPU はありません（試験）"))
    assert not gates.use_gpu()
    with pytest.raises(DeviceUnavailable, match="試験"):
        gates.use_gpu(DeviceUse(use="cuda"))
    monkeypatch.setenv("RAGJP_DEVICE", "cpu")
    assert not gates.use_gpu(DeviceUse(use="cuda"))


def test_the_doctor_prints_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path whose state nobody can see; a fall to the CPU that nobody is told of."""
    noted = falls.Falls()
    noted.note("device_memory_full", "GPU のメモリーが足りません。")
    noted.note("device_memory_full", "GPU のメモリーが足りません。")
    monkeypatch.setattr(falls, "FALLS", noted)
    monkeypatch.setattr(gates, "cuda", lambda: CARD)
    monkeypatch.setattr(gates, "PATHS", (PATH, *PATHS))
    monkeypatch.setattr(gates, "_problem", lambda package, mark: "")
    lines = {line.name: line for line in doctor._gpu_paths()}
    assert set(lines) == {"試験", *(path.name for path in PATHS), "GPU から CPU に移った検索"}
    assert lines["試験"].state == "on"
    assert "（2 回）" in lines["GPU から CPU に移った検索"].text


def test_the_doctor_says_once_that_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five lines with one sentence."""
    monkeypatch.setattr(falls, "FALLS", falls.Falls())
    monkeypatch.setattr(gates, "cuda", lambda: Gate(False, "GPU はありません（試験）"))
    lines = list(doctor._gpu_paths())
    assert [(line.state, line.text) for line in lines] == [("off", "GPU はありません（試験）")]


def test_a_misspelt_device_is_a_line_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that ends in a traceback because of one variable."""
    monkeypatch.setenv("RAGJP_DEVICE", "gpu")
    monkeypatch.setattr(gates, "cuda", device.cuda.__wrapped__)
    lines = list(doctor._careful(doctor._gpu_paths))
    assert len(lines) == 1
    assert "RAGJP_DEVICE" in lines[0].text
