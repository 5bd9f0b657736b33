"""MaxSim on a card, against float64 and against the CPU's integers; compute-sanitizer once for each kernel.

Guards against: what a CPU's lanes cannot show. Races between blocks, the device's memory model, the tensor cores' own rounding.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ragjp.cuda.toolkit import CupyToolkit
from ragjp.index.tokens.store import dequantise, quantise
from ragjp.rerank.maxsim_cpu import maxsim_int8_numpy
from ragjp.rerank.maxsim_gpu import MaxSim
from tests.kernels.maxsim_cases import corpus, in_float64, rounded, weighted

pytestmark = pytest.mark.gpu
cupy = pytest.importorskip("cupy")
LENGTHS = (0, 1, 7, 8, 9, 180, 512)
N_SHAPES = 1000


@pytest.fixture(scope="module")
def scorer() -> MaxSim:
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"no CUDA device: {error}")
    if not n_devices:
        pytest.skip("no CUDA device")
    return MaxSim(CupyToolkit())


@pytest.mark.parametrize("width", [64, 96, 128, 384])
def test_a_thousand_shapes(scorer: MaxSim, width: int) -> None:
    """250 shapes a width: ragged, with repeated and tied rows, masked at random and wholly, one to three blocks of query tokens."""
    rng = np.random.default_rng(width)
    for _ in range(N_SHAPES // 4):
        lengths = [int(rng.choice(LENGTHS)) for _ in range(rng.integers(1, 12))]
        rows, offsets = corpus(rng, width, lengths)
        query = weighted(rng, int(rng.choice([1, 8, 20, 31, 32, 33, 64, 70])), width)
        found = scorer.maxsim(query, rows, offsets)
        wanted, sizes = in_float64(rounded(query), rows.astype(np.float16), offsets)
        # Of the numbers that the kernel was given: 1e-3 of the score, which may be a small difference of large products.
        assert (np.abs(found - wanted) <= 1e-3 * np.abs(wanted) + 2e-6 * sizes).all()
        wanted, sizes = in_float64(query, rows, offsets)
        assert (np.abs(found - wanted) <= 1e-3 * sizes).all()

        packed = quantise(rows, offsets)
        found = scorer.maxsim_int8(query, packed.codes, packed.scales, packed.offsets)
        on_cpu = maxsim_int8_numpy(query, packed.codes, packed.scales, packed.offsets)
        np.testing.assert_array_equal(found, on_cpu)
        wanted, sizes = in_float64(query, dequantise(packed), offsets)
        assert (np.abs(found - wanted) <= 1e-4 * sizes).all()


@pytest.mark.parametrize("int8", [False, True])
def test_masks_queries_and_candidates(scorer: MaxSim, int8: bool) -> None:
    """64 queries over 5,000 candidates in one launch: rows that do not count, documents without any, repetitions, unknown ids."""
    rng = np.random.default_rng(9)
    rows, offsets = corpus(rng, 128, [int(rng.choice(LENGTHS)) for _ in range(400)])
    mask = rng.random(len(rows)) < 0.7
    mask[offsets[5] : offsets[9]] = False
    packed = quantise(rows, offsets)
    tokens = scorer.upload(
        packed.codes if int8 else rows.astype(np.float16),
        offsets,
        packed.scales if int8 else None,
        mask,
    )
    queries = [weighted(rng, int(n), 128) for n in rng.integers(1, 70, 64)]
    numbers = rng.integers(-1, 401, 5000).astype(np.int32)
    owners = np.sort(rng.integers(0, 64, 5000)).astype(np.int32)
    scores = cupy.empty(5000, np.float32)
    prepared = scorer.prepare(queries, int8=int8)
    given = (prepared, tokens, cupy.asarray(numbers), scores)
    scorer.score(*given, owners=cupy.asarray(owners))
    found = cupy.asnumpy(scores)
    unknown = (numbers < 0) | (numbers >= 400)
    assert (found[unknown] == -np.inf).all()
    for place in np.flatnonzero(~unknown)[::7]:
        span = slice(int(offsets[numbers[place]]), int(offsets[numbers[place] + 1]))
        kept = np.flatnonzero(mask[span]) + span.start
        ends = np.array([0, len(kept)], dtype=np.int64)
        query = queries[owners[place]]
        if int8:
            alone = maxsim_int8_numpy(query, packed.codes[kept], packed.scales[kept], ends)
            assert found[place] == alone[0]
        else:
            wanted, sizes = in_float64(query, rows[kept], ends)
            assert abs(found[place] - wanted[0]) <= 1e-3 * sizes[0]


def test_a_captured_graph_gives_the_same_again_and_again(scorer: MaxSim) -> None:
    """The queue must be as it was after each replay, and no result may depend on which block came first."""
    rng = np.random.default_rng(10)
    rows, offsets = corpus(rng, 128, [int(rng.choice(LENGTHS)) for _ in range(3000)])
    tokens = scorer.upload_packed(quantise(rows, offsets))
    prepared = scorer.prepare([weighted(rng, 32, 128)], int8=True)
    numbers, scores = cupy.arange(3000, dtype=np.int32), cupy.empty(3000, np.float32)
    scorer.score(prepared, tokens, numbers, scores)
    wanted = scores.copy()
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        scorer.score(prepared, tokens, numbers, scores)
        graph = stream.end_capture()
        for _ in range(200):
            scores.fill(0)
            graph.launch(stream)
            assert bool((scores == wanted).all())


@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizer(tool: str) -> None:
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("compute-sanitizer is not installed")
    once = Path(__file__).with_name("maxsim_once.py")
    done = subprocess.run(
        [program, "--tool", tool, "--error-exitcode", "9", sys.executable, str(once)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "0 errors" in done.stdout or "0 hazards" in done.stdout
