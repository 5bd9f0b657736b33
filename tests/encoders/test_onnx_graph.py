"""The ONNX graphs against the NumPy oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragjp.encoders.e5_file import E5File
from ragjp.encoders.onnx_encoder import _open
from ragjp.encoders.onnx_graph import Precision, write_graph
from ragjp.encoders.reference import last_hidden_state

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IDS = [0, 8, 5, 12, 13, 15, 16, 3, 2]


@pytest.fixture(scope="module")
def sessions(tiny_source: E5File, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("graphs")
    made: dict[str, Any] = {}
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        path = folder / f"{precision}.onnx"
        write_graph(tiny_source, precision, path)
        made[precision] = _open(path, 1)
    return made


def _run(session: Any, ids: list[list[int]]) -> np.ndarray:
    hidden: np.ndarray = session.run(None, {"input_ids": np.array(ids, np.int64)})[0]
    return hidden


def test_fp32_equals_the_oracle(sessions: dict[str, Any], tiny_source: E5File) -> None:
    """Guards against a transposed matrix, a missing bias, swapped Q/K/V or positions that start at 1."""
    found = _run(sessions["fp32"], [IDS])[0]
    np.testing.assert_allclose(found, last_hidden_state(tiny_source, IDS), atol=2e-5)


def test_int8_is_near_the_oracle(sessions: dict[str, Any], tiny_source: E5File) -> None:
    """Guards against a wrong scale or zero point; the tiny model's hidden states have length 8."""
    found, exact = _run(sessions["int8"], [IDS])[0], last_hidden_state(tiny_source, IDS)
    assert not np.allclose(found, exact, atol=1e-5), "the int8 graph computes in float"
    cosine = (
        np.sum(found * exact, 1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    )
    assert cosine.min() > 0.998


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_texts_of_one_length_do_not_see_each_other(
    sessions: dict[str, Any], precision: str
) -> None:
    """Guards against quantisation scales shared over a batch, which made a vector depend on its neighbours."""
    other = [0, 20, 21, 22, 23, 24, 25, 26, 2]
    together = _run(sessions[precision], [IDS, other])
    np.testing.assert_allclose(together[0], _run(sessions[precision], [IDS])[0], atol=1e-6)
    np.testing.assert_allclose(together[1], _run(sessions[precision], [other])[0], atol=1e-6)


def test_the_full_length_runs(sessions: dict[str, Any], tiny_source: E5File) -> None:
    """Guards against positions cut one short of the model's limit."""
    ids = [0, *[5 + at % 20 for at in range(30)], 2]
    assert len(ids) == tiny_source.shape.positions
    found = _run(sessions["fp32"], [ids])[0]
    np.testing.assert_allclose(found, last_hidden_state(tiny_source, ids), atol=2e-5)
