"""What an error of the CUDA libraries means for a search: no memory, a lost card, or a fault that is its own. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ragjp.errors import DeviceMemoryFull, DeviceUnavailable, RagjpError

#: ``cudaErrorMemoryAllocation`` and ``CUDA_ERROR_OUT_OF_MEMORY``: runtime and driver share these numbers.
_NO_MEMORY = 2
#: Errors after which every call of the process fails (cudaError_t of the CUDA runtime API): the card or its context is gone.
_LOST = frozenset(
    {
        46,  # devices unavailable
        100,  # no device
        214,  # uncorrectable ECC error
        700,  # illegal address
        702,  # launch timeout
        709,  # context is destroyed
        710,  # assert
        714,  # hardware stack error
        715,  # illegal instruction
        716,  # misaligned address
        717,  # invalid address space
        718,  # invalid program counter
        719,  # launch failure
        999,  # unknown
    }
)


def trouble(error: Exception) -> DeviceMemoryFull | DeviceUnavailable | None:
    """Say what an error means; None when it means neither that memory is short nor that the card is lost.

    CuPy's errors carry the number of CUDA's as ``status``; its lack of memory is a MemoryError; torch and FAISS say "out of memory"
    in a RuntimeError.
    """
    status = getattr(error, "status", None)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    if (
        isinstance(error, MemoryError)
        or status == _NO_MEMORY
        or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
    ):
        return DeviceMemoryFull(f"GPU のメモリーが足りません（{what}）。CPU で計算します。")
    if isinstance(status, int) and status in _LOST:
        return DeviceUnavailable(
            f"GPU が応答しなくなりました（{what}）。CPU で計算を続けます。ragjp を起動し直すと GPU をまた使います。",
            code="device_lost",
        )
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the CUDA libraries into what they mean; everything else passes.

    Raises
    ------
    DeviceMemoryFull, DeviceUnavailable
        In place of an error that means one of them.
    """
    try:
        yield
    except RagjpError:
        raise
    except Exception as error:
        meant = trouble(error)
        if meant is None:
            raise
        raise meant from error
