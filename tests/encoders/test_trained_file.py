"""The file of trained weights: what is written comes back, and what was altered never does."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ragjp.encoders.e5_file import E5File
from ragjp.encoders.int8_rows import Int8Rows, quantise_rows
from ragjp.encoders.trained_file import Facts, read_header, read_weights, write_weights
from ragjp.errors import RagjpError
from ragjp.types import FloatArray

Tensors = dict[str, FloatArray | Int8Rows]
Entries = dict[str, Any]


def _refused(raw: bytes, path: Path, source: E5File, base: str = "b" * 64) -> str:
    """Read what has to be refused; returns the sentence."""
    path.write_bytes(raw)
    with pytest.raises(RagjpError) as caught:
        read_weights(path, base, source.shape)
    assert caught.value.code == "model_damaged"
    assert str(path) in caught.value.sentence
    return caught.value.sentence


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "w.safetensors"


def test_what_is_written_is_read(
    trained_tensors: Tensors, tiny_facts: Facts, tiny_source: E5File, place: Path
) -> None:
    """Guards against tensors that change places, scales of another matrix, or facts lost on the way."""
    digest = write_weights(place, trained_tensors, tiny_facts, tiny_source.shape)
    found = read_weights(place, tiny_facts.base_sha256, tiny_source.shape)
    assert found.facts == tiny_facts
    assert found.header == read_header(place)
    assert found.header.sha256 == digest
    assert sorted(found.matrices) == [f"l1.{name}" for name in ("ao", "fi", "fo", "k", "q", "v")]
    for name, rows in found.matrices.items():
        wanted = quantise_rows(np.asarray(trained_tensors.pop(f"{name}.w")))
        np.testing.assert_array_equal(rows.codes, wanted.codes)
        np.testing.assert_array_equal(rows.scales, wanted.scales)
    assert found.vectors.keys() == trained_tensors.keys()
    for name, values in found.vectors.items():
        np.testing.assert_array_equal(values, trained_tensors[name])


def test_the_same_values_give_the_same_bytes(
    trained_tensors: Tensors, tiny_facts: Facts, tiny_source: E5File, place: Path
) -> None:
    """Guards against a file nobody can make again, and against codes that are rounded twice."""
    write_weights(place, trained_tensors, tiny_facts, tiny_source.shape)
    once = place.read_bytes()
    backwards: Tensors = dict(reversed(list(trained_tensors.items())))
    backwards["l1.q.w"] = quantise_rows(np.asarray(trained_tensors["l1.q.w"]))
    write_weights(place, backwards, tiny_facts, tiny_source.shape)
    assert place.read_bytes() == once
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_any_tool_reads_it(tiny_trained_bytes: bytes, tiny_source: E5File, place: Path) -> None:
    """Guards against a layout that only looks like safetensors."""
    numpy_of_safetensors = pytest.importorskip("safetensors.numpy")
    place.write_bytes(tiny_trained_bytes)
    theirs = numpy_of_safetensors.load_file(str(place))
    ours = read_weights(place, "b" * 64, tiny_source.shape)
    assert len(theirs) == len(ours.vectors) + 2 * len(ours.matrices)
    np.testing.assert_array_equal(theirs["l1.fi.w"], ours.matrices["l1.fi"].codes)
    np.testing.assert_array_equal(theirs["head.w"], ours.vectors["head.w"])


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_flipped_bit_is_noticed(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path, where: float, bit: int
) -> None:
    """Guards against computing with weights that a disk or a copy has changed, wherever the change is."""
    raw = bytearray(tiny_trained_bytes)
    raw[int(where * len(raw))] ^= 1 << bit
    _refused(bytes(raw), place, tiny_source)


@pytest.mark.parametrize("part", ["header", "tensors"])
def test_a_flipped_bit_in_every_part_is_noticed(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path, part: str
) -> None:
    """Guards against a check that leaves out the header (a name, a licence) or the tensors."""
    (length,) = struct.unpack_from("<Q", tiny_trained_bytes)
    raw = bytearray(tiny_trained_bytes)
    at = raw.index(b"made up") if part == "header" else 8 + length
    raw[at] ^= 1
    assert "SHA-256" in _refused(bytes(raw), place, tiny_source)


@given(st.integers(0, 2**20), st.binary(max_size=4))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_cut_or_lengthened_file_is_an_error_of_ours(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path, cut: int, more: bytes
) -> None:
    """Guards against struct.error, KeyError or silence after a broken download."""
    raw = tiny_trained_bytes[: cut % (len(tiny_trained_bytes) + 1)] + more
    if raw != tiny_trained_bytes:
        _refused(raw, place, tiny_source)


@given(st.binary(max_size=40), st.sampled_from([b"", b"{}", b"[]", b'{"__metadata__":[]}', b"1"]))
def test_no_header_is_an_error_of_ours(place: Path, garbage: bytes, header: bytes) -> None:
    """Guards against TypeError where JSON is there and is something else."""
    place.write_bytes(struct.pack("<Q", len(header)) + header + garbage)
    with pytest.raises(RagjpError):
        read_header(place)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """Guards against FileNotFoundError in an installation without the weights."""
    with pytest.raises(RagjpError, match="ファイルがありません") as caught:
        read_header(tmp_path / "none.safetensors")
    assert caught.value.code == "model_damaged"


def test_another_base_model_is_refused(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path
) -> None:
    """Guards against trained upper layers over lower layers that they were not trained on."""
    assert "土台" in _refused(tiny_trained_bytes, place, tiny_source, base="c" * 64)


def _sealed_again(raw: bytes, change: Callable[[Entries, bytearray], None]) -> bytes:
    """Change header and tensors and put the right digest in: what a faulty writer would have written."""
    (length,) = struct.unpack_from("<Q", raw)
    entries, data = json.loads(raw[8 : 8 + length]), bytearray(raw[8 + length :])
    change(entries, data)
    entries["__metadata__"]["sha256"] = "0" * 64
    header = json.dumps(entries).encode()
    start = struct.pack("<Q", len(header))
    digest = hashlib.sha256(start + header + data).hexdigest()
    return start + header.replace(b"0" * 64, digest.encode()) + bytes(data)


def _reshape(entries: Entries, _: bytearray) -> None:
    entries["head.w"]["shape"] = entries["head.w"]["shape"][::-1]


def _retype(entries: Entries, _: bytearray) -> None:
    entries["l1.q.s"]["dtype"] = "I32"


def _rename(entries: Entries, _: bytearray) -> None:
    entries["l0.q.s"] = entries.pop("l1.q.s")


def _drop(entries: Entries, data: bytearray) -> None:
    start, stop = entries.pop("l1.v.w")["data_offsets"]
    assert stop == len(data)
    del data[start:]


def _add(entries: Entries, data: bytearray) -> None:
    entries["extra"] = {
        "dtype": "F32",
        "shape": [1],
        "data_offsets": [len(data), len(data) + 4],
    }
    data.extend(b"\0\0\0\0")


def _overlap(entries: Entries, _: bytearray) -> None:
    entries["l1.q.w"]["data_offsets"] = entries["l1.k.w"]["data_offsets"]


def _lengthen(_: Entries, data: bytearray) -> None:
    data.extend(b"\0" * 8)


def _spoil(name: str, value: bytes) -> Callable[[Entries, bytearray], None]:
    def change(entries: Entries, data: bytearray) -> None:
        at = entries[name]["data_offsets"][0]
        data[at : at + len(value)] = value

    return change


def _tell(key: str, value: str) -> Callable[[Entries, bytearray], None]:
    def change(entries: Entries, _: bytearray) -> None:
        entries["__metadata__"][key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_reshape, id="shape"),
        pytest.param(_retype, id="dtype"),
        pytest.param(_rename, id="unknown name"),
        pytest.param(_drop, id="missing tensor"),
        pytest.param(_add, id="extra tensor"),
        pytest.param(_overlap, id="overlap"),
        pytest.param(_lengthen, id="bytes of no tensor"),
        pytest.param(_spoil("head.w", struct.pack("<f", float("nan"))), id="nan"),
        pytest.param(_spoil("l1.q.s", struct.pack("<f", -1.0)), id="negative scale"),
        pytest.param(_spoil("l1.q.w", b"\x80"), id="code -128"),
        pytest.param(_tell("first_layer", "0"), id="more layers told"),
        pytest.param(_tell("first_layer", "-1"), id="layer below zero"),
        pytest.param(_tell("first_layer", "9"), id="layer above the last"),
        pytest.param(_tell("first_layer", "x"), id="no number"),
        pytest.param(_tell("token_dim", "17"), id="another width told"),
    ],
)
def test_a_file_that_vouches_for_nonsense_is_refused(
    tiny_trained_bytes: bytes,
    tiny_source: E5File,
    place: Path,
    change: Callable[[Entries, bytearray], None],
) -> None:
    """Guards against a digest that is right over contents that are not: sizes and names are checked for themselves."""
    assert "SHA-256" not in _refused(_sealed_again(tiny_trained_bytes, change), place, tiny_source)


def test_sealing_again_alone_changes_nothing(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path
) -> None:
    """Guards against the test above passing because its own seal is wrong."""
    place.write_bytes(_sealed_again(tiny_trained_bytes, lambda *_: None))
    assert read_weights(place, "b" * 64, tiny_source.shape).facts.token_dim == 16


def test_a_name_that_stands_twice_is_refused(
    tiny_trained_bytes: bytes, tiny_source: E5File, place: Path
) -> None:
    """Guards against two tensors of one name, of which readers would take different ones."""
    (length,) = struct.unpack_from("<Q", tiny_trained_bytes)
    header = tiny_trained_bytes[8 : 8 + length].rstrip()
    twice = header[:-1] + b',"head.w":{}}'
    raw = struct.pack("<Q", len(twice)) + twice + tiny_trained_bytes[8 + length :]
    _refused(raw, place, tiny_source)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("l1.q.w", None),
        ("l0.q.w", np.zeros((64, 64), np.float32)),
        ("head.w", np.zeros((16, 63), np.float32)),
        ("head.w", quantise_rows(np.ones((16, 64), np.float32))),
        ("salience.b", np.array([np.inf], np.float32)),
        ("l1.fi.w", np.full((128, 64), np.nan, np.float32)),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_writer_refuses_what_the_reader_would(
    trained_tensors: Tensors,
    tiny_facts: Facts,
    tiny_source: E5File,
    tmp_path: Path,
    name: str,
    values: FloatArray | Int8Rows | None,
) -> None:
    """Guards against hours of training that end in a file nobody can open."""
    if values is None:
        del trained_tensors[name]
    else:
        trained_tensors[name] = values
    with pytest.raises(ValueError, match=name.rpartition(".")[0]):
        write_weights(tmp_path / "w", trained_tensors, tiny_facts, tiny_source.shape)
    assert not list(tmp_path.iterdir())


def test_facts_are_kept_letter_by_letter(
    trained_tensors: Tensors, tiny_facts: Facts, tiny_source: E5File, place: Path
) -> None:
    """Guards against a licence's name that JSON or an encoding has changed."""
    facts = replace(tiny_facts, data='JaQuAD "train"、日本語', command="a \\ b\n" + "0" * 64)
    write_weights(place, trained_tensors, facts, tiny_source.shape)
    assert read_weights(place, facts.base_sha256, tiny_source.shape).facts == facts


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    )
)
def test_rounding_is_off_by_half_a_step_and_done_once(weight: FloatArray) -> None:
    """Guards against a scale shared by rows, an overflow to -128, or codes that drift each time they are written."""
    rows = quantise_rows(weight)
    assert np.abs(rows.codes.astype(int)).max() <= 127
    half = np.maximum(rows.scales[:, None] * 0.5001, 1e-30)
    assert (np.abs(rows.dense() - weight) <= half).all()
    np.testing.assert_array_equal(quantise_rows(rows.dense()).codes, rows.codes)
