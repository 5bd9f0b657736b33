"""The ONNX graphs against the NumPy oracle."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from ragjp.encoders.e5_file import E5File
from ragjp.encoders.model_source import TrainedModel
from ragjp.encoders.onnx_encoder import _open
from ragjp.encoders.onnx_graph import Precision, build_graph, write_graph
from ragjp.encoders.reference import last_hidden_state, token_rows
from ragjp.encoders.token_head import token_vectors

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


@pytest.fixture(scope="module")
def trained_sessions(
    tiny_trained: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("trained-graphs")
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        write_graph(tiny_trained, precision, folder / f"{precision}.onnx")
    return {precision: _open(folder / f"{precision}.onnx", 1) for precision in precisions}


def _both(session: Any, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    hidden, states = session.run(None, {"input_ids": np.array([ids], np.int64)})
    return hidden[0], states[0]


@pytest.mark.parametrize("query", [True, False])
def test_trained_fp32_equals_the_oracle(
    trained_sessions: dict[str, Any],
    tiny_trained: TrainedModel,
    tiny_source: E5File,
    query: bool,
) -> None:
    """Guards against untrained layers left in the graph, a head of another order, or salience on passages."""
    hidden, states = _both(trained_sessions["fp32"], IDS)
    wanted = last_hidden_state(tiny_trained, IDS)
    assert np.abs(wanted - last_hidden_state(tiny_source, IDS)).max() > 0.1, "nothing was trained"
    np.testing.assert_allclose(hidden, wanted, atol=2e-5)
    rows = token_rows(tiny_trained, wanted, query=query)
    assert rows.shape == (len(IDS), 16)
    lengths = np.linalg.norm(rows, axis=1)
    assert (np.ptp(lengths) > 0.05) == query
    np.testing.assert_allclose(token_vectors(states, query=query), rows, atol=2e-5)


def test_trained_int8_is_near_the_oracle(
    trained_sessions: dict[str, Any], tiny_trained: TrainedModel
) -> None:
    """Guards against scales of another row: the oracle multiplies the same codes in float."""
    hidden, states = _both(trained_sessions["int8"], IDS)
    exact = last_hidden_state(tiny_trained, IDS)
    assert not np.allclose(hidden, exact, atol=1e-5), "the int8 graph computes in float"
    for found, wanted in [
        (hidden, exact),
        (token_vectors(states, query=True), token_rows(tiny_trained, exact, query=True)),
    ]:
        cosine = (found * wanted).sum(axis=1)
        cosine /= np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        assert cosine.min() > 0.995


def test_trained_codes_are_used_as_they_are(tiny_trained: TrainedModel) -> None:
    """Guards against a second rounding: the codes in the graph are those of the file."""
    from onnx import numpy_helper

    graph = build_graph(tiny_trained, "int8").graph
    held = {tensor.name: tensor for tensor in graph.initializer}
    parts = [tiny_trained.weights.matrices[f"l1.{name}"] for name in "qkv"]
    codes = numpy_helper.to_array(held["l1.qkv.w"])
    np.testing.assert_array_equal(codes, np.concatenate([part.codes for part in parts]).T)
    scales = numpy_helper.to_array(held["l1.qkv.scale"])
    np.testing.assert_array_equal(scales, np.concatenate([part.scales for part in parts]))


#: SHA-256 over names and bytes of everything the untouched tiny model's graphs hold, as they were before there were trained layers.
UNTOUCHED = {
    "fp32": "6eb8d3856eedbe30ded57de4646f95c53cc414cc9578552a6e0fe99de12eb7ee",
    "int8": "375bb7e54498bd8129bf38e2e4b37a36655ec54aabf2d9daeb3d72f5e86758ff",
}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_untouched_model_stays_as_it_was(tiny_source: E5File, precision: Precision) -> None:
    """Guards against other vectors under the old fingerprint: indexes built before would be searched with them."""
    graph = build_graph(tiny_source, precision).graph
    assert [output.name for output in graph.output] == ["last_hidden_state"]
    digest = hashlib.sha256()
    for tensor in graph.initializer:
        digest.update(f"{tensor.name} {list(tensor.dims)} {tensor.data_type}".encode())
        digest.update(tensor.raw_data)
    for node in graph.node:
        digest.update(f"{node.op_type} {list(node.input)} {list(node.output)}".encode())
    assert digest.hexdigest() == UNTOUCHED[precision]
