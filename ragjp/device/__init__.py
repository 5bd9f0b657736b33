"""What this machine has: cores and, maybe, a GPU. The only folder that asks, and the one that owns the GPU.

The answer is a :class:`Gate`: yes or no, and why in words, which ``ragjp doctor`` prints and every refusal repeats. It is asked of
the driver (``libcuda.so.1``) through ctypes, so that no heavy package is loaded to learn that there is nothing.

Who owns the GPU and how it is shared is in the modules beside this one, none of which loads anything heavy: they are written
against small protocols, which a search path keeps with CuPy and the tests with a scripted device.

- :mod:`~ragjp.device.gates`: for each fast path on, or why not.
- :mod:`~ragjp.device.ledger`: who holds how much of its memory, and what happens when there is no more.
- :mod:`~ragjp.device.waiting`, :mod:`~ragjp.device.batches`, :mod:`~ragjp.device.owner`: the queue, batches that shrink, the one thread.
- :mod:`~ragjp.device.generations`: which generation of an index is on it; :mod:`~ragjp.device.graphs`: what was captured there.
- :mod:`~ragjp.device.troubles`: what an error of the CUDA libraries means; :mod:`~ragjp.device.cupy_memory`: memory through CuPy.
- :mod:`~ragjp.device.accelerator`: all of them together, and the fall to the CPU. What a search path plugs into.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

from ragjp.config import device_wanted
from ragjp.errors import DeviceUnavailable, MissingExtra

_DRIVER = "libcuda.so.1"
_NAME_BYTES = 256
#: ``CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`` and ``_MINOR`` of the driver API.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a CUDA device can be used.

    available : there is at least one.
    reason : one sentence in Japanese, true in both cases.
    name : the first device's name; empty when there is none.
    count : how many devices this process may see (``CUDA_VISIBLE_DEVICES`` counts).
    total_bytes : memory of the first device; 0 when there is none.
    capability : its compute capability, such as (9, 0) for sm_90; (0, 0) when there is none.
    """

    available: bool
    reason: str
    name: str = ""
    count: int = 0
    total_bytes: int = 0
    capability: tuple[int, int] = (0, 0)


def usable_cores() -> int:
    """Return the number of CPU cores this process may use (its affinity, not the machine's total)."""
    return len(os.sched_getaffinity(0)) or 1


@lru_cache(maxsize=1)
def cuda() -> Gate:
    """Ask the driver once; the answer is kept for the life of the process. ``RAGJP_DEVICE=cpu`` closes the gate unasked.

    Raises
    ------
    RecipeError
        ``RAGJP_DEVICE`` says something else than ``auto``, ``cpu`` or ``cuda``.
    """
    if device_wanted() == "cpu":
        return Gate(False, "GPU は使いません（環境変数 RAGJP_DEVICE が cpu です）")
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return Gate(False, f"GPU はありません（NVIDIA のドライバー {_DRIVER} が見つかりません）")
    return _ask(driver)


def _ask(driver: ctypes.CDLL) -> Gate:
    if code := driver.cuInit(0):
        return Gate(False, f"GPU は使えません（cuInit がエラー {code} を返しました）")
    count = ctypes.c_int(0)
    if code := driver.cuDeviceGetCount(ctypes.byref(count)):
        return Gate(False, f"GPU は使えません（cuDeviceGetCount がエラー {code} を返しました）")
    if count.value == 0:
        return Gate(False, "GPU はありません（cuDeviceGetCount が 0 を返しました）")
    device = ctypes.c_int(0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    total = ctypes.c_size_t(0)
    if code := driver.cuDeviceGet(ctypes.byref(device), 0):
        return Gate(False, f"GPU は使えません（cuDeviceGet がエラー {code} を返しました）")
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    text = name.value.decode("utf-8", "replace")
    gib = total.value / 2**30
    reason = f"GPU が使えます（{text}、メモリー {gib:.0f} GiB、{count.value} 台）"
    return Gate(True, reason, text, count.value, total.value, (major.value, minor.value))


def require_cuda() -> Gate:
    """Return the gate when it is open.

    Raises
    ------
    DeviceUnavailable
        When it is not, with the gate's reason.
    """
    gate = cuda()
    if not gate.available:
        raise DeviceUnavailable(
            f'GPU を指定されましたが使えません：{gate.reason}。device を "cpu" か "auto" にしてください。'
        )
    return gate


def array_module(device: str) -> ModuleType:
    """Return ``numpy`` for ``cpu`` and ``cupy`` for ``cuda``.

    Raises
    ------
    DeviceUnavailable
        ``cuda`` and there is no GPU.
    MissingExtra
        ``cuda`` and CuPy is not installed.
    ValueError
        Another device.
    """
    if device == "cpu":
        import numpy

        return numpy
    if device != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', not {device!r}")
    require_cuda()
    try:
        import cupy
    except ImportError as error:
        raise MissingExtra(
            "GPU で計算するためのパッケージ cupy がありません。pip install 'ragjp[gpu]' で入れてください。"
        ) from error
    module: ModuleType = cupy
    return module


def free_bytes() -> int:
    """Return the free memory of the first GPU in bytes, now; 0 without a GPU.

    Raises
    ------
    MissingExtra
        There is a GPU but CuPy, which is asked, is not installed.
    """
    if not cuda().available:
        return 0
    free, _total = array_module("cuda").cuda.runtime.memGetInfo()
    return int(free)
