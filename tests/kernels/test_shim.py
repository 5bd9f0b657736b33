"""The CPU that runs the kernels: what it computes is right, and what it must not let pass it reports.

Guards against: proofs of kernels by a shim that is itself wrong, or that cannot fail.
"""

from __future__ import annotations

import numpy as np
import pytest

from ragjp.cuda.source import Source
from ragjp.cuda.toolkit import require
from tests.kernels.host import HostToolkit, LaunchError, needs_compiler

pytestmark = needs_compiler
PROBE = Source("tests.kernels", ("probe.cu",))


def test_every_half_goes_to_a_float_and_back() -> None:
    """All 65,536 of them, against NumPy."""
    toolkit = HostToolkit()
    bits = np.arange(65536, dtype=np.uint16)
    floats, back = toolkit.xp.empty(65536, np.float32), toolkit.xp.empty(65536, np.uint16)
    toolkit.kernel(PROBE, "probe_halves")((64,), (1024,), (toolkit.xp.asarray(bits), floats, back))
    halves = bits.view(np.float16)
    np.testing.assert_array_equal(floats, halves.astype(np.float32))
    real = ~np.isnan(halves)
    np.testing.assert_array_equal(back[real], bits[real])


@pytest.mark.parametrize("architecture", [75, 90])
def test_products_of_halves(architecture: int) -> None:
    toolkit = HostToolkit(architecture=architecture)
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((16, 16)), rng.standard_normal((8, 16))
    a, b = a.astype(np.float16), b.astype(np.float16)
    out = toolkit.xp.empty((16, 8), np.float32)
    parts = (toolkit.xp.asarray(a.view(np.uint16)), toolkit.xp.asarray(b.view(np.uint16)))
    toolkit.kernel(PROBE, "probe_mma_f16")((1,), (32,), (*parts, out))
    np.testing.assert_allclose(out, a.astype(float) @ b.astype(float).T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("architecture", [75, 90])
def test_products_of_bytes(architecture: int) -> None:
    """Signed and unsigned, over the whole range: a code of -128 and one of 255 are where a wrong sign shows."""
    toolkit = HostToolkit(architecture=architecture)
    rng = np.random.default_rng(2)
    a = rng.integers(0, 256, (16, 32)).astype(np.uint8)
    b = rng.integers(-128, 128, (8, 32)).astype(np.int8)
    out = toolkit.xp.empty((2, 16, 8), np.int32)
    parts = (toolkit.xp.asarray(a), toolkit.xp.asarray(b.view(np.uint8)))
    toolkit.kernel(PROBE, "probe_mma_bytes")((1,), (32,), (*parts, out))
    np.testing.assert_array_equal(out[0], a.view(np.int8).astype(int) @ b.astype(int).T)
    np.testing.assert_array_equal(out[1], a.astype(int) @ b.astype(int).T)


def test_a_barrier_makes_the_sum_right_and_its_absence_shows() -> None:
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, 1000, (4, 256)).astype(np.int32)
    wrong = 0
    for seed in range(8):
        for barrier in (1, 0):
            toolkit = HostToolkit(seed=100 * seed)
            sums = toolkit.xp.empty(4, np.int32)
            given = (toolkit.xp.asarray(numbers), sums, np.int32(barrier))
            toolkit.kernel(PROBE, "probe_barrier")((4,), (256,), given)
            if barrier:
                np.testing.assert_array_equal(sums, numbers.sum(axis=1))
            else:
                wrong += not np.array_equal(sums, numbers.sum(axis=1))
    assert wrong >= 4


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (0, "outside the arrays"),
        (1, "not aligned"),
        (2, "waits for ever at __syncwarp"),
        (3, "at different operations"),
        (4, "waits for ever at __syncthreads"),
        (5, "wrote beside an array"),
        (6, "without all its lanes"),
    ],
)
def test_faults_are_reported(which: int, words: str) -> None:
    toolkit = HostToolkit()
    given = (toolkit.xp.zeros(64, np.int32), toolkit.xp.zeros(64, np.int32), np.int32(which))
    with pytest.raises(LaunchError, match=words):
        toolkit.kernel(PROBE, "probe_fault")((1,), (64,), given)


def test_arrays_that_a_kernel_would_misread_are_refused() -> None:
    toolkit = HostToolkit()
    array = toolkit.xp.zeros((4, 8), np.float32)
    require(toolkit, array, "rows", np.float32, (None, 8), alignment=16)
    with pytest.raises(TypeError, match="rows is a list"):
        require(toolkit, [1.0], "rows", np.float32, (None,))
    with pytest.raises(TypeError, match="float32, not float16"):
        require(toolkit, array, "rows", np.float16, (4, 8))
    with pytest.raises(ValueError, match=r"shape \(4, 8\), not \(\?, 9\)"):
        require(toolkit, array, "rows", np.float32, (None, 9))
    with pytest.raises(ValueError, match="gaps"):
        require(toolkit, array[:, ::2], "rows", np.float32, (4, 4))
    with pytest.raises(ValueError, match="multiple of 16"):
        require(toolkit, array.reshape(-1)[1:9], "rows", np.float32, (8,), alignment=16)
