"""Derived codes: made whole, verified before use, rebuilt when wrong, never needed for an answer."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragjp import compiled
from ragjp.index.dense import derived
from ragjp.index.dense.derived import Derived, ensure_derived, open_derived
from ragjp.index.dense.oracle import NumpyFlat
from ragjp.index.dense.search import DenseIndex
from ragjp.index.storage.segments import Segment, map_array, write_segment

WIDTH = 12


@pytest.fixture(autouse=True)
def _small_segments_have_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "MIN_ROWS", 50)


def add_segment(index: Path, name: str, n_rows: int, seed: int = 0) -> Segment:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n_rows, WIDTH)) + 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    records = write_segment(index, name, {"vectors": rows.astype(np.float16)})
    return Segment(int(name), name, n_rows, 0, records)


def vectors_of(index: Path, segments: list[Segment]) -> list[Any]:
    return [
        map_array(index / "segments" / segment.name / "vectors.npy", segment.files[0].n_bytes)
        for segment in segments
    ]


def opened(index: Path, segments: list[Segment]) -> Derived:
    """Open, and see that an answer is right with whatever was opened."""
    parts = vectors_of(index, segments)
    found = open_derived(index, segments, parts)
    compiled.load("ragjp.index.dense.kernels")
    query = parts[0][3].astype(np.float32)
    allowed = np.ones(sum(map(len, parts)), bool)
    rows, scores = DenseIndex(parts, found.codes, found.note).search(query, allowed, 5)
    expected, expected_scores = NumpyFlat(np.concatenate(parts)).search(query, allowed, 5)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(scores, expected_scores)
    return found


@pytest.fixture
def one(tmp_path: Path) -> tuple[Path, list[Segment]]:
    segments = [add_segment(tmp_path, "00000001", 60)]
    assert len(ensure_derived(tmp_path, segments).built) == 1
    return tmp_path, segments


def files_of(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (index / "derived").iterdir()}


def test_codes_are_made_once_for_large_segments_and_used(tmp_path: Path) -> None:
    """The gain would be lost in silence: no codes, or codes written again at every commit."""
    segments = [add_segment(tmp_path, "00000001", 60), add_segment(tmp_path, "00000002", 49, 1)]
    assert len(ensure_derived(tmp_path, segments).built) == 1
    assert ensure_derived(tmp_path, segments) == derived.Ensured((), ())
    found = opened(tmp_path, segments)
    assert [codes is not None for codes in found.codes] == [True, False]
    assert not found.problems
    assert not found.note


def test_codes_outlive_a_merge_that_keeps_the_vectors_and_others_are_swept(tmp_path: Path) -> None:
    """A merge must not cost a million rows' codes; those of vectors that are gone must not pile up; a stranger's file stays."""
    kept, gone = add_segment(tmp_path, "00000001", 60), add_segment(tmp_path, "00000002", 70, 1)
    ensure_derived(tmp_path, [kept, gone])
    for name in ("notes.txt", "0" * 32 + ".codes", "0" * 32 + ".codes.new"):
        (tmp_path / "derived" / name).write_text("x")
    renamed = add_segment(tmp_path, "00000003", 60)
    assert ensure_derived(tmp_path, [renamed]).built == ()
    assert len(files_of(tmp_path)) == 3
    assert "notes.txt" in files_of(tmp_path)
    assert opened(tmp_path, [renamed]).codes[0] is not None


def test_segments_committed_later_are_searched_without_codes(
    one: tuple[Path, list[Segment]],
) -> None:
    """An update is visible at once, before anybody has made codes for it."""
    index, segments = one
    found = opened(index, [*segments, add_segment(index, "00000002", 90, 5)])
    assert [codes is not None for codes in found.codes] == [True, False]
    assert [problem.code for problem in found.problems] == ["derived_missing"]
    assert "総当たり" in found.note


def test_no_mutated_file_is_used(one: tuple[Path, list[Segment]]) -> None:
    """One flipped bit in a code could hide the best row: every change is refused, and the answer stays right."""
    index, segments = one
    rng = np.random.default_rng(0)
    originals = files_of(index)
    n_refused = 0
    for name, data in originals.items():
        path = index / "derived" / name
        for _ in range(250):
            path.write_bytes(mutated(data, rng))
            found = open_derived(index, segments, vectors_of(index, segments))
            if found.codes[0] is not None:
                # The JSON may say the same in other bytes.
                assert name.endswith(".json")
                assert json.loads(path.read_bytes()) == json.loads(data)
                continue
            assert found.problems[0].code == "derived_damaged"
            n_refused += 1
        path.write_bytes(data)
    assert n_refused > 480
    assert opened(index, segments).codes[0] is not None


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A flipped bit, a cut, a longer tail, zeros in the middle, or something else altogether."""
    place = int(rng.integers(len(data)))
    changed = bytearray(data)
    match int(rng.integers(5)):
        case 0:
            changed[place] ^= 1 << int(rng.integers(8))
        case 1:
            return data[:place]
        case 2:
            changed += rng.bytes(1 + place % 50)
        case 3:
            changed[place] = (changed[place] + 1 + int(rng.integers(255))) % 256
        case _:
            return rng.bytes(place)
    return bytes(changed)


