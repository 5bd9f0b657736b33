"""Every kernel compiles for every architecture that ragjp is for, with the options of its launcher, and without spilling.

Guards against: a kernel that only this machine's, or no, GPU can run. Every module ``ragjp/**/*_gpu.py`` that has kernels names them
in ``SOURCES``, in every variant that it may ask for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

import ragjp
from ragjp.cuda.source import Source
from tests.kernels import nvrtc

Record = Callable[[str, object], None]
ROOT = Path(ragjp.__file__).parent
SOURCES: list[Source] = [
    source
    for path in sorted(ROOT.rglob("*_gpu.py"))
    for source in getattr(
        importlib.import_module(".".join(path.with_suffix("").relative_to(ROOT.parent).parts)),
        "SOURCES",
        (),
    )
]
needs_nvrtc = pytest.mark.skipif(
    nvrtc.library() is None, reason="no NVRTC: pip install nvidia-cuda-nvrtc (extra dev)"
)


def test_no_kernel_is_left_out() -> None:
    """A .cu file that no launcher names would be compiled by nobody before a user's first search."""
    named = {name for source in SOURCES for name in source.names}
    assert {path.name for path in ROOT.rglob("*.cu")} <= named
    assert SOURCES


@needs_nvrtc
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize(
    "source",
    SOURCES,
    ids=lambda source: "-".join([source.names[-1], *(f"{n}{v}" for n, v in source.defines)]),
)
def test_compiles(source: Source, architecture: int, record_property: Record) -> None:
    made = nvrtc.compile_source(source, architecture)
    assert made.registers
    for name, registers in made.registers.items():
        shared = made.shared_bytes.get(name, 0)
        record_property(name, f"{registers} registers, {shared} bytes shared")
        assert made.local_bytes[name] == 0, f"{name} spills {made.local_bytes[name]} bytes"


@needs_nvrtc
def test_a_mistake_is_seen() -> None:
    """The compiler is really asked: text that is no C++ must fail."""
    broken = Source("tests.kernels", ("test_compile.py",))
    with pytest.raises(nvrtc.CompileError, match="sm_90"):
        nvrtc.compile_source(broken, 90)
