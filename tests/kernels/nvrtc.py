"""NVRTC without CuPy and without a card: from a kernel's text to the machine code of an architecture.

The wheel ``nvidia-cuda-nvrtc`` (58 MB, of the dev extra) holds the compiler and its assembler; no header of CUDA's is needed, since the
kernels include none. It is called through ctypes: six functions whose signatures have not changed since CUDA 11.
"""

from __future__ import annotations

import ctypes
import importlib.util
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ragjp.cuda.source import ADDED_BY_CUPY, Source

#: Compute capabilities that ragjp's kernels are for: Turing, Ampere, Ada, Hopper.
ARCHITECTURES = (75, 80, 86, 89, 90)

#: Of a cubin's ``.nv.info``: the form of an attribute that says its size, and two attributes.
_SIZED, _REGISTERS, _FRAME = 4, 0x2F, 0x11


class CompileError(Exception):
    """The compiler's own words."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler made: machine code, and what each kernel takes of a multiprocessor."""

    code: bytes
    registers: dict[str, int]
    #: Bytes of a thread's own memory: registers that did not fit, or arrays that are indexed at run time. 0 is what we want.
    local_bytes: dict[str, int]
    shared_bytes: dict[str, int]


@lru_cache
def library() -> ctypes.CDLL | None:
    """Find NVRTC in the wheels of this environment; None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            return ctypes.CDLL(str(path))
    return None


def compile_source(source: Source, architecture: int) -> Compiled:
    """Compile a kernel's text for an architecture such as 90, with the options that its launcher gives to CuPy and that CuPy adds."""
    nvrtc = library()
    assert nvrtc is not None
    program = ctypes.c_void_p()
    options = (*source.options, *ADDED_BY_CUPY, f"--gpu-architecture=sm_{architecture}")
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    text = source.text.encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"joined.cu", 0, None, None) == 0
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(options), given)
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        if status or b"warning" in log.value:
            raise CompileError(f"sm_{architecture}: {log.value.decode()}")
        assert nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
        code = ctypes.create_string_buffer(size.value)
        assert nvrtc.nvrtcGetCUBIN(program, code) == 0
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return _read(code.raw)


def _read(code: bytes) -> Compiled:
    """Read what a cubin (a 64-bit ELF file) says of its kernels.

    ``.nv.info`` has for each kernel its registers and its frame (EIATTR_REGCOUNT and EIATTR_FRAME_SIZE: symbol, number); the size
    of ``.nv.shared.NAME`` is its shared memory.
    """
    table, entry, count, names_at = struct.unpack_from("<Q10xHHH", code, 40)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", code, table + number * entry) for number in range(count)
    ]
    names_from = sections[names_at][4]

    def text_at(place: int) -> str:
        return code[place : code.index(b"\0", place)].decode()

    named = {text_at(names_from + section[0]): section for section in sections}
    symbols, strings, info = named[".symtab"][4], named[".strtab"][4], named[".nv.info"]
    found: dict[int, dict[str, int]] = {_REGISTERS: {}, _FRAME: {}}
    at, end = info[4], info[4] + info[5]
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", code, at)
        if form == _SIZED and attribute in found:
            symbol, number = struct.unpack_from("<II", code, at + 4)
            name_at = struct.unpack_from("<I", code, symbols + 24 * symbol)[0]
            found[attribute][text_at(strings + name_at)] = number
        at += 4 + (length if form == _SIZED else 0)
    prefix = ".nv.shared."
    return Compiled(
        code,
        found[_REGISTERS],
        {name: found[_FRAME].get(name, 0) for name in found[_REGISTERS]},
        {
            name.removeprefix(prefix): section[5]
            for name, section in named.items()
            if name.startswith(prefix) and not name.startswith(prefix + "reserved")
        },
    )
