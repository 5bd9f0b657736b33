"""MaxSim over 50, 100 and 1,000 candidates: ours on int8 rows, a padded einsum of torch, and maxsim-cpu, both on float32.

maxsim-cpu 0.1.0 gives wrong scores or crashes when query tokens times dimensions is above 4,096 (its libxsmm then calls a BLAS that
its wheel does not bring): at 384 dimensions with every question of more than 10 tokens, at 128 with every question of more than 32.
So it is compared apart, with questions cut at 32 tokens; where the index has wider tokens, on their first 128 dimensions, brought to
length 1 again and quantised again. Ours gets the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from evals.bench.lines import Line, Target
from evals.bench.material import prepare
from evals.bench.results import Options, Result
from evals.bench.timing import interleaved, summaries
from ragjp import compiled
from ragjp.encoders.packing import unit_rows
from ragjp.index.tokens.store import PackedTokens, TokenStore, dequantise, quantise
from ragjp.rerank.maxsim_cpu import KERNELS, maxsim_int8, maxsim_reference
from ragjp.types import FloatArray, IntArray

SIZES = (50, 100, 1000)
#: What maxsim-cpu can do.
_PEER = "maxsim-cpu"
_PEER_WIDTH = 128
_PEER_LONGEST_QUERY = 32
#: Sets of candidates per size, and questions asked of each: what is padded must be held in memory, so sets are shared.
_SETS = 4
_QUESTIONS = 6
_TOLERANCE = 1e-3

Score = Callable[[FloatArray], FloatArray]


def run(options: Options) -> Result:
    """Score real passages of JaQuAD for real questions."""
    from ragjp.engine import Engine

    compiled.load(KERNELS)
    sizes = SIZES[:1] if options.quick else SIZES
    material = prepare("jaquad", "dev", _SETS * _QUESTIONS)
    with Engine.open(material.index, recipe=material.recipe) as engine:
        store = engine._snapshot.tokens
        if store is None:
            raise ValueError("the index has no token vectors")
        queries = [engine.question(query.text)[0].tokens for query in material.questions]
        found = {
            (size, peer): _compare(store, queries, size, peer=peer)
            for size in sizes
            for peer in (False, True)
        }
    lines = [line for (size, _), each in found.items() for line in _lines(size, each)]
    return Result(
        "maxsim",
        lines,
        {
            "sets": _SETS,
            "questions": len(queries),
            "query_tokens_p50": float(np.median([len(query) for query in queries])),
            "tokens_per_passage": found[sizes[0], False]["tokens_per_passage"],
        },
        {
            **{
                f"{size} x {each['width']}{f', {_PEER}' if peer else ''}": each
                for (size, peer), each in found.items()
            },
            "maxsim-cpu at 384 dimensions": _crash_of_the_peer(),
        },
        [
            "each is given its candidates in the form it likes best, made beforehand: packed int8, padded float32 tensor, list of float32",
            "from_rows: ours from row numbers, loading of the rows included",
            f"threads: ours as named; torch and maxsim-cpu as they choose ({os.cpu_count()} cores)",
        ],
    )


def _compare(
    store: TokenStore, queries: Sequence[FloatArray], size: int, *, peer: bool
) -> dict[str, Any]:
    """``peer``: on what maxsim-cpu can do, and with it."""
    width = store.take(np.zeros(1, np.int64)).width
    if peer:
        width = min(width, _PEER_WIDTH)
    rng = np.random.default_rng(size)
    times: dict[str, list[float]] = {}
    error: dict[str, float] = {}
    tokens = 0
    for number in range(_SETS):
        rows = rng.choice(len(store), size, replace=False).astype(np.int64)
        packed = store.take(rows)
        asked = queries[number * _QUESTIONS : (number + 1) * _QUESTIONS]
        if width < packed.codes.shape[1]:
            packed = narrowed(packed, width)
            asked = [unit_rows(query[:, :width]) for query in asked]
        tokens += len(packed.codes)
        plain = dequantise(packed)
        contestants = _contestants(packed, plain, peer=peer)
        if peer:
            asked = [query[:_PEER_LONGEST_QUERY] for query in asked]
        else:
            contestants["ragjp from_rows"] = partial(_from_rows, store, rows)
        for query in asked:
            expected = maxsim_reference(query, plain, packed.offsets)
            for name, score in contestants.items():
                off = float(np.abs(score(query) - expected).max())
                error[name] = max(error.get(name, 0.0), off)
        for name, each in interleaved(contestants, asked, rounds=5).items():
            times.setdefault(name, []).extend(each.tolist())
    return {
        "width": width,
        "times_ms": summaries({name: np.array(each) for name, each in times.items()}),
        "largest_error": error,
        "tokens_per_passage": tokens / (_SETS * size),
    }


def _contestants(packed: PackedTokens, plain: FloatArray, *, peer: bool) -> dict[str, Score]:
    documents = [np.ascontiguousarray(plain[a:b]) for a, b in pairwise(packed.offsets.tolist())]
    arrays = (packed.codes, packed.scales, packed.offsets)
    cores = os.cpu_count() or 1
    contestants: dict[str, Score] = {
        "ragjp, 1 thread": lambda query: maxsim_int8(query, *arrays),
        f"ragjp, {cores} threads": lambda query: maxsim_int8(query, *arrays, threads=cores),
        "torch einsum": padded_einsum(documents),
    }
    if peer:
        contestants[_PEER] = partial(_maxsim_cpu, documents)
    return contestants


def _from_rows(store: TokenStore, rows: IntArray, query: FloatArray) -> FloatArray:
    packed = store.take(rows)
    return maxsim_int8(query, packed.codes, packed.scales, packed.offsets)


def narrowed(packed: PackedTokens, width: int) -> PackedTokens:
    """The first ``width`` dimensions, of length 1 again, quantised again."""
    return quantise(unit_rows(packed.codes[:, :width].astype(np.float32)), packed.offsets)


def _crash_of_the_peer() -> str:
    """What maxsim-cpu does with 50 documents of 200 tokens and 384 dimensions, in a process of its own."""
    code = (
        "import numpy as np, maxsim_cpu\n"
        "rng = np.random.default_rng(0)\n"
        "unit = lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)\n"
        "query = unit(rng.standard_normal((20, 384)))\n"
        "documents = [unit(rng.standard_normal((200, 384))) for _ in range(50)]\n"
        "found = maxsim_cpu.maxsim_scores_variable(query, documents)\n"
        "print(abs(found - [(query @ d.T).max(1).sum() for d in documents]).max())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"ends with signal {-done.returncode}"
    return f"scores off by {done.stdout.strip()}"


def padded_einsum(documents: Sequence[FloatArray]) -> Score:
    """MaxSim as it is mostly written: documents padded to the longest, one einsum, a mask, a maximum, a mean."""
    import torch

    longest = max(map(len, documents))
    padded = torch.zeros((len(documents), longest, documents[0].shape[1]))
    absent = torch.ones((len(documents), 1, longest), dtype=torch.bool)
    for number, document in enumerate(documents):
        padded[number, : len(document)] = torch.from_numpy(document)
        absent[number, 0, : len(document)] = False

    def score(query: FloatArray) -> FloatArray:
        with torch.inference_mode():
            products = torch.einsum("qd,ntd->nqt", torch.from_numpy(query), padded)
            best = products.masked_fill(absent, -torch.inf).amax(dim=2)
            scores: FloatArray = best.mean(dim=1).numpy()
        return scores

    return score


def _maxsim_cpu(documents: Sequence[FloatArray], query: FloatArray) -> FloatArray:
    import maxsim_cpu

    # It sums over the query's tokens; we divide by them.
    scores: FloatArray = maxsim_cpu.maxsim_scores_variable(query, list(documents)) / len(query)
    return scores


def _lines(size: int, found: Mapping[str, Any]) -> list[Line]:
    times = {name: each["p50"] for name, each in found["times_ms"].items()}
    # A question's candidates are scored by one thread; a thousand are worth waking the others for.
    ours = (
        "ragjp, 1 thread"
        if size <= 100
        else next(each for each in times if each.endswith("threads"))
    )
    error = found["largest_error"]
    lines = []
    for peer, least in [(_PEER, 1.0)] if _PEER in times else [("torch einsum", 3.0)]:
        worst = max(error[ours], error[peer])
        lines.append(
            Line(
                f"MaxSim {size} 候補 × {found['width']} 次元（{ours.removeprefix('ragjp, ')}）",
                "ms",
                times[ours],
                times[peer],
                peer,
                target=Target("ratio", "at least", least),
                equal=f"点の差は最大 {worst:.1e}" if worst <= _TOLERANCE else "",
                differs="" if worst <= _TOLERANCE else f"点が {worst:.1e} 違う",
            )
        )
    if "ragjp from_rows" in times:
        taken = times["ragjp from_rows"]
        lines.append(Line(f"MaxSim {size} 候補、行の読み込みを含む（1 thread）", "ms", taken))
    return lines
