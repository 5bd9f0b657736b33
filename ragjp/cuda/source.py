"""The text of a kernel, as it is given to the compiler: by CuPy on a GPU, by NVRTC alone and by a C++ compiler in the tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

#: What every kernel is compiled with, beside its own definitions. CuPy adds the architecture and :data:`ADDED_BY_CUPY`.
OPTIONS = ("-std=c++17", "-lineinfo")
#: What ``cupy.RawModule`` adds (CuPy 14): the tests compile with it too. Single-precision denormals become 0.
ADDED_BY_CUPY = ("-ftz=true", "--device-as-default-execution-space")


@dataclass(frozen=True, slots=True)
class Source:
    """A kernel's text: files that are joined, and what is defined for them. Hashable: one compiled module for each.

    Parameters
    ----------
    package
        Where the files are, such as ``ragjp.rerank.kernels``.
    names
        Files in the order in which they are joined; :file:`lanes.cuh` comes before all of them.
    defines
        Names and values of macros.
    """

    package: str
    names: tuple[str, ...]
    defines: tuple[tuple[str, int], ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What the compiler is given beside the architecture."""
        return OPTIONS + tuple(f"-D{name}={value}" for name, value in self.defines)

    @property
    def text(self) -> str:
        """All files in one, each marked by its name so that a compiler's message points at the right line."""
        return _joined(self.package, self.names)


@lru_cache
def _joined(package: str, names: tuple[str, ...]) -> str:
    parts = [("ragjp.cuda", "lanes.cuh"), *((package, name) for name in names)]
    return "".join(
        f'#line 1 "{name}"\n{files(folder).joinpath(name).read_text(encoding="utf-8")}\n'
        for folder, name in parts
    )
