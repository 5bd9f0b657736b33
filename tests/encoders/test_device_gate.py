"""The gate of ``ragjp.device``, with drivers played by hand."""

from __future__ import annotations

import ctypes
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ragjp import device
from ragjp.config import DeviceUse, device_wanted
from ragjp.errors import DeviceUnavailable, RecipeError


def _driver(*, init: int = 0, count: int = 1, count_code: int = 0) -> Any:
    def device_count(place: Any) -> int:
        place._obj.value = count
        return count_code

    def name(buffer: Any, size: int, _: Any) -> int:
        buffer.value = b"NVIDIA Test"[:size]
        return 0

    def total(place: Any, _: Any) -> int:
        place._obj.value = 8 * 2**30
        return 0

    def attribute(place: Any, number: int, _: Any) -> int:
        place._obj.value = {75: 9, 76: 0}[number]
        return 0

    return SimpleNamespace(
        cuDeviceGetAttribute=attribute,
        cuInit=lambda _: init,
        cuDeviceGetCount=device_count,
        cuDeviceGet=lambda *_: 0,
        cuDeviceGetName=name,
        cuDeviceTotalMem_v2=total,
    )


def test_an_open_gate_tells_what_is_there() -> None:
    """Guards against a bare yes: doctor prints name, memory and count."""
    gate = device._ask(_driver(count=2))
    assert gate == device.Gate(True, gate.reason, "NVIDIA Test", 2, 8 * 2**30, (9, 0))
    for part in ("NVIDIA Test", "8 GiB", "2 台"):
        assert part in gate.reason


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (_driver(init=100), "cuInit がエラー 100"),
        (_driver(count=0), "cuDeviceGetCount が 0"),
        (_driver(count_code=3), "cuDeviceGetCount がエラー 3"),
    ],
)
def test_a_closed_gate_says_why(driver: Any, reason: str) -> None:
    """Guards against silence: the reason is what an operator acts on."""
    gate = device._ask(driver)
    assert not gate.available
    assert reason in gate.reason


def test_no_driver_is_an_answer_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against OSError on every machine without a GPU."""

    def missing(_: str) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    gate = device.cuda.__wrapped__()
    assert not gate.available
    assert "libcuda.so.1" in gate.reason


def test_the_environment_closes_the_gate_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """``RAGJP_DEVICE=cpu`` that still loads the driver, or says no without saying why."""

    def asked(_: str) -> None:
        raise AssertionError("the driver was asked")

    monkeypatch.setattr(ctypes, "CDLL", asked)
    monkeypatch.setenv("RAGJP_DEVICE", "cpu")
    gate = device.cuda.__wrapped__()
    assert not gate.available
    assert "RAGJP_DEVICE" in gate.reason


def test_a_misspelt_device_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """``RAGJP_DEVICE=cuda0`` taken for "auto": the operator believes what is not so."""
    monkeypatch.setenv("RAGJP_DEVICE", "cuda0")
    with pytest.raises(RecipeError, match="cuda0") as refused:
        device.cuda.__wrapped__()
    assert refused.value.code == "bad_device"


def test_the_environment_goes_before_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator who cannot change the recipe of an index cannot force the reference."""
    asked = DeviceUse(use="cuda")
    assert device_wanted(asked) == "cuda"
    assert device_wanted() == "auto"
    monkeypatch.setenv("RAGJP_DEVICE", "CPU ")
    assert device_wanted(asked) == "cpu"


def test_asking_for_a_gpu_by_name_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against falling back to the CPU when a GPU was asked for by name."""
    monkeypatch.setattr(device, "cuda", lambda: device.Gate(False, "GPU はありません（試験）"))
    with pytest.raises(DeviceUnavailable, match="試験"):
        device.array_module("cuda")
    assert device.free_bytes() == 0
    assert device.array_module("cpu") is np


def test_an_unknown_device_is_refused() -> None:
    """Guards against a misspelt device taken for the CPU."""
    with pytest.raises(ValueError, match="tpu"):
        device.array_module("tpu")


def test_cores_are_those_of_the_process() -> None:
    """Guards against 64 threads in a container that may use two cores."""
    before = os.sched_getaffinity(0)
    one = {min(before)}
    os.sched_setaffinity(0, one)
    try:
        assert device.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
