"""``make bench-gpu``: MaxSim beside its memory floor, a padded einsum and, where installed, the published kernels.

Every contender's scores are compared with float64 before it is timed. Peers are given gathered rows; ours gathers by candidate id.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ragjp.cuda.toolkit import CupyToolkit
from ragjp.rerank.maxsim_gpu import DeviceTokens, MaxSim, Tuning
from tests.gpu.timing import Line, captured, copy_bandwidth, in_turn, show

pytestmark = [pytest.mark.gpu, pytest.mark.slow]
cupy = pytest.importorskip("cupy")
TOKENS, QUERY_TOKENS, N_SETS = 180, 32, 4
Run = Callable[[Any], None]


@pytest.fixture(scope="module")
def bandwidth() -> float:
    try:
        if not cupy.cuda.runtime.getDeviceCount():
            pytest.skip("no CUDA device")
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"no CUDA device: {error}")
    return copy_bandwidth(cupy)


def made(n_documents: int, width: int, seed: int) -> tuple[DeviceTokens, DeviceTokens]:
    """Random documents of 180 tokens, as halves and as codes, quantised as the store does."""
    source = cupy.random.default_rng(seed)
    rows = source.standard_normal((n_documents * TOKENS, width), dtype=np.float32)
    rows /= cupy.linalg.norm(rows, axis=1, keepdims=True)
    scales = (cupy.abs(rows).max(axis=1) / 127).astype(np.float16)
    codes = cupy.clip(cupy.rint(rows / scales.astype(np.float32)[:, None]), -127, 127)
    offsets = cupy.arange(n_documents + 1, dtype=np.int64) * TOKENS
    return (
        DeviceTokens(rows.astype(np.float16), offsets),
        DeviceTokens(codes.astype(np.int8), offsets, scales),
    )


def queries_of(width: int) -> list[np.ndarray]:
    """One query for each input set."""
    rng = np.random.default_rng(1)
    found = rng.standard_normal((N_SETS, QUERY_TOKENS, width)).astype(np.float32)
    return list(found / np.linalg.norm(found, axis=2, keepdims=True))


def ours(
    scorer: MaxSim,
    tokens: DeviceTokens,
    lists: list[Any],
    width: int,
    cut: Tuning | None = None,
) -> tuple[list[Run], list[Any]]:
    """A replay for each input set, and where it puts the scores."""
    runs, outs = [], []
    for query, candidates in zip(queries_of(width), lists, strict=True):
        scores = cupy.empty(len(candidates), np.float32)
        given = (scorer.prepare([query], int8=tokens.int8), tokens, candidates, scores)
        runs.append(captured(cupy, lambda given=given: scorer.score(*given, cut=cut)))
        outs.append(scores)
    return runs, outs


def wanted(query: np.ndarray, tokens: DeviceTokens, candidates: Any, places: range) -> np.ndarray:
    """Some of the scores in float64."""
    rows = tokens.rows.reshape(-1, TOKENS, tokens.width)
    found = [cupy.asnumpy(rows[int(candidates[place])]).astype(np.float64) for place in places]
    if tokens.scales is not None:
        steps = tokens.scales.reshape(-1, TOKENS)
        found = [
            row * cupy.asnumpy(steps[int(candidates[place])]).astype(np.float64)[:, None]
            for row, place in zip(found, places, strict=True)
        ]
    return np.array([(query.astype(np.float64) @ row.T).max(axis=1).mean() for row in found])


def einsum(tokens: DeviceTokens, lists: list[Any], width: int) -> list[Run]:
    """What a library user writes: padded rows (no padding is needed here), one product, maximum, mean. Rows gathered beforehand."""
    torch = pytest.importorskip("torch")
    rows = tokens.rows.reshape(-1, TOKENS, width)
    runs: list[Run] = []
    for query, candidates in zip(queries_of(width), lists, strict=True):
        left = torch.tensor(query, device="cuda", dtype=torch.float16)
        right = torch.from_dlpack(rows[candidates])

        def run(stream: Any, left: Any = left, right: Any = right) -> None:
            with torch.cuda.stream(torch.cuda.ExternalStream(stream.ptr)):
                torch.einsum("qd,ntd->nqt", left, right).amax(dim=2).float().mean(dim=1)

        runs.append(run)
    return runs


def peers(tokens: DeviceTokens, lists: list[Any], width: int) -> dict[str, list[Run]]:
    """The published kernels that are installed, over gathered rows; an absent one is left out, and said so in the notes."""
    torch = pytest.importorskip("torch")
    found: dict[str, list[Run]] = {}
    for package, call in (
        ("flash_maxsim", "flash_maxsim"),
        ("late_interaction_kernels", "maxsim"),
    ):
        if importlib.util.find_spec(package) is None:
            continue
        function = getattr(importlib.import_module(package), call)
        runs: list[Run] = []
        for query, candidates in zip(queries_of(width), lists, strict=True):
            left = torch.tensor(query, device="cuda", dtype=torch.float16)
            right = torch.from_dlpack(tokens.rows.reshape(-1, TOKENS, width)[candidates])

            def run(
                stream: Any, left: Any = left, right: Any = right, function: Any = function
            ) -> None:
                with torch.cuda.stream(torch.cuda.ExternalStream(stream.ptr)):
                    function(left[None], right[None])

            try:
                run(cupy.cuda.Stream.null)
            except (TypeError, ValueError, RuntimeError):
                break
            runs.append(run)
        else:
            found[package] = runs
    return found


@pytest.mark.parametrize(
    ("n_candidates", "n_documents", "width"),
    [(1000, 20_000, 128), (50, 20_000, 128), (20_000, 20_000, 128), (1000, 8_000, 384)],
)
def test_bench_maxsim(bandwidth: float, n_candidates: int, n_documents: int, width: int) -> None:
    scorer = MaxSim(CupyToolkit())
    halves, codes = made(n_documents, width, seed=n_candidates)
    source = np.random.default_rng(2)
    lists = [
        cupy.asarray(source.permutation(n_documents)[:n_candidates].astype(np.int32))
        for _ in range(N_SETS)
    ]
    floors = {
        "float16": n_candidates * TOKENS * width * 2 / bandwidth * 1e6,
        "int8": n_candidates * TOKENS * (width + 2) / bandwidth * 1e6,
    }
    contenders: dict[str, list[Run]] = {}
    bests = {}
    for name, tokens in (("float16", halves), ("int8", codes)):
        runs, outs = ours(scorer, tokens, lists, width)
        for run, out, query, candidates in zip(runs, outs, queries_of(width), lists, strict=True):
            run(cupy.cuda.Stream.null)
            cupy.cuda.Device().synchronize()
            places = range(0, n_candidates, max(1, n_candidates // 20))
            expected = wanted(query, tokens, candidates, places)
            np.testing.assert_allclose(cupy.asnumpy(out)[:: places.step], expected, rtol=1e-3)
        bests[name] = [set(np.argsort(-cupy.asnumpy(out), kind="stable")[:10]) for out in outs]
        contenders[name] = runs
        cuts = [Tuning(h, t, b) for h in (0, 1, 2) for t in (1, 2) for b in (3, 4)]
        for cut in cuts:
            if cut.held > (1 if name == "float16" else 2) or (cut.held and width > 128):
                continue
            label = f"{name} cut held={cut.held} tiles={cut.tiles} blocks={cut.blocks}"
            contenders[label] = ours(scorer, tokens, lists, width, cut)[0]
    others = {"einsum": einsum(halves, lists, width), **peers(halves, lists, width)}
    timed = in_turn(cupy, {**contenders, **others}, rounds=120 if n_candidates <= 1000 else 100)
    best_peer = min(others, key=lambda name: timed[name].median_us)
    lines = [
        Line(
            f"{name}, {n_candidates} x {TOKENS} x {width}",
            timed[name],
            floors[name.split()[0]],
            timed[best_peer].median_us,
            best_peer,
        )
        for name in contenders
    ]
    lines += [Line(name, timed[name], floors["float16"]) for name in others]
    overlap = np.mean([len(a & b) / 10 for a, b in zip(*bests.values(), strict=True)])
    absent = [p for p in ("flash_maxsim", "late_interaction_kernels") if p not in others]
    show(
        f"maxsim {n_candidates} x {width}: graph replays, L2 flushed, {N_SETS} input sets in turn",
        lines,
        [
            f"copy bandwidth in this run: {bandwidth / 1e12:.2f} TB/s; floor = bytes of the candidates' rows / that",
            f"share of that bandwidth: float16 {floors['float16'] / timed['float16'].median_us:.0%}, int8 {floors['int8'] / timed['int8'].median_us:.0%}",
            f"int8 is {timed['float16'].median_us / timed['int8'].median_us:.2f} times as fast; overlap of the best 10: {overlap:.3f}",
            f"not installed, or not callable as tried here: {', '.join(absent) or 'none'}",
        ],
    )