@pytest.mark.parametrize(
    "sidecar",
    [
        "[]",
        "null",
        "1e999",
        '{"sha256": 1}',
        "[" * 4000,
        '{"sha256": "' + "a" * 64 + '"}',
        "x" * 9999,
    ],
)
def test_a_sidecar_of_any_shape_is_refused(one: tuple[Path, list[Segment]], sidecar: str) -> None:
    index, segments = one
    next((index / "derived").glob("*.json")).write_text(sidecar)
    assert [problem.code for problem in opened(index, segments).problems] == ["derived_damaged"]


def test_codes_of_another_format_are_not_read(
    one: tuple[Path, list[Segment]], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, segments = one
    monkeypatch.setattr(derived, "_FORMAT", derived._FORMAT + 1)
    assert opened(index, segments).problems[0].code == "derived_missing"


@pytest.mark.parametrize("damage", ["flip", "cut", "no codes", "no sidecar", "folder"])
def test_what_is_wrong_is_rebuilt(one: tuple[Path, list[Segment]], damage: str) -> None:
    """``check --repair`` and the next update put the same bytes back."""
    index, segments = one
    before = files_of(index)
    codes, sidecar = sorted((index / "derived").iterdir(), key=lambda path: path.suffix)
    if damage == "flip":
        data = bytearray(codes.read_bytes())
        data[7] ^= 1
        codes.write_bytes(data)
    elif damage == "cut":
        os.truncate(codes, 10)
    elif damage == "folder":
        for path in (codes, sidecar):
            path.unlink()
        codes.parent.rmdir()
    else:
        (codes if damage == "no codes" else sidecar).unlink()
    assert opened(index, segments).codes == (None,)
    assert len(ensure_derived(index, segments).built) == 1
    assert files_of(index) == before
    assert opened(index, segments).codes[0] is not None


def test_codes_are_not_made_of_damaged_vectors(one: tuple[Path, list[Segment]]) -> None:
    """Named after the sound vectors, they would hide rows once the vectors are restored."""
    index, segments = one
    for path in (index / "derived").iterdir():
        path.unlink()
    vectors = index / "segments" / "00000001" / "vectors.npy"
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(data)
    result = ensure_derived(index, segments)
    assert not result.built
    assert [problem.code for problem in result.problems] == ["derived_unwritten"]
    assert not files_of(index)


@pytest.mark.parametrize(
    ("call", "nth"), [*(("fsync", nth) for nth in range(1, 6)), ("rename", 1), ("rename", 2)]
)
def test_a_disk_that_refuses_costs_only_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    """A full disk at any step: no error, no half file that counts, a sentence; the next time it works."""
    segments = [add_segment(tmp_path, "00000001", 60)]
    with monkeypatch.context() as patch:
        reached = fail_nth(patch, call, nth)
        result = ensure_derived(tmp_path, segments)
        assert reached()
        assert [problem.code for problem in result.problems] == ["derived_unwritten"]
        assert "空き" in result.problems[0].sentence
    opened(tmp_path, segments)
    ensure_derived(tmp_path, segments)
    assert opened(tmp_path, segments).codes[0] is not None
    assert len(files_of(tmp_path)) == 2


def fail_nth(patch: pytest.MonkeyPatch, call: str, nth: int) -> Callable[[], bool]:
    count = 0
    owner: Any = Path if call == "rename" else os
    real = getattr(owner, call)

    def refuse(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    patch.setattr(owner, call, refuse)
    return lambda: count >= nth


def test_a_file_verified_once_is_verified_again_when_it_changes(
    one: tuple[Path, list[Segment]],
) -> None:
    """The memory of checksums must not vouch for a file that was rewritten in place."""
    index, segments = one
    assert opened(index, segments).codes[0] is not None
    codes = next((index / "derived").glob("*.codes"))
    with codes.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    assert opened(index, segments).codes[0] is None
