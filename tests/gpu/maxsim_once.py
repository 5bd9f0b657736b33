"""Each of MaxSim's kernels once, without CuPy's memory pool: what compute-sanitizer watches."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from ragjp.cuda.toolkit import CupyToolkit
from ragjp.index.tokens.store import quantise
from ragjp.rerank.maxsim_gpu import MaxSim
from tests.kernels.maxsim_cases import corpus, weighted


def main() -> None:
    """Widths, formats, one and several blocks of query tokens, with and without a mask."""
    import cupy

    cupy.cuda.set_allocator(None)
    scorer = MaxSim(CupyToolkit())
    rng = np.random.default_rng(3)
    for width in (64, 96, 128, 384):
        rows, offsets = corpus(rng, width, [0, 1, 180, 9, 33, 7, 64] * 3)
        packed = quantise(rows, offsets)
        mask = rng.random(len(rows)) < 0.5
        numbers, scores = cupy.arange(21, dtype=np.int32), cupy.empty(21, np.float32)
        for chosen in (None, mask):
            for n_tokens in (20, 40):
                query = weighted(rng, n_tokens, width)
                tokens = scorer.upload(packed.codes, offsets, packed.scales, chosen)
                scorer.score(scorer.prepare([query], int8=True), tokens, numbers, scores)
                tokens = scorer.upload(rows.astype(np.float16), offsets, mask=chosen)
                scorer.score(scorer.prepare([query], int8=False), tokens, numbers, scores)
    cupy.cuda.Device().synchronize()


if __name__ == "__main__":
    main()
